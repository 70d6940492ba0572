"""leader.py on a real API server: its faults, its Lease, and the rights that it takes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

import router
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.leading.elector import LEASE_S, RENEW_S
from router.platforms.kubernetes.leading.leader import Leader
from tests.kubernetes.cluster import Cluster
from tests.platforms.kubernetes.accounts import account_with

PATIENCE_S = 60.0


@pytest.fixture
def namespace(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with cluster.namespace("leader") as name:
        yield name


def put_released(cluster: Cluster, namespace: str) -> None:
    """So that nobody has to wait for a Lease that is new."""
    spec = {"holderIdentity": "", "leaseDurationSeconds": 1}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "autoscaler"}}
    cluster.apply({**lease, "spec": spec}, namespace=namespace)


async def test_a_real_lease_says_who_leads_and_nobody_once_it_was_released(cluster: Cluster, namespace: str) -> None:
    put_released(cluster, namespace)
    async with await Api.open() as api:
        async with aclosing(Leader(api, namespace, "autoscaler", "one").follow()) as changes:
            assert await anext(changes) is True
            spec = cluster.get("lease", "autoscaler", namespace=namespace)["spec"]
            assert spec["holderIdentity"].startswith("one_")
            assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (LEASE_S, 1)
            renewed = datetime.fromisoformat(spec["renewTime"])
            assert abs((renewed - datetime.now(UTC)).total_seconds()) < 60  # noqa: TID251 - what people read
        spec = cluster.get("lease", "autoscaler", namespace=namespace)["spec"]
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("", 1)


async def test_a_real_lease_is_made_where_there_is_none_and_again_where_it_was_deleted(
    cluster: Cluster, namespace: str
) -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        await Api.open() as api,
        aclosing(Leader(api, namespace, "autoscaler", "one").follow()) as changes,
    ):
        assert [await anext(changes), await anext(changes)] == [False, True]
        deletes_s = time.monotonic()  # kubectl may be long in telling that it has
        await asyncio.to_thread(cluster.kubectl, "--namespace", namespace, "delete", "lease", "autoscaler")
        assert [await anext(changes), await anext(changes)] == [False, True]
        assert time.monotonic() - deletes_s > LEASE_S - 0.5


async def test_a_paused_real_api_server_ends_the_lead_and_so_does_a_killed_one_until_it_is_back(
    cluster: Cluster, namespace: str
) -> None:
    cluster.needs_faults()
    put_released(cluster, namespace)
    async with await Api.open() as api:
        leader = Leader(api, namespace, "autoscaler", "one")
        async with asyncio.timeout(4 * PATIENCE_S), aclosing(leader.follow()) as changes:
            assert await anext(changes) is True
            await asyncio.to_thread(cluster.fault, "pause", "apiserver")
            assert await anext(changes) is False
            await asyncio.to_thread(cluster.fault, "resume", "apiserver")
            assert await anext(changes) is True
            await asyncio.to_thread(cluster.fault, "kill", "apiserver")
            assert await anext(changes) is False
            await asyncio.to_thread(cluster.fault, "start", "apiserver")
            assert await anext(changes) is True


RIGHTS = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]


async def test_get_create_and_update_are_all_the_rights_it_takes_and_a_missing_one_is_named(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account, *role = account_with(RIGHTS)
    cluster.apply(account, namespace=namespace)
    config = cluster.kubeconfig_of("autoscaler", namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(config))
    async with await Api.open() as api, asyncio.timeout(PATIENCE_S):
        async with aclosing(Leader(api, namespace, "autoscaler", "one").follow()) as changes:
            assert await anext(changes) is False
            assert 'cannot get resource "leases"' in caplog.text
            assert namespace in caplog.text
            await asyncio.to_thread(cluster.apply, *role, namespace=namespace)
            assert await anext(changes) is True
        spec = await asyncio.to_thread(cluster.get, "lease", "autoscaler", namespace=namespace)
        assert spec["spec"]["holderIdentity"] == ""


ALONE = """
import asyncio, sys
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.leading.leader import Leader

async def run():
    async with await Api.open() as api:
        async for leads in Leader(api, sys.argv[1], "autoscaler", sys.argv[2]).follow():
            print(leads, flush=True)

asyncio.run(run())
"""


@contextmanager
def in_a_process(namespace: str, identity: str) -> Iterator[subprocess.Popen[str]]:
    """One that prints its words."""
    argv = [sys.executable, "-c", ALONE, namespace, identity]
    folder = Path(router.__file__).parents[1]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


def word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_one_leads_and_the_other_after_its_kill(cluster: Cluster, namespace: str) -> None:
    put_released(cluster, namespace)
    with in_a_process(namespace, "one") as one:
        assert word(one) == "True"
        with in_a_process(namespace, "other") as other:
            assert word(other) == "False"
            time.sleep(2 * RENEW_S)
            one.kill()
            assert word(other) == "True"  # within 10 s: test_elector.py, on virtual time
            assert cluster.get("lease", "autoscaler", namespace=namespace)["spec"]["holderIdentity"].startswith(
                "other_"
            )
