"""A platform that is told what to say."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from router.core.model import Addresses, Deployment, Endpoint, Instance, Replica, ScaleSettings, Snapshot, Trouble
from router.platforms import PlatformError
from router.platforms.memory import MemoryPlatform
from router.platforms.sizing import RouterSize, RouterStand

BLUE = Deployment(endpoint="iris", name="blue", workload=Addresses(addresses=()))
IRIS = Endpoint(name="iris", deployments=(BLUE,))


def replica(uid: str, *, ready: bool = True, leaving: bool = False, deployment: str = "iris/blue") -> Replica:
    return Replica(uid=uid, deployment=deployment, host="10.0.0.5", port=5001, ready=ready, leaving=leaving)


def snapshot(*replicas: Replica) -> Snapshot:
    return Snapshot(endpoints=(IRIS,), replicas=replicas)


def leaving(platform: MemoryPlatform) -> list[str]:
    return [each.uid for each in platform.snapshot.replicas if each.leaving]


async def test_a_slow_watcher_misses_what_came_between() -> None:
    platform = MemoryPlatform()
    watch = platform.watch()
    assert await anext(watch) == Snapshot()
    for uid in ("a", "b", "c"):
        platform.publish(snapshot(replica(uid)))
    assert await anext(watch) == snapshot(replica("c"))


async def test_what_changed_and_changed_back_is_no_change() -> None:
    platform = MemoryPlatform(snapshot())
    watch = platform.watch()
    assert await anext(watch) == snapshot()
    platform.publish(snapshot(replica("a")))
    platform.publish(snapshot())
    coming = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    assert not coming.done()
    platform.publish(snapshot(replica("b")))
    assert await coming == snapshot(replica("b"))


async def test_scaling_up_adds_replicas_that_start() -> None:
    platform = MemoryPlatform(snapshot(replica("a"), replica("other", deployment="rose/blue")))
    await platform.scale("iris", "blue", 3)
    added = platform.snapshot.replicas[2:]
    assert len({each.uid for each in platform.snapshot.replicas}) == 4
    assert [(each.deployment, each.ready, each.leaving) for each in added] == [("iris/blue", False, False)] * 2
    assert platform.scaled == {"iris/blue": 3}


async def test_scaling_down_marks_the_unready_then_the_youngest() -> None:
    platform = MemoryPlatform(snapshot(replica("a"), replica("b", ready=False), replica("c"), replica("d")))
    await platform.scale("iris", "blue", 3)
    assert leaving(platform) == ["b"]
    await platform.scale("iris", "blue", 1)
    assert leaving(platform) == ["b", "c", "d"]
    assert platform.scaled == {"iris/blue": 1}


async def test_scaling_down_marks_the_named_between_the_unready_and_the_youngest() -> None:
    platform = MemoryPlatform(snapshot(*map(replica, "abcd"), replica("e", ready=False)))
    await platform.scale("iris", "blue", 3, ["b", "elsewhere", "a"])
    assert leaving(platform) == ["b", "e"]
    await platform.scale("iris", "blue", 2, ["elsewhere", "c", "a"])
    assert leaving(platform) == ["b", "c", "e"]
    await platform.scale("iris", "blue", 1, ["gone"])
    assert leaving(platform) == ["b", "c", "d", "e"]


async def test_a_wish_is_published_within_the_bounds_of_the_scale_settings() -> None:
    scaled = replace(BLUE, scale=ScaleSettings(min_instances=1, max_instances=3))
    platform = MemoryPlatform(Snapshot(endpoints=(replace(IRIS, deployments=(scaled,)),), wished={"rose/blue": 1}))
    await platform.scale("iris", "blue", 5)
    assert platform.snapshot.wished == {"rose/blue": 1, "iris/blue": 3}
    assert len(platform.snapshot.replicas) == 3
    assert platform.scaled == {"iris/blue": 5}
    await platform.scale("iris", "blue", 0)
    assert platform.snapshot.wished["iris/blue"] == 1
    assert len(leaving(platform)) == 2


async def test_troubles_and_instances_are_published_as_told_and_stay() -> None:
    told = replace(
        snapshot(),
        troubles=(Trouble(deployment="iris/blue", kind="placement", reason="no room"),),
        instances=(Instance(id="one", admin="http://127.0.0.1:9001"),),
    )
    platform = MemoryPlatform()
    platform.publish(told)
    await platform.scale("iris", "blue", 1)
    assert (platform.snapshot.troubles, platform.snapshot.instances) == (told.troubles, told.instances)


async def test_it_leads_until_it_is_told_otherwise() -> None:
    platform = MemoryPlatform()
    leadership = platform.leadership()
    assert await anext(leadership) is True
    coming = asyncio.ensure_future(anext(leadership))
    for change in (lambda: platform.publish(snapshot()), lambda: platform.lead(True)):
        change()
        await asyncio.sleep(0)
        assert not coming.done()
    platform.lead(False)
    assert await coming is False
    platform.lead(True)
    assert await anext(leadership) is True


async def test_one_that_leaves_does_not_count_and_does_not_come_back() -> None:
    platform = MemoryPlatform(snapshot(replica("a", leaving=True), replica("b")))
    await platform.scale("iris", "blue", 1)
    assert leaving(platform) == ["a"]
    await platform.scale("iris", "blue", 2)
    assert leaving(platform) == ["a"]
    assert len(platform.snapshot.replicas) == 3


async def test_only_one_that_leaves_is_gone_once_drained() -> None:
    platform = MemoryPlatform(snapshot(replica("a", leaving=True), replica("b")))
    for uid in ("a", "b", "unknown"):
        await platform.drained(uid)
    assert platform.snapshot == snapshot(replica("b"))


@pytest.mark.parametrize(("deployment", "replicas"), [("green", 1), ("blue", -1)])
async def test_a_wish_that_can_not_be_met_is_not_recorded(deployment: str, replicas: int) -> None:
    platform = MemoryPlatform(snapshot())
    with pytest.raises(PlatformError, match=f"iris/{deployment}"):
        await platform.scale("iris", deployment, replicas)
    assert platform.scaled == {}


async def test_the_routers_have_the_size_that_was_asked_for() -> None:
    sizing = MemoryPlatform().sizing
    sizing.present = RouterStand(RouterSize(workers=1, pods=3), has_pods=True)
    await sizing.resize(RouterSize(workers=2, pods=3))
    assert await sizing.stand() == RouterStand(RouterSize(workers=2, pods=3), has_pods=True)
