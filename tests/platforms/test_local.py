"""LocalPlatform: the router's end of a state directory."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from router.core.model import Deployment, Endpoint, Instance, Process, Replica, ScaleSettings, Snapshot
from router.platforms import PlatformError
from router.platforms.local import LocalPlatform
from router.platforms.local.state import ScaleWish, StateDirectory, own_place
from router.platforms.sizing import RouterSize
from tests.places import a_place


def snapshot(*uids: str) -> Snapshot:
    deployment = Deployment(endpoint="iris", name="blue", workload=Process(command=("serve",)), instance_count=2)
    return Snapshot(
        endpoints=(Endpoint(name="iris", deployments=(deployment,)),),
        replicas=tuple(
            Replica(uid=uid, deployment="iris/blue", host="127.0.0.1", port=4000, ready=True) for uid in uids
        ),
    )


@asynccontextmanager
async def watched(bench) -> AsyncIterator[list[Snapshot]]:
    """What a watcher of the bench's state directory has seen so far."""
    seen: list[Snapshot] = []

    async def follow() -> None:
        async with LocalPlatform(bench.state.path) as platform:
            async for each in platform.watch():
                seen.append(each)

    task = asyncio.create_task(follow())
    yield seen
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_waits_for_a_supervisor_and_says_so_once(bench, caplog):
    async with watched(bench) as seen:
        await bench.until(lambda: "no supervisor in" in caplog.text)
        bench.state.write_snapshot(snapshot("blue-1"))
        await bench.until(lambda: seen == [snapshot("blue-1")])
        assert caplog.text.count("scoregate up FILE") == 1


async def test_each_change_is_seen_and_a_repetition_is_not(bench):
    async with watched(bench) as seen:
        for uids in (["blue-1"], ["blue-1", "blue-2"], ["blue-1", "blue-2"], []):
            bench.state.write_snapshot(snapshot(*uids))
            await bench.until(lambda uids=uids: seen[-1:] == [snapshot(*uids)])
        assert seen == [snapshot("blue-1"), snapshot("blue-1", "blue-2"), snapshot()]


async def test_a_broken_snapshot_is_told_once_and_the_last_good_one_stays(bench, caplog):
    async with watched(bench) as seen:
        bench.state.write_snapshot(snapshot("blue-1"))
        await bench.until(lambda: len(seen) == 1)
        (bench.state.path / "snapshot.json").write_text("{")
        await bench.until(lambda: "snapshot.json can't be read" in caplog.text)
        bench.state.write_snapshot(snapshot("blue-2"))
        await bench.until(lambda: seen == [snapshot("blue-1"), snapshot("blue-2")])
        assert caplog.text.count("can't be read") == 1


async def test_it_survives_its_supervisor(bench):
    async with watched(bench) as seen:
        bench.declare(bench.endpoint(bench.deployment()))
        async with bench.supervisor():
            await bench.until(lambda: [r.ready for s in seen[-1:] for r in s.replicas] == [True])
            first = seen[-1]
        bench.state.write_snapshot(snapshot("blue-9"))
        await bench.until(lambda: seen[-1] == snapshot("blue-9"))
        assert first in seen


async def test_scale_leaves_a_wish(bench):
    bench.state.write_snapshot(snapshot())
    async with LocalPlatform(bench.state.path) as platform:
        await platform.scale("iris", "blue", 5)
    assert bench.state.read_wish("iris", "blue") == ScaleWish(replicas=5, instance_count=2)


async def test_a_wish_says_who_should_leave_and_whether_the_number_was_fixed(bench):
    (iris,) = snapshot().endpoints
    scaled = replace(iris.deployments[0], scale=ScaleSettings(max_instances=9))
    bench.state.write_snapshot(Snapshot(endpoints=(replace(iris, deployments=(scaled,)),)))
    await LocalPlatform(bench.state.path).scale("iris", "blue", 5, ["b", "a"])
    assert bench.state.read_wish("iris", "blue") == ScaleWish(replicas=5, instance_count=None, leave_first=("b", "a"))


async def test_the_router_that_lives_here_is_an_instance_until_it_ends(bench):
    sleeping = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(600)", stdout=subprocess.DEVNULL
    )
    async with watched(bench) as seen:
        bench.state.write_snapshot(snapshot("blue-1"))
        await bench.until(lambda: [each.instances for each in seen] == [()])
        bench.state.write_router(a_place(pid=sleeping.pid))
        await bench.until(lambda: [each.admin for each in seen[-1].instances] == ["http://a"])
        assert seen[-1].replicas == snapshot("blue-1").replicas
        sleeping.kill()
        await sleeping.wait()
        await bench.until(lambda: seen[-1].instances == ())
    assert len(seen) == 3


async def test_all_routers_that_live_here_are_instances(bench):
    bench.state.write_snapshot(snapshot())
    async with watched(bench) as seen:
        for id in ("b", "a"):
            bench.state.write_router(a_place(f"http://{id}", id=id, peer=f"https://{id}", socket=f"/run/{id}"))
        await bench.until(lambda: len(seen[-1:] and seen[-1].instances) == 2)
        assert seen[-1].instances == tuple(
            Instance(id=id, admin=f"http://{id}", peer=f"https://{id}", socket=f"/run/{id}") for id in ("a", "b")
        )
        (bench.state.path / "snapshot.json").write_text("{")  # the last good one stays
        (bench.state.path / "routers" / "b.json").write_text("{")
        bench.state.remove_router("a")
        await bench.until(lambda: seen[-1].instances == ())


async def test_this_process_says_that_a_replica_drained_under_its_own_id(bench):
    async with LocalPlatform(bench.state.path) as platform:
        bench.state.write_router(place := own_place(public="http://p", admin="http://a"))
        assert platform.own_instance == place.id
        assert not bench.state.is_drained("blue-1")
        await platform.drained("blue-1")
        assert bench.state.is_drained("blue-1")


async def test_leading_needs_no_supervisor(bench):
    async with aclosing(LocalPlatform(bench.state.path).leadership()) as leads:
        assert await anext(leads) is True
    assert (bench.state.path / "autoscaler.lock").exists()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (("iris", "blue", -1), "iris/blue can't have -1 replicas"),
        (("iris", "red", 1), "no deployment iris/red; known: iris/blue"),
    ],
)
async def test_scale_refuses_what_cannot_be(bench, wish, message):
    bench.state.write_snapshot(snapshot())
    with pytest.raises(PlatformError, match=message):
        await LocalPlatform(bench.state.path).scale(*wish)


async def test_what_was_meant_for_a_load_is_refused_once_the_number_is_fixed(bench):
    """The wish would stand until the file says another instanceCount."""
    (iris,) = snapshot().endpoints
    scaled = replace(iris.deployments[0], scale=ScaleSettings(max_instances=9))
    bench.state.write_snapshot(Snapshot(endpoints=(replace(iris, deployments=(scaled,)),)))
    platform = LocalPlatform(bench.state.path)
    async with aclosing(platform.watch()) as watching:
        await anext(watching)
        bench.state.write_snapshot(snapshot())
        with pytest.raises(PlatformError, match="iris/blue has a fixed number of replicas now"):
            await platform.scale("iris", "blue", 5)
        assert bench.state.read_wish("iris", "blue") is None
        await anext(watching)
        await platform.scale("iris", "blue", 5)


async def test_scale_needs_a_supervisor(bench):
    with pytest.raises(PlatformError, match="no supervisor"):
        await LocalPlatform(bench.state.path).scale("iris", "blue", 1)


async def test_scale_and_drain_reach_the_supervisor(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        await bench.until_ready(2)
        await platform.scale("iris", "blue", 3)
        leaving = (await bench.until_ready(3))[-1]
        await platform.drained(leaving.uid)
        await platform.scale("iris", "blue", 2)
        assert leaving not in await bench.until_ready(2)


async def test_the_size_of_the_routers_is_a_wish_in_its_directory(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.write_router(own_place(public="http://x", admin="http://x"))
    async with LocalPlatform(tmp_path) as platform:
        assert (await platform.sizing.stand()).size == RouterSize(workers=1)
        await platform.sizing.resize(RouterSize(workers=3))
        assert (await platform.sizing.stand()).size == RouterSize(workers=3)
    assert (tmp_path / "workers.json").exists()
