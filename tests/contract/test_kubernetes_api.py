"""What the verbs of a Kubernetes API server do to the objects that the router reads and writes, the fake's as a real
one's. Lists and watches are in test_kubernetes_watch.py. What is not said to differ is the same in v1.20 and v1.36."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.conftest import World
from tests.kubernetes.documents import autoscaler, event, lease, pod, secret, workload
from tests.kubernetes.plain import Line, PlainClient, Reply

TIME = "2026-01-01T00:00:00.000000Z"
STRATEGIC = "application/strategic-merge-patch+json"


def refused(reply: Reply, status: int, reason: str) -> None:
    assert (reply.status, reply.reason) == (status, reason), reply


# 5: Leases


async def test_a_lease_is_made_once(world: World) -> None:
    await world.make("leases", lease("x"))
    refused(await world.client.post(world.path("leases"), lease("x", holder="b")), 409, "AlreadyExists")


async def test_a_lease_is_replaced_at_the_version_that_was_read_and_at_no_other(world: World) -> None:
    made = (await world.make("leases", lease("x"))).body
    path = world.path("leases", "x")
    mine = {**made, "spec": {"holderIdentity": "b"}}
    taken = await world.client.put(path, mine)
    assert (taken.status, taken.body["spec"]) == (200, {"holderIdentity": "b"})
    refused(await world.client.put(path, {**made, "spec": {"holderIdentity": "c"}}), 409, "Conflict")
    refused(await world.client.put(path, lease("x", holder="d")), 422, "Invalid")
    assert (await world.client.get(path)).body["spec"] == {"holderIdentity": "b"}


async def test_a_put_makes_a_lease_that_is_gone(world: World) -> None:
    """As a leader's renewal does when somebody deleted its Lease."""
    gone = (await world.make("leases", lease("x"))).body
    await world.client.delete(world.path("leases", "x"))
    made = await world.client.put(world.path("leases", "x"), {**gone, "metadata": {"name": "x"}})
    assert made.status == 201
    assert made.body["metadata"]["uid"] != gone["metadata"]["uid"]


async def test_a_merge_patch_that_carries_a_version_is_a_compare_and_swap(world: World) -> None:
    version = (await world.make("leases", lease("x"))).version
    path = world.path("leases", "x")
    bids = [{"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": name}} for name in "bcdefgh"]
    replies = await asyncio.gather(*(world.client.patch(path, bid) for bid in bids))
    assert sorted(reply.status for reply in replies) == [200] + [409] * 6
    (won,) = [reply.body["spec"]["holderIdentity"] for reply in replies if reply.status == 200]
    assert (await world.client.get(path)).body["spec"]["holderIdentity"] == won
    assert (await world.client.patch(path, {"spec": {"holderIdentity": "any"}})).status == 200


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000", "2026-01-01T00:00:00.1Z"])
async def test_times_of_a_lease_need_six_decimals_and_a_zone(world: World, time: str) -> None:
    refused(await world.client.post(world.path("leases"), lease("x", renewTime=time)), 400, "BadRequest")
    made = (await world.make("leases", lease("x", renewTime=TIME, acquireTime=TIME))).body
    assert made["spec"]["renewTime"] == TIME
    late = {**made, "spec": {"renewTime": time}}
    refused(await world.client.put(world.path("leases", "x"), late), 400, "BadRequest")
    assert (await world.client.patch(world.path("leases", "x"), {"spec": {"renewTime": time}})).status in (400, 422)


async def test_a_lease_lasts_some_time(world: World) -> None:
    refused(await world.client.post(world.path("leases"), lease("x", leaseDurationSeconds=0)), 422, "Invalid")


# 6: the scale subresource


@pytest.mark.parametrize(("kind", "plural"), [("Deployment", "deployments"), ("StatefulSet", "statefulsets")])
async def test_scale_is_another_view_of_the_workload(world: World, kind: str, plural: str) -> None:
    made = await world.make(plural, workload(kind, "web", replicas=1, app="web", tier="a"))
    path = world.path(plural, "web")

    async def both() -> tuple[dict[str, Any], dict[str, Any]]:
        """Of one moment: its own controller may write in between."""
        for _ in range(50):
            one, scale, two = [await world.client.get(each) for each in (path, f"{path}/scale", path)]
            if one.version == two.version:
                return one.body, scale.body
        raise AssertionError("the workload does not come to rest")

    whole, scale = await both()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    for field in ("name", "namespace", "uid", "resourceVersion"):
        assert scale["metadata"][field] == whole["metadata"][field]
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"]["selector"] == "app=web,tier=a"
    changed = await world.client.patch(f"{path}/scale", {"spec": {"replicas": 2}})
    assert (changed.status, changed.body["spec"]) == (200, {"replicas": 2})
    whole, _ = await both()
    assert whole["spec"]["replicas"] == 2
    assert whole["metadata"]["generation"] == made.body["metadata"]["generation"] + 1


async def test_scale_to_zero_is_a_scale_that_does_not_say_so(world: World) -> None:
    await world.make("deployments", workload("Deployment", "web"))
    zero = await world.client.patch(world.path("deployments", "web", "scale"), {"spec": {"replicas": 0}})
    assert (zero.status, zero.body["spec"].get("replicas", 0)) == (200, 0)


async def test_scale_refuses_what_makes_no_sense_and_what_is_stale(world: World) -> None:
    old = (await world.make("deployments", workload("Deployment", "web"))).version
    path = world.path("deployments", "web", "scale")
    await world.client.patch(world.path("deployments", "web"), {"metadata": {"labels": {"a": "b"}}})
    refused(await world.client.patch(path, {"spec": {"replicas": -2}}), 422, "Invalid")
    refused(await world.client.patch(path, {"spec": {"replicas": "two"}}), 422, "Invalid")
    refused(await world.client.patch(path, {"spec": {"replicas": 2}}, "application/json"), 415, "UnsupportedMediaType")
    stale = {"metadata": {"resourceVersion": old}, "spec": {"replicas": 2}}
    refused(await world.client.patch(path, stale), 409, "Conflict")
    document = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 2}}
    named = {"name": "web", "namespace": world.namespace}
    stale = {**document, "metadata": {**named, "resourceVersion": old}}
    refused(await world.client.put(path, stale), 409, "Conflict")
    refused(await world.client.put(path, {**document, "metadata": {"name": "web"}}), 422, "Invalid")
    assert (await world.client.put(path, {**document, "metadata": named})).body["spec"] == {"replicas": 2}
    for each in ("get", "patch"):
        ask = getattr(world.client, each)
        words = [{"spec": {"replicas": 1}}] if each == "patch" else []
        refused(await ask(world.path("deployments", "nope", "scale"), *words), 404, "NotFound")


# 7: Pods


async def test_a_pod_leaves_gracefully_and_its_replacement_comes_before_it_is_gone(world: World) -> None:
    await world.make("pods", pod("old", app="x"))
    await world.make_running("old")
    listed = await world.client.get(world.path("pods"))
    now = datetime.now(UTC)  # noqa: TID251 - it is compared with the server's
    asked = await world.client.delete(world.path("pods", "old"))
    assert asked.status == 200
    assert asked.body["metadata"]["deletionGracePeriodSeconds"] == 30
    await world.make("pods", pod("new", app="x"))
    if world.fake is not None:
        world.fake.finish("old", world.namespace)
    async with world.client.watch(world.path("pods"), resourceVersion=listed.version) as watch:
        lines: list[Line] = []
        while not lines or lines[-1].type != "DELETED":
            line = await watch.next()
            assert line is not None
            lines.append(line)
    first, last, gone = lines[0], lines[-2], lines[-1]
    assert (first.type, first.name, gone.name) == ("MODIFIED", "old", "old")
    assert ("ADDED", "new") in [(line.type, line.name) for line in lines[1:-1]]
    # A time to come: when its grace period ends. The kubelet's last word sets that to now.
    assert datetime.fromisoformat(first.object["metadata"]["deletionTimestamp"]) > now + timedelta(seconds=20)
    for line in (last, gone):
        assert datetime.fromisoformat(line.object["metadata"]["deletionTimestamp"]) < now + timedelta(seconds=20)
        assert line.object["metadata"]["deletionGracePeriodSeconds"] == 0
    assert gone.version > last.version
    assert gone.object["metadata"]["uid"] == asked.body["metadata"]["uid"]


async def test_a_pod_that_is_killed_is_gone_at_once_and_yet_seen_to_leave(world: World) -> None:
    await world.make("pods", pod("a"))
    await world.make_running("a")
    listed = await world.client.get(world.path("pods"))
    await world.client.delete(world.path("pods", "a"), gracePeriodSeconds=0)
    refused(await world.client.get(world.path("pods", "a")), 404, "NotFound")
    async with world.client.watch(world.path("pods"), resourceVersion=listed.version, timeoutSeconds="1") as watch:
        lines = await watch.rest()
    assert [line.type for line in lines] == ["MODIFIED", "DELETED"]
    assert all(line.object["metadata"]["deletionTimestamp"] for line in lines)


async def test_annotations_of_a_pod_are_patched_through_its_status_too_and_its_image_is_not(world: World) -> None:
    made = (await world.make("pods", pod("a"))).body
    path, cost = world.path("pods", "a", "status"), "controller.kubernetes.io/pod-deletion-cost"
    change = {"uid": made["metadata"]["uid"], "annotations": {cost: "-7"}}
    patched = await world.client.patch(path, {"metadata": change, "spec": {"containers": []}})
    assert patched.body["metadata"]["annotations"][cost] == "-7"
    assert patched.body["spec"]["containers"][0]["image"] == made["spec"]["containers"][0]["image"]
    away = await world.client.patch(path, {"metadata": {**change, "annotations": {cost: None}}})
    assert cost not in away.body["metadata"]["annotations"]
    late = await world.client.patch(path, {"metadata": {**change, "uid": "another"}})
    assert late.status in (409, 422)  # 1.20 takes it for a change of the uid


@pytest.mark.parametrize("form", ["application/merge-patch+json", STRATEGIC])
async def test_annotations_of_a_pod_are_patched_and_its_status_is_not(world: World, form: str) -> None:
    await world.make("pods", pod("a"))
    await world.make_running("a")
    patch = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "7"}}}
    patched = await world.client.patch(world.path("pods", "a"), patch, form)
    assert patched.status == 200
    annotations = patched.body["metadata"]["annotations"]
    assert annotations["controller.kubernetes.io/pod-deletion-cost"] == "7"
    assert len(annotations) == 2
    same = await world.client.patch(world.path("pods", "a"), {"status": {"phase": "Failed"}})
    assert same.body["status"]["phase"] == "Running"
    assert same.version == patched.version


async def test_a_status_patch_changes_the_status_alone(world: World) -> None:
    await world.make("pods", pod("a"))
    await world.make_running("a")
    patch = {"spec": {"terminationGracePeriodSeconds": 5}, "status": {"message": "said"}}
    changed = (await world.client.patch(world.path("pods", "a", "status"), patch)).body
    assert changed["status"]["message"] == "said"
    assert changed["status"]["podIP"] == "10.1.2.3"
    assert changed["spec"]["terminationGracePeriodSeconds"] == 30


async def test_a_deletion_may_name_the_object_it_means(world: World) -> None:
    made = await world.make("leases", lease("x"))
    path = world.path("leases", "x")
    refused(await world.client.delete(path, preconditions={"uid": "another"}), 409, "Conflict")
    refused(await world.client.delete(path, preconditions={"resourceVersion": "1"}), 409, "Conflict")
    uid = made.body["metadata"]["uid"]
    assert (await world.client.delete(path, preconditions={"uid": uid})).body["status"] == "Success"
    refused(await world.client.delete(path), 404, "NotFound")


async def test_the_same_name_again_is_another_object(world: World) -> None:
    uids = set()
    for _ in range(2):
        await world.make_customs("a")
        uids.add((await world.client.get(f"{world.customs}/a")).body["metadata"]["uid"])
        await world.client.delete(f"{world.customs}/a")
    assert len(uids) == 2


# Custom resources


async def test_a_custom_resource_and_its_status_are_written_apart(world: World) -> None:
    made = await world.client.post(world.customs, world.custom("a", status={"ready": 9}))
    assert "status" not in made.body
    path = f"{world.customs}/a"
    assert "status" not in (await world.client.patch(path, {"status": {"ready": 8}})).body
    said = await world.client.patch(
        f"{path}/status", {"metadata": {"labels": {"x": "y"}}, "spec": {"size": 7}, "status": {"ready": 1}}
    )
    assert (said.status, said.body["spec"], said.body["status"]) == (200, {"size": 1}, {"ready": 1})
    assert "labels" not in said.body["metadata"]
    changed = (await world.client.patch(path, {"spec": {"size": 2}, "status": {"ready": 5}})).body
    assert (changed["spec"], changed["status"]) == ({"size": 2}, {"ready": 1})


async def test_a_generation_counts_changes_of_the_spec(world: World) -> None:
    path = f"{world.customs}/a"
    made = await world.client.post(world.customs, world.custom("a", metadata={"name": "a", "generation": 7}))
    generations = [made.body["metadata"]["generation"]]
    for where, patch in (
        (path, {"metadata": {"labels": {"x": "y"}}}),
        (f"{path}/status", {"status": {"ready": 1}}),
        (path, {"spec": {"size": 2}}),
        (path, {"spec": {"size": 2}}),
    ):
        generations.append((await world.client.patch(where, patch)).body["metadata"]["generation"])
    assert generations == [1, 1, 1, 2, 2]


async def test_a_status_is_written_at_the_version_that_was_read(world: World) -> None:
    made = await world.client.post(world.customs, world.custom("a"))
    path = f"{world.customs}/a/status"
    body = {**made.body, "status": {"ready": 1}}
    assert (await world.client.put(path, body)).status == 200
    refused(await world.client.put(path, {**body, "status": {"ready": 2}}), 409, "Conflict")
    stale = {"metadata": {"resourceVersion": made.version}, "status": {"ready": 3}}
    refused(await world.client.patch(path, stale), 409, "Conflict")
    refused(await world.client.put(path, world.custom("a", status={"ready": 4})), 422, "Invalid")
    refused(await world.client.patch(path, {"status": {}}, STRATEGIC), 415, "UnsupportedMediaType")
    refused(await world.client.patch(f"{world.customs}/nope/status", {"status": {}}), 404, "NotFound")
    null = await world.client.patch(path, {"status": {"ready": None, "more": {"a": [1, 2]}}})
    assert null.body["status"] == {"more": {"a": [1, 2]}}


# Secrets, Events, autoscalers


async def test_a_secret_is_kept_coded_and_keeps_its_type(world: World) -> None:
    made = await world.make("secrets", secret("keys", primaryKey="a"))
    assert made.body["data"] == {"primaryKey": "YQ=="}
    assert "stringData" not in made.body
    refused(await world.client.post(world.path("secrets"), secret("keys")), 409, "AlreadyExists")
    path = world.path("secrets", "keys")
    rotated = await world.client.patch(path, {"data": {"secondaryKey": "Yg=="}})
    assert rotated.body["data"] == {"primaryKey": "YQ==", "secondaryKey": "Yg=="}
    refused(await world.client.patch(path, {"type": "Opaque"}), 422, "Invalid")
    refused(await world.client.put(path, {**made.body, "data": {"primaryKey": "#"}}), 400, "BadRequest")


async def test_an_event_is_of_the_namespace_of_what_it_is_about(world: World) -> None:
    times = {"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1}
    made = await world.make("events", event("e", world.namespace, "iris", **times))
    assert made.body["count"] == 1
    astray = {
        **event("f", world.namespace, "iris"),
        "involvedObject": {"kind": "Pod", "namespace": "other", "name": "x"},
    }
    refused(await world.client.post(world.path("events"), astray), 422, "Invalid")
    late = event("g", world.namespace, "iris", firstTimestamp="soon")
    refused(await world.client.post(world.path("events"), late), 400, "BadRequest")


async def test_an_event_with_a_micro_time_says_who_did_what(world: World) -> None:
    new = event("e", world.namespace, "iris", eventTime=TIME)
    refused(await world.client.post(world.path("events"), new), 422, "Invalid")
    who = {"reportingComponent": "scoregate.io/autoscaler", "reportingInstance": "a", "action": "Look"}
    await world.make("events", {**new, **who})
    bad = event("f", world.namespace, "iris", eventTime="2026-01-01T00:00:00Z", **who)
    refused(await world.client.post(world.path("events"), bad), 400, "BadRequest")


async def test_an_autoscaler_names_what_it_scales(world: World) -> None:
    await world.make("horizontalpodautoscalers", autoscaler("h", "Deployment", "web"))
    (item,) = (await world.client.get(world.path("horizontalpodautoscalers"))).body["items"]
    assert item["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    assert (item["spec"]["minReplicas"], item["spec"]["maxReplicas"]) == (1, 3)
    bad = autoscaler("h2", "Deployment", "web")
    bad["spec"]["maxReplicas"] = 0
    refused(await world.client.post(world.path("horizontalpodautoscalers"), bad), 422, "Invalid")


# 8: refusals


async def test_who_is_not_known_is_401_and_who_may_not_is_403(world: World) -> None:
    async with PlainClient(world.kubeconfig, token="wrong") as stranger:
        refused(await stranger.get("/api/v1/pods"), 401, "Unauthorized")
    async with PlainClient(world.kubeconfig, anonymous=True) as nobody:
        refused(await nobody.get("/api/v1/pods"), 403, "Forbidden")
        refused(await nobody.get("/api/v1/pods", watch="1"), 403, "Forbidden")


async def test_what_is_not_there_is_404(world: World) -> None:
    refused(await world.client.get(world.path("pods", "nope")), 404, "NotFound")
    refused(await world.client.patch(world.path("leases", "nope"), {"spec": {}}), 404, "NotFound")
    refused(await world.client.get("/apis/apps/v1/nothings"), 404, "NotFound")
    nowhere = world.path("leases").replace(world.namespace, "nowhere")
    refused(await world.client.post(nowhere, lease("x")), 404, "NotFound")
    assert (await world.client.get(nowhere)).body["items"] == []


async def test_an_api_group_that_is_not_installed_is_404_without_a_status(world: World) -> None:
    for query in ({}, {"watch": "1"}):
        reply = await world.client.get("/apis/nobody.scoregate.io/v1/nothings", **query)
        assert (reply.status, reply.text.strip()) == (404, "404 page not found")


async def test_requests_that_cannot_be_meant_are_refused(world: World) -> None:
    leases = world.path("leases")
    refused(await world.client.ask("POST", leases, "nonsense"), 400, "BadRequest")
    refused(await world.client.post(leases, lease("x", "elsewhere")), 400, "BadRequest")
    refused(await world.client.post(leases, {**lease("x"), "metadata": {}}), 422, "Invalid")
    await world.make("leases", lease("x"))
    refused(await world.client.put(world.path("leases", "x"), lease("y")), 400, "BadRequest")
    refused(await world.client.post(world.path("leases", "x"), lease("x")), 405, "MethodNotAllowed")


async def test_a_name_can_be_made_up_by_the_server(world: World) -> None:
    made = [await world.make("leases", {**lease("x"), "metadata": {"generateName": "g-"}}) for _ in range(2)]
    first, second = (reply.body["metadata"]["name"] for reply in made)
    assert first.startswith("g-")
    assert first != second
