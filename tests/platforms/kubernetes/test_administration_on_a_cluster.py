"""administration.py and vault.py on a real API server, with just the rights that the chart gives to a router."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.core.keys import NamedKey, regenerated, with_named, without_named
from router.core.model import Hold, Replica, Snapshot
from router.platforms import ClusterSettings
from router.platforms.administration import Conflict, NotPermitted, Unfit, Unknown
from router.platforms.kubernetes import KubernetesPlatform
from router.platforms.kubernetes.refusals import TRIES
from tests.deploy.shipped import DEFINITION, rendered
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.documents import endpoint, workload
from tests.platforms.kubernetes.administered import FRESH, PRIMARY, SECONDARY, TWO, keys_secret, spec

PATIENCE_S = 30.0
TLS_ENDS_S = 0.3
"""What a watch that was cancelled takes to say goodbye, before the event loop goes."""
HELD = Hold(replicas=3, until_s=1_790_000_000.0)


class World(NamedTuple):
    cluster: Cluster
    home: str
    models: str
    folder: Path

    def grant(self, *, administration: bool = True) -> None:
        """What the chart gives; returns when the API server goes by it, which it does a moment later."""
        given = (
            f"--set=watchNamespaces={{{self.models}}}",
            f"--set=administration.enabled={str(administration).lower()}",
        )
        found = rendered(f"--namespace={self.home}", *given)
        kinds = ("ServiceAccount", "Role", "RoleBinding", "Secret")
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [e for e in found if e["kind"] in kinds]})
        self.cluster.kubectl("apply", "-f", "-", text=text)
        deadline = time.monotonic() + PATIENCE_S
        while not (self._may(self.home, "scoregate-vault") and self._may(self.models, "any") == administration):
            assert time.monotonic() < deadline, "the rights are not what they were made"

    def _may(self, namespace: str, secret: str) -> bool:
        """Whether a router may change this Secret."""
        asked = {"namespace": namespace, "verb": "patch", "resource": "secrets", "name": secret}
        user = f"system:serviceaccount:{self.home}:scoregate-router"
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        text = json.dumps({**review, "spec": {"user": user, "resourceAttributes": asked}})
        return bool(json.loads(self.cluster.kubectl("create", "-f", "-", "-o", "json", text=text))["status"]["allowed"])

    def become(self, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(self.cluster.kubeconfig_of(account, self.home, self.folder)))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[KubernetesPlatform]:
        async with KubernetesPlatform(ClusterSettings((self.models,), home=self.home)) as platform:
            yield platform
        await asyncio.sleep(TLS_ENDS_S)

    def get(self, *words: str) -> dict[str, Any]:
        return self.cluster.get(*words, namespace=self.models)


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cluster.kubectl("apply", "-f", str(DEFINITION))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/inferenceendpoints.scoregate.io")
    deadline = time.monotonic() + PATIENCE_S
    while "inferenceendpoints.scoregate.io" not in cluster.kubectl(
        "api-resources", "--api-group=scoregate.io", "-oname"
    ):
        assert time.monotonic() < deadline, "the definition is established, but not served"
    with cluster.namespace("home") as home, cluster.namespace("models") as models:
        world = World(cluster, home, models, tmp_path_factory.mktemp("accounts"))
        world.grant()
        secret = keys_secret(note="mine")
        secret["metadata"]["namespace"] = models
        cluster.apply(
            workload("Deployment", "iris-blue"), workload("Deployment", "iris-green"), secret, namespace=models
        )
        cluster.apply(endpoint("iris", models, **spec()), namespace=models)
        yield world


@pytest.fixture
async def platform(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesPlatform]:
    world.become("scoregate-router", monkeypatch)
    async with world.opened() as platform:
        yield platform


async def until(platform: KubernetesPlatform, holds: Callable[[Snapshot], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await platform.until(holds)


async def replica(platform: KubernetesPlatform) -> Replica:
    """The one of iris/blue."""
    await until(platform, lambda now: any(each.deployment == "iris/blue" for each in now.replicas))
    return next(each for each in platform.snapshot.replicas if each.deployment == "iris/blue")


async def test_keys_are_read_changed_named_and_taken_away(world: World, platform: KubernetesPlatform) -> None:
    administration = platform.administration
    assert await administration.keys("iris") == TWO
    await administration.change_keys("iris", lambda keys: regenerated(keys, "primary", FRESH))
    await administration.change_keys("iris", lambda keys: with_named(keys, "team-a", NamedKey(key=f"{FRESH}-a")))
    assert world.get("secret", "iris-keys")["data"].keys() == {"primaryKey", "secondaryKey", "named.team-a", "note"}
    await until(
        platform, lambda now: [each.name for e in now.endpoints if e.keys for each in e.keys.named] == ["team-a"]
    )
    await administration.change_keys(
        "iris", lambda keys: without_named(regenerated(keys, "primary", PRIMARY), "team-a")
    )
    assert await administration.keys("iris") == TWO
    assert world.get("secret", "iris-keys")["data"].keys() == {"primaryKey", "secondaryKey", "note"}


async def test_of_changes_at_once_none_is_lost(world: World, platform: KubernetesPlatform) -> None:
    names = [f"team-{number}" for number in range(TRIES)]
    changes = [lambda keys, name=name: with_named(keys, name, NamedKey(key=f"{FRESH}-{name}")) for name in names]
    await asyncio.gather(*(platform.administration.change_keys("iris", change) for change in changes))
    assert (await platform.administration.keys("iris")).named_keys.keys() == set(names)
    for name in names:
        await platform.administration.change_keys("iris", lambda keys, name=name: without_named(keys, name))


async def test_a_secret_that_may_not_change_is_unfit(world: World, platform: KubernetesPlatform) -> None:
    world.cluster.kubectl("-n", world.models, "patch", "secret", "iris-keys", "-p", '{"immutable": true}')
    with pytest.raises(Unfit, match="does not change the keys of iris") as caught:
        await platform.administration.change_keys("iris", lambda keys: regenerated(keys, "primary", FRESH))
    assert FRESH not in str(caught.value)
    secret = keys_secret(note="mine")
    world.cluster.kubectl("-n", world.models, "delete", "secret", "iris-keys")
    secret["metadata"]["namespace"] = world.models
    world.cluster.apply(secret, namespace=world.models)
    assert await platform.administration.keys("iris") == TWO
    assert SECONDARY not in str(caught.value)


async def test_traffic_is_split_anew(world: World, platform: KubernetesPlatform) -> None:
    await platform.administration.set_traffic("iris", {"green": 100}, {"blue": 90, "green": 10})
    assert world.get("iep", "iris")["spec"]["traffic"] == {"green": 100}
    await until(platform, lambda now: [each.weights for each in now.endpoints] == [(("blue", 0), ("green", 100))])
    with pytest.raises(Conflict):
        await platform.administration.set_traffic("iris", {"blue": 100}, {"blue": 100})
    await platform.administration.set_traffic("iris", {"blue": 90, "green": 10}, None)


async def test_a_number_is_held_and_let_go(world: World, platform: KubernetesPlatform) -> None:
    await platform.administration.hold("iris", "blue", HELD)
    await until(platform, lambda now: now.holds == {"iris/blue": HELD})
    assert "scoregate.io/hold.blue" in world.get("iep", "iris")["metadata"]["annotations"]
    await platform.administration.hold("iris", "blue", None)
    await until(platform, lambda now: now.holds == {})


async def test_a_replica_is_drained_and_comes_back(world: World, platform: KubernetesPlatform) -> None:
    blue = await replica(platform)
    await platform.administration.drain(blue.uid, True)
    await until(platform, lambda now: [each.leaving for each in now.replicas if each.uid == blue.uid] == [True])
    (pod,) = (each for each in world.get("pods")["items"] if each["metadata"]["uid"] == blue.uid)
    assert pod["metadata"]["annotations"]["scoregate.io/drained"] == "true"
    await platform.administration.drain(blue.uid, False)
    await until(platform, lambda now: [each.leaving for each in now.replicas if each.uid == blue.uid] == [False])


@pytest.mark.parametrize("account", ["scoregate-router", "scoregate-autoscaler"])
async def test_the_vault_is_written_and_followed_with_the_rights_to_it_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    world.become(account, monkeypatch)
    async with world.opened() as platform:
        vault = platform.administration.vault
        before = await vault.read("revocations")
        async with aclosing(vault.follow("revocations")) as news:  # type: ignore[type-var]
            async with asyncio.timeout(PATIENCE_S):
                assert await anext(news) == before
                await vault.write("revocations", account.encode(), before.version if before else None)
                told = await anext(news)
                assert told is not None
                assert told.content == account.encode()
            world.grant()  # as an update of the chart does
            assert await vault.read("revocations") == told
        with pytest.raises(Conflict):
            await vault.write("revocations", b"", None)


async def test_without_administration_nothing_is_changed_and_the_value_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.become("scoregate-router", monkeypatch)
    world.grant(administration=False)
    try:
        async with world.opened() as platform:
            administration = platform.administration
            blue = await replica(platform)
            assert await administration.keys("iris") == TWO, "to read takes no right to change"
            for call in (
                administration.change_keys("iris", lambda keys: regenerated(keys, "primary", FRESH)),
                administration.set_traffic("iris", {"blue": 100}, None),
                administration.hold("iris", "blue", HELD),
                administration.drain(blue.uid, True),
            ):
                with pytest.raises(NotPermitted, match=r"cannot (get|patch) resource .*administration\.enabled=true"):
                    await call
            assert await administration.vault.read("admin-key") is None, "the vault is its own"
    finally:
        world.grant()


async def test_a_vault_that_is_gone_says_what_to_do(world: World, platform: KubernetesPlatform) -> None:
    world.cluster.kubectl("-n", world.home, "delete", "secret", "scoregate-vault")
    try:
        with pytest.raises(Unknown, match="create secret generic scoregate-vault") as caught:
            await platform.administration.vault.read("admin-key")
        command = str(caught.value).partition("`kubectl ")[2].rstrip("`")
        world.cluster.kubectl(*command.split())
        assert await platform.administration.vault.read("admin-key") is None
    finally:
        world.grant()
