"""administration.py: a refusal, an outage or nonsense changes nothing, is told as what it is, and quotes no key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from router.platforms import ClusterSettings, PlatformError
from router.platforms import kubernetes as module
from router.platforms.administration import NotPermitted, Unfit, Unknown
from router.platforms.kubernetes import KubernetesPlatform
from router.platforms.kubernetes import administration as administration_module
from router.platforms.kubernetes.api import ApiError
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.administered import FRESH, HELD, fill, is_patch, patches, replica, to_fresh


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        fill(server)
        yield server


@pytest.fixture
async def platform(server: FakeApiServer) -> AsyncIterator[KubernetesPlatform]:
    async with KubernetesPlatform(ClusterSettings(("models",), home="home")) as platform:
        yield platform


Call = Callable[[KubernetesPlatform], Awaitable[Any]]
CHANGES: list[Call] = [
    lambda platform: platform.administration.change_keys("iris", to_fresh),
    lambda platform: platform.administration.set_traffic("iris", {"blue": 100}, None),
    lambda platform: platform.administration.hold("iris", "blue", HELD),
    lambda platform: platform.administration.drain(replica(platform).uid, True),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, NotPermitted, "administration.enabled=true"),
        (404, Unknown, "there is no"),
        (422, Unfit, "the API server does not"),
        (429, ApiError, "429"),
        (500, ApiError, "500"),
    ],
)
async def test_what_the_api_server_refuses_is_told_and_nothing_is_changed(
    server: FakeApiServer,
    platform: KubernetesPlatform,
    change: Call,
    status: int,
    kind: type[PlatformError],
    words: str,
) -> None:
    await platform.known()
    before = [server.items(plural) for plural in ("secrets", "inferenceendpoints", "pods")]
    server.answer_with(status, only=is_patch)
    with pytest.raises(kind, match=words) as caught:
        await change(platform)
    assert [server.items(plural) for plural in ("secrets", "inferenceendpoints", "pods")] == before
    assert FRESH not in str(caught.value)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_is_seen_late_is_made_all_the_same(
    server: FakeApiServer, platform: KubernetesPlatform, change: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await platform.known()
    monkeypatch.setattr(administration_module, "SEEN_WITHIN_S", 0.05)
    server.answer_with(503, only=lambda method, path: "watch" in path or "limit" in path)
    server.cut_watches()
    before = platform.snapshot
    await change(platform)
    assert len(patches(server)) == 1
    assert platform.snapshot == before


async def test_an_answer_that_can_not_be_read_is_not_quoted(
    platform: KubernetesPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await platform.known()

    async def garbled(path: str, query: object = None) -> bytes:
        return b'{"items": [{"metadata": {"name": 7}, "data": "hush"}]}'

    monkeypatch.setattr(platform._api, "read", garbled)
    with pytest.raises(PlatformError, match="models/secrets: the API server's answer can't be read") as caught:
        await platform.administration.keys("iris")
    assert caught.value.__suppress_context__


async def test_before_the_cluster_is_known_nothing_is_said_of_it(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_WITHIN_S", 0.2)
    server.answer_with(503)
    async with KubernetesPlatform(ClusterSettings(), scaling=False) as platform:
        for call in (platform.administration.keys("iris"), platform.administration.drain("x", True)):
            with pytest.raises(PlatformError, match="the cluster is not known"):
                await call
