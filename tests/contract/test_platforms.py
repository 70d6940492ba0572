"""What every platform does alike. A new platform joins with one function here and its name in PLATFORMS."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from router.core.declare import declared_endpoints
from router.core.model import Instance, Replica, Snapshot
from router.platforms import ClusterSettings, Platform, PlatformError, Worker
from router.platforms.kubernetes import LEASE, KubernetesPlatform
from router.platforms.local import LocalPlatform
from router.platforms.local.state import StateDirectory, own_place
from router.platforms.local.supervisor import Supervisor
from router.platforms.memory import MemoryPlatform
from router.platforms.static import StaticPlatform
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.replication import replicating
from tests.places import a_place

PATIENCE_S = 20.0


class World(NamedTuple):
    """A platform that was entered, and how its endpoints change: `declare(names)`, each with a deployment `blue`.
    `start_router(url)`: one that has its internal port there starts, in the place of the last. `start_self()`: this
    process is one of two routers from now on."""

    platform: Platform
    declare: Callable[..., None]
    start_router: Callable[[str], None]
    start_self: Callable[[], None]


Opening = Callable[[Path, tuple[str, ...]], AbstractAsyncContextManager[World]]


LABELS = {"app.kubernetes.io/name": "scoregate", "app.kubernetes.io/component": "router"}
ADDRESSES = {"addresses": ["127.0.0.1:1"]}
PROCESS = {
    "process": {"command": ["$(PYTHON)", "-c", "import time; time.sleep(600)"]},
    "scaleSettings": {"minInstances": 1, "maxInstances": 4},
}


def document(name: str, workload: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": name},
        "spec": {"auth": {"mode": "none"}, "deployments": [{"name": "blue", **workload}]},
    }


def declaring(file: Path, workload: dict[str, Any]) -> Callable[..., None]:
    """Replaces the endpoints file by one with these names."""

    def declare(*names: str) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_text("\n---\n".join(json.dumps(document(name, workload)) for name in names))
        fresh.replace(file)

    return declare


@asynccontextmanager
async def memory(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    def snapshot(*names: str) -> Snapshot:
        return Snapshot(endpoints=declared_endpoints([document(name, PROCESS) for name in names]))

    ids = itertools.count()
    async with MemoryPlatform(snapshot(*names)) as platform:

        def start_router(admin: str) -> None:
            platform.publish(replace(platform.snapshot, instances=(Instance(id=str(next(ids)), admin=admin),)))

        def start_self() -> None:
            platform.own_instance = "self"
            both = tuple(Instance(id=id, admin="http://127.0.0.1:9001") for id in ("other", "self"))
            platform.publish(replace(platform.snapshot, instances=both))

        yield World(platform, lambda *names: platform.publish(snapshot(*names)), start_router, start_self)


@asynccontextmanager
async def static(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    file = folder / "endpoints.yaml"
    declare = declaring(file, ADDRESSES)
    declare(*names)
    async with StaticPlatform(file, folder / "state") as platform:
        yield World(platform, declare, *starting_in(StateDirectory(folder / "state")))


def starting_in(state: StateDirectory) -> tuple[Callable[[str], None], Callable[[], None]]:
    """As routers of one machine do."""
    numbers = itertools.count()

    def start_router(admin: str) -> None:
        number = next(numbers)
        state.write_router(a_place(admin, id=f"router-{number}"))
        state.remove_router(f"router-{number - 1}")

    def start_self() -> None:
        state.write_router(a_place(id="other"))
        state.write_router(own_place(public="http://public", admin="http://127.0.0.1:9001"))

    return start_router, start_self


@asynccontextmanager
async def local(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    file = folder / "endpoints.yaml"
    declare = declaring(file, PROCESS)
    declare(*names)
    state = StateDirectory(folder / "state")
    async with Supervisor(file, state), LocalPlatform(state.path) as platform:
        yield World(platform, declare, *starting_in(state))


@asynccontextmanager
async def kubernetes(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    workload = {"workload": {"kind": "Deployment", "name": "blue"}, "scaleSettings": PROCESS["scaleSettings"]}
    async with FakeApiServer() as server, replicating(server):

        def declare(*names: str) -> None:
            for gone in {each["metadata"]["name"] for each in server.items("inferenceendpoints")} - set(names):
                server.delete("inferenceendpoints", gone)
            for name in names:
                own = {**workload, "workload": {"kind": "Deployment", "name": f"{name}-blue"}}
                server.put("deployments", documents.workload("Deployment", f"{name}-blue", replicas=1))
                server.put("inferenceendpoints", document(name, own))

        numbers = itertools.count()

        def start_router(admin: str) -> None:
            for each in [each for each in server.items("pods") if each["metadata"]["name"].startswith("router-")]:
                server.delete("pods", each["metadata"]["name"])
                server.finish(each["metadata"]["name"])
            name = f"router-{next(numbers)}"
            server.put("pods", documents.pod(name, **LABELS))
            assert admin == "http://127.0.0.1:9001"
            server.make_ready(name, ip="127.0.0.1")

        def start_self() -> None:
            start_router("http://127.0.0.1:9001")
            name = socket.gethostname().lower()
            server.put("pods", documents.pod(name, **LABELS))
            server.make_ready(name, ip="127.0.0.2")

        declare(*names)
        server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))  # there was a leader before
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", server.kubeconfig)
            own = ClusterSettings(pod=socket.gethostname().lower())
            async with KubernetesPlatform(own, Worker(0, folder), scaling=True) as platform:
                yield World(platform, declare, start_router, start_self)


PLATFORMS: list[Opening] = [memory, static, local, kubernetes]
SCALING: list[Opening] = [memory, local, kubernetes]
"""Those that change the number of replicas. There `blue` has 1 to 4, none of which ever becomes ready."""


@pytest.fixture(params=PLATFORMS, ids=lambda opening: opening.__name__)
def opening(request: pytest.FixtureRequest) -> Opening:
    return request.param


@pytest.fixture(params=SCALING, ids=lambda opening: opening.__name__)
def scaling(request: pytest.FixtureRequest) -> Opening:
    return request.param


def names(snapshot: Snapshot) -> list[str]:
    return sorted(endpoint.name for endpoint in snapshot.endpoints)


async def follow(platform: Platform, *wanted: str) -> list[Snapshot]:
    """All snapshots from a new watch, up to the one with just these endpoints."""
    seen: list[Snapshot] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(platform.watch()) as watch:
        async for snapshot in watch:
            seen.append(snapshot)
            if names(snapshot) == sorted(wanted):
                break
    return seen


async def test_the_first_snapshot_comes_without_any_change(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris", "rose")) as world:
        assert names((await follow(world.platform, "iris", "rose"))[-1]) == ["iris", "rose"]


async def test_changes_are_seen_and_equal_snapshots_are_not_repeated(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
        following = asyncio.create_task(follow(world.platform, "iris", "rose"))
        await asyncio.sleep(0)
        world.declare("iris")
        await asyncio.sleep(0.5)  # time enough to repeat it
        world.declare("iris", "rose")
        seen = await following
        assert all(before != after for before, after in pairwise(seen))
        world.declare("rose")
        await follow(world.platform, "rose")


async def test_two_watchers_agree(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        watchers = [asyncio.create_task(follow(world.platform, "iris", "rose", "tulip")) for _ in range(2)]
        await follow(world.platform, "iris")
        world.declare("iris", "rose", "tulip")
        one, other = await asyncio.gather(*watchers)
        assert one[-1].endpoints == other[-1].endpoints


async def test_replicas_belong_to_deployments_and_have_ids_of_their_own(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris", "rose")) as world:
        snapshot = (await follow(world.platform, "iris", "rose"))[-1]
        assert {replica.deployment for replica in snapshot.replicas} <= {"iris/blue", "rose/blue"}
        assert len({replica.uid for replica in snapshot.replicas}) == len(snapshot.replicas)


@pytest.mark.parametrize(("deployment", "replicas"), [("green", 1), ("blue", -1)])
async def test_a_wish_that_makes_no_sense_is_an_error(
    opening: Opening, tmp_path: Path, deployment: str, replicas: int
) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
        with pytest.raises(PlatformError, match=f"iris/{deployment}"):
            await world.platform.scale("iris", deployment, replicas)


async def until(platform: Platform, holds: Callable[[Snapshot], bool]) -> Snapshot:
    async with asyncio.timeout(PATIENCE_S), aclosing(platform.watch()) as watch:
        async for snapshot in watch:
            if holds(snapshot):
                return snapshot
    raise AssertionError("a watch never ends by itself")


def staying(snapshot: Snapshot) -> list[Replica]:
    return [replica for replica in snapshot.replicas if not replica.leaving]


async def test_a_wish_is_met_and_those_that_are_named_leave_first(scaling: Opening, tmp_path: Path) -> None:
    async with scaling(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
        await world.platform.scale("iris", "blue", 4)
        one, two, three, four = staying(await until(world.platform, lambda seen: len(staying(seen)) == 4))
        await world.platform.scale("iris", "blue", 2, [three.uid, "gone", one.uid, two.uid])
        assert staying(await until(world.platform, lambda seen: len(staying(seen)) < 4)) == [two, four]


async def test_what_is_wished_is_told_within_the_bounds_of_the_deployment(scaling: Opening, tmp_path: Path) -> None:
    async with scaling(tmp_path, ("iris",)) as world:
        for asked, wished in [(2, 2), (9, 4), (0, 1)]:
            await world.platform.scale("iris", "blue", asked)
            snapshot = await until(world.platform, lambda seen, wished=wished: seen.wished.get("iris/blue") == wished)
            assert len(staying(snapshot)) <= 4


async def test_routers_are_told_and_a_new_one_is_another_at_the_same_address(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        assert (await follow(world.platform, "iris"))[-1].instances == ()
        world.start_router("http://127.0.0.1:9001")
        (first,) = (await until(world.platform, lambda seen: seen.instances != ())).instances
        assert first.admin == "http://127.0.0.1:9001"
        world.start_router("http://127.0.0.1:9001")
        (second,) = (await until(world.platform, lambda seen: seen.instances not in ((), (first,)))).instances
        assert (second.admin, second.id != first.id) == (first.admin, True)


async def test_a_router_finds_itself_among_all_that_there_are(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        world.start_self()
        both = (await until(world.platform, lambda seen: len(seen.instances) == 2)).instances
        assert list(both) == sorted(both, key=lambda each: each.id)
        assert [each.id for each in both].count(world.platform.own_instance) == 1
        assert all(each.serves for each in both)


async def test_one_that_asks_alone_leads_at_once_and_again_after_it_stopped(scaling: Opening, tmp_path: Path) -> None:
    async with scaling(tmp_path, ("iris",)) as world:
        for _ in range(2):
            async with aclosing(world.platform.leadership()) as leadership:
                assert await anext(leadership) is True


async def test_two_platforms_on_one_directory_never_both_lead(tmp_path: Path) -> None:
    async with (
        local(tmp_path, ("iris",)) as world,
        LocalPlatform(tmp_path / "state") as beside,
        aclosing(beside.leadership()) as second,
    ):
        async with aclosing(world.platform.leadership()) as first:
            assert (await anext(first), await anext(second)) == (True, False)
            takes_over = asyncio.ensure_future(anext(second))
            await asyncio.sleep(1.2)  # two tries
            assert not takes_over.done()
        async with asyncio.timeout(PATIENCE_S):
            assert await takes_over is True
        async with aclosing(world.platform.leadership()) as first:
            assert await anext(first) is False


async def test_who_can_not_scale_does_not_lead(tmp_path: Path) -> None:
    async with static(tmp_path, ("iris",)) as world:
        with pytest.raises(PlatformError, match="static"):
            await anext(world.platform.leadership())


async def test_drained_may_be_told_of_a_replica_that_is_gone(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
        await world.platform.drained("gone")


async def test_nothing_goes_on_once_it_is_left(opening: Opening, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
    assert asyncio.all_tasks() == before
