"""What do operators, Prometheus and the autoscaler see of this router?

I/O: the internal port; bound to where the configuration says, loopback by default, and never reached through the public
port. These pages are read-only, and need no key; what needs one is in administration/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from router.administration import OPEN_PAGES, Desk, error_pages
from router.core.model import InstanceStanding
from router.exposition import pieces
from router.load_page import LoadedTogether, load_page
from router.platforms import Standing


class Administered(LoadedTogether, Protocol):
    """What the pages show; `router.server` has it."""

    def not_ready_because(self) -> str | None:
        """None when requests should be sent here."""

    def standing(self) -> Standing:
        """How far what is served can be believed to be up to date."""

    async def standings(self) -> list[InstanceStanding]:
        """All that there are, and how this one sees them."""


def admin_app(administered: Administered, registry: CollectorRegistry, desk: Desk) -> Starlette:
    async def healthz(_: Request) -> Response:
        """Liveness: this process turns its event loop."""
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """Readiness: 503 with the reason while load balancers should look elsewhere. A platform that can't be
        reached is no reason: what it said last is served on, and the text says so."""
        reason = administered.not_ready_because()
        if reason is not None:
            return PlainTextResponse(f"not ready: {reason}\n", status_code=503)
        standing = administered.standing()
        if standing.reason:
            behind = f"ready, with what was known {standing.behind_s:.0f} s ago: {standing.reason}\n"
            return PlainTextResponse(behind)
        return PlainTextResponse("ready\n")

    async def metrics(request: Request) -> Response:
        """Text or OpenMetrics, as Prometheus asks."""
        content_type, families = pieces(registry, request.headers.get("accept", ""))
        return Response(await _joined(families), headers={"content-type": content_type})

    async def instances(_: Request) -> Response:
        """Every router process of the installation, and how the one that answers sees it."""
        return Response(msgspec.json.encode(await administered.standings()), media_type="application/json")

    async def index(_: Request) -> Response:
        return JSONResponse({"pages": [*pages, *OPEN_PAGES]})

    pages = {
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics,
        "/load": load_page(administered),
        "/instances": instances,
    }
    routes = [Route(path, page, methods=["GET"]) for path, page in {"/": index, **pages}.items()]
    app = Starlette(routes=[*routes, *desk.routes()], exception_handlers=error_pages())
    app.router.redirect_slashes = False  # a redirect would go where the client's Host header says
    return app


async def _joined(families: Iterator[bytes]) -> bytes:
    """Requests go on between two of them."""
    text = []
    for family in families:
        text.append(family)
        await asyncio.sleep(0)
    return b"".join(text)
