"""own_size.py: the routers' Deployment says its size, and gets the one that a leader wants, and no more."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import pytest

from router.platforms import PlatformError
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.own_size import TRIES, DeploymentSizing, resized, times
from router.platforms.kubernetes.objects import WORKERS
from router.platforms.sizing import RouterSize, RouterStand
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.nouns import unschedulable

HOME, NAME = "scoregate", "scoregate-router"
LABELS = {"app.kubernetes.io/name": "scoregate", "app.kubernetes.io/component": "router"}
ROUTER = {
    "name": "router",
    "image": "scoregate",
    "args": ["router", "--port=8080", "--workers=1"],
    "env": [{"name": "SECRET", "value": "s3cret"}],
    "resources": {"requests": {"cpu": "900m", "memory": "800Mi"}, "limits": {"cpu": "2", "memory": "1200Mi"}},
}
SIDECAR = {"name": "mesh", "image": "mesh", "resources": {"requests": {"cpu": "1"}}}


def deployment(pods: int = 3, workers: str | None = "1", **status: int) -> dict[str, Any]:
    """A rollout that is complete, unless `status` says otherwise."""
    notes = {"team": "ml"} | ({} if workers is None else {WORKERS: workers})
    template = {"metadata": {"labels": LABELS, "annotations": notes}, "spec": {"containers": [ROUTER, SIDECAR]}}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), pods)
    return copy.deepcopy(
        {
            "metadata": {"name": NAME, "generation": 1},
            "spec": {"replicas": pods, "selector": {"matchLabels": LABELS}, "template": template},
            "status": {"observedGeneration": 1, **counts, **status},
        }
    )


def leads() -> bool:
    return True


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        server.create_namespace(HOME)
        yield server


@pytest.fixture
async def api(server: FakeApiServer) -> AsyncIterator[Api]:
    async with await Api.open() as api:
        yield api


def sizing(api: Api, leads: Callable[[], bool] = leads, name: str = NAME) -> DeploymentSizing:
    return DeploymentSizing(api, HOME, name, leads)


def present(server: FakeApiServer) -> dict[str, Any]:
    found = server.get("deployments", NAME, HOME)
    assert found is not None
    return found


def template(server: FakeApiServer) -> dict[str, Any]:
    found: dict[str, Any] = present(server)["spec"]["template"]
    return found


def writes(server: FakeApiServer) -> list[str]:
    return [asked.path for asked in server.requests if asked.method != "GET"]


# -- how it stands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "workers"), [(None, 1), ("1", 1), ("4", 4)])
async def test_it_says_its_size(server: FakeApiServer, api: Api, said: str | None, workers: int) -> None:
    server.put("deployments", deployment(5, said), HOME)
    assert await sizing(api).stand() == RouterStand(RouterSize(workers=workers, pods=5), has_pods=True)


@pytest.mark.parametrize(
    "status", [{"updatedReplicas": 2}, {"availableReplicas": 2}, {"replicas": 4}, {"observedGeneration": 0}]
)
async def test_a_rollout_under_way_is_not_settled(server: FakeApiServer, api: Api, status: dict[str, int]) -> None:
    server.put("deployments", deployment(**status), HOME)
    stand = await sizing(api).stand()
    assert (stand.is_settled, stand.no_room) == (False, "")


async def test_a_pod_without_a_place_says_why(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(4, availableReplicas=3), HOME)
    for name, labels in (("model", {"app": "iris"}), ("router", LABELS)):
        reason = unschedulable(f"no room for the {name}")
        pod = {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [reason]}}
        server.put("pods", pod, HOME)
    assert (await sizing(api).stand()).no_room == "no room for the router"


@pytest.mark.parametrize(
    ("is_so", "reason", "told"),
    [
        ("True", "FailedCreate", "pods is forbidden: exceeded quota: pods=3"),
        ("False", "FailedCreate", ""),
        ("True", "FailedDelete", ""),
    ],
)
async def test_a_pod_that_cant_be_made_says_why(
    server: FakeApiServer, api: Api, is_so: str, reason: str, told: str
) -> None:
    found = deployment(4, availableReplicas=3)
    message = "pods is forbidden:\nexceeded quota: pods=3"
    failure = {"type": "ReplicaFailure", "status": is_so, "reason": reason, "message": message}
    found["status"]["conditions"] = [{"type": "Available", "status": "True"}, failure]
    server.put("deployments", found, HOME)
    assert (await sizing(api).stand()).no_room == told


async def test_an_autoscaler_of_somebody_else_is_a_conflict(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)

    def put_autoscaler(kind: str, of: str) -> None:
        spec = {"scaleTargetRef": {"kind": kind, "name": of}, "maxReplicas": 9}
        server.put("horizontalpodautoscalers", {"metadata": {"name": f"{kind}-{of}".lower()}, "spec": spec}, HOME)

    put_autoscaler("Deployment", "another")
    put_autoscaler("StatefulSet", NAME)
    assert (await sizing(api).stand()).conflict == ""
    put_autoscaler("Deployment", NAME)
    assert (await sizing(api).stand()).conflict == (
        f"HorizontalPodAutoscaler deployment-{NAME} scales Deployment {NAME} in namespace {HOME}, too"
    )


async def test_a_deployment_that_is_not_there_is_told_with_what_to_do(server: FakeApiServer, api: Api) -> None:
    with pytest.raises(PlatformError, match=r"no Deployment mine in namespace scoregate: say with --router-deployment"):
        await sizing(api, name="mine").stand()
    server.put("deployments", deployment(), HOME)
    server.answer_with(403)
    with pytest.raises(ApiError):
        await sizing(api).stand()


@pytest.mark.parametrize("said", ["0", "65", "-1", "two", "", "²", "1e3", "000199", "10000000000000"])
async def test_a_number_of_workers_that_is_none_is_told(server: FakeApiServer, api: Api, said: str) -> None:
    server.put("deployments", deployment(3, said), HOME)
    with pytest.raises(PlatformError, match=r"says scoregate\.io/workers: .*a number from 1 to 64"):
        await sizing(api).stand()


# -- how it changes ---------------------------------------------------------------------------------------------------


async def test_a_worker_more_has_what_the_others_have(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    await sizing(api).resize(RouterSize(workers=2, pods=3))
    found = template(server)
    assert found["metadata"] == {"labels": LABELS, "annotations": {"team": "ml", WORKERS: "2"}}
    router, sidecar = found["spec"]["containers"]
    assert router == {
        **ROUTER,
        "args": ["router", "--port=8080", "--workers=2"],
        "resources": {"requests": {"cpu": "1800m", "memory": "1600Mi"}, "limits": {"cpu": "4", "memory": "2400Mi"}},
    }
    assert sidecar == SIDECAR
    assert present(server)["spec"]["replicas"] == 3
    assert len(writes(server)) == 1


async def test_up_and_down_again_is_what_it_was(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(workers=None), HOME)
    for workers in (2, 3, 4, 3, 2, 1):
        await sizing(api).resize(RouterSize(workers=workers, pods=3))
    assert template(server)["spec"]["containers"] == [ROUTER, SIDECAR]


async def test_a_container_without_resources_has_none_after_it(server: FakeApiServer, api: Api) -> None:
    bare = deployment()
    bare["spec"]["template"]["spec"]["containers"] = [{"name": "router", "image": "scoregate"}]
    server.put("deployments", bare, HOME)
    await sizing(api).resize(RouterSize(workers=2, pods=3))
    (router,) = template(server)["spec"]["containers"]
    assert router == {"name": "router", "image": "scoregate", "resources": {}}


async def test_a_pod_more_leaves_the_template_alone(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    before = template(server)
    await sizing(api).resize(RouterSize(workers=1, pods=4))
    assert (present(server)["spec"]["replicas"], template(server)) == (4, before)
    assert writes(server) == [f"/apis/apps/v1/namespaces/{HOME}/deployments/{NAME}/scale"]


async def test_the_size_that_it_has_is_not_written_again(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    await sizing(api).resize(RouterSize(workers=1, pods=3))
    assert writes(server) == []


@pytest.mark.parametrize("size", [RouterSize(workers=2, pods=3), RouterSize(workers=1, pods=4)])
async def test_whoever_does_not_lead_writes_nothing(server: FakeApiServer, api: Api, size: RouterSize) -> None:
    server.put("deployments", deployment(), HOME)
    with pytest.raises(PlatformError, match="no longer leads"):
        await sizing(api, lambda: False).resize(size)
    assert writes(server) == []


async def test_what_another_writes_meanwhile_is_not_lost(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    asked: list[bool] = []

    def another_image_comes_first() -> bool:
        asked.append(True)
        if len(asked) == 1:
            newer = [{**ROUTER, "image": "scoregate:2"}, SIDECAR]
            server.patch("deployments", NAME, {"spec": {"template": {"spec": {"containers": newer}}}}, HOME)
        return True

    await sizing(api, another_image_comes_first).resize(RouterSize(workers=2, pods=3))
    router = template(server)["spec"]["containers"][0]
    assert (router["image"], router["resources"]["requests"]["cpu"]) == ("scoregate:2", "1800m")
    assert len(asked) == 2


async def test_what_others_never_stop_writing_is_given_up(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    server.answer_with(409, only=lambda method, path: method == "PATCH")
    with pytest.raises(PlatformError, match=f"in each of {TRIES} tries"):
        await sizing(api).resize(RouterSize(workers=2, pods=3))
    assert len(writes(server)) == TRIES


async def test_no_message_tells_what_is_in_the_template(server: FakeApiServer, api: Api) -> None:
    server.put("deployments", deployment(), HOME)
    server.answer_with(403, only=lambda method, path: method == "PATCH")
    with pytest.raises(ApiError) as refused:
        await sizing(api).resize(RouterSize(workers=2, pods=3))
    assert "s3cret" not in f"{refused.value!r}{refused.value}"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"name": "main"}, "has no container router"),
        ({"name": "router", "resources": {"limits": {"cpu": "much"}}}, "'much' is no quantity"),
    ],
)
async def test_a_template_that_is_no_routers_is_left_alone(
    server: FakeApiServer, api: Api, broken: dict[str, Any], why: str
) -> None:
    odd = deployment()
    odd["spec"]["template"]["spec"]["containers"] = [broken]
    server.put("deployments", odd, HOME)
    with pytest.raises(PlatformError, match=why):
        await sizing(api).resize(RouterSize(workers=2, pods=3))
    assert writes(server) == []


@pytest.mark.parametrize("workers", [0, 65])
def test_there_is_a_port_for_so_many_workers_only(workers: int) -> None:
    with pytest.raises(PlatformError, match="1 to 64"):
        resized(deployment(), workers, "it")


@pytest.mark.parametrize(
    ("quantity", "by", "is_then"),
    [
        ("900m", Fraction(2), "1800m"),
        ("2", Fraction(3, 2), "3"),
        ("1.5Gi", Fraction(2), "3Gi"),
        ("1", Fraction(3, 2), "1.5"),
        ("1", Fraction(1, 3), "0.334"),
        ("1e3", Fraction(2), "2e3"),
        (".5", Fraction(2), "1"),
        ("1E", Fraction(2), "2E"),
        (2, Fraction(2), "4"),
        (0.5, Fraction(2), "1"),
    ],
)
def test_a_quantity_grows_as_kubernetes_writes_it(quantity: object, by: Fraction, is_then: str) -> None:
    assert times(quantity, by) == is_then


@pytest.mark.parametrize("quantity", ["", "m", "-1", "1 Gi", "1.2.3", None, "9" * 5 + "x" * 60])
def test_what_is_no_quantity_is_told_shortly(quantity: object) -> None:
    with pytest.raises(PlatformError, match="is no quantity") as refused:
        times(quantity, Fraction(2))
    assert len(str(refused.value)) < 90
