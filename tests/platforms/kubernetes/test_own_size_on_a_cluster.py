"""own_size.py on a real API server: rollouts are seen, templates are patched, and the rights that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.own_size import DeploymentSizing
from router.platforms.kubernetes.objects import WORKERS
from router.platforms.sizing import RouterSize
from tests.kubernetes.cluster import Cluster
from tests.platforms.kubernetes.accounts import account_with
from tests.platforms.kubernetes.test_own_size import NAME, deployment, leads

PATIENCE_S = 60.0
RIGHTS = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [NAME], "verbs": ["get", "patch"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": [NAME], "verbs": ["get", "patch"]},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


@pytest.fixture
def home(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with cluster.namespace("own-size") as name:
        given = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment(2)}
        del given["status"]
        cluster.apply(given, *account_with(RIGHTS), namespace=name)
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig_of("autoscaler", name, tmp_path)))
        yield name


async def test_with_no_more_than_its_rights_the_routers_are_resized(cluster: Cluster, home: str) -> None:
    async with await Api.open() as api:
        sizing = DeploymentSizing(api, home, NAME, leads)
        assert (await sizing.stand()).size == RouterSize(workers=1, pods=2)
        await sizing.resize(RouterSize(workers=2, pods=2))
        assert not (await sizing.stand()).is_settled
        await sizing.resize(RouterSize(workers=2, pods=3))
        stand = await sizing.stand()
        assert (stand.size, stand.conflict) == (RouterSize(workers=2, pods=3), "")
        found = cluster.get("deployment", NAME, namespace=home)["spec"]
        assert found["template"]["metadata"]["annotations"] == {"team": "ml", WORKERS: "2"}
        router, sidecar = found["template"]["spec"]["containers"]
        assert router["resources"]["requests"] == {"cpu": "1800m", "memory": "1600Mi"}
        assert (router["image"], router["env"]) == ("scoregate", [{"name": "SECRET", "value": "s3cret"}])
        assert sidecar["resources"] == {"requests": {"cpu": "1"}}
        with pytest.raises(ApiError, match=r"cannot get"):
            await DeploymentSizing(api, home, "another", leads).stand()


async def test_a_complete_rollout_is_seen(cluster: Cluster, home: str) -> None:
    async with await Api.open() as api:
        sizing = DeploymentSizing(api, home, NAME, leads)
        async with asyncio.timeout(PATIENCE_S):
            while not (await sizing.stand()).is_settled:  # noqa: ASYNC110 - it asks a server
                await asyncio.sleep(0.5)
        assert (await sizing.stand()).no_room == ""
