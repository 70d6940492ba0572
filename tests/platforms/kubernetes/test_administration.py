"""administration.py: changes reach the objects that hold them, and nothing else; refusals say what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from router.core.keys import BadKey, Keys, NamedKey, NoSuchKey, with_named, without_named
from router.core.model import Hold
from router.platforms import ClusterSettings
from router.platforms.administration import Administration, Conflict, Unfit, Unknown
from router.platforms.kubernetes import KubernetesPlatform
from router.platforms.kubernetes.refusals import TRIES
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer
from tests.models import until as eventually
from tests.platforms.kubernetes.administered import (
    FRESH,
    HELD,
    PRIMARY,
    SECONDARY,
    TWO,
    adopt,
    data,
    fill,
    is_patch,
    keys_secret,
    patches,
    replica,
    resource,
    spec,
    to_fresh,
)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        fill(server)
        adopt(server)
        yield server


@pytest.fixture
async def platform(server: FakeApiServer) -> AsyncIterator[KubernetesPlatform]:
    async with KubernetesPlatform(ClusterSettings(("models",), home="home")) as platform:
        yield platform


@pytest.fixture
def administration(platform: KubernetesPlatform) -> Administration:
    return platform.administration


# -- keys ------------------------------------------------------------------------------------------------------


async def test_keys_are_those_of_the_secret(administration: Administration) -> None:
    assert await administration.keys("iris") == TWO
    assert await administration.keys("rose") == TWO


async def test_a_new_key_is_in_force_here_once_it_was_made(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    changed = await administration.change_keys("iris", to_fresh)
    assert changed == Keys(FRESH, SECONDARY)
    assert data(server) == {"primaryKey": FRESH, "secondaryKey": SECONDARY, "note": "mine"}
    (endpoint,) = (each for each in platform.snapshot.endpoints if each.name == "iris")
    assert endpoint.keys == changed.hashes
    ((path, patch),) = patches(server)
    assert path == "/api/v1/namespaces/models/secrets/iris-keys"
    assert patch["data"].keys() == {"primaryKey"}, "nothing but what changes"
    assert patch["metadata"].keys() == {"uid", "resourceVersion"}


async def test_named_keys_come_and_go(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    named = NamedKey(key=FRESH, expires_at=datetime(2027, 1, 31, tzinfo=UTC))
    made = await administration.change_keys("iris", lambda keys: with_named(keys, "team-a", named))
    assert (await administration.keys("iris")) == made == Keys(PRIMARY, SECONDARY, {"team-a": named})
    assert json.loads(data(server)["named.team-a"]) == {"key": FRESH, "expiresAt": "2027-01-31T00:00:00Z"}
    await administration.change_keys("iris", lambda keys: without_named(keys, "team-a"))
    assert data(server) == {"primaryKey": PRIMARY, "secondaryKey": SECONDARY, "note": "mine"}


async def test_what_can_not_be_changes_nothing(server: FakeApiServer, administration: Administration) -> None:
    with pytest.raises(BadKey):
        await administration.change_keys("iris", lambda keys: Keys("short", keys.secondary_key))
    with pytest.raises(NoSuchKey):
        await administration.change_keys("iris", lambda keys: without_named(keys, "team-a"))
    assert await administration.change_keys("iris", lambda keys: keys) == TWO
    assert patches(server) == []


async def test_two_changes_at_once_are_both_kept(server: FakeApiServer, administration: Administration) -> None:
    names = [f"team-{number}" for number in range(TRIES)]
    changes = (lambda keys, name=name: with_named(keys, name, NamedKey(key=f"{FRESH}-{name}")) for name in names)
    await asyncio.gather(*(administration.change_keys("iris", change) for change in changes))
    assert {f"named.{name}" for name in names} <= data(server).keys()


async def test_who_is_never_first_is_told_so_and_changes_nothing(
    server: FakeApiServer, administration: Administration
) -> None:
    server.answer_with(409, only=is_patch)
    asked = 0

    def change(keys: Keys) -> Keys:
        nonlocal asked
        asked += 1
        return to_fresh(keys)

    with pytest.raises(Conflict, match=f"the keys of iris were changed by somebody else in each of {TRIES} tries"):
        await administration.change_keys("iris", change)
    assert asked == TRIES
    assert data(server)["primaryKey"] == PRIMARY


async def test_an_endpoint_without_keys_says_why(server: FakeApiServer, platform: KubernetesPlatform) -> None:
    server.put("inferenceendpoints", documents.endpoint("lily", "models", **spec(auth={"mode": "token"})))
    await eventually(lambda: any(each.name == "lily" for each in platform.snapshot.endpoints))
    with pytest.raises(Unknown, match=r"lily has no keys: neither spec\.auth\.mode nor alsoAccepts is key"):
        await platform.administration.keys("lily")
    server.delete("secrets", "iris-keys", "models")
    with pytest.raises(Unknown, match="iris has no keys: no Secret iris-keys in namespace models"):
        await platform.administration.keys("iris")
    with pytest.raises(Unknown, match="there is no endpoint 'nobody': known are iris, lily, rose"):
        await platform.administration.keys("nobody")


async def test_a_secret_of_another_type_is_neither_read_nor_written(
    server: FakeApiServer, administration: Administration
) -> None:
    """Else whoever declares an endpoint could have any Secret of the namespace shown."""
    server.delete("secrets", "iris-keys", "models")
    server.put("secrets", {**keys_secret(), "type": "Opaque"})
    for call in (administration.keys("iris"), administration.change_keys("iris", to_fresh)):
        with pytest.raises(Conflict, match="Secret iris-keys in namespace models is of type Opaque") as caught:
            await call
        assert PRIMARY not in str(caught.value)
    assert patches(server) == []


async def test_a_bad_secret_is_told_by_its_entry(server: FakeApiServer, administration: Administration) -> None:
    server.put("secrets", keys_secret(**{"named.team-a": "hush-hush-hush"}))
    with pytest.raises(Conflict, match=r"has a named\.team-a of 14 bytes that can't be read") as caught:
        await administration.change_keys("iris", to_fresh)
    assert "hush" not in str(caught.value)
    assert data(server)["primaryKey"] == PRIMARY


# -- traffic ---------------------------------------------------------------------------------------------------


async def test_traffic_is_split_anew_here_once_it_was_written(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    before = resource(server)["spec"]
    await administration.set_traffic("iris", {"green": 100}, {"blue": 90, "green": 10})
    assert resource(server)["spec"] == {**before, "traffic": {"green": 100}}
    (endpoint,) = (each for each in platform.snapshot.endpoints if each.name == "iris")
    assert endpoint.weights == (("blue", 0), ("green", 100))
    await administration.set_traffic("iris", {"blue": 100, "green": 0}, {"green": 100})
    assert resource(server)["spec"]["traffic"] == {"blue": 100, "green": 0}
    await administration.set_traffic("iris", {}, None)
    assert resource(server)["spec"]["traffic"] == {}


async def test_where_none_was_given_it_is_now(server: FakeApiServer, administration: Administration) -> None:
    given = spec()
    del given["traffic"]
    server.put("inferenceendpoints", documents.endpoint("iris", "models", **given))
    await administration.set_traffic("iris", {"blue": 50, "green": 50}, {})
    assert resource(server)["spec"]["traffic"] == {"blue": 50, "green": 50}


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        ({"blue": 50}, "spec.traffic: sums to 50, but it must be 0 or 100"),
        ({"red": 100}, "spec.traffic.red: 100, but it must be for a deployment of this endpoint: blue, green"),
        ({"blue": 101, "green": -1}, "spec.traffic.blue: 101, but it must be 0 to 100"),
    ],
)
async def test_traffic_that_can_not_be_is_told(
    server: FakeApiServer, administration: Administration, traffic: dict[str, int], words: str
) -> None:
    with pytest.raises(Unfit, match=words):
        await administration.set_traffic("iris", traffic, None)
    assert patches(server) == []


async def test_traffic_that_is_another_by_now_stays(server: FakeApiServer, administration: Administration) -> None:
    with pytest.raises(Conflict, match=r"the traffic of iris is another by now: blue 90, green 10"):
        await administration.set_traffic("iris", {"blue": 100}, {"blue": 100})
    assert patches(server) == []


async def test_who_is_faster_counts_also_between_reading_and_writing(
    server: FakeApiServer, administration: Administration
) -> None:
    """A status that is written meanwhile is no matter, another split is."""
    server.answer_with(409, only=is_patch, times=TRIES - 1)
    await administration.set_traffic("iris", {"blue": 100}, None)
    assert len(patches(server)) == TRIES
    server.answer_with(409, only=is_patch)
    with pytest.raises(Conflict, match="endpoint iris was changed by somebody else in each"):
        await administration.set_traffic("iris", {"green": 100}, None)


async def test_an_endpoint_that_splits_the_v1_way_says_what_to_do(
    server: FakeApiServer, administration: Administration
) -> None:
    old = spec()
    del old["traffic"]
    old["deployments"][0]["isDefault"] = True
    server.put("inferenceendpoints", documents.endpoint("iris", "models", **old))
    with pytest.raises(Conflict, match=r"splits its traffic the v1 way.* give spec\.traffic"):
        await administration.set_traffic("iris", {"blue": 100}, None)


async def test_a_wrong_declaration_is_to_be_mended_first(server: FakeApiServer, administration: Administration) -> None:
    await administration.keys("iris")
    server.patch("inferenceendpoints", "iris", {"spec": {"traffic": {"blue": 7}}}, "models")
    with pytest.raises(Conflict, match=r"mend the declaration of iris first: spec\.traffic: sums to 17"):
        await administration.set_traffic("iris", {"blue": 100}, None)


# -- replicas --------------------------------------------------------------------------------------------------


async def test_a_number_is_held_and_let_go(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    server.patch("inferenceendpoints", "iris", {"metadata": {"annotations": {"note": "mine"}}}, "models")
    generation = resource(server)["metadata"]["generation"]
    await administration.hold("iris", "blue", HELD)
    annotations = dict(resource(server)["metadata"]["annotations"])
    assert json.loads(annotations.pop("scoregate.io/hold.blue")) == {"replicas": 3, "untilS": 1_790_000_000.0}
    assert annotations == {"note": "mine"}
    assert platform.snapshot.holds == {"iris/blue": HELD}
    await administration.hold("iris", "blue", None)
    assert resource(server)["metadata"]["annotations"] == {"note": "mine"}
    assert platform.snapshot.holds == {}
    assert resource(server)["metadata"]["generation"] == generation


async def test_a_number_that_somebody_wrote_by_hand_and_wrong_is_told_once(
    server: FakeApiServer, platform: KubernetesPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    notes = {"scoregate.io/hold.blue": "three", "scoregate.io/hold.green": '{"replicas":2,"untilS":7}'}
    server.patch("inferenceendpoints", "iris", {"metadata": {"annotations": notes}}, "models")
    await eventually(lambda: platform.snapshot.holds == {"iris/green": Hold(replicas=2, until_s=7)})
    server.patch("inferenceendpoints", "iris", {"metadata": {"annotations": {"note": "mine"}}}, "models")
    await platform.administration.hold("iris", "blue", HELD)
    assert caplog.text.count("annotation scoregate.io/hold.blue of InferenceEndpoint models/iris") == 1


@pytest.mark.parametrize("replicas", [0, 5, -1])
async def test_a_number_beyond_the_bounds_is_unfit(
    server: FakeApiServer, administration: Administration, replicas: int
) -> None:
    words = f"iris/blue can.t have {replicas} replicas: its minInstances to maxInstances is 1 to 4"
    with pytest.raises(Unfit, match=words):
        await administration.hold("iris", "blue", Hold(replicas=replicas, until_s=1.0))
    assert patches(server) == []


async def test_what_can_not_be_held_says_why(server: FakeApiServer, administration: Administration) -> None:
    with pytest.raises(Conflict, match="iris/green has a fixed number of replicas"):
        await administration.hold("iris", "green", HELD)
    with pytest.raises(Unknown, match="endpoint iris has no deployment 'red': known are blue, green"):
        await administration.hold("iris", "red", HELD)
    server.answer_with(409, only=is_patch, times=1)
    with pytest.raises(Conflict, match="was made anew"):
        await administration.hold("iris", "blue", HELD)
    assert "annotations" not in resource(server)["metadata"]


async def test_an_adopted_endpoint_has_nothing_to_be_changed_but_its_keys(
    server: FakeApiServer, administration: Administration
) -> None:
    for call in (
        administration.set_traffic("rose", {"rose": 100}, None),
        administration.hold("rose", "rose", HELD),
    ):
        with pytest.raises(Conflict, match="declare it as an InferenceEndpoint in namespace models"):
            await call
    assert (await administration.change_keys("rose", to_fresh)).primary_key == FRESH


async def test_a_replica_is_drained_stays_and_comes_back(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    await administration.keys("iris")
    blue = replica(platform)
    await administration.drain(blue.uid, True)
    assert (replica(platform).leaving, replica(platform, "iris/green").leaving) == (True, False)
    ((path, patch),) = patches(server)
    assert path == "/api/v1/namespaces/models/pods/blue-1/status"
    assert patch == {"metadata": {"uid": blue.uid, "annotations": {"scoregate.io/drained": "true"}}}
    await administration.drain(blue.uid, False)
    assert replica(platform) == blue


async def test_a_pod_of_two_deployments_is_drained_for_both(
    server: FakeApiServer, platform: KubernetesPlatform
) -> None:
    chosen = {"deployments": [{"name": "one", "workload": {"selector": {"app": "iris-blue"}}}]}
    server.put("inferenceendpoints", documents.endpoint("lily", "models", **chosen))
    await eventually(lambda: any(each.deployment == "lily/one" for each in platform.snapshot.replicas))
    await platform.administration.drain(replica(platform, "lily/one").uid, True)
    assert replica(platform, "lily/one").leaving
    assert replica(platform).leaving


async def test_a_replica_that_is_not_there_is_unknown(
    server: FakeApiServer, platform: KubernetesPlatform, administration: Administration
) -> None:
    other = server.put("pods", documents.pod("other", "models", app="other"))
    await administration.keys("iris")
    for uid in ("nobody", "", other["metadata"]["uid"], f"{replica(platform).uid}@iris/green"):
        with pytest.raises(Unknown, match="there is no replica"):
            await administration.drain(uid, True)
    assert patches(server) == []
    server.answer_with(409, only=is_patch)
    with pytest.raises(Unknown, match="there is no replica"):
        await administration.drain(replica(platform).uid, True)


async def test_decisions_are_where_the_autoscaler_is(administration: Administration) -> None:
    command = "kubectl -n home exec deploy/scoregate-autoscaler -- scoregate explain iris/blue --last 5"
    with pytest.raises(Unfit, match=command):
        await administration.decisions("iris", "blue", 5)
    with pytest.raises(Unknown):
        await administration.decisions("iris", "red", 5)


async def test_the_vault_is_that_of_the_home_namespace(server: FakeApiServer, administration: Administration) -> None:
    await administration.vault.write("admin-key", b"hush", None)
    secret = server.get("secrets", "scoregate-vault", "home")
    assert secret is not None
    assert secret["data"].keys() == {"admin-key"}
