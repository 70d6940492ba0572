"""What an administrator may do on every platform alike. A new one joins with one function here and its name in
ADMINISTERED."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.core.declare import declared_endpoints
from router.core.keys import BadKey, Keys, NamedKey, NoSuchKey, regenerated, with_named
from router.core.model import Endpoint, Hold, Replica, Snapshot
from router.platforms import ClusterSettings, Platform
from router.platforms.administration import Administration, Conflict, Unfit, Unknown
from router.platforms.kubernetes import KubernetesPlatform
from router.platforms.local import LocalPlatform
from router.platforms.local.state import StateDirectory
from router.platforms.local.supervisor import Supervisor
from router.platforms.memory import MemoryPlatform
from router.platforms.static import StaticPlatform
from tests.kubernetes import documents as objects
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.replication import replicating

PATIENCE_S = 20.0
LATER_S = 4_000_000_000.0
KEY = "a-key-that-is-given"


class World(NamedTuple):
    """A platform that was entered. It has the endpoint `iris`, which takes keys and has two, with the deployments
    `blue` (90 % of the traffic, 1 to 4 replicas where something scales) and `green` (10 %, one replica); and `open`,
    which takes none. `beside`: the administration as another process sees it."""

    platform: Platform
    beside: Administration

    @property
    def administration(self) -> Administration:
        return self.platform.administration


Opening = Callable[[Path], AbstractAsyncContextManager[World]]

COMMAND = {"process": {"command": ["$(PYTHON)", "-c", "import time; time.sleep(600)"]}}
SCALED = {"scaleSettings": {"minInstances": 1, "maxInstances": 4}}


def documents(blue: dict[str, Any], green: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    iris = {
        "auth": {"mode": "key"},
        "traffic": {"blue": 90, "green": 10},
        "deployments": [{"name": "blue", **blue}, {"name": "green", **green}],
    }
    specs = {"iris": iris, "open": {"auth": {"mode": "none"}, "deployments": [{"name": "red", **other}]}}
    head = {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint"}
    return [{**head, "metadata": {"name": name}, "spec": spec} for name, spec in specs.items()]


def written(folder: Path, found: list[dict[str, Any]]) -> Path:
    file = folder / "endpoints.yaml"
    file.write_text("\n---\n".join(map(json.dumps, found)))
    return file


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[World]:
    endpoints = declared_endpoints(documents({**COMMAND, **SCALED}, COMMAND, COMMAND))
    replicas = tuple(
        Replica(uid=f"{name}-1", deployment=f"iris/{name}", host="127.0.0.1", port=5001, ready=True)
        for name in ("blue", "green")
    )
    async with MemoryPlatform(Snapshot(endpoints=endpoints, replicas=replicas)) as platform:
        platform.administration.kept["iris"] = Keys("the-primary-key-of-iris", "the-secondary-key-of-iris")
        await platform.administration.change_keys("iris", lambda keys: keys)
        yield World(platform, platform.administration)


@asynccontextmanager
async def static(folder: Path) -> AsyncIterator[World]:
    addresses = ({"addresses": [f"127.0.0.1:{port}"]} for port in (1, 2, 3))
    file, state_dir = written(folder, documents(*addresses)), folder / "state"
    async with StaticPlatform(file, state_dir) as platform, StaticPlatform(file, state_dir) as beside:
        yield World(platform, beside.administration)


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[World]:
    file = written(folder, documents({**COMMAND, **SCALED}, COMMAND, COMMAND))
    state = StateDirectory(folder / "state")
    async with Supervisor(file, state), LocalPlatform(state.path) as platform, LocalPlatform(state.path) as beside:
        await until(platform, lambda snapshot: len(snapshot.replicas) == 3)
        yield World(platform, beside.administration)


@asynccontextmanager
async def kubernetes(folder: Path) -> AsyncIterator[World]:
    pods = ({"workload": {"kind": "Deployment", "name": name}} for name in ("blue", "green", "red"))
    blue, green, red = pods
    async with FakeApiServer() as server, replicating(server):
        for name in ("blue", "green", "red"):
            server.put("deployments", objects.workload("Deployment", name, replicas=1))
        for document in documents({**blue, **SCALED}, green, red):
            server.put("inferenceendpoints", document)
        keys = {"primaryKey": "the-primary-key-of-iris", "secondaryKey": "the-secondary-key-of-iris"}
        server.put("secrets", objects.secret("iris-keys", **keys))
        server.put("secrets", objects.secret("scoregate-vault", kind="scoregate.io/vault"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", server.kubeconfig)
            async with (
                KubernetesPlatform(ClusterSettings()) as platform,
                KubernetesPlatform(ClusterSettings()) as beside,
            ):
                await until(platform, lambda snapshot: len(snapshot.replicas) == 3)
                await until(beside, lambda snapshot: len(snapshot.replicas) == 3)
                yield World(platform, beside.administration)


ADMINISTERED: list[Opening] = [memory, static, local, kubernetes]
SCALING: list[Opening] = [memory, local, kubernetes]
"""Those where the load sets the number of replicas of `blue`."""


@pytest.fixture(params=ADMINISTERED, ids=lambda opening: opening.__name__)
def opening(request: pytest.FixtureRequest) -> Opening:
    return request.param


@pytest.fixture
async def world(opening: Opening, tmp_path: Path) -> AsyncIterator[World]:
    async with opening(tmp_path) as opened:
        yield opened


@pytest.fixture(params=SCALING, ids=lambda opening: opening.__name__)
async def scaling(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    opening: Opening = request.param
    async with opening(tmp_path) as opened:
        yield opened


async def until(platform: Platform, holds: Callable[[Snapshot], bool]) -> Snapshot:
    async with asyncio.timeout(PATIENCE_S), aclosing(platform.watch()) as watch:
        async for snapshot in watch:
            if holds(snapshot):
                return snapshot
    raise AssertionError("a watch never ends by itself")


async def present(world: World) -> Snapshot:
    return await until(world.platform, lambda _: True)


async def iris(world: World) -> Endpoint:
    (found,) = [each for each in (await present(world)).endpoints if each.name == "iris"]
    return found


async def replica(world: World, name: str) -> Replica:
    (found,) = [each for each in (await present(world)).replicas if each.deployment == f"iris/{name}"]
    return found


# -- keys ------------------------------------------------------------------------------------------------------------


async def test_keys_are_told_and_routers_know_their_hashes(world: World) -> None:
    keys = await world.administration.keys("iris")
    assert keys.primary_key != keys.secondary_key
    assert (await iris(world)).keys == keys.hashes


async def test_a_change_of_keys_is_seen_once_it_is_done(world: World) -> None:
    old = await world.administration.keys("iris")
    new = await world.beside.change_keys("iris", partial(regenerated, which="secondary", key=KEY))
    assert (new.primary_key, new.secondary_key) == (old.primary_key, KEY)
    assert await world.administration.keys("iris") == new
    await until(world.platform, lambda seen: any(each.keys == new.hashes for each in seen.endpoints))
    named = await world.administration.change_keys("iris", partial(with_named, name="ann", named=NamedKey(key=KEY * 2)))
    assert named.named_keys["ann"].key == KEY * 2
    assert (await iris(world)).keys == named.hashes


async def test_a_change_that_can_not_be_changes_nothing(world: World) -> None:
    old = await world.administration.keys("iris")
    for error, change in (
        (BadKey, partial(regenerated, which="primary", key="short")),
        (NoSuchKey, partial(regenerated, which="ann", key=KEY)),
        (BadKey, lambda keys: Keys("short", keys.secondary_key)),
    ):
        with pytest.raises(error):
            await world.administration.change_keys("iris", change)
    assert await world.administration.keys("iris") == old


async def test_of_changes_at_once_none_is_lost(world: World) -> None:
    names = [f"consumer-{number}" for number in range(12)]
    both = (world.administration, world.beside)
    await asyncio.gather(
        *(
            both[number % 2].change_keys("iris", partial(with_named, name=name, named=NamedKey(key=f"{KEY}-{name}")))
            for number, name in enumerate(names)
        )
    )
    assert sorted((await world.administration.keys("iris")).named_keys) == sorted(names)


# -- traffic ---------------------------------------------------------------------------------------------------------


async def test_traffic_is_what_was_set_once_it_is_done(world: World) -> None:
    await world.administration.set_traffic("iris", {"green": 100}, None)
    assert (await iris(world)).weights == (("blue", 0), ("green", 100))
    await world.administration.set_traffic("iris", {"green": 40, "blue": 60}, {"green": 100})
    assert (await iris(world)).weights == (("blue", 60), ("green", 40))
    await world.administration.set_traffic("iris", {"green": 0, "blue": 0}, None)
    assert (await iris(world)).weights == (("blue", 0), ("green", 0))


async def test_traffic_that_is_another_than_expected_is_a_conflict(world: World) -> None:
    with pytest.raises(Conflict, match=r"traffic of iris"):
        await world.administration.set_traffic("iris", {"green": 100}, {"blue": 80, "green": 20})
    assert (await iris(world)).weights == (("blue", 90), ("green", 10))


async def test_of_two_who_expect_the_same_one_succeeds(world: World) -> None:
    expected = {"blue": 90, "green": 10}
    results = await asyncio.gather(
        world.administration.set_traffic("iris", {"blue": 50, "green": 50}, expected),
        world.beside.set_traffic("iris", {"blue": 20, "green": 80}, expected),
        return_exceptions=True,
    )
    lost = [result for result in results if result is not None]
    assert [type(error) for error in lost] == [Conflict]
    won = 50 if results[0] is None else 20
    await until(world.platform, lambda seen: dict(seen.endpoints[0].weights) == {"blue": won, "green": 100 - won})


@pytest.mark.parametrize(
    "traffic", [{"red": 100}, {"blue": 50}, {"blue": 110, "green": -10}, {"blue": 60, "green": 60}, {"../blue": 100}]
)
async def test_traffic_that_can_not_be(world: World, traffic: dict[str, int]) -> None:
    with pytest.raises(Unfit, match="traffic"):
        await world.administration.set_traffic("iris", traffic, None)
    assert (await iris(world)).weights == (("blue", 90), ("green", 10))


# -- replicas --------------------------------------------------------------------------------------------------------


async def test_a_number_is_held_until_that_is_taken_back(scaling: World) -> None:
    for hold in (Hold(replicas=3, until_s=LATER_S), Hold(replicas=4, until_s=LATER_S + 1)):
        await scaling.administration.hold("iris", "blue", hold)
        assert (await present(scaling)).holds == {"iris/blue": hold}
    await scaling.beside.hold("iris", "blue", None)
    await until(scaling.platform, lambda seen: seen.holds == {})
    await scaling.administration.hold("iris", "blue", None)


@pytest.mark.parametrize("replicas", [-1, 0, 5])
async def test_a_number_out_of_bounds_is_not_held(scaling: World, replicas: int) -> None:
    with pytest.raises(Unfit, match=rf"can.t have {replicas} replicas.*1 to 4"):
        await scaling.administration.hold("iris", "blue", Hold(replicas=replicas, until_s=LATER_S))
    assert (await present(scaling)).holds == {}


async def test_a_number_that_nothing_scales_is_not_held(world: World) -> None:
    with pytest.raises(Conflict, match="iris/green has a fixed number of replicas"):
        await world.administration.hold("iris", "green", Hold(replicas=1, until_s=LATER_S))


async def test_a_drained_replica_stays_and_comes_back(world: World) -> None:
    green = await replica(world, "green")
    await world.administration.drain(green.uid, True)
    assert (await replica(world, "green")).leaving
    await world.platform.drained(green.uid)
    await asyncio.sleep(0.5)  # time enough to stop it
    drained = await replica(world, "green")
    assert (drained.uid, drained.leaving) == (green.uid, True)
    await world.beside.drain(green.uid, False)
    await until(world.platform, lambda seen: any(each.uid == green.uid and not each.leaving for each in seen.replicas))
    assert not (await replica(world, "blue")).leaving


# -- what is not there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rose", "", "../iris", "iris/blue", "iris\0", "x" * 500])
async def test_an_endpoint_that_is_not_there_is_unknown(world: World, name: str) -> None:
    asked = world.administration
    for ask in (
        asked.keys(name),
        asked.change_keys(name, lambda keys: keys),
        asked.set_traffic(name, {"blue": 100}, None),
        asked.hold(name, "blue", Hold(replicas=1, until_s=LATER_S)),
        asked.decisions(name, "blue", 5),
    ):
        with pytest.raises(Unknown, match=r"known are .*iris"):
            await ask


@pytest.mark.parametrize("name", ["pink", "", "../blue", "blue\0"])
async def test_a_deployment_that_is_not_there_is_unknown(world: World, name: str) -> None:
    for ask in (
        world.administration.hold("iris", name, None),
        world.administration.decisions("iris", name, 5),
    ):
        with pytest.raises(Unknown, match="known are blue, green"):
            await ask


async def test_a_replica_that_is_not_there_is_unknown(world: World) -> None:
    for uid in ("gone", "", "../../keys/iris.json"):
        with pytest.raises(Unknown, match="no replica"):
            await world.administration.drain(uid, True)


async def test_who_takes_no_keys_has_none(world: World) -> None:
    for ask in (world.administration.keys("open"), world.administration.change_keys("open", lambda keys: keys)):
        with pytest.raises(Unknown, match="open has no keys"):
            await ask


async def test_where_nothing_was_decided_there_are_no_decisions(world: World) -> None:
    if isinstance(world.platform, KubernetesPlatform):
        with pytest.raises(Unfit, match="scoregate explain iris/green --last 5"):
            await world.administration.decisions("iris", "green", 5)
        return
    assert await world.administration.decisions("iris", "green", 5) == []


# -- the vault -------------------------------------------------------------------------------------------------------


async def test_what_is_put_into_the_vault_is_found_by_all(world: World) -> None:
    assert await world.administration.vault.read("admin-key") is None
    await world.administration.vault.write("admin-key", b"very secret", None)
    sealed = await world.beside.vault.read("admin-key")
    assert sealed is not None
    assert sealed.content == b"very secret"
    assert "secret" not in repr(sealed)
    await world.beside.vault.write("admin-key", b"\x00 another \xff", sealed.version)
    again = await world.administration.vault.read("admin-key")
    assert again is not None
    assert (again.content, again.version != sealed.version) == (b"\x00 another \xff", True)
    assert await world.administration.vault.read("signing-keys") is None


async def test_who_is_late_at_the_vault_is_told_and_changes_nothing(world: World) -> None:
    vault = world.administration.vault
    with pytest.raises(Conflict, match="revocations"):
        await vault.write("revocations", b"{}", "1")
    await vault.write("revocations", b"{}", None)
    for version in (None, "another"):
        with pytest.raises(Conflict, match="revocations"):
            await world.beside.vault.write("revocations", b"[]", version)
    sealed = await vault.read("revocations")
    assert sealed is not None
    assert sealed.content == b"{}"


async def test_of_those_who_write_at_once_one_succeeds(world: World) -> None:
    both = (world.administration.vault, world.beside.vault)
    results = await asyncio.gather(
        *(both[number % 2].write("signing-keys", b"%d" % number, None) for number in range(6)), return_exceptions=True
    )
    assert [type(error) for error in results if error is not None] == [Conflict] * 5
    sealed = await both[0].read("signing-keys")
    assert sealed is not None
    assert sealed.content == b"%d" % results.index(None)


async def test_the_vault_is_followed(world: World) -> None:
    async with asyncio.timeout(PATIENCE_S), aclosing(world.administration.vault.follow("instance-ca")) as following:
        assert await anext(following) is None
        await world.beside.vault.write("instance-ca", b"one", None)
        first = await anext(following)
        assert first is not None
        await world.administration.vault.write("admin-key", b"of no concern", None)
        await world.beside.vault.write("instance-ca", b"two", first.version)
        second = await anext(following)
        assert second is not None
        assert (first.content, second.content) == (b"one", b"two")
