"""memory_administration.py, beyond what tests/contract/test_administration.py asks of every platform."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from router.core.model import Addresses, Deployment, Endpoint, Process, Replica, ScaleSettings, Snapshot
from router.platforms.administration import Unknown
from router.platforms.memory import MemoryPlatform

BLUE = Deployment(endpoint="iris", name="blue", workload=Process(command=("m",)), scale=ScaleSettings(max_instances=4))
IRIS = Endpoint(name="iris", deployments=(BLUE,), weights=(("blue", 100),))


def replica(uid: str, *, leaving: bool = False) -> Replica:
    return Replica(uid=uid, deployment="iris/blue", host="10.0.0.1", port=1, ready=True, leaving=leaving)


def platform(*replicas: Replica) -> MemoryPlatform:
    return MemoryPlatform(Snapshot(endpoints=(IRIS,), replicas=replicas))


async def test_keys_are_those_that_were_kept() -> None:
    with pytest.raises(Unknown, match="iris has no keys yet"):
        await platform().administration.keys("iris")


async def test_decisions_are_those_that_were_told() -> None:
    memory = platform()
    memory.administration.told["iris/blue"] = [1, 2, 3]
    assert [await memory.administration.decisions("iris", "blue", last) for last in (-1, 0, 2, 9)] == [
        [],
        [],
        [2, 3],
        [1, 2, 3],
    ]


async def test_one_that_leaves_for_good_is_not_brought_back() -> None:
    memory = platform(replica("a", leaving=True))
    before = memory.snapshot
    for drained in (True, False):
        await memory.administration.drain("a", drained)
    assert memory.snapshot == before
    await memory.drained("a")
    assert memory.snapshot.replicas == ()


async def test_one_that_is_drained_is_not_replaced_and_may_leave() -> None:
    memory = platform(replica("a"), replica("b"))
    await memory.administration.drain("b", True)
    await memory.scale("iris", "blue", 2)
    await memory.drained("b")
    assert memory.snapshot.replicas == (replica("a"), replica("b", leaving=True))
    await memory.scale("iris", "blue", 1, ["b"])
    await memory.drained("b")
    assert memory.snapshot.replicas == (replica("a"),)
    assert memory.administration.drained == set()


async def test_one_that_is_drained_goes_before_one_that_serves_or_starts() -> None:
    memory = platform(replica("a"), replace(replica("b"), ready=False), replica("c"))
    await memory.administration.drain("a", True)
    await memory.scale("iris", "blue", 2, ["c"])
    await memory.drained("a")
    assert [each.uid for each in memory.snapshot.replicas] == ["b", "c"]


async def test_a_change_leaves_other_endpoints_as_they_are() -> None:
    rose = replace(IRIS, name="rose", deployments=(replace(BLUE, endpoint="rose", workload=Addresses(("a:1",))),))
    memory = MemoryPlatform(Snapshot(endpoints=(rose, IRIS)))
    await memory.administration.set_traffic("iris", {}, None)
    assert memory.snapshot.endpoints == (rose, replace(IRIS, weights=(("blue", 0),)))


async def test_who_follows_the_vault_slowly_misses_what_came_between() -> None:
    vault = platform().administration.vault
    async with asyncio.timeout(20), aclosing(vault.follow("admin-key")) as following:
        assert await anext(following) is None
        for number in range(3):
            sealed = await vault.read("admin-key")
            await vault.write("admin-key", b"%d" % number, sealed and sealed.version)
        assert (await anext(following) or (b"",))[0] == b"2"
