"""Which API servers must the fake be like? Each test gets a namespace of its own on both: the fake and a real one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.kinds import custom
from tests.kubernetes.plain import PATIENCE_S, PlainClient, Reply

GROUP = "test.scoregate.io"
TOKEN = "let-me-in"


class World(NamedTuple):
    """An API server that runs. `custom_kind` is that of a custom resource with a status, for tests alone."""

    client: PlainClient
    namespace: str
    custom_kind: str
    kubeconfig: Path
    fake: FakeApiServer | None
    cluster: Cluster | None

    @property
    def customs(self) -> str:
        """Path of the collection of custom resources."""
        return f"/apis/{GROUP}/v1/namespaces/{self.namespace}/{self.custom_kind.lower()}s"

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        """In the test's namespace."""
        group = {
            "deployments": "/apis/apps/v1",
            "statefulsets": "/apis/apps/v1",
            "leases": "/apis/coordination.k8s.io/v1",
            "horizontalpodautoscalers": "/apis/autoscaling/v1",
        }.get(plural, "/api/v1")
        return "/".join(filter(None, (f"{group}/namespaces/{self.namespace}/{plural}", name, part)))

    def custom(self, name: str, **fields: Any) -> dict[str, Any]:
        head = {"apiVersion": f"{GROUP}/v1", "kind": self.custom_kind}
        return {**head, "metadata": {"name": name}, "spec": {"size": 1}, **fields}

    async def make(self, plural: str, document: dict[str, Any]) -> Reply:
        """Through the API; it must succeed."""
        reply = await self.client.post(self.path(plural), document)
        assert reply.status == 201, reply
        return reply

    async def make_customs(self, *names: str) -> None:
        for name in names:
            reply = await self.client.post(self.customs, self.custom(name))
            assert reply.status == 201, reply

    async def make_running(self, name: str) -> None:
        """What scheduler and kubelet do to a Pod: a node has it, it runs, it is Ready."""
        path = self.path("pods", name)
        if self.fake is not None:
            self.fake.patch("pods", name, {"spec": {"nodeName": "node-1"}}, self.namespace)
        await self.until(lambda pod: "nodeName" in pod["spec"], path)
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": "10.1.2.3", "conditions": conditions}
        reply = await self.client.patch(f"{path}/status", {"status": status})
        assert reply.status == 200, reply

    async def until(self, holds: Callable[[dict[str, Any]], bool], path: str) -> dict[str, Any]:
        """The object, once it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(body := (await self.client.get(path)).body):  # noqa: ASYNC110 - it asks a server
                await asyncio.sleep(0.02)
        return body

    def breaks(self, fake: Callable[[FakeApiServer], Any], *words: str) -> None:
        """Does `fake` to the fake, or has the real one suffer `fault WORDS`."""
        if self.fake is not None:
            fake(self.fake)
        if self.cluster is not None:
            self.cluster.needs_faults()
            self.cluster.fault(*words)


@pytest.fixture(scope="session")
def custom_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the real one: a name that no other run of these tests has."""
    name = f"Widget{secrets.token_hex(3)}"
    with request.getfixturevalue("cluster").custom_resource(GROUP, name, f"{name.lower()}s"):
        yield name


@pytest.fixture(params=["fake", "real"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            fake = await stack.enter_async_context(FakeApiServer(token=TOKEN))
            fake.install(custom("Widget", "widgets", GROUP))
            fake.create_namespace("test")
            path = Path(fake.kubeconfig)
            client = await stack.enter_async_context(PlainClient(path))
            yield World(client, "test", "Widget", path, fake, None)
        else:
            cluster: Cluster = request.getfixturevalue("cluster")
            kind: str = request.getfixturevalue("custom_kind")
            namespace = stack.enter_context(cluster.namespace("contract"))
            client = await stack.enter_async_context(PlainClient(cluster.kubeconfig))
            yield World(client, namespace, kind, cluster.kubeconfig, None, cluster)
