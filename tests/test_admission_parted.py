"""Waiting for a slot that several instances share, when one of them dies, stops or can't be reached: virtual time."""

from __future__ import annotations

import asyncio

import pytest

from router.admission import Admission
from router.core.circle import LEASE_S
from router.core.dispatch import Ticket
from router.core.errors import NoReadyReplicas
from router.core.model import Instance
from router.core.sharing import Sharing
from router.pressure import Pressure
from tests.core.nouns import a_deployment
from tests.desks import shop_of
from tests.virtual_time import now, on_virtual_time, settle

# -- those that go ---------------------------------------------------------------------------------------------


@on_virtual_time
async def test_when_the_owner_dies_its_slots_are_given_again_once_it_is_not_listed_any_more() -> None:
    async with shop_of("rs", "abc", max_queue_wait_ms=60_000) as shop:
        owner = shop.owner
        await owner.slot()
        left = [desk for desk in shop.desks if desk is not owner]
        held = await left[0].slot()
        waiting = [desk.asked() for desk in left]
        await asyncio.sleep(0.05)
        shop.desks = left
        await shop.company.die(owner.member.place)
        owner.admission.close()
        await asyncio.sleep(LEASE_S + 2.0)
        uids = {held.replica.uid} | {task.result().replica.uid for task in waiting if task.done()}
        assert len(uids) == 1 + sum(task.done() for task in waiting) <= 2
        shop.company.list(*shop.company.members)
        left[0].admission.release(held)
        permits = await asyncio.wait_for(asyncio.gather(*waiting), 1.0)
        assert len({permit.replica.uid for permit in permits}) == 2
        for desk, permit in zip(left, permits, strict=True):
            desk.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_what_a_dead_borrower_held_comes_back_when_its_lease_is_over() -> None:
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        await other.slot()
        waiting = owner.asked()
        await asyncio.sleep(0.05)
        shop.desks = [owner]
        await shop.company.die(other.member.place)
        other.admission.close()
        shop.company.list(owner.member.place)
        began = now()
        permit = await waiting
        assert LEASE_S - 0.4 < now() - began < LEASE_S + 0.5
        owner.admission.release(permit)
        await asyncio.sleep(1.0)
        assert owner.member.peers.sharing.is_alone
        assert owner.books == (0, 0, 0)


@on_virtual_time
async def test_while_two_cannot_reach_each_other_they_never_use_the_same_slot() -> None:
    async with shop_of("rstuvwxy", max_queue_wait_ms=60_000) as shop:
        shop.company.cut("a", "b")
        await asyncio.sleep(6.0)
        asked = [[desk.asked() for _ in range(8)] for desk in shop.desks]
        await asyncio.sleep(1.0)
        got = [[task.result() for task in mine if task.done()] for mine in asked]
        assert sorted(permit.replica.uid for mine in got for permit in mine) == list("rstuvwxy")
        assert all(got)
        for desk, tasks in zip(shop.desks, asked, strict=True):
            for task in tasks:
                desk.admission.release(await task)
        shop.company.list("a", "b")
        await asyncio.sleep(2.0)
        assert shop.owner is not shop.other
        await shop.until_idle()


@on_virtual_time
async def test_one_that_stops_gives_back_what_it_owns_and_holds() -> None:
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        last = await owner.slot()
        waiting = other.asked()
        await asyncio.sleep(0.05)
        owner.member.peers.drain()
        await asyncio.sleep(1.0)
        assert other.owns
        assert not owner.owns
        owner.admission.release(last)
        permit = await asyncio.wait_for(waiting, 0.1)
        other.admission.release(permit)
        assert owner.books == (0, 0, 0)


@on_virtual_time
async def test_one_that_calls_itself_keeps_what_it_has_and_wants() -> None:
    """As it may where it is not told which of those that are listed it is."""
    async with shop_of("r", max_queue_wait_ms=60_000) as shop:
        owner, other = shop.owner, shop.other
        held = await owner.slot()
        waiting = owner.asked()
        await asyncio.sleep(0.05)
        links = [Instance(id=place, admin="", socket=str(owner.member.link_to(place))) for place in "ab"]
        owner.member.peers.follow(links, "")
        await asyncio.sleep(LEASE_S + 1.0)
        late = other.asked()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert not late.done()
        owner.admission.release(held)
        owner.admission.release(await asyncio.wait_for(waiting, 0.1))
        other.admission.release(await asyncio.wait_for(late, 0.1))
        await shop.until_idle()


@on_virtual_time
async def test_all_who_wait_are_told_also_by_one_that_was_away_and_has_less_room_for_them_by_now() -> None:
    sharing = Sharing("here", lambda: None)
    sharing.list_places(("p", "q"), "p", now())  # the other one is out of reach
    cold, short = (
        a_deployment(min_instances=0, max_cold_start_wait_ms=60_000, max_queue_length=length) for length in (100, 1)
    )
    admission = Admission(cold, Pressure(), sharing)
    admission.update(cold, (), None)

    async def waits() -> None:
        ticket = admission.acquire()
        assert isinstance(ticket, Ticket)
        await admission.wait(ticket)

    waiting = [asyncio.create_task(waits()) for _ in range(3)]
    await asyncio.sleep(0.1)
    admission.update(short, (), None)
    await asyncio.sleep(5.0)
    admission.retire()
    ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 0.1)
    assert [type(end) for end in ends] == [NoReadyReplicas] * 3
    admission.close()


@on_virtual_time
async def test_one_that_serves_it_no_more_asks_nobody_for_who_still_comes() -> None:
    """The owner would lend it what nobody uses, and nobody gives back."""
    async with shop_of("r", max_queue_wait_ms=10_000) as shop:
        owner, other = shop.owner, shop.other
        other.admission.close()
        with pytest.raises(NoReadyReplicas, match="removed"):
            await other.slot()
        await settle()
        permit = await asyncio.wait_for(owner.slot(), 1.0)
        owner.admission.release(permit)
        await shop.until_idle()
