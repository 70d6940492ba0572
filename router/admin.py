"""What do operators, Prometheus and the autoscaler see of this router?

I/O: the internal port. Read-only; bound to where the configuration says, loopback by default, and never reached
through the public port.
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

from router.core.model import Load
from router.exposition import pieces
from router.platforms import Standing
from router.pressure import Pressure

MAX_LOAD_WAIT_MS = 60_000
GENERATION_HEADER = "x-scoregate-load-seq"
"""On every reply with the load: the pressure's generation at that moment, for the next question's `since`."""

_MAX_GENERATION = 2**63 - 1


class Administered(Protocol):
    """What the pages show; `router.server` has it."""

    def not_ready_because(self) -> str | None:
        """None when requests should be sent here."""

    def standing(self) -> Standing:
        """How far what is served can be believed to be up to date."""

    def load(self) -> list[Load]: ...

    @property
    def pressure(self) -> Pressure: ...


def admin_app(administered: Administered, registry: CollectorRegistry) -> Starlette:
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

    async def load(request: Request) -> Response:
        """Every deployment's load, for the autoscaler and `scoregate status`. With `?wait_ms=N` it is that of N ms
        later, or of the moment in which a queue forms; `&since=SEQ`: or has formed since the reply that said so."""
        try:
            wait_ms = _whole_number(request, "wait_ms", MAX_LOAD_WAIT_MS)
            since = _whole_number(request, "since", _MAX_GENERATION)
        except ValueError as error:
            return JSONResponse({"error": {"code": "BadRequest", "message": str(error)}}, status_code=400)
        pressure = administered.pressure
        if wait_ms:
            await _wait(request, pressure, since, wait_ms / 1000)
        headers = {GENERATION_HEADER: str(pressure.generation)}
        return Response(msgspec.json.encode(administered.load()), headers=headers, media_type="application/json")

    async def index(_: Request) -> Response:
        return JSONResponse({"pages": ["/healthz", "/readyz", "/metrics", "/load"]})

    pages = {"/": index, "/healthz": healthz, "/readyz": readyz, "/metrics": metrics, "/load": load}
    return Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in pages.items()])


async def _joined(families: Iterator[bytes]) -> bytes:
    """Requests go on between two of them."""
    text = []
    for family in families:
        text.append(family)
        await asyncio.sleep(0)
    return b"".join(text)


def _whole_number(request: Request, name: str, most: int) -> int | None:
    """Of the query; None when it is not there. Raises ValueError with the value and the rule."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most:
        return int(text)
    raise ValueError(f"{name} is {text[:40]!r}; it must be a whole number from 0 to {most}.")


async def _wait(request: Request, pressure: Pressure, since: int | None, within_s: float) -> None:
    """As the pressure says, but no longer than the client does."""
    async with asyncio.TaskGroup() as group:
        tasks = group.create_task(pressure.wait(since, within_s)), group.create_task(_until_gone(request))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
