"""Who waits while a deployment goes to zero, or behind the queue that a cold start has left? On virtual time."""

from __future__ import annotations

import asyncio

import pytest

from router.core.dispatch import Ticket
from router.core.errors import NoReadyReplicas, Overloaded
from tests.core.nouns import a_replica, replicas_of
from tests.site import Site
from tests.virtual_time import armed, now, on_virtual_time


@on_virtual_time
async def test_who_waits_when_the_last_replica_goes_is_held_as_if_it_came_now() -> None:
    """An autoscaler that goes to zero just then is no reason to fail."""
    site = Site(replicas_of("a"))
    await site.slot()
    await asyncio.sleep(1.0)
    served, early = await site.waiting(2)
    await asyncio.sleep(0.4)
    site.shown([a_replica("a", leaving=True)])
    (late,) = await site.waiting()
    await asyncio.sleep(10.0)
    site.shown(replicas_of("b"))
    assert (await served).waited_s == 10.4
    assert not early.done()
    for task, ends_s in ((early, 61.0), (late, 61.4)):
        with pytest.raises(Overloaded):
            await task
        assert now() == ends_s
    assert armed() == []


@on_virtual_time
async def test_who_waits_when_the_last_replica_goes_does_not_wait_shorter() -> None:
    site = Site(replicas_of("a"), max_queue_wait_ms=3_000, max_cold_start_wait_ms=1_000)
    await site.slot()
    (waiting,) = await site.waiting()
    site.shown()
    with pytest.raises(NoReadyReplicas):
        await waiting
    assert now() == 3.0


@on_virtual_time
async def test_who_comes_behind_the_queue_of_a_cold_start_waits_as_those_in_it() -> None:
    site = Site()
    held = await site.waiting(3)
    await asyncio.sleep(5.0)
    site.shown(replicas_of("a"))
    (late,) = await site.waiting()
    for task in held:
        await asyncio.sleep(1.0)
        site.admission.release(await task)
    permit = await late
    assert permit.waited_s == 3.0
    with pytest.raises(Overloaded):
        await site.slot()
    assert now() == 8.5, "the queue was empty: from then on it is an overload as any"


@on_virtual_time
async def test_a_queue_that_never_empties_is_that_of_a_cold_start_while_anyone_held_may_be_in_it() -> None:
    site = Site(max_cold_start_wait_ms=2_000)
    tasks = await site.waiting(2)
    site.shown(replicas_of("a"))
    for deadline in (2.0, 3.0, 2.5):
        ticket = site.admission.acquire()
        assert isinstance(ticket, Ticket)
        assert ticket.deadline == deadline
        tasks.append(asyncio.create_task(site.admission.wait(ticket)))
        await asyncio.sleep(1.0)
    with pytest.raises(Overloaded):
        await tasks[-1]
    await asyncio.wait(tasks)


@on_virtual_time
async def test_who_comes_behind_that_queue_does_not_wait_shorter() -> None:
    site = Site(max_queue_wait_ms=3_000, max_cold_start_wait_ms=1_000)
    held = await site.waiting(2)
    site.shown(replicas_of("a"))
    ticket = site.admission.acquire()
    assert isinstance(ticket, Ticket)
    assert ticket.deadline == 3.0
    with pytest.raises(Overloaded):
        await site.admission.wait(ticket)
    await asyncio.wait(held)
