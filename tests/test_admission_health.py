"""Which replicas are left out, and for how long, on virtual time: ejection, readmission, slow start."""

from __future__ import annotations

import asyncio

import pytest

from router.admission import Admission
from router.core.dispatch import Permit, Ticket
from router.core.errors import ReplicaClosed, ReplicaUnreachable, RouterError
from router.core.health import CONSECUTIVE_FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, SLOW_START
from router.core.sharing import Sharing
from router.pressure import Pressure
from tests.core.nouns import a_deployment, a_replica
from tests.virtual_time import armed, now, on_virtual_time

WARM_UP_S = sum(step.for_s or 0.0 for step in SLOW_START)
REFUSED = ReplicaUnreachable("refused")


class Fleet:
    """One deployment's replicas, and the snapshots that speak of them."""

    def __init__(self, uids: str, concurrency: int = 1) -> None:
        self.deployment = a_deployment(concurrency=concurrency)
        self.admission = Admission(self.deployment, Pressure(), Sharing("here", lambda: None))
        self.are(uids)

    def are(self, uids: str) -> None:
        """These are the replicas now; those in capitals are not ready."""
        replicas = [a_replica(uid.lower(), ready=uid.islower()) for uid in uids]
        self.admission.update(self.deployment, replicas, None)

    def permit(self, uid: str) -> Permit:
        """A slot of this very replica."""
        others = frozenset(self.admission.dispatcher.in_flight_by_replica()) - {uid}
        permit = self.admission.acquire(others)
        assert isinstance(permit, Permit)
        return permit

    def fails(self, uid: str, error: RouterError = REFUSED) -> None:
        permit = self.permit(uid)
        self.admission.failed(permit, error)
        self.admission.release(permit)

    def taking(self) -> set[str]:
        """Replicas that take requests, by asking for all their slots."""
        permits: list[Permit] = []
        while isinstance(got := self.admission.acquire(), Permit):
            permits.append(got)
        assert isinstance(got, Ticket)
        self.admission.dispatcher.abandon(got, now())
        for permit in permits:
            self.admission.release(permit)
        return {permit.replica.uid for permit in permits}

    def shares(self, count: int) -> dict[str, int]:
        """How many of so many requests each replica gets."""
        permits = [got for got in (self.admission.acquire() for _ in range(count)) if isinstance(got, Permit)]
        uids = [permit.replica.uid for permit in permits]
        for permit in permits:
            self.admission.release(permit)
        return {uid: uids.count(uid) for uid in sorted(set(uids))}


# -- ejection --------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_refused_connection_leaves_a_replica_out_at_once_until_its_pause_is_over() -> None:
    fleet = Fleet("ab")
    fleet.fails("a")
    assert fleet.taking() == {"b"}
    await asyncio.sleep(FIRST_PAUSE_S * 0.99)
    assert fleet.taking() == {"b"}
    await asyncio.sleep(FIRST_PAUSE_S * 0.02)
    assert fleet.taking() == {"a", "b"}
    assert armed() == []


@on_virtual_time
async def test_other_failures_leave_it_out_after_several_in_a_row() -> None:
    fleet = Fleet("ab")
    for _ in range(CONSECUTIVE_FAILURES - 1):
        fleet.fails("a", ReplicaClosed())
    fleet.admission.succeeded(permit := fleet.permit("a"))
    fleet.admission.release(permit)
    for _ in range(CONSECUTIVE_FAILURES - 1):
        fleet.fails("a", ReplicaClosed())
    assert fleet.taking() == {"a", "b"}
    fleet.fails("a", ReplicaClosed())
    assert fleet.taking() == {"b"}


@on_virtual_time
async def test_the_end_of_a_pause_serves_those_who_wait() -> None:
    fleet = Fleet("ab")
    fleet.fails("a")
    fleet.permit("b")
    ticket = fleet.admission.acquire()
    assert isinstance(ticket, Ticket)
    ticket.deadline = 100.0
    permit = await fleet.admission.wait(ticket)
    assert (permit.replica.uid, now()) == ("a", FIRST_PAUSE_S)


@on_virtual_time
async def test_pauses_grow_and_never_outlast_the_longest() -> None:
    fleet = Fleet("ab")
    pauses: list[float] = []
    for _ in range(9):
        fleet.fails("a")
        began = now()
        (timer,) = armed()
        await asyncio.sleep(timer.when() - now())
        pauses.append(now() - began)
    assert pauses == pytest.approx([min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(9)])


@on_virtual_time
async def test_a_replica_that_refuses_for_days_is_still_only_left_out() -> None:
    fleet = Fleet("ab")
    for _ in range(1_100):
        fleet.fails("a")
        await asyncio.sleep(LONGEST_PAUSE_S + 1.0)
    assert fleet.taking() == {"a", "b"}


@pytest.mark.parametrize(("uids", "stay"), [("a", 1), ("ab", 1), ("abc", 2), ("abcd", 2), ("abcde", 3)])
@on_virtual_time
async def test_at_least_half_of_the_ready_replicas_always_stay(uids: str, stay: int) -> None:
    fleet = Fleet(uids)
    for uid in uids:
        fleet.fails(uid)
    assert len(fleet.taking()) == stay


@on_virtual_time
async def test_when_those_that_stayed_leave_those_that_were_left_out_serve() -> None:
    fleet = Fleet("abcd")
    fleet.fails("a")
    fleet.fails("b")
    fleet.are("ab")
    assert fleet.taking() != set()


# -- snapshots while a replica is left out ---------------------------------------------------------------------


@on_virtual_time
async def test_a_snapshot_does_not_end_a_pause() -> None:
    fleet = Fleet("ab")
    fleet.fails("a")
    fleet.are("ab")
    assert fleet.taking() == {"b"}


@on_virtual_time
async def test_one_that_left_is_forgotten_and_starts_anew_under_its_uid() -> None:
    fleet = Fleet("ab")
    fleet.fails("a")
    fleet.are("b")
    assert armed() == []
    fleet.are("ab")
    assert fleet.taking() == {"a", "b"}


@on_virtual_time
async def test_one_that_leaves_while_left_out_and_returns_while_it_still_serves_somebody_is_not_lost() -> None:
    fleet = Fleet("ab", concurrency=2)
    held = fleet.permit("a")
    fleet.fails("a")
    fleet.are("b")
    fleet.are("ab")
    await asyncio.sleep(LONGEST_PAUSE_S)
    assert fleet.taking() == {"a", "b"}
    fleet.admission.release(held)
    assert fleet.taking() == {"a", "b"}


@pytest.mark.parametrize("times_out", [1, 5])
@on_virtual_time
async def test_one_that_is_unready_for_a_moment_while_left_out_comes_back(times_out: int) -> None:
    fleet = Fleet("ab", concurrency=2)
    for _ in range(times_out):
        await asyncio.sleep(LONGEST_PAUSE_S)
        fleet.fails("a")
    fleet.are("Ab")
    fleet.are("ab")
    assert fleet.taking() == {"b"}  # it is ready again, and still left out
    await asyncio.sleep(2 * LONGEST_PAUSE_S)
    assert fleet.taking() == {"a", "b"}
    assert armed() == []


@on_virtual_time
async def test_one_that_is_unready_for_a_moment_while_it_warms_up_starts_again_with_one_timer() -> None:
    fleet = Fleet("ab", concurrency=8)
    await asyncio.sleep(1.0)
    fleet.are("Ab")
    fleet.are("ab")
    assert len(armed()) == 2
    fleet.admission.close()
    assert armed() == []
    await asyncio.sleep(2 * WARM_UP_S)
    assert armed() == []


# -- slow start ------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_new_replica_gets_a_growing_share_and_at_last_its_own() -> None:
    fleet = Fleet("b", concurrency=100)
    await asyncio.sleep(WARM_UP_S)
    fleet.are("ab")
    shares: list[int] = []
    for step in SLOW_START:
        shares.append(fleet.shares(72)["a"])
        await asyncio.sleep(step.for_s or 0.0)
    assert shares == sorted(shares)
    assert shares[0] in range(8, 11)
    assert shares[-1] == 36
    assert armed() == []


@on_virtual_time
async def test_slow_start_never_takes_room_away() -> None:
    fleet = Fleet("ab", concurrency=4)
    assert fleet.shares(8) == {"a": 4, "b": 4}


@on_virtual_time
async def test_one_slot_leaves_nothing_to_start_slowly_with() -> None:
    Fleet("ab", concurrency=1)
    assert armed() == []


@on_virtual_time
async def test_a_pause_ends_the_warm_up() -> None:
    fleet = Fleet("ab", concurrency=100)
    fleet.fails("a")
    await asyncio.sleep(FIRST_PAUSE_S * 1.5)
    shares = fleet.shares(90)
    assert shares["a"] > shares["b"]
    await asyncio.sleep(WARM_UP_S)
    assert fleet.shares(90) == {"a": 45, "b": 45}


@on_virtual_time
async def test_close_disarms_pauses_and_warm_ups() -> None:
    fleet = Fleet("abc", concurrency=2)
    fleet.fails("a")
    assert len(armed()) == 3
    fleet.admission.close()
    assert armed() == []
