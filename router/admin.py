"""What do operators, Prometheus and the autoscaler see of this router?

I/O: the internal port. Read-only; bound to where the configuration says, loopback by default, and never reached
through the public port.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from router.core.model import Load


class Administered(Protocol):
    """What the pages show; `router.server` has it."""

    def not_ready_because(self) -> str | None:
        """None when requests should be sent here."""

    def load(self) -> list[Load]: ...


def admin_app(administered: Administered, registry: CollectorRegistry) -> Starlette:
    async def healthz(_: Request) -> Response:
        """Liveness: this process turns its event loop."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """Readiness: 503 with the reason while load balancers should look elsewhere."""
        reason = administered.not_ready_because()
        if reason is None:
            return PlainTextResponse("ready\n")
        return PlainTextResponse(f"not ready: {reason}\n", status_code=503)

    async def metrics(request: Request) -> Response:
        """Text or OpenMetrics, as Prometheus asks."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def load(_: Request) -> Response:
        """Every deployment's load at this moment, for the autoscaler and `scoregate status`."""
        return Response(msgspec.json.encode(administered.load()), media_type="application/json")

    async def index(_: Request) -> Response:
        return JSONResponse({"pages": ["/healthz", "/readyz", "/metrics", "/load"]})

    pages = {"/": index, "/healthz": healthz, "/readyz": readyz, "/metrics": metrics, "/load": load}
    return Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in pages.items()])
