"""fleet.py: what one of several instances notes and tells of a deployment, on virtual time."""

from __future__ import annotations

import asyncio

from router.core.dispatch import Permit
from router.core.errors import ReplicaUnreachable
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import LiveDeployment
from router.pressure import Pressure
from tests.core.nouns import a_deployment, replicas_of
from tests.virtual_time import now, on_virtual_time


async def lending_itself(uids: str) -> LiveDeployment:
    """The other instance is out of reach: this one lends itself the slots that are its own."""
    sharing = Sharing("here", lambda: None)
    sharing.list_places(("p", "q"), "p", now())
    live = LiveDeployment(a_deployment(), Pressure(), Memory(), sharing)
    live.update(a_deployment(), replicas_of(uids), None)
    await asyncio.sleep(6.0)
    sharing.tick(now())
    return live


def permit_of(live: LiveDeployment) -> Permit:
    permit = live.admission.acquire()
    assert isinstance(permit, Permit)
    return permit


@on_virtual_time
async def test_what_was_asked_of_the_owner_is_noted_also_of_one_that_is_idle_when_it_is_looked_at() -> None:
    live = await lending_itself("abcdefgh")
    live.admission.release(permit_of(live))
    live.note_load()
    assert live.counters.asked == 1
    live.forget()


@on_virtual_time
async def test_a_replica_that_is_left_out_because_it_failed_here_is_not_told_as_ready() -> None:
    live = await lending_itself("abcdefgh")
    permit = permit_of(live)
    live.admission.failed(permit, ReplicaUnreachable("refused"))
    live.admission.release(permit)
    assert (live.load().ready, live.load().total) == (7, 8)
    assert permit_of(live).replica.uid != permit.replica.uid
    live.forget()
