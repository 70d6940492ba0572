"""The platform as a whole, before the fake API server: what it tells, what it writes, and what it survives."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from router.core.model import Replica, Snapshot
from router.platforms import ClusterSettings, PlatformError
from router.platforms import kubernetes as module
from router.platforms.kubernetes import LEASE, KubernetesPlatform
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer
from tests.models import until as eventually

PATIENCE_S = 20.0
SCALED = {"scaleSettings": {"minInstances": 1, "maxInstances": 4}}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        yield server


def declare(server: FakeApiServer, name: str = "iris", namespace: str = "default", **deployment: Any) -> None:
    """An endpoint with one deployment `blue` of the workload `<name>-blue`, and that."""
    workload = {"kind": "Deployment", "name": f"{name}-blue"}
    spec = {"deployments": [{"name": "blue", "workload": workload, **deployment}]}
    server.put("deployments", documents.workload("Deployment", f"{name}-blue", namespace, 1), namespace)
    server.put("inferenceendpoints", documents.endpoint(name, namespace, **spec), namespace)


def start(server: FakeApiServer, pod: str, name: str = "iris", namespace: str = "default") -> None:
    """A Pod of that workload, ready."""
    server.put("pods", documents.pod(pod, namespace, app=f"{name}-blue"), namespace)
    server.make_ready(pod, namespace)


@asynccontextmanager
async def opened(*namespaces: str, scaling: bool = False, **settings: Any) -> AsyncIterator[KubernetesPlatform]:
    async with KubernetesPlatform(ClusterSettings(namespaces, **settings), scaling=scaling) as platform:
        yield platform


async def until(platform: KubernetesPlatform, holds: Callable[[Snapshot], object]) -> Snapshot:
    async with asyncio.timeout(PATIENCE_S), aclosing(platform.watch()) as watch:  # type: ignore[type-var]
        async for snapshot in watch:
            if holds(snapshot):
                return snapshot
    raise AssertionError("a watch never ends by itself")


def ready(snapshot: Snapshot) -> list[Replica]:
    return [each for each in snapshot.replicas if each.ready]


def names(snapshot: Snapshot) -> list[str]:
    return [endpoint.name for endpoint in snapshot.endpoints]


# -- what it tells -----------------------------------------------------------------------------------------------


async def test_an_endpoint_its_keys_and_its_pods_are_told(server: FakeApiServer) -> None:
    declare(server, requestSettings={"requestTimeoutMs": 7_000})
    start(server, "one")
    secret = {"primaryKey": "0123456789abcdef", "secondaryKey": "fedcba9876543210"}
    server.put("secrets", documents.secret("iris-keys", **secret))
    async with opened() as platform:
        snapshot = await until(platform, ready)
        (endpoint,) = snapshot.endpoints
        assert (endpoint.name, endpoint.deployments[0].request.request_timeout_ms) == ("iris", 7_000)
        assert endpoint.keys is not None
        (replica,) = snapshot.replicas
        uid = server.items("pods")[0]["metadata"]["uid"]
        assert (replica.uid, replica.deployment, replica.host) == (uid, "iris/blue", "127.0.0.1")
        assert snapshot.wished == {"iris/blue": 1}


async def test_a_pod_is_told_the_moment_it_is_ready_and_the_moment_it_leaves(server: FakeApiServer) -> None:
    declare(server)
    async with opened() as platform:
        await until(platform, names)
        start(server, "one")
        await until(platform, ready)
        server.delete("pods", "one", grace_s=30)
        snapshot = await until(platform, lambda seen: not ready(seen))
        assert [each.leaving for each in snapshot.replicas] == [True]
        server.finish("one")
        await until(platform, lambda seen: not seen.replicas)


async def test_an_empty_cluster_is_told_too(server: FakeApiServer) -> None:
    async with opened() as platform:
        assert await until(platform, lambda seen: True) == Snapshot()


async def test_half_a_picture_is_never_told(server: FakeApiServer) -> None:
    declare(server)
    start(server, "one")
    server.answer_with(500, only=lambda method, path: "/secrets" in path)
    async with opened() as platform:
        watching = asyncio.ensure_future(until(platform, lambda seen: True))
        await eventually(lambda: "secrets" in platform.standing().reason)
        await asyncio.sleep(0.5)
        assert not watching.done()
        server.recover()
        assert ready(await watching)


async def test_the_named_namespaces_are_told_and_no_other(server: FakeApiServer) -> None:
    for namespace in ("a", "b", "c"):
        server.create_namespace(namespace)
        declare(server, f"iris-{namespace}", namespace)
    async with opened("a", "b", home="a") as platform:
        assert names(await until(platform, lambda seen: len(names(seen)) == 2)) == ["iris-a", "iris-b"]
    paths = {asked.path for asked in server.requests}
    assert all("/namespaces/a/" in path or "/namespaces/b/" in path for path in paths)


async def test_v1_workloads_are_served_where_no_resource_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"isazuremlapp": "true", "azuremlappname": "iris", "webservicename": "iris"}
    async with FakeApiServer(installed=False) as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        workload = documents.workload("Deployment", "iris", app="iris-blue")
        server.put("deployments", {**workload, "metadata": {**workload["metadata"], "labels": labels}})
        start(server, "one")
        async with opened() as platform:
            snapshot = await until(platform, ready)
            assert names(snapshot) == ["iris"]
            assert snapshot.endpoints[0].deployments[0].request.request_timeout_ms == 60_000
        async with opened(adopt_v1=False) as platform:
            assert names(await until(platform, lambda seen: True)) == []


async def test_v1_workloads_that_are_left_out_are_told_once(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    workload = documents.workload("Deployment", "x")
    labels = {"isazuremlapp": "true", "webservicename": "x"}
    server.put("deployments", {**workload, "metadata": {**workload["metadata"], "labels": labels}})
    async with opened() as platform:
        await until(platform, lambda seen: True)
        declare(server)
        await until(platform, names)
    assert caplog.text.count("Deployment default/x is not adopted") == 1


# -- what it survives --------------------------------------------------------------------------------------------


async def test_without_an_api_server_it_goes_on_says_so_and_catches_up(server: FakeApiServer) -> None:
    declare(server)
    start(server, "one")
    async with opened() as platform:
        before = await until(platform, ready)
        await server.stop()
        await eventually(lambda: platform.standing().reason)
        assert await until(platform, lambda seen: True) == before
        start(server, "two")
        await server.start()
        await until(platform, lambda seen: len(ready(seen)) == 2)
        await eventually(lambda: platform.standing() == (0.0, ""))


@pytest.mark.parametrize("status", [401, 403, 429, 503])
async def test_refusals_leave_what_is_known(server: FakeApiServer, status: int) -> None:
    declare(server)
    start(server, "one")
    async with opened() as platform:
        await until(platform, ready)
        server.answer_with(status)
        server.cut_watches(mid_line=True)
        await eventually(lambda: str(status) in platform.standing().reason)
        assert platform.standing().behind_s > 0
        assert ready(await until(platform, lambda seen: True))
        start(server, "two")
        server.recover()
        await until(platform, lambda seen: len(ready(seen)) == 2)


async def test_an_expired_version_is_no_matter(server: FakeApiServer) -> None:
    declare(server)
    start(server, "one")
    async with opened() as platform:
        await until(platform, ready)
        server.compact()
        server.expire_watches()
        start(server, "two")
        await until(platform, lambda seen: len(ready(seen)) == 2)


async def test_after_a_snapshot_that_took_long_none_is_made_for_a_while(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_TO_WORK", 1e9)
    declare(server)
    async with opened() as platform:
        before = await until(platform, lambda seen: True)
        start(server, "one")
        await asyncio.sleep(0.5)
        assert await until(platform, lambda seen: True) == before


async def test_the_worst_of_all_that_is_followed_is_told(server: FakeApiServer) -> None:
    server.answer_with(403, only=lambda method, path: "/pods" in path or "/secrets" in path)
    async with opened() as platform:
        await eventually(lambda: "(and 2 more)" in platform.standing().reason)


async def test_what_it_waits_for_at_its_start_is_named(server: FakeApiServer) -> None:
    """One namespace that is not ours to see keeps all of it waiting: whoever looks must learn which."""
    for namespace in ("good", "bad"):
        declare(server, f"iris-{namespace}", namespace)
    server.answer_with(403, only=lambda method, path: "/namespaces/bad/" in path)
    async with opened("good", "bad") as platform:
        assert "waiting for the first list of inferenceendpoints in good, pods in good" in platform.standing().reason
        await eventually(lambda: "(and 4 more)" in platform.standing().reason)
        reason = platform.standing().reason
        assert "in bad: the API server answers 403: " in reason
        waits_for = "inferenceendpoints in bad, pods in bad, deployments in bad, statefulsets in bad, secrets in bad"
        await eventually(lambda: platform.standing().reason.endswith(f"; waiting for the first list of {waits_for}"))
        server.recover()
        assert names(await until(platform, names)) == ["iris-bad", "iris-good"]
        await eventually(lambda: platform.standing() == (0.0, ""))


async def test_of_many_that_it_waits_for_some_are_named(server: FakeApiServer) -> None:
    server.pause()
    async with opened(*(f"team-{number}" for number in range(10))) as platform:
        assert platform.standing().reason.endswith("team-1, secrets in team-1 and 41 more")
        assert platform.standing().behind_s == 0.0
        server.resume()


async def test_without_a_way_to_an_api_server_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    with pytest.raises(PlatformError, match="/nowhere/config"):
        await KubernetesPlatform(ClusterSettings()).__aenter__()


# -- what it writes ----------------------------------------------------------------------------------------------


async def test_replicas_are_asked_for_within_bounds_and_who_leaves_first_is_told(server: FakeApiServer) -> None:
    declare(server, **SCALED)
    for pod in ("one", "two", "three"):
        start(server, pod)
    server.patch("deployments", "iris-blue", {"spec": {"replicas": 3}})
    async with opened(scaling=True) as platform:
        await until(platform, lambda seen: len(ready(seen)) == 3)
        uid = {each["metadata"]["name"]: each["metadata"]["uid"] for each in server.items("pods")}
        await platform.scale("iris", "blue", 2, [uid["two"], uid["three"]])
        assert replicas(server) == 2
        assert [name for name in uid if costs(server, name) < 0] == ["two"]
        await platform.scale("iris", "blue", 99)
        assert replicas(server) == 4


def replicas(server: FakeApiServer) -> int:
    deployment = server.get("deployments", "iris-blue")
    assert deployment is not None
    return int(deployment["spec"]["replicas"])


def costs(server: FakeApiServer, pod: str) -> int:
    found = server.get("pods", pod)
    assert found is not None
    return int(found["metadata"].get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost", "0"))


async def test_a_cluster_that_says_nothing_can_not_be_scaled(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_WITHIN_S", 0.3)
    server.answer_with(503)
    async with opened(scaling=True) as platform:
        with pytest.raises(PlatformError, match=r"the cluster is not known: .*503"):
            await platform.scale("iris", "blue", 2)


async def test_a_fixed_number_may_be_set_by_hand(server: FakeApiServer) -> None:
    declare(server)
    async with opened() as platform:
        await platform.scale("iris", "blue", 7)
        assert replicas(server) == 7


async def test_who_leads_makes_keys_and_tells_how_it_is(server: FakeApiServer) -> None:
    declare(server, **SCALED)
    start(server, "one")
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))
    async with opened(scaling=True) as platform, aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
        assert await anext(leadership) is True
        snapshot = await until(platform, lambda seen: seen.endpoints and seen.endpoints[0].keys)
        secret = server.get("secrets", "iris-keys")
        assert secret is not None
        assert len(base64.b64decode(secret["data"]["primaryKey"])) >= 32
        assert secret["data"]["primaryKey"] not in repr(snapshot)
        platform.note_utilization({"iris/blue": 0.47})
        await eventually(lambda: status(server).get("utilization") == "47%")
        assert status(server)["replicas"] == "1/1"


def status(server: FakeApiServer) -> dict[str, Any]:
    endpoint = server.get("inferenceendpoints", "iris")
    assert endpoint is not None
    return dict(endpoint.get("status", {}))


async def test_who_does_not_lead_writes_nothing(server: FakeApiServer) -> None:
    declare(server, **SCALED)
    server.put("leases", documents.lease(LEASE, holder="another", leaseDurationSeconds=600))
    async with opened(scaling=True) as platform, aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
        assert await anext(leadership) is False
        await until(platform, names)
        with pytest.raises(PlatformError, match="no longer leads"):
            await platform.scale("iris", "blue", 2)
        await asyncio.sleep(1.0)
        assert status(server) == {}
        assert server.items("secrets") == []
    assert {asked.method for asked in server.requests} == {"GET"}


async def test_half_a_picture_is_neither_told_of_nor_mended(server: FakeApiServer) -> None:
    """As long as Secrets are not known, each would seem to be missing."""
    declare(server, **SCALED)
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))
    server.answer_with(500, only=lambda method, path: method == "GET" and "/secrets" in path)
    async with opened(scaling=True) as platform, aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
        assert await anext(leadership) is True
        await asyncio.sleep(1.5)
        assert status(server) == {}
        assert server.items("secrets") == []
        server.recover()
        await eventually(lambda: bool(status(server)) and server.items("secrets") != [])


async def test_who_loses_the_lead_reports_no_more(server: FakeApiServer) -> None:
    declare(server, **SCALED)
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))
    async with opened(scaling=True) as platform, aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
        assert await anext(leadership) is True
        await eventually(reports)
        server.put("leases", documents.lease(LEASE, holder="another", leaseDurationSeconds=600))
        assert await asyncio.wait_for(anext(leadership), PATIENCE_S) is False
        await eventually(lambda: not reports())


def reports() -> bool:
    """Whether a task of a reporter runs here."""
    return any("KubernetesPlatform._report" in str(task.get_coro()) for task in asyncio.all_tasks())


async def test_who_gave_up_the_lead_scales_no_more(server: FakeApiServer) -> None:
    declare(server, **SCALED)
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))
    async with opened(scaling=True) as platform:
        async with aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
            assert await anext(leadership) is True
        with pytest.raises(PlatformError, match="no longer leads"):
            await platform.scale("iris", "blue", 2)


async def test_who_only_serves_can_not_lead(server: FakeApiServer) -> None:
    async with opened() as platform:
        with pytest.raises(PlatformError, match="to serve"):
            await anext(platform.leadership())


async def test_one_of_two_leads_and_the_other_after_it(server: FakeApiServer) -> None:
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1))
    async with (
        opened(scaling=True) as one,
        opened(scaling=True) as other,
        aclosing(other.leadership()) as second,  # type: ignore[type-var]
    ):
        async with aclosing(one.leadership()) as first:  # type: ignore[type-var]
            assert (await anext(first), await anext(second)) == (True, False)
            takes_over = asyncio.ensure_future(anext(second))
            await asyncio.sleep(0.5)
            assert not takes_over.done()
        assert await asyncio.wait_for(takes_over, PATIENCE_S) is True
