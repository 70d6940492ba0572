"""What does a cluster do about the number of Pods of a Deployment?

I/O: the fake API server, looked at again and again. As the real controllers: missing Pods are made; of too many, those
that are not ready go first, then those of the lowest pod-deletion-cost, then the youngest. Nobody makes a Pod ready.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.kubernetes.documents import pod
from tests.kubernetes.fake import FakeApiServer

LOOK_S = 0.02
COST = "controller.kubernetes.io/pod-deletion-cost"


@asynccontextmanager
async def replicating(server: FakeApiServer) -> AsyncIterator[None]:
    task = asyncio.create_task(_always(server))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _always(server: FakeApiServer) -> None:
    numbers = itertools.count(1)
    while True:
        for deployment in server.items("deployments"):
            _look(server, deployment, numbers)
        await asyncio.sleep(LOOK_S)


def _look(server: FakeApiServer, deployment: dict[str, Any], numbers: itertools.count[int]) -> None:
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    labels = deployment["spec"]["selector"]["matchLabels"]
    present = [each for each in server.items("pods", namespace) if _is_of(each, labels)]
    wished = deployment["spec"].get("replicas", 1)
    for _ in range(wished - len(present)):
        server.put("pods", pod(f"{name}-{next(numbers):04}", namespace, **labels), namespace)
    for each in sorted(present, key=_leaves)[: max(0, len(present) - wished)]:
        server.delete("pods", each["metadata"]["name"], namespace)


def _is_of(each: dict[str, Any], labels: dict[str, str]) -> bool:
    metadata = each["metadata"]
    return metadata.get("labels", {}).items() >= labels.items() and "deletionTimestamp" not in metadata


def _leaves(each: dict[str, Any]) -> tuple[bool, int, int]:
    conditions = each.get("status", {}).get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    cost = int(each["metadata"].get("annotations", {}).get(COST, "0"))
    return ready, cost, -int(each["metadata"]["name"].rpartition("-")[2])
