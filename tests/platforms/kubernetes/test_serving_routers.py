"""The platform of a router, before the fake API server: it sees the others, and goes on where it may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.core.model import Instance
from router.platforms import ClusterSettings, Worker, open_platform
from router.platforms.kubernetes import KubernetesPlatform
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer
from tests.models import until as eventually

LABELS = {"app.kubernetes.io/name": "scoregate", "app.kubernetes.io/component": "router"}
BLUE = {"name": "blue", "workload": {"kind": "Deployment", "name": "iris-blue"}}
STATE = Path("/s")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        server.create_namespace("home")
        yield server


def start_router(server: FakeApiServer, name: str, ip: str, *, ready: bool = True, **annotations: str) -> None:
    pod = documents.pod(name, "home", **LABELS)
    server.put("pods", {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}, "home")
    server.make_ready(name, "home", ip, ready)


@asynccontextmanager
async def opened(pod: str = "one", number: int = 0, **more: Any) -> AsyncIterator[KubernetesPlatform]:
    settings = ClusterSettings(("default",), home="home", pod=pod)
    async with KubernetesPlatform(settings, Worker(number, STATE), **more) as platform:
        yield platform


async def test_a_router_sees_the_others_and_itself_and_its_first_snapshot_has_them(server: FakeApiServer) -> None:
    start_router(server, "one", "10.0.0.1", **{"scoregate.io/workers": "2"})
    start_router(server, "two", "10.0.0.2", ready=False)
    async with opened(number=1) as platform:
        await platform.known()
        one_0, one_1, two = sorted(platform.snapshot.instances, key=lambda each: each.peer)
        assert (one_0.peer, one_0.socket) == ("https://10.0.0.1:9002", "/s/peers/0.sock")
        assert one_1 == Instance(
            id=platform.own_instance,
            admin="http://10.0.0.1:9001",
            peer="https://10.0.0.1:9003",
            socket="/s/peers/1.sock",
        )
        assert (two.peer, two.serves, two.socket) == ("https://10.0.0.2:9002", False, "")
        server.make_ready("two", "home", "10.0.0.2")
        await eventually(lambda: all(each.serves for each in platform.snapshot.instances))
        server.delete("pods", "two", "home")
        await eventually(lambda: not all(each.serves for each in platform.snapshot.instances))
        server.finish("two", "home")
        await eventually(lambda: len(platform.snapshot.instances) == 2)


async def test_a_new_number_of_workers_is_seen(server: FakeApiServer) -> None:
    start_router(server, "one", "10.0.0.1")
    async with opened() as platform:
        await platform.known()
        for workers in ("3", "1"):
            server.patch("pods", "one", {"metadata": {"annotations": {"scoregate.io/workers": workers}}}, "home")
            await eventually(lambda workers=workers: len(platform.snapshot.instances) == int(workers))


async def test_a_router_that_may_not_see_the_others_serves_alone_and_says_so(server: FakeApiServer) -> None:
    server.put("inferenceendpoints", documents.endpoint("iris", deployments=[BLUE]))
    start_router(server, "one", "10.0.0.1")
    server.answer_with(403, only=lambda method, path: "/namespaces/home/pods" in path)
    async with opened() as platform:
        await platform.known()
        assert [each.name for each in platform.snapshot.endpoints] == ["iris"]
        assert (platform.snapshot.instances, platform.own_instance) == ((), "")
        assert platform.standing().reason.startswith("pods in home: the API server answers 403")
        server.recover()
        await eventually(lambda: len(platform.snapshot.instances) == 1)
        assert platform.own_instance == platform.snapshot.instances[0].id
        await eventually(lambda: platform.standing().reason == "")


async def test_who_scales_waits_for_the_routers(server: FakeApiServer) -> None:
    """Without them it would take a busy deployment for an idle one."""
    start_router(server, "one", "10.0.0.1")
    server.answer_with(403, only=lambda method, path: "/namespaces/home/pods" in path)
    settings = ClusterSettings(("default",), home="home")
    async with KubernetesPlatform(settings, scaling=True) as platform:
        await eventually(lambda: "pods in home" in platform.standing().reason)
        await eventually(lambda: platform.standing().reason.endswith("waiting for the first list of pods in home"))
        server.recover()
        await platform.known()
        assert [each.admin for each in platform.snapshot.instances] == ["http://10.0.0.1:9001"]
        assert platform.own_instance == ""


async def test_its_own_pod_has_the_name_of_the_host_unless_told(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "two")
    for name, ip in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
        start_router(server, name, ip)
    for pod, ip in (("", "10.0.0.2"), ("one", "10.0.0.1")):
        settings = ClusterSettings(("default",), home="home", pod=pod)
        platform = open_platform("kubernetes", file=None, state_dir=tmp_path, cluster=settings, worker=0)
        assert isinstance(platform, KubernetesPlatform)
        async with platform:
            await platform.known()
            (own,) = (each for each in platform.snapshot.instances if each.id == platform.own_instance)
            assert own.peer == f"https://{ip}:9002"
