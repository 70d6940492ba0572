"""How busy is each deployment, now or as soon as that changes?

I/O: none itself. On the port between instances each tells of its own requests. On the internal port it is the load of
all instances, each request counted once, unless only one of them is asked for: `?scope=instance`, or by waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.core.loads import Gathered
from router.core.model import Load
from router.pressure import Pressure
from router.routing_page import Routed, routing_page

MAX_LOAD_WAIT_MS = 60_000
GENERATION_HEADER = "x-scoregate-load-seq"
"""On every reply with the load: the pressure's generation at that moment, for the next question's `since`."""
INSTANCES_HEADER = "x-scoregate-instances"
"""On the load of all: how many instances told theirs in time, and how many there are, as in `3/4`."""

_MAX_GENERATION = 2**63 - 1


class Loaded(Protocol):
    """Whose load it is; `router.server` has it."""

    def load(self) -> list[Load]: ...

    @property
    def pressure(self) -> Pressure: ...


class LoadedTogether(Loaded, Protocol):
    """One of several instances."""

    async def load_of_all(self) -> Gathered: ...


Scope = Literal["instance", "all"]


class Asked(Loaded, Routed, Protocol):
    """What an instance tells of itself."""


def instances_app(asked: Asked) -> Starlette:
    """All that another process of the installation may ask."""
    pages = {"/load": own_load_page(asked), "/routing": routing_page(asked)}
    app = Starlette(routes=[Route(path, page, methods=["GET"]) for path, page in pages.items()])
    app.router.redirect_slashes = False
    return app


def own_load_page(loaded: Loaded) -> Callable[[Request], Awaitable[Response]]:
    async def load(request: Request) -> Response:
        """This instance's load of every deployment, for others and for the autoscaler. With `?wait_ms=N` it is that of
        N ms later, or of the moment in which a queue forms; `&since=SEQ`: or has formed since the reply that said so.
        """
        try:
            wait_ms = _whole_number(request, "wait_ms", MAX_LOAD_WAIT_MS)
            since = _whole_number(request, "since", _MAX_GENERATION)
        except ValueError as error:
            return _bad_request(error)
        pressure = loaded.pressure
        if wait_ms:
            await _wait(request, pressure, since, wait_ms / 1000)
        return _told(loaded.load(), {GENERATION_HEADER: str(pressure.generation)})

    return load


def load_page(loaded: LoadedTogether) -> Callable[[Request], Awaitable[Response]]:
    own = own_load_page(loaded)

    async def load(request: Request) -> Response:
        """Every deployment's load, for an operator and `scoregate status`."""
        try:
            scope = _scope(request)
        except ValueError as error:
            return _bad_request(error)
        if scope == "instance":
            return await own(request)
        loads, answered, known = await loaded.load_of_all()
        return _told(loads, {INSTANCES_HEADER: f"{answered}/{known}"})

    return load


def _scope(request: Request) -> Scope:
    """Who waits, waits for one instance. Raises ValueError with the value and the rule."""
    waits = not request.query_params.keys().isdisjoint(("wait_ms", "since"))
    match request.query_params.get("scope"):
        case "instance":
            return "instance"
        case None:
            return "instance" if waits else "all"
        case "all" if not waits:
            return "all"
        case "all":
            raise ValueError("wait_ms and since are for the load of one instance: scope is 'all'.")
        case other:
            raise ValueError(f"scope is {other[:40]!r}; it must be instance or all.")


def _told(loads: list[Load], headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(loads), headers=headers, media_type="application/json")


def _bad_request(error: ValueError) -> Response:
    return JSONResponse({"error": {"code": "BadRequest", "message": str(error)}}, status_code=400)


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
