"""How does the app stand in a test: between which models, with which endpoint?

I/O: connections to models on loopback. The app, its fleet and its connections as the server puts them together, but
no server: what the client's end is, the test says.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from router.accesslog import AccessLog
from router.app import Router
from router.config import networks
from router.core.auth import hashed
from router.core.model import Addresses, Deployment, Endpoint, Replica, RequestSettings, Snapshot
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import Fleet
from router.forwarding import Forwarding
from router.upstream import Upstream
from tests.gates import Gated
from tests.models import Model, served, until

SCORE = "/api/v1/endpoint/iris/score"
SCORE_V1 = "/api/v1/service/iris/score"
SETTINGS = {"request_timeout_ms": 60_000, "max_queue_wait_ms": 60_000}
"""Longer than any wait of a test: what a clock of the router ends by itself would look as if it had been ended."""


class Front:
    """The endpoint `iris` with one deployment for each model, named as it is; the first gets all of the traffic."""

    def __init__(self, models: dict[str, Model], ports: dict[str, int], log: Path | None, trusted: str) -> None:
        self.models = models
        self._ports = ports
        self.log_file = log
        self.upstream = Upstream(connect_timeout_ms=5_000, idle_ms=1_500)
        self.fleet = Fleet(self.upstream, Memory(), Sharing("here", lambda: None))
        self.access_log = None if log is None else AccessLog(str(log), Memory())
        self.gated = Gated()
        forwarding = Forwarding(networks(trusted))
        self.app = Router(self.fleet, self.gated.gate, self.upstream, forwarding, self.access_log)
        self.app._random = random.Random(1)

    def publish(self, *, settings: dict[str, int] | None = None, **endpoint: Any) -> None:
        request = RequestSettings(**SETTINGS | (settings or {}))
        deployments = tuple(
            Deployment(endpoint="iris", name=name, workload=Addresses(addresses=()), request=request)
            for name in self.models
        )
        weights = tuple((name, 0 if place else 100) for place, name in enumerate(self.models))
        shape = {"auth_mode": "none", "weights": weights} | endpoint
        replicas = tuple(
            Replica(uid=f"iris/{name}#1", deployment=f"iris/{name}", host="127.0.0.1", port=port, ready=True)
            for name, port in self._ports.items()
        )
        endpoints = (Endpoint(name="iris", deployments=deployments, **shape),)
        self.fleet.follow(Snapshot(endpoints=endpoints, replicas=replicas))
        self.gated.gate.follow(endpoints)

    def client(self) -> httpx.AsyncClient:
        """Without a network: in httpx's own ASGI transport."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://router")

    def statuses(self, deployment: str = "blue") -> dict[int, int]:
        return self.fleet.live[f"iris/{deployment}"].counters.requests

    @property
    def in_flight(self) -> int:
        return sum(load.in_flight for load in self.fleet.loads())

    async def records(self) -> list[dict[str, Any]]:
        """What the access log says. The log is closed by it."""
        assert self.access_log is not None
        assert self.log_file is not None
        await asyncio.to_thread(self.access_log.close)
        self.access_log = None
        return [json.loads(line) for line in self.log_file.read_bytes().splitlines()]

    async def close(self) -> None:
        try:
            await until(lambda: not self.in_flight)
        finally:
            self.upstream.close()
            for live in self.fleet.live.values():
                live.admission.close()
            if self.access_log is not None:
                await asyncio.to_thread(self.access_log.close)
            await until(lambda: not self.upstream.open)


@asynccontextmanager
async def front(
    *names: str, log: Path | None = None, trusted: str = "", settings: dict[str, int] | None = None, **endpoint: Any
) -> AsyncIterator[Front]:
    """A front before these models (`blue` alone if none is named). When it closes, every slot must have come back."""
    models = {name: Model(name) for name in names or ("blue",)}
    async with AsyncExitStack() as servers:
        ports = {name: await servers.enter_async_context(served(model)) for name, model in models.items()}
        one = Front(models, ports, log, trusted)
        one.publish(settings=settings, **endpoint)
        try:
            yield one
        finally:
            for model in models.values():
                model.gate.set()
            await one.close()


def keys(primary: str = "primary-key-of-iris", secondary: str = "secondary-key-of-iris") -> dict[str, Any]:
    """Settings of an endpoint that these keys open."""
    return {"auth_mode": "key", "keys": hashed(primary, secondary)}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
