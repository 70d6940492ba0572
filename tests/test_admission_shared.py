"""Waiting for a slot that several instances share, on virtual time: real admissions, real connections between them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from router.core.dispatch import Permit, Ticket
from router.core.errors import NoReadyReplicas, Overloaded, ReplicaUnreachable, Unavailable
from router.core.model import Deployment
from tests.core.nouns import a_deployment, replicas_of
from tests.desks import Desk, Shop, company_here, shop_of
from tests.virtual_time import armed, now, on_virtual_time, settle

# -- one queue -------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_only_a_queue_is_told_to_who_waits_for_one_and_not_the_way_of_a_grant() -> None:
    async with shop_of("rs", "ab", max_queue_wait_ms=60_000) as shop:
        other = shop.other
        pressure = other.admission._pressure
        first = await other.slot()
        assert pressure.generation == 0
        second = await other.slot()
        waiting = [other.asked(), other.asked()]
        await settle()
        assert pressure.generation == 1
        for permit in (first, second):
            other.admission.release(permit)
        for permit in await asyncio.gather(*waiting):
            other.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_there_is_one_queue_in_the_order_of_arrival_whoever_was_asked() -> None:
    async with shop_of("r", "abc", max_queue_wait_ms=60_000) as shop:
        served: list[int] = []

        async def request(number: int) -> None:
            await asyncio.sleep(number * 0.01)
            desk = shop.desks[(number * 5) % 3]
            permit = await desk.slot()
            served.append(number)
            await asyncio.sleep(1.0)
            desk.admission.release(permit)

        began = now()
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(request(number))
        assert served == list(range(12))
        assert now() - began == pytest.approx(12.0, abs=0.01)  # never idle in between
        await shop.until_idle()


@pytest.mark.parametrize("concurrency", [1, 3])
@on_virtual_time
async def test_no_replica_ever_has_more_than_its_limit_and_nothing_is_lost(concurrency: int) -> None:
    chance = random.Random(concurrency)
    in_flight: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    async with shop_of("rst", "abcd", concurrency, max_queue_wait_ms=400) as shop:

        async def request(desk: Desk) -> None:
            try:
                permit = await desk.slot()
            except Overloaded:
                ends["overloaded"] += 1
                return
            uid = permit.replica.uid
            in_flight[uid] += 1
            assert in_flight[uid] <= concurrency
            await asyncio.sleep(chance.expovariate(10.0))
            in_flight[uid] -= 1
            desk.admission.release(permit)
            ends["served"] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(3_000):
                (desk,) = chance.choices(shop.desks, [8, 4, 2, 1])
                group.create_task(request(desk))
                await asyncio.sleep(chance.expovariate(28.0 * concurrency))
        assert ends.total() == 3_000
        assert ends["served"] > 2_000
        await shop.until_idle()
        assert all(not timer for timer in (desk.admission._deadlines for desk in shop.desks))


@on_virtual_time
async def test_at_low_load_an_instance_finds_a_slot_without_a_word() -> None:
    async with shop_of("rstuvwxy", concurrency=2) as shop:
        other = shop.other
        for _ in range(3):
            other.admission.release(await other.slot())
        before = other.member.peers.frames_total
        for _ in range(50):
            got = other.admission.acquire()
            assert isinstance(got, Permit)
            other.admission.release(got)
        await settle()
        assert other.member.peers.frames_total == before


# -- refusals --------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_the_queue_has_one_length_and_who_is_refused_hears_when_to_come_again() -> None:
    async with shop_of("r", max_queue_length=2, max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        first = await owner.slot()
        await asyncio.sleep(7.0)
        owner.admission.release(first)
        first = await owner.slot()
        waiting = [owner.asked(), other.asked()]
        await asyncio.sleep(0.01)
        began = now()
        with pytest.raises(Overloaded, match=r"^Too many requests for service iris \(overloaded\)$") as refused:
            await other.slot()
        assert now() == began  # both are here; the owner's word needed no time
        ((name, value),) = refused.value.headers
        assert name == b"retry-after"
        assert int(value) >= 14  # two wait, and one takes seven seconds
        with pytest.raises(Overloaded) as refused:
            await owner.slot()
        assert refused.value.headers[0] == (name, value)  # one queue, one word
        assert owner.admission.dispatcher.refused_total == 1
        assert other.admission.dispatcher.refused_total == 1
        owner.admission.release(first)
        owner.admission.release(await waiting[0])
        other.admission.release(await waiting[1])
        await shop.until_idle()


@on_virtual_time
async def test_who_has_waited_long_enough_is_told_and_leaves_no_ask_behind() -> None:
    async with shop_of("r", max_queue_wait_ms=500) as shop:
        owner, other = shop.owner, shop.other
        permit = await owner.slot()
        began = now()
        with pytest.raises(Overloaded):
            await other.slot()
        assert now() - began == pytest.approx(0.5)
        await settle()
        assert owner.lent == (1, 0)
        assert other.books == (0, 0, 0)
        owner.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_a_permit_that_comes_at_once_needs_no_wait() -> None:
    async with shop_of("r") as shop:
        timers = len(armed())
        got = shop.owner.admission.acquire()
        assert isinstance(got, Permit)
        assert len(armed()) == timers
        shop.owner.admission.release(got)
        ticket = shop.other.admission.acquire()
        assert isinstance(ticket, Ticket)
        permit = await shop.other.admission.wait(ticket)
        assert permit.waited_s == 0.0
        shop.other.admission.release(permit)
        await shop.until_idle()


# -- giving up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("where", ["owner", "other"])
@on_virtual_time
async def test_who_leaves_while_a_permit_is_on_its_way_leaves_nothing_behind(where: str, turns: int) -> None:
    """After so many turns of the loop since the slot came free: before, while and after it is handed over."""
    async with shop_of("r", max_queue_wait_ms=10_000) as shop:
        first = await shop.owner.slot()
        leaving, patient = getattr(shop, where).asked(), shop.other.asked()
        await asyncio.sleep(0.05)
        shop.owner.admission.release(first)
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        (ended,) = await asyncio.gather(leaving, return_exceptions=True)
        if isinstance(ended, Permit):  # it was there already
            getattr(shop, where).admission.release(ended)
        began = now()
        shop.other.admission.release(await patient)
        assert now() - began < 0.01
        await shop.until_idle()


@pytest.mark.parametrize("turns", range(8))
@on_virtual_time
async def test_who_leaves_right_after_asking_leaves_nothing_behind(turns: int) -> None:
    async with shop_of("r") as shop:
        leaving = shop.other.asked()
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        (ended,) = await asyncio.gather(leaving, return_exceptions=True)
        if isinstance(ended, Permit):
            shop.other.admission.release(ended)
        await settle()
        permit = await shop.owner.slot()
        shop.owner.admission.release(permit)
        await shop.until_idle()


# -- replicas --------------------------------------------------------------------------------------------------


@on_virtual_time
async def test_a_replica_that_fails_for_one_is_lent_to_none_for_a_while() -> None:
    async with shop_of("rst", max_queue_wait_ms=10_000) as shop:
        owner, other = shop.owner, shop.other
        permits = [await other.slot() for _ in range(3)]
        bad = permits[0]
        other.admission.failed(bad, ReplicaUnreachable("iris", 0))
        for permit in permits:
            other.admission.release(permit)
        await asyncio.sleep(0.05)
        got = [await owner.slot(), await owner.slot()]
        assert bad.replica.uid not in {permit.replica.uid for permit in got}
        third, began = owner.asked(), now()
        late = await third
        assert late.replica.uid == bad.replica.uid
        assert 0.5 < now() - began < 1.5
        for permit in (*got, late):
            owner.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_who_shall_not_get_one_replica_again_gets_another_from_the_owner() -> None:
    async with shop_of("rs", max_queue_wait_ms=10_000) as shop:
        for _ in range(6):
            permit = await shop.other.slot("r")
            assert permit.replica.uid == "s"
            shop.other.admission.release(permit)
        with pytest.raises(Unavailable):
            await shop.other.slot("r", "s")
        await shop.until_idle()


@on_virtual_time
async def test_a_replica_that_is_new_starts_slowly_over_all_instances() -> None:
    async with shop_of("r", concurrency=8) as shop:
        await asyncio.sleep(15.0)
        shop.show(a_deployment(concurrency=8), "rs")
        got = [(desk, await desk.slot()) for _ in range(4) for desk in shop.desks]
        uids = [permit.replica.uid for _, permit in got]
        assert uids.count("s") == 1
        for desk, permit in got:
            desk.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_without_a_limit_nothing_is_shared_and_nobody_is_asked() -> None:
    async with shop_of("r", concurrency=0) as shop:
        before = [desk.member.peers.frames_total for desk in shop.desks]
        permits = [(desk, desk.admission.acquire()) for desk in shop.desks for _ in range(50)]
        await settle()
        assert [desk.member.peers.frames_total for desk in shop.desks] == before
        limited = a_deployment(concurrency=2, max_queue_wait_ms=60_000)
        shop.show(limited, "r")  # from now on it counts who is there already
        late = [desk.asked() for desk in shop.desks]
        await asyncio.sleep(1.0)
        assert not any(task.done() for task in late)
        for desk, permit in permits:
            assert isinstance(permit, Permit)
            desk.admission.release(permit)
        for desk, permit in zip(shop.desks, await asyncio.gather(*late), strict=True):
            desk.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_what_was_asked_of_one_that_knew_no_limit_is_forgotten_when_nobody_waits_any_more() -> None:
    limited, free = (a_deployment(concurrency=limit, max_queue_wait_ms=60_000) for limit in (1, 0))
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        for deployment in (free, limited):
            owner.admission.update(deployment, replicas_of("r"), None)
            asked = other.asked() if deployment is free else None
            await asyncio.sleep(0.3)
            other.admission.update(deployment, replicas_of("r"), None)
            if asked is not None:
                other.admission.release(await asyncio.wait_for(asked, 0.1))
            await asyncio.sleep(0.3)
        owner.admission.release(await asyncio.wait_for(owner.slot(), 0.1))
        await shop.until_idle()


@on_virtual_time
async def test_requests_for_a_deployment_at_zero_are_held_and_served_in_order_over_all() -> None:
    cold = a_deployment(concurrency=1, min_instances=0, max_cold_start_wait_ms=30_000, max_queue_wait_ms=100)
    async with company_here("a", "b") as company:
        shop = Shop(company, cold)
        shop.show(cold, "")
        await asyncio.sleep(0.5)
        served: list[int] = []

        async def request(number: int) -> None:
            await asyncio.sleep(0.1 * number)
            desk = shop.desks[number % 2]
            permit = await desk.slot()
            served.append(number)
            await asyncio.sleep(0.5)
            desk.admission.release(permit)

        requests = [asyncio.create_task(request(number)) for number in range(6)]
        await asyncio.sleep(10.0)
        assert served == []
        shop.show(cold, "r")
        await asyncio.gather(*requests)
        assert served == list(range(6))
        await shop.until_idle()
        shop.show(cold, "", trouble="no image")
        with pytest.raises(NoReadyReplicas, match="no image"):
            await shop.other.slot()
        await shop.until_idle()
        for desk in shop.desks:
            desk.admission.close()


@on_virtual_time
async def test_a_deployment_that_is_removed_turns_away_who_waits_everywhere() -> None:
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        first = await shop.other.slot()
        waiting = [shop.owner.asked(), shop.other.asked()]
        await asyncio.sleep(0.05)
        for desk in shop.desks:
            desk.admission.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [NoReadyReplicas, NoReadyReplicas]
        for desk in shop.desks:
            if first.seat is not None and desk.admission.dispatcher.in_flight:
                desk.admission.release(first)
        await settle()
        assert all(desk.books == (0, 0, 0) for desk in shop.desks)


@on_virtual_time
async def test_what_one_knows_before_the_other_waits_for_it() -> None:
    """Snapshots come to each in its own time: requests that come between are served as soon as both have theirs."""
    deployment = a_deployment(concurrency=1, max_queue_wait_ms=20_000)
    async with company_here("a", "b") as company:
        for first in (0, 1):
            desks = [Desk(member, deployment) for member in company.members.values()]
            early, late = desks[first], desks[1 - first]
            early.admission.update(deployment, replicas_of("r"), None)
            asked = early.asked()
            await asyncio.sleep(1.05)
            late.admission.update(deployment, replicas_of("r"), None)
            early.admission.release(await asyncio.wait_for(asked, 1.0))
            permit = await asyncio.wait_for(late.slot(), 1.0)
            late.admission.release(permit)
            for desk in desks:
                desk.admission.close()
            await settle()


@pytest.mark.parametrize("first", ["owner", "other"])
@on_virtual_time
async def test_a_limit_that_comes_and_goes_is_kept_whoever_hears_of_it_first(first: str) -> None:
    limited, free = (a_deployment(concurrency=limit, max_queue_wait_ms=60_000) for limit in (1, 0))
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        desks = [owner, other] if first == "owner" else [other, owner]

        async def show(deployment: Deployment) -> None:
            for desk in desks:
                desk.admission.update(deployment, replicas_of("r"), None)
                await asyncio.sleep(0.3)

        held = await owner.slot()
        asked = other.asked()
        await asyncio.sleep(0.05)
        await show(free)
        busy = await asyncio.wait_for(asked, 0.1)
        owner.admission.release(held)
        await show(limited)
        late = owner.asked()
        await asyncio.sleep(1.0)
        assert not late.done()
        other.admission.release(busy)
        owner.admission.release(await asyncio.wait_for(late, 0.1))
        await shop.until_idle()
