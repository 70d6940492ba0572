"""Who waits for the first replica, how long, and what are they told when none comes? On virtual time."""

from __future__ import annotations

import asyncio

import pytest

from router.core.dispatch import Ticket
from router.core.errors import NoReadyReplicas, Overloaded, ReplicaUnreachable
from router.pressure import APART_S
from tests.core.nouns import a_replica, replicas_of
from tests.site import Site
from tests.virtual_time import armed, now, on_virtual_time, settle

PLAIN = r"^No ready replicas for service iris$"
NO_MEMORY = "no node has 4 GB of memory"
TROUBLED = rf"^No ready replicas for service iris: {NO_MEMORY}$"


# -- held ------------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_request_is_held_until_the_first_replica_is_ready() -> None:
    site = Site()
    (held,) = await site.waiting()
    await asyncio.sleep(30.0)
    assert site.dispatcher.queued == 1
    site.shown([a_replica("a", ready=False)])
    await asyncio.sleep(29.0)
    site.shown(replicas_of("a"))
    assert (await held).waited_s == 59.0
    assert armed() == []


@on_virtual_time
async def test_one_permit_goes_to_one_who_is_held_in_order() -> None:
    """The first replica is no reason for all to wake."""
    site = Site()
    held = await site.waiting(3)
    site.shown(replicas_of("a"))
    await settle()
    assert [task.done() for task in held] == [True, False, False]
    await asyncio.sleep(5.0)
    site.admission.release(held[0].result())
    await settle()
    assert [task.done() for task in held] == [True, True, False]
    site.admission.release(held[1].result())
    assert (await held[2]).waited_s == 5.0
    assert site.dispatcher.in_flight == 1


@on_virtual_time
async def test_who_is_held_too_long_is_told_how_long_and_for_what() -> None:
    site = Site(max_cold_start_wait_ms=2_500)
    with pytest.raises(NoReadyReplicas) as refused:
        await site.slot()
    assert now() == 2.5
    assert refused.value.message == ("No ready replicas for service iris: waited 2.5 s for the first replica to start")
    assert refused.value.headers == ((b"retry-after", b"1"),)
    assert (site.dispatcher.refused_total, site.dispatcher.queued, armed()) == (1, 0, [])


@on_virtual_time
async def test_the_wait_for_a_first_replica_is_a_minute_where_nothing_is_said() -> None:
    with pytest.raises(NoReadyReplicas, match=r"waited 60 s for"):
        await Site().slot()
    assert now() == 60.0


@pytest.mark.parametrize("min_instances", [None, 1])
@on_virtual_time
async def test_a_deployment_that_does_not_go_to_zero_holds_nobody(min_instances: int | None) -> None:
    with pytest.raises(NoReadyReplicas, match=PLAIN):
        await Site(min_instances=min_instances).slot()
    assert now() == 0.5


@on_virtual_time
async def test_a_ready_replica_that_is_busy_is_waited_for_as_everywhere() -> None:
    site = Site(replicas_of("a"))
    await site.slot()
    with pytest.raises(Overloaded):
        await site.slot()
    assert now() == 0.5


@pytest.mark.parametrize("change", [{"ready": False}, {"leaving": True}])
@on_virtual_time
async def test_a_replica_that_takes_no_requests_is_none(change: dict[str, bool]) -> None:
    site = Site([a_replica("a", **change)])
    with pytest.raises(NoReadyReplicas, match="first replica"):
        await site.slot()
    assert now() == 60.0


@on_virtual_time
async def test_who_was_held_and_finds_all_slots_taken_is_told_of_an_overload() -> None:
    site = Site(max_cold_start_wait_ms=1_000)
    held = await site.waiting(2)
    site.shown(replicas_of("a"))
    await held[0]
    with pytest.raises(Overloaded):
        await held[1]
    assert now() == 1.0


@on_virtual_time
async def test_the_queue_of_the_held_has_the_same_length() -> None:
    site = Site(max_queue_length=2)
    held = await site.waiting(2)
    with pytest.raises(NoReadyReplicas, match=PLAIN):
        site.admission.acquire()
    assert (site.dispatcher.queued, site.dispatcher.refused_total) == (2, 1)
    for task in held:
        task.cancel()
    await asyncio.wait(held)


@on_virtual_time
async def test_one_who_leaves_while_held_leaves_nothing_behind() -> None:
    site = Site()
    leaver, stayer = await site.waiting(2)
    await asyncio.sleep(3.0)
    leaver.cancel()
    await settle()
    assert leaver.cancelled()
    assert site.dispatcher.queued == 1
    site.shown(replicas_of("a"))
    assert (await stayer).waited_s == 3.0
    assert armed() == []


@on_virtual_time
async def test_a_request_whose_last_replica_refused_it_and_went_is_held_for_the_next() -> None:
    site = Site(replicas_of("a"))
    permit = await site.slot()
    site.shown()
    site.admission.failed(permit, ReplicaUnreachable("refused"))
    site.admission.release(permit)
    again = asyncio.create_task(site.slot("a"))
    await asyncio.sleep(10.0)
    site.shown(replicas_of("b"))
    assert (await again).replica.uid == "b"


# -- troubles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_instances", [None, 0])
@on_virtual_time
async def test_a_trouble_tells_those_who_wait_at_once_and_why(min_instances: int | None) -> None:
    site = Site(min_instances=min_instances)
    held = await site.waiting(2)
    site.shown(trouble=NO_MEMORY)
    for task in held:
        with pytest.raises(NoReadyReplicas, match=TROUBLED) as refused:
            await task
        assert refused.value.headers == ((b"retry-after", b"1"),)
    assert now() == 0.0
    assert (site.dispatcher.queued, site.dispatcher.refused_total, armed()) == (0, 2, [])


@on_virtual_time
async def test_while_a_trouble_stands_the_next_are_told_at_once_and_counted() -> None:
    site = Site()
    site.shown(trouble=NO_MEMORY)
    for _ in range(3):
        with pytest.raises(NoReadyReplicas, match=TROUBLED):
            await site.slot()
    assert now() == 0.0
    dispatcher = site.dispatcher
    assert (dispatcher.queued, dispatcher.arrived_total, dispatcher.refused_total) == (0, 3, 3)
    assert armed() == []


@on_virtual_time
async def test_after_the_trouble_requests_are_held_again() -> None:
    site = Site()
    site.shown(trouble=NO_MEMORY)
    site.shown()
    (held,) = await site.waiting()
    await asyncio.sleep(20.0)
    site.shown(replicas_of("a"))
    assert (await held).waited_s == 20.0


@on_virtual_time
async def test_a_trouble_without_a_reason_is_one() -> None:
    site = Site()
    (held,) = await site.waiting()
    site.shown(trouble="")
    for request in (held, site.slot()):
        with pytest.raises(NoReadyReplicas, match=PLAIN):
            await request
    assert now() == 0.0


@on_virtual_time
async def test_a_full_queue_says_the_trouble_too() -> None:
    site = Site(max_queue_length=0)
    site.shown(trouble=NO_MEMORY)
    with pytest.raises(NoReadyReplicas, match=TROUBLED):
        site.admission.acquire()


@on_virtual_time
async def test_a_trouble_beside_a_ready_replica_changes_nothing() -> None:
    site = Site(max_cold_start_wait_ms=1_000)
    held = await site.waiting(2)
    site.shown(replicas_of("a"), NO_MEMORY)
    site.admission.release(await held[0])
    await held[1]
    with pytest.raises(Overloaded):
        await site.slot()
    assert now() == 0.5


@on_virtual_time
async def test_when_the_last_replica_goes_in_a_trouble_those_who_wait_are_told() -> None:
    site = Site(replicas_of("a"))
    await site.slot()
    (waiting,) = await site.waiting()
    site.shown([a_replica("a", ready=False)], NO_MEMORY)
    with pytest.raises(NoReadyReplicas, match=TROUBLED):
        await waiting
    assert now() == 0.0
    assert site.dispatcher.in_flight == 1


@on_virtual_time
async def test_one_who_leaves_in_the_tick_of_the_trouble_is_one_departure() -> None:
    site = Site()
    leaver, stayer = await site.waiting(2)
    leaver.cancel()
    site.shown(trouble=NO_MEMORY)
    with pytest.raises(NoReadyReplicas):
        await stayer
    await settle()
    assert leaver.cancelled()
    assert (site.dispatcher.queued, site.dispatcher.refused_total) == (0, 1)


# -- retired ---------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_who_is_held_by_a_deployment_that_is_retired_is_told_at_once() -> None:
    site = Site()
    (held,) = await site.waiting()
    site.admission.retire()
    for request in (held, site.slot()):
        with pytest.raises(NoReadyReplicas, match=r"the deployment was removed$"):
            await request
    assert now() == 0.0


@on_virtual_time
async def test_who_waits_for_the_replicas_of_a_deployment_that_is_retired_goes_on_waiting() -> None:
    site = Site(replicas_of("a"))
    permit = await site.slot()
    (waiting,) = await site.waiting()
    site.admission.retire()
    site.admission.release(permit)
    assert (await waiting).replica.uid == "a"


# -- pressure --------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_queue_that_forms_is_told_and_one_that_grows_is_not() -> None:
    site = Site(replicas_of("a"), max_queue_wait_ms=10_000)
    permit = await site.slot()
    assert site.pressure.generation == 0, "a slot at once is no pressure"
    first, second = await site.waiting(2)
    await asyncio.sleep(2 * APART_S)
    assert site.pressure.generation == 1
    site.admission.release(permit)
    await site.waiting()
    await asyncio.sleep(2 * APART_S)
    assert site.pressure.generation == 1
    for task in (first, second):
        site.admission.release(await task)
    await settle()
    (again,) = await site.waiting()
    assert site.pressure.generation == 2
    again.cancel()
    await asyncio.wait([again])


@on_virtual_time
async def test_a_held_request_is_told() -> None:
    site = Site()
    (held,) = await site.waiting()
    assert site.pressure.generation == 1
    site.shown(replicas_of("a"))
    await held


@on_virtual_time
async def test_one_who_finds_no_room_in_the_queue_is_told() -> None:
    site = Site(replicas_of("a"), max_queue_length=0)
    await site.slot()
    with pytest.raises(Overloaded):
        site.admission.acquire()
    assert site.pressure.generation == 1


@on_virtual_time
async def test_what_a_trouble_turns_away_is_none() -> None:
    """Nobody could do anything about it at once."""
    site = Site()
    site.shown(trouble=NO_MEMORY)
    with pytest.raises(NoReadyReplicas):
        await site.slot()
    assert site.pressure.generation == 0


@on_virtual_time
async def test_a_ticket_is_for_who_waits() -> None:
    site = Site()
    ticket = site.admission.acquire()
    assert isinstance(ticket, Ticket)
    assert ticket.deadline == 60.0
    assert armed() == []
