"""What every platform does alike. A new platform joins with one function here and its name in PLATFORMS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.core.declare import declared_endpoints
from router.core.model import Snapshot
from router.platforms import Platform, PlatformError
from router.platforms.local import LocalPlatform
from router.platforms.local.state import StateDirectory
from router.platforms.local.supervisor import Supervisor
from router.platforms.memory import MemoryPlatform
from router.platforms.static import StaticPlatform

PATIENCE_S = 20.0


class World(NamedTuple):
    """A platform that was entered, and how its endpoints change: `declare(names)`, each with a deployment `blue`."""

    platform: Platform
    declare: Callable[..., None]


Opening = Callable[[Path, tuple[str, ...]], AbstractAsyncContextManager[World]]


ADDRESSES = {"addresses": ["127.0.0.1:1"]}
PROCESS = {"process": {"command": ["$(PYTHON)", "-c", "import time; time.sleep(600)"]}}


def document(name: str, workload: dict[str, Any] = ADDRESSES) -> dict[str, Any]:
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
        return Snapshot(endpoints=declared_endpoints([document(name) for name in names]))

    async with MemoryPlatform(snapshot(*names)) as platform:
        yield World(platform, lambda *names: platform.publish(snapshot(*names)))


@asynccontextmanager
async def static(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    file = folder / "endpoints.yaml"
    declare = declaring(file, ADDRESSES)
    declare(*names)
    async with StaticPlatform(file, folder / "state") as platform:
        yield World(platform, declare)


@asynccontextmanager
async def local(folder: Path, names: tuple[str, ...]) -> AsyncIterator[World]:
    file = folder / "endpoints.yaml"
    declare = declaring(file, PROCESS)
    declare(*names)
    state = StateDirectory(folder / "state")
    async with Supervisor(file, state), LocalPlatform(state.path) as platform:
        yield World(platform, declare)


PLATFORMS: list[Opening] = [memory, static, local]


@pytest.fixture(params=PLATFORMS, ids=lambda opening: opening.__name__)
def opening(request: pytest.FixtureRequest) -> Opening:
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


async def test_drained_may_be_told_of_a_replica_that_is_gone(opening: Opening, tmp_path: Path) -> None:
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
        await world.platform.drained("gone")


async def test_nothing_goes_on_once_it_is_left(opening: Opening, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with opening(tmp_path, ("iris",)) as world:
        await follow(world.platform, "iris")
    assert asyncio.all_tasks() == before
