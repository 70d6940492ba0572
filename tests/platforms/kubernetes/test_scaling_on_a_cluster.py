"""scaling.py on a real API server: what is written, what is refused, and the rights that it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from router.core.model import Pods
from router.platforms import PlatformError
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.leading.scaling import FIRST_COST, order_leaving, scale
from router.platforms.kubernetes.objects import DELETION_COST
from tests.kubernetes.cluster import Cluster
from tests.platforms.kubernetes.accounts import account_with

PATIENCE_S = 20.0


class PodRead(NamedTuple):
    uid: str
    name: str
    namespace: str
    annotations: dict[str, str]
    ready: bool = True
    leaving: bool = False


@pytest.fixture
def namespace(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with cluster.namespace("scaling") as name:
        yield name


def workload(kind: str, count: int) -> dict[str, Any]:
    labels = {"app": "iris"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "model", "image": "model"}]}}
    named = {"serviceName": "iris"} if kind == "StatefulSet" else {}
    spec = {"replicas": count, "selector": {"matchLabels": labels}, "template": template, **named}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "iris-blue"}, "spec": spec}


def pods_of(cluster: Cluster, namespace: str) -> list[PodRead]:
    return [
        PodRead(each["uid"], each["name"], namespace, each.get("annotations", {}))
        for each in (item["metadata"] for item in cluster.get("pods", namespace=namespace)["items"])
    ]


async def until_there(count: int, cluster: Cluster, namespace: str) -> list[PodRead]:
    async with asyncio.timeout(PATIENCE_S):
        while len(pods := pods_of(cluster, namespace)) < count:  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(0.1)
    return pods


def leads() -> bool:
    return True


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_a_real_workload_is_scaled_up_and_down_and_to_nothing(
    cluster: Cluster, namespace: str, kind: str
) -> None:
    cluster.apply(workload(kind, 1), namespace=namespace)
    iris = Pods(namespace=namespace, kind=cast(Any, kind), name="iris-blue")
    async with await Api.open() as api:
        for count in (4, 2, 0, 1):
            await scale(api, iris, count, leads=leads)
            assert cluster.get(kind, "iris-blue", namespace=namespace)["spec"]["replicas"] == count


async def test_a_real_workload_that_another_scaled_meanwhile_is_not_scaled_by_who_came_too_late(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(workload("Deployment", 1), namespace=namespace)
    answers = iter([True])

    def another_scales_first() -> bool:
        cluster.kubectl("--namespace", namespace, "scale", "deployment", "iris-blue", "--replicas", "3")
        return next(answers, False)

    iris = Pods(namespace=namespace, kind="Deployment", name="iris-blue")
    async with await Api.open() as api:
        with pytest.raises(PlatformError, match="no longer leads"):
            await scale(api, iris, 5, leads=another_scales_first)
    assert cluster.get("deployment", "iris-blue", namespace=namespace)["spec"]["replicas"] == 3


async def test_real_pods_carry_the_order_and_lose_it_again(cluster: Cluster, namespace: str) -> None:
    cluster.apply(workload("Deployment", 3), namespace=namespace)
    iris = Pods(namespace=namespace, kind="Deployment", name="iris-blue")
    pods = await until_there(3, cluster, namespace)
    first, second, third = (pod.uid for pod in pods)
    async with await Api.open() as api:
        await order_leaving(api, iris, pods, [second, first], 2, leads=leads)
        costs = {pod.uid: pod.annotations.get(DELETION_COST) for pod in pods_of(cluster, namespace)}
        assert costs == {second: str(FIRST_COST), first: str(FIRST_COST + 1), third: None}
        await order_leaving(api, iris, pods_of(cluster, namespace), [third], 1, leads=leads)
        costs = {pod.uid: pod.annotations.get(DELETION_COST) for pod in pods_of(cluster, namespace)}
        assert costs == {second: None, first: None, third: str(FIRST_COST)}
        impostor = [pods[0]._replace(uid="00000000-0000-0000-0000-000000000000")]
        await order_leaving(api, iris, impostor, [impostor[0].uid], 1, leads=leads)
    assert pods_of(cluster, namespace)[0].annotations.get(DELETION_COST) is None


RIGHTS = [
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
]


async def test_to_get_and_patch_scales_and_to_patch_pods_are_all_the_rights_it_takes(
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster.apply(workload("Deployment", 2), *account_with(RIGHTS), namespace=namespace)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig_of("autoscaler", namespace, tmp_path)))
    pods = await until_there(2, cluster, namespace)
    iris = Pods(namespace=namespace, kind="Deployment", name="iris-blue")
    async with await Api.open() as api:
        caplog.set_level(logging.WARNING, "scoregate.platform")
        await order_leaving(api, iris, pods, [pods[0].uid], 1, leads=leads)
        assert caplog.text == ""
        await scale(api, iris, 1, leads=leads)
    assert cluster.get("deployment", "iris-blue", namespace=namespace)["spec"]["replicas"] == 1
