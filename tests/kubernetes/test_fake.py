"""The fake API server's own controls, and what it can do that a test cannot ask of a real one."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.kubernetes.documents import endpoint, lease, pod, workload
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.kinds import INFERENCE_ENDPOINT
from tests.kubernetes.plain import PATIENCE_S, PlainClient, Watching

PODS = "/api/v1/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


async def next_of(watch: Watching) -> tuple[str, str]:
    line = await watch.next()
    assert line is not None
    return line.type, line.name


async def drain(response: httpx.Response, into: bytearray) -> None:
    async for piece in response.aiter_raw():
        into += piece


async def version(client: PlainClient) -> str:
    return (await client.get(PODS)).version


# What users, controllers and kubelets do


async def test_what_a_test_puts_is_there_with_its_status_and_its_namespace(
    server: FakeApiServer, client: PlainClient
) -> None:
    server.put("inferenceendpoints", {**endpoint("iris", "models"), "status": {"ready": 1}})
    (item,) = (await client.get("/apis/scoregate.io/v1/namespaces/models/inferenceendpoints")).body["items"]
    assert item["status"] == {"ready": 1}
    assert item["metadata"]["generation"] == 1
    assert (await client.get("/api/v1/namespaces/models")).status == 200


async def test_put_again_keeps_the_uid_and_delete_makes_way_for_another(server: FakeApiServer) -> None:
    first = server.put("deployments", workload("Deployment", "web"))
    assert server.put("deployments", workload("Deployment", "web")) == first
    second = server.put("deployments", workload("Deployment", "web", replicas=4))
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["generation"] == 2
    server.delete("deployments", "web")
    third = server.put("deployments", workload("Deployment", "web"))
    assert third["metadata"]["uid"] != first["metadata"]["uid"]


async def test_what_is_read_of_the_fake_is_not_changed_by_what_comes_after(server: FakeApiServer) -> None:
    before = server.put("deployments", workload("Deployment", "web", replicas=1))
    server.patch("deployments", "web", {"spec": {"replicas": 2}})
    assert before["spec"]["replicas"] == 1
    assert [each["spec"]["replicas"] for each in server.items("deployments", "default")] == [2]


async def test_a_pod_becomes_ready_and_leaves_when_it_has_finished(server: FakeApiServer, client: PlainClient) -> None:
    server.put("pods", pod("a"))
    since = await version(client)
    ready = server.make_ready("a", ip="127.0.0.2")
    assert (ready["status"]["podIP"], ready["status"]["conditions"][0]["status"]) == ("127.0.0.2", "True")
    server.make_ready("a", ready=False)
    server.delete("pods", "a")
    assert server.get("pods", "a") is not None
    server.finish("a")
    assert server.get("pods", "a") is None
    async with client.watch(PODS, resourceVersion=since) as watch:
        types = [(await next_of(watch))[0] for _ in range(5)]
    assert types == ["MODIFIED"] * 4 + ["DELETED"]


async def test_a_pod_that_no_node_has_is_gone_at_once(server: FakeApiServer) -> None:
    server.put("pods", pod("a"))
    server.delete("pods", "a")
    assert server.get("pods", "a") is None


async def test_finalizers_hold_what_was_deleted(server: FakeApiServer, client: PlainClient) -> None:
    held = endpoint("iris")
    held["metadata"]["finalizers"] = ["scoregate.io/test"]
    server.put("inferenceendpoints", held)
    path = "/apis/scoregate.io/v1/namespaces/default/inferenceendpoints/iris"
    assert (await client.delete(path)).body["metadata"]["deletionTimestamp"]
    assert (await client.patch(path, {"metadata": {"finalizers": None}})).status == 200
    assert (await client.get(path)).status == 404


async def test_a_custom_resource_comes_and_goes() -> None:
    async with FakeApiServer(installed=False) as server, PlainClient(Path(server.kubeconfig)) as client:
        path = "/apis/scoregate.io/v1/inferenceendpoints"
        assert (await client.get(path)).text == "404 page not found\n"
        server.install(INFERENCE_ENDPOINT)
        server.put("inferenceendpoints", endpoint("iris"))
        async with client.watch(path, resourceVersion=(await client.get(path)).version) as watch:
            server.uninstall("inferenceendpoints")
            assert [(line.type, line.name) for line in await watch.rest()] == [("DELETED", "iris")]
        assert (await client.get(path)).status == 404


async def test_every_request_is_kept_with_what_it_said(server: FakeApiServer, client: PlainClient) -> None:
    await client.get(PODS, labelSelector="a=b")
    await client.ask("POST", LEASES, lease("x"))
    asked, posted = server.requests
    assert (asked.method, asked.path, asked.query) == ("GET", PODS, {"labelSelector": "a=b"})
    assert posted.headers["content-type"] == "application/json"
    assert b'"holderIdentity"' in posted.body


async def test_a_token_can_be_exchanged_for_another() -> None:
    async with FakeApiServer(token="old") as server, PlainClient(Path(server.kubeconfig)) as client:
        assert (await client.get(PODS)).status == 200
        server.token = "new"
        assert (await client.get(PODS)).status == 401


@pytest.mark.parametrize(
    ("method", "path", "form"),
    [
        ("PATCH", f"{LEASES}/x", "application/json-patch+json"),
        ("PATCH", f"{LEASES}/x", "application/apply-patch+yaml"),
        ("PATCH", f"{LEASES}/x", "application/strategic-merge-patch+json"),
        ("DELETE", LEASES, "application/json"),
        ("POST", f"{LEASES}?dryRun=All", "application/json"),
        ("GET", f"{PODS}?watch=1&sendInitialEvents=true", "application/json"),
    ],
)
async def test_what_a_real_server_does_and_the_fake_does_not_is_said(
    client: PlainClient, method: str, path: str, form: str
) -> None:
    reply = await client.ask(method, path, {"spec": {"holderIdentity": "a"}}, form)
    assert (reply.status, reply.reason) == (501, "NotImplemented")


# What goes wrong


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_status_is_answered_until_it_is_over(server: FakeApiServer, client: PlainClient, status: int) -> None:
    server.answer_with(status, retry_after_s=2)
    reply = await client.get(PODS)
    assert reply.status == status
    assert reply.reason
    assert reply.headers.get("retry-after") == (None if status == 401 else "2")
    server.recover()
    assert (await client.get(PODS)).status == 200


async def test_a_status_is_answered_to_some_or_some_times(server: FakeApiServer, client: PlainClient) -> None:
    server.answer_with(503, only=lambda method, path: method == "POST" or "watch=" in path, times=2)
    assert (await client.get(PODS)).status == 200
    assert (await client.get(PODS, watch="1")).status == 503
    assert (await client.post(LEASES, lease("x"))).status == 503
    assert (await client.post(LEASES, lease("x"))).status == 201


async def test_slow_answers_come_late_and_only_where_they_should(server: FakeApiServer, client: PlainClient) -> None:
    server.slow(0.2, only=lambda method, path: path.startswith(LEASES))
    begun = time.monotonic()
    assert (await client.get(LEASES)).status == 200
    assert time.monotonic() - begun >= 0.2


async def test_a_pause_lets_in_and_says_nothing(server: FakeApiServer, client: PlainClient) -> None:
    server.put("pods", pod("a"))
    async with client.watch(PODS, resourceVersion=await version(client)) as watch:
        server.pause()
        server.patch("pods", "a", {"metadata": {"labels": {"x": "y"}}})
        line, reply = asyncio.ensure_future(next_of(watch)), asyncio.ensure_future(client.get(PODS))
        assert (await asyncio.wait([line, reply], timeout=0.1))[0] == set()
        server.resume()
        assert await line == ("MODIFIED", "a")
        assert (await reply).status == 200


@pytest.mark.parametrize("mid_line", [False, True])
async def test_a_cut_watch_ends_in_an_error_and_half_a_line(
    server: FakeApiServer, client: PlainClient, mid_line: bool
) -> None:
    since = await version(client)
    received = bytearray()
    query = {"watch": "1", "resourceVersion": since}
    async with httpx.AsyncClient(timeout=PATIENCE_S) as raw, raw.stream("GET", server.url + PODS, params=query) as got:
        server.put("pods", pod("a"))
        server.put("pods", pod("b"))
        server.cut_watches(mid_line=mid_line)
        with pytest.raises(httpx.RemoteProtocolError):
            await drain(got, received)
    assert received.count(b"\n") == (1 if mid_line else 2)
    assert received.endswith(b"\n") != mid_line
    async with client.watch(PODS, resourceVersion=since) as watch:
        assert [await next_of(watch), await next_of(watch)] == [("ADDED", "a"), ("ADDED", "b")]


async def test_watches_end_properly_or_are_told_that_they_are_too_old(
    server: FakeApiServer, client: PlainClient
) -> None:
    async with client.watch(PODS, resourceVersion=await version(client)) as watch:
        server.end_watches()
        assert await watch.rest() == []
    async with client.watch(PODS, resourceVersion=await version(client)) as watch:
        server.expire_watches()
        (line,) = await watch.rest()
    assert (line.type, line.object["reason"]) == ("ERROR", "Expired")


async def test_a_bookmark_comes_when_the_test_says_so(server: FakeApiServer, client: PlainClient) -> None:
    async with client.watch(PODS, resourceVersion=await version(client), allowWatchBookmarks="true") as watch:
        server.put("secrets", {"metadata": {"name": "another-kind"}})
        server.bookmark()
        line = await watch.next()
    assert line is not None
    assert (line.type, line.version) == ("BOOKMARK", int(await version(client)))


async def test_what_was_compacted_cannot_be_watched_from_and_open_watches_do_not_mind(
    server: FakeApiServer, client: PlainClient
) -> None:
    since = await version(client)
    async with client.watch(PODS, resourceVersion=since) as open_one:
        server.put("pods", pod("a"))
        server.compact()
        server.put("pods", pod("b"))
        assert [await next_of(open_one), await next_of(open_one)] == [("ADDED", "a"), ("ADDED", "b")]
    async with client.watch(PODS, resourceVersion=since) as late:
        assert [line.type for line in await late.rest()] == ["ERROR"]


async def test_a_stopped_server_is_not_there_and_comes_back_as_it_was(server: FakeApiServer) -> None:
    url = server.url
    server.put("pods", pod("a"))
    await server.stop()
    async with PlainClient(Path(server.kubeconfig)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(PODS)
        await server.start()
        assert server.url == url
        assert len((await client.get(PODS)).body["items"]) == 1


async def test_the_fakes_own_faults_fail_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = AsyncExitStack()
    server = await stack.enter_async_context(FakeApiServer())
    client = await stack.enter_async_context(PlainClient(Path(server.kubeconfig)))
    monkeypatch.setattr(server, "_get", lambda at, asked: 1 / 0)
    assert (await client.get(PODS)).status == 500
    with pytest.raises(ZeroDivisionError):
        await stack.aclose()
