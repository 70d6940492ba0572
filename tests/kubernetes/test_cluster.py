"""Does a test get a real cluster that it can use and break, or hear why not?"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.kubernetes import cluster as module
from tests.kubernetes.cluster import Cluster, free_network, free_ports, missing, unpack
from tests.kubernetes.documents import lease
from tests.kubernetes.plain import PlainClient


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)
    assert "../shared/kubernetes is not there" in missing()
    (tmp_path / "up").touch()
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("xz", "ip") else name)
    assert missing().endswith("without xz, ip")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "by root only" in missing()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert missing() == ""


def test_ports_come_in_pairs_that_are_apart() -> None:
    ports = free_ports(3)
    assert len({port + more for port in ports for more in (0, 1)}) == 6


def test_a_network_that_a_route_leads_to_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = "default via 10.0.0.1 dev eth0\nlocal 10.244.0.0/15 dev lo table local\n10.246.3.0/24 dev lo\n::1 dev lo\n"
    done = subprocess.CompletedProcess([], 0, stdout=routes)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    monkeypatch.setattr("os.getpid", lambda: 0)
    assert str(free_network()) == "10.246.16.0/20"


def test_programs_are_unpacked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("xz") is None:
        pytest.skip("xz is not here")
    (tmp_path / "bin").mkdir()
    packed = subprocess.run(["xz", "-c"], input=b"#!/bin/sh\necho yes\n", check=True, capture_output=True).stdout
    (tmp_path / "bin" / "etcd.xz").write_bytes(packed)
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)
    program = tmp_path / "build" / "etcd"
    unpack(program.parent)
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == "yes\n"
    made = program.stat().st_mtime_ns
    unpack(program.parent)
    assert program.stat().st_mtime_ns == made


def test_a_fault_is_repaired_before_the_next_namespace(cluster: Cluster) -> None:
    cluster.needs_faults()
    cluster.fault("pause", "etcd")
    cluster.fault("kill", "apiserver")
    with cluster.namespace() as name:
        assert cluster.get("namespace", name)["status"]["phase"] == "Active"


async def test_a_program_can_be_a_service_account(cluster: Cluster, tmp_path: Path) -> None:  # house: Kubernetes' word
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": "leader"}
    with cluster.namespace() as name:
        cluster.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "leader"}},
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "leader"}, "rules": [rule]},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "leader"},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "leader"},
                "subjects": [{**subject, "namespace": name}],
            },
            namespace=name,
        )
        kubeconfig = cluster.kubeconfig_of("leader", name, tmp_path)
        async with PlainClient(kubeconfig) as client:
            leases = f"/apis/coordination.k8s.io/v1/namespaces/{name}/leases"
            assert (await client.post(leases, lease("x"))).status == 201
            assert (await client.get(leases)).status == 403
    assert kubeconfig.stat().st_mode & 0o077 == 0


def test_processes_of_pods_end_with_their_namespace(cluster: Cluster, tmp_path: Path) -> None:
    """One that outlived its control plane would be there until the machine ends."""
    cluster.needs_faults()
    ended = tmp_path / "ended"
    command = ["bash", "-c", f"trap 'touch {ended}; exit' TERM; while true; do sleep 0.1; done"]
    with cluster.namespace() as namespace:
        metadata = {"name": "runs", "annotations": {"test-kubelet/run": "true"}}
        spec = {"terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "image": "x", "command": command}]}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace=namespace)
        while cluster.get("pod", "runs", namespace=namespace)["status"]["phase"] != "Running":
            time.sleep(0.1)
    assert cluster.until_no_pods("--namespace", namespace)
    assert ended.exists()
