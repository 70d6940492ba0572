"""How busy is each deployment, now or as soon as that changes?

I/O: none itself. A page of the internal port and of the port between instances alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.core.model import Load
from router.pressure import Pressure

MAX_LOAD_WAIT_MS = 60_000
GENERATION_HEADER = "x-scoregate-load-seq"
"""On every reply with the load: the pressure's generation at that moment, for the next question's `since`."""

_MAX_GENERATION = 2**63 - 1


class Loaded(Protocol):
    """Whose load it is; `router.server` has it."""

    def load(self) -> list[Load]: ...

    @property
    def pressure(self) -> Pressure: ...


def instances_app(loaded: Loaded) -> Starlette:
    """All that another process of the installation may ask."""
    app = Starlette(routes=[Route("/load", load_page(loaded), methods=["GET"])])
    app.router.redirect_slashes = False
    return app


def load_page(loaded: Loaded) -> Callable[[Request], Awaitable[Response]]:
    async def load(request: Request) -> Response:
        """Every deployment's load, for the autoscaler and `scoregate status`. With `?wait_ms=N` it is that of N ms
        later, or of the moment in which a queue forms; `&since=SEQ`: or has formed since the reply that said so."""
        try:
            wait_ms = _whole_number(request, "wait_ms", MAX_LOAD_WAIT_MS)
            since = _whole_number(request, "since", _MAX_GENERATION)
        except ValueError as error:
            return JSONResponse({"error": {"code": "BadRequest", "message": str(error)}}, status_code=400)
        pressure = loaded.pressure
        if wait_ms:
            await _wait(request, pressure, since, wait_ms / 1000)
        headers = {GENERATION_HEADER: str(pressure.generation)}
        return Response(msgspec.json.encode(loaded.load()), headers=headers, media_type="application/json")

    return load


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
