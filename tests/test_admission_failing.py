"""Replicas that fail for one of several instances, on virtual time: real admissions, real connections between them."""

from __future__ import annotations

import asyncio

from router.core.errors import ReplicaUnreachable
from router.core.health import FIRST_PAUSE_S
from tests.core.nouns import a_deployment
from tests.desks import KEY, Desk, Shop, shop_of
from tests.virtual_time import now, on_virtual_time

REFUSED = ReplicaUnreachable("refused")


def lent(shop: Shop) -> set[str]:
    """Replicas that the owner would lend."""
    lender = shop.owner.member.peers.sharing._deployments[KEY].lender
    assert lender is not None
    return {uid for uid in "rstu" if lender.dispatcher.takes_requests(uid)}


async def fails(desk: Desk, uid: str, others: str) -> None:
    permit = await desk.slot(*others)
    assert permit.replica.uid == uid
    desk.admission.failed(permit, REFUSED)
    desk.admission.release(permit)


@on_virtual_time
async def test_one_that_cannot_be_spared_is_used_and_told_of_again_when_it_fails_again() -> None:
    async with shop_of("rs", max_queue_wait_ms=10_000) as shop:
        owner, other = shop.owner, shop.other
        await fails(owner, "r", "s")
        await asyncio.sleep(0.6 * FIRST_PAUSE_S)
        await fails(other, "s", "r")
        assert lent(shop) == {"s"}
        began = now()
        permit = await other.slot()
        assert (permit.replica.uid, now()) == ("s", began)
        other.admission.release(permit)
        await asyncio.sleep(0.6 * FIRST_PAUSE_S)
        assert lent(shop) == {"r", "s"}
        await fails(other, "s", "r")
        await asyncio.sleep(0.01)
        assert lent(shop) == {"r"}
        await asyncio.sleep(2.0)
        assert lent(shop) == {"r", "s"}
        await shop.until_idle()


@on_virtual_time
async def test_many_that_fail_at_once_are_told_of_once() -> None:
    async with shop_of("rstu", concurrency=8) as shop:
        other = shop.other
        permits = [await other.slot(*"stu") for _ in range(8)]
        before = other.member.peers.frames_total
        for permit in permits:
            other.admission.failed(permit, REFUSED)
            await asyncio.sleep(0.001)
        assert other.member.peers.frames_total - before <= 2
        assert lent(shop) == {"s", "t", "u"}
        for permit in permits:
            other.admission.release(permit)
        await shop.until_idle()


@on_virtual_time
async def test_those_that_are_left_out_are_not_ready_by_the_word_of_the_one_they_failed_for() -> None:
    deployment = a_deployment()
    async with shop_of("rstu") as shop:
        other = shop.other
        await fails(other, "r", "stu")
        assert (other.admission.ready, shop.owner.admission.ready) == (3, 4)
        await fails(other, "s", "rtu")
        await fails(other, "t", "rsu")
        assert other.admission.ready == 2, "half stay"
        shop.show(deployment, "rs")
        assert other.admission.ready == 2, "those that were better have left"
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        assert other.admission.ready == 2
        await shop.until_idle()
