"""Does the fake say what a v1.36 API server was heard to say? Transcripts of that lie beside the project."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kubernetes.cluster import SCRIPTS
from tests.kubernetes.documents import lease, workload
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.plain import PlainClient, Reply

FILE = SCRIPTS / "wire-v1.36.txt"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
SCALE = "/apis/apps/v1/namespaces/default/deployments/web/scale"
STALE = {"metadata": {"resourceVersion": "2"}, "spec": {"holderIdentity": "b"}}

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="../shared/kubernetes/wire-v1.36.txt is not there")


class Heard(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


def heard(title: str) -> list[Heard]:
    """The replies below a title of the transcripts."""
    sections = re.split(r"^### ", FILE.read_text(), flags=re.MULTILINE)
    (section,) = [each for each in sections if each.startswith(title)]
    replies = []
    for text in re.split(r"^HTTP/[\d.]+ (?=\d{3})", section, flags=re.MULTILINE)[1:]:
        head, _, body = text.partition("\n\n")
        first, *lines = head.splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines)
        replies.append(Heard(int(first[:3]), headers, re.split(r"^---", body, flags=re.MULTILINE)[0].strip()))
    return replies


MASKED = {"uid", "resourceVersion", "creationTimestamp", "continue", "remainingItemCount"}


def shape(value: Any, name: str = "") -> Any:
    """With what differs from cluster to cluster taken for the same: ids, times, versions in a text."""
    if name in MASKED and value is not None:
        return f"some {name}"
    if isinstance(value, dict):
        return {key: shape(each, key) for key, each in value.items() if key != "managedFields"}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return re.sub(r"\d{2,}", "N", value) if name == "message" else value


def agree(replies: list[Reply], title: str) -> None:
    told = heard(title)
    assert [reply.status for reply in replies] == [each.status for each in told]
    for reply, each in zip(replies, told, strict=True):
        assert shape(reply.body) == shape(json.loads(each.body))
        assert reply.headers.get("retry-after") == each.headers.get("retry-after")
        assert reply.headers["content-type"] == each.headers["content-type"]


async def test_leases(client: PlainClient) -> None:
    twice = [await client.post(LEASES, lease("x")) for _ in range(2)]
    agree(twice, "create lease twice")
    stale = {**lease("x"), "metadata": {"name": "x", "resourceVersion": "2"}}
    agree([await client.put(f"{LEASES}/x", stale)], "PUT stale resourceVersion")
    agree([await client.put(f"{LEASES}/x", lease("x"))], "PUT without resourceVersion")
    agree([await client.patch(f"{LEASES}/x", STALE)], "merge-patch with stale resourceVersion")
    agree([await client.get(f"{LEASES}/nope")], "404")
    agree([await client.post(LEASES, lease("y", renewTime="2026-01-01T00:00:00Z"))], "bad renewTime format")


async def test_scale(server: FakeApiServer, client: PlainClient) -> None:
    server.put("deployments", {**workload("Deployment", "web", app="web"), "status": {"replicas": 1}})
    both = [await client.get(SCALE), await client.patch(SCALE, {"spec": {"replicas": 2}})]
    agree(both, "scale GET / merge-patch")
    agree([await client.patch(SCALE, {"spec": {"replicas": -2}})], "scale negative")
    plain = await client.patch(SCALE, {"spec": {"replicas": 2}}, "application/json")
    agree([plain], "PATCH with application/json")


async def test_lists(server: FakeApiServer, client: PlainClient) -> None:
    for name in ("attachdetach-controller", "certificate-controller"):
        server.put("serviceaccounts", {"metadata": {"name": name, "namespace": "kube-system"}})
    agree([await client.get("/api/v1/serviceaccounts", limit="1")], "list limit=1 + continue")
    agree([await client.get("/api/v1/pods", resourceVersion="999999999")], "list RV in the future")
    agree([await client.get("/api/v1/pods", labelSelector="!!")], "bad labelSelector")


async def test_watches(server: FakeApiServer, client: PlainClient) -> None:
    (old,) = heard("410: watch from an old RV")
    async with client.watch("/api/v1/pods", resourceVersion="5") as watch:
        assert watch.status == old.status
        (line,) = await watch.rest()
    assert shape({"type": line.type, "object": line.object}) == shape(json.loads(old.body))
    server.put("leases", lease("x"))
    (told,) = heard("watch with timeoutSeconds, bookmarks")
    added, marked = map(json.loads, told.body.splitlines())
    async with client.watch(LEASES, timeoutSeconds="1", allowWatchBookmarks="true") as watch:
        first, mark = await watch.rest()
    assert shape({"type": first.type, "object": first.object}) == shape(added)
    assert (mark.type, mark.object["kind"]) == (marked["type"], marked["object"]["kind"])


async def test_strangers() -> None:
    async with FakeApiServer(token="let-me-in") as server:
        for title, options in (("401", {"token": "wrong"}), ("403 anonymous", {"anonymous": True})):
            async with PlainClient(Path(server.kubeconfig), **options) as client:
                agree([await client.get("/api/v1/pods")], title)
