"""Waiting for a slot, on virtual time: who is woken, when, and what is left behind."""

from __future__ import annotations

import asyncio

import pytest

from router.admission import Admission
from router.core.dispatch import Permit, Ticket
from router.core.errors import NoReadyReplicas, Overloaded, Unavailable
from router.core.sharing import Sharing
from router.pressure import Pressure
from tests.core.nouns import a_deployment, replicas_of
from tests.virtual_time import armed, now, on_virtual_time, settle


def admission_of(uids: str, concurrency: int = 1, **settings: int) -> Admission:
    deployment = a_deployment(concurrency=concurrency, **settings)
    admission = Admission(deployment, Pressure(), Sharing("here", lambda: None))
    admission.update(deployment, replicas_of(uids), None)
    return admission


def shown(admission: Admission, uids: str, concurrency: int = 1, **settings: int) -> None:
    """A snapshot with these replicas and settings."""
    admission.update(a_deployment(concurrency=concurrency, **settings), replicas_of(uids), None)


async def slot(admission: Admission, *avoid: str) -> Permit:
    got = admission.acquire(frozenset(avoid))
    return got if isinstance(got, Permit) else await admission.wait(got)


def books(admission: Admission) -> tuple[int, int, int]:
    return admission.dispatcher.in_flight, admission.dispatcher.queued, len(admission._waiting)


# -- waiting ---------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_free_slot_needs_no_wait_and_no_timer() -> None:
    assert isinstance(admission_of("a").acquire(), Permit)
    assert armed() == []


@on_virtual_time
async def test_who_waits_is_served_in_order_when_slots_come_back() -> None:
    admission = admission_of("a", max_queue_wait_ms=10_000)
    order: list[tuple[int, float, float]] = []

    async def request(number: int) -> None:
        permit = await slot(admission)
        order.append((number, now(), permit.waited_s))
        await asyncio.sleep(1.0)
        admission.release(permit)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(request(number))
    assert order == [(0, 0.0, 0.0), (1, 1.0, 1.0), (2, 2.0, 2.0), (3, 3.0, 3.0)]
    assert books(admission) == (0, 0, 0)
    assert armed() == []


@on_virtual_time
async def test_a_wait_ends_exactly_after_the_queue_wait_with_the_estimated_wait() -> None:
    admission = admission_of("a", max_queue_wait_ms=500)
    first = await slot(admission)
    await asyncio.sleep(7.0)
    admission.release(first)
    await slot(admission)
    began = now()
    with pytest.raises(Overloaded, match=r"^Too many requests for service iris \(overloaded\)$") as refused:
        await slot(admission)
    assert now() - began == pytest.approx(0.5)
    assert refused.value.headers == ((b"retry-after", b"7"),)
    assert books(admission) == (1, 0, 0)
    assert admission.dispatcher.refused_total == 1
    assert armed() == []


@on_virtual_time
async def test_no_ready_replica_is_waited_for_and_told_by_its_own_text() -> None:
    admission = admission_of("")
    with pytest.raises(NoReadyReplicas, match=r"^No ready replicas for service iris$"):
        await slot(admission)
    assert now() == 0.5


@on_virtual_time
async def test_a_replica_that_becomes_ready_serves_those_who_wait() -> None:
    admission = admission_of("", max_queue_wait_ms=10_000)
    waiting = asyncio.create_task(slot(admission))
    await asyncio.sleep(4.0)
    shown(admission, "a")
    assert (await waiting).waited_s == 4.0


@on_virtual_time
async def test_a_full_queue_is_refused_at_once() -> None:
    admission = admission_of("a", max_queue_length=1)
    await slot(admission)
    waiting = asyncio.create_task(slot(admission))
    await settle()
    with pytest.raises(Overloaded) as refused:
        admission.acquire()
    assert refused.value.headers == ((b"retry-after", b"1"),)
    assert now() == 0.0
    with pytest.raises(Overloaded):
        await waiting


@on_virtual_time
async def test_a_queue_wait_of_zero_is_no_wait() -> None:
    admission = admission_of("a", max_queue_wait_ms=0)
    await slot(admission)
    with pytest.raises(Overloaded):
        await slot(admission)
    assert now() == 0.0


# -- giving up -------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_one_who_leaves_while_waiting_leaves_nothing_behind() -> None:
    admission = admission_of("a", max_queue_wait_ms=10_000)
    permit = await slot(admission)
    leaver, stayer = asyncio.create_task(slot(admission)), asyncio.create_task(slot(admission))
    await asyncio.sleep(1.0)
    leaver.cancel()
    await settle()
    assert leaver.cancelled()
    assert books(admission) == (1, 1, 1)
    admission.release(permit)
    assert (await stayer).waited_s == 1.0
    assert armed() == []


@pytest.mark.parametrize("cancel_first", [True, False])
@on_virtual_time
async def test_a_slot_handed_over_in_the_tick_of_the_cancel_goes_to_the_next(cancel_first: bool) -> None:
    admission = admission_of("a")
    permit = await slot(admission)
    leaver, stayer = asyncio.create_task(slot(admission)), asyncio.create_task(slot(admission))
    await settle()
    if cancel_first:
        leaver.cancel()
    admission.release(permit)
    leaver.cancel()
    assert (await stayer).replica.uid == "a"
    await settle()
    assert leaver.cancelled()
    assert books(admission) == (1, 0, 0)
    assert armed() == []


@on_virtual_time
async def test_a_cancel_in_the_tick_of_the_time_out_is_one_departure() -> None:
    admission = admission_of("a", max_queue_wait_ms=1_000)
    permit = await slot(admission)
    leaver = asyncio.create_task(slot(admission))
    asyncio.get_running_loop().call_at(1.0, leaver.cancel)  # armed before the ticket's own timer
    await asyncio.sleep(2.0)
    assert leaver.cancelled()
    assert books(admission) == (1, 0, 0)
    admission.release(permit)
    assert books(admission) == (0, 0, 0)


@on_virtual_time
async def test_a_cancel_right_behind_the_time_out_is_one_departure() -> None:
    admission = admission_of("a", max_queue_wait_ms=1_000)
    await slot(admission)
    leaver = asyncio.create_task(slot(admission))
    await settle()
    asyncio.get_running_loop().call_at(1.0, leaver.cancel)
    await asyncio.sleep(2.0)
    assert leaver.cancelled()
    assert books(admission) == (1, 0, 0)


@on_virtual_time
async def test_a_slot_that_comes_back_at_the_deadline_is_not_for_who_gives_up() -> None:
    admission = admission_of("a", max_queue_wait_ms=1_000)
    permit = await slot(admission)
    asyncio.get_running_loop().call_at(1.0, admission.release, permit)
    with pytest.raises(Unavailable):
        await slot(admission)
    assert books(admission) == (0, 0, 0)


# -- settings --------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_raised_limit_wakes_those_who_wait() -> None:
    admission = admission_of("a", max_queue_wait_ms=10_000)
    waiting = [asyncio.create_task(slot(admission)) for _ in range(3)]
    await asyncio.sleep(1.0)
    shown(admission, "a", concurrency=2)
    await settle()
    assert [task.done() for task in waiting] == [True, True, False]
    with pytest.raises(Overloaded):
        await waiting[2]
    assert now() == 10.0  # a ticket keeps the deadline that it came with


@on_virtual_time
async def test_a_snapshot_that_raises_the_limit_serves_nobody_on_a_replica_that_it_takes_away() -> None:
    admission = admission_of("a", max_queue_wait_ms=10_000)
    permit = await slot(admission)
    waiting = asyncio.create_task(slot(admission))
    await settle()
    shown(admission, "b", concurrency=2)
    assert (await waiting).replica.uid == "b"
    assert permit.replica.uid == "a"


@on_virtual_time
async def test_a_snapshot_that_lowers_the_limit_and_brings_a_replica_keeps_to_the_lower_one() -> None:
    admission = admission_of("a", concurrency=3, max_queue_wait_ms=10_000)
    for _ in range(3):
        await slot(admission)
    waiting = [asyncio.create_task(slot(admission)) for _ in range(3)]
    await settle()
    shown(admission, "ab")
    await settle()
    assert admission.dispatcher.in_flight_by_replica() == {"a": 3, "b": 1}
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


@on_virtual_time
async def test_a_changed_queue_wait_holds_for_those_who_come_after_it() -> None:
    admission = admission_of("a", max_queue_wait_ms=10_000)
    await slot(admission)
    shown(admission, "a", max_queue_wait_ms=200)
    with pytest.raises(Overloaded):
        await slot(admission)
    assert now() == pytest.approx(0.2)


@on_virtual_time
async def test_close_tells_those_who_wait_and_leaves_nothing_armed_or_queued() -> None:
    admission = admission_of("ab", concurrency=2, max_queue_wait_ms=10_000)
    permits = [await slot(admission) for _ in range(4)]
    waiting = asyncio.create_task(slot(admission))
    await settle()
    admission.close()
    with pytest.raises(NoReadyReplicas):
        await waiting
    assert now() == 0.0
    assert books(admission) == (4, 0, 0)
    for permit in permits:
        admission.release(permit)
    assert books(admission) == (0, 0, 0)
    assert armed() == []


@on_virtual_time
async def test_who_comes_after_close_as_one_that_is_tried_again_may_is_told_at_once() -> None:
    admission = admission_of("ab", max_queue_wait_ms=10_000)
    admission.close()
    for avoid in ("", "a"):
        with pytest.raises(NoReadyReplicas, match="removed"):
            await slot(admission, *avoid)
    assert books(admission) == (0, 0, 0)
    assert now() == 0.0


@on_virtual_time
async def test_a_slot_handed_over_right_before_close_still_comes_back() -> None:
    admission = admission_of("a")
    permit = await slot(admission)
    waiting = asyncio.create_task(slot(admission))
    await settle()
    admission.release(permit)
    admission.close()
    admission.release(await waiting)
    assert books(admission) == (0, 0, 0)


@on_virtual_time
async def test_an_unknown_ticket_is_nobody() -> None:
    admission = admission_of("a")
    await slot(admission)
    assert isinstance(admission.acquire(), Ticket)
    assert armed() == []  # a ticket that nobody waits with has no timer
