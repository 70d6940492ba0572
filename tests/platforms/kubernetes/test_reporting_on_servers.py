"""Does `kubectl` show what was reported?

The Reporter on API servers: the fake one, and a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from router.platforms import ClusterSettings
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.cluster import Cluster as Picture
from router.platforms.kubernetes.objects import EndpointObject
from router.platforms.kubernetes.schema import definition
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.reported import StubCluster, account, reporting

SPEC = {"traffic": {"blue": 100}, "deployments": [{"name": "blue", "workload": {"kind": "Deployment", "name": "b"}}]}
IRIS = {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint", "metadata": {"name": "iris"}, "spec": SPEC}


async def learn(api: Api, picture: Picture, namespace: str) -> dict[str, Any]:
    """What a watch would bring of iris."""
    answer = await api.read(f"/apis/scoregate.io/v1/namespaces/{namespace}/inferenceendpoints/iris")
    picture.endpoint(f"{namespace}/iris", msgspec.json.decode(answer, type=EndpointObject))
    return dict(json.loads(answer))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it looks at another process
            await asyncio.sleep(0.05)


async def test_on_the_fake_it_writes_status_an_event_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        server.put("inferenceendpoints", IRIS, "models")
        async with await Api.open() as api:
            picture = Picture(ClusterSettings())
            await learn(api, picture, "models")
            async with reporting(api, picture):
                await until(lambda: bool(server.items("events")) and bool(server.items("secrets")))
        stored = server.get("inferenceendpoints", "iris", "models")
        assert stored is not None
        assert stored["status"]["replicas"] == "0/0"
        assert stored["spec"] == SPEC
        assert server.items("secrets")[0]["type"] == "scoregate.io/keys"
        assert server.items("events")[0]["reason"] == "WorkloadMissing"


async def test_on_a_real_api_server_kubectl_shows_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with contextlib.suppress(AssertionError):  # somebody else has applied it
        cluster.kubectl("create", "-f", "-", text=json.dumps(definition()))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/inferenceendpoints.scoregate.io")
    with cluster.namespace("e-report") as namespace:
        cluster.apply(IRIS, namespace=namespace)
        async with await Api.open() as api:
            picture = Picture(ClusterSettings())
            before = await learn(api, picture, namespace)
            async with reporting(api, picture):
                events = f"/api/v1/namespaces/{namespace}/events"
                async with asyncio.timeout(20):
                    while not json.loads(await api.read(events))["items"]:  # noqa: ASYNC110 - it looks at another process
                        await asyncio.sleep(0.1)
                written = await learn(api, picture, namespace)
                await asyncio.sleep(2)  # would write again, if what was written did not come back as it was
                after = await learn(api, picture, namespace)
        assert (
            before["metadata"]["generation"] == after["metadata"]["generation"] == after["status"]["observedGeneration"]
        )
        assert written["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        assert written["status"]["urlPath"] == "/api/v1/endpoint/iris/score"
        shown = cluster.kubectl("--namespace", namespace, "describe", "inferenceendpoint", "iris")
        assert "Warning  WorkloadMissing" in shown
        assert "scoregate  blue: there is no Deployment b in namespace" in shown
        (secret,) = cluster.get("secrets", "--field-selector", "type=scoregate.io/keys", namespace=namespace)["items"]
        assert secret["metadata"]["ownerReferences"][0]["uid"] == after["metadata"]["uid"]
        cluster.kubectl("--namespace", namespace, "delete", "inferenceendpoint", "iris")


async def test_on_a_real_api_server_the_status_of_a_removed_object_is_no_error(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    gone = StubCluster(account(namespace="default"))
    async with await Api.open() as api, reporting(api, gone):
        await asyncio.sleep(1)
    assert caplog.records == []
