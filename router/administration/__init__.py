"""What can an administrator see and change over HTTP?

I/O: requests of the internal port. Each goes the same way: may it come from there, with which key; read what it asks;
do it through the platform; answer, and leave a line in the audit log. Every failure becomes a reply here, and nowhere
else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from router import __version__
from router.administration import audit, endpoints, keys, process, tokens
from router.administration.access import Access
from router.administration.openapi import document
from router.administration.operation import Answer, Call, Operation, read_body, read_query
from router.administration.parts import Parts
from router.administration.reach import Asked
from router.administration.refusals import Refusal, fault, refusal_of

ROOT = "/admin/v1"
OPERATIONS: tuple[Operation, ...] = (
    *endpoints.OPERATIONS,
    *keys.OPERATIONS,
    *tokens.OPERATIONS,
    *process.OPERATIONS,
    tokens.JWKS,
)
DESCRIPTION = "/openapi.json"
OPEN_PAGES = (DESCRIPTION, tokens.JWKS.path)
"""Without a key."""

_log = logging.getLogger("scoregate.administration")


class Desk:
    """Where requests for administration are dealt with. `clock`: seconds since the epoch."""

    def __init__(self, parts: Parts, access: Access, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._access = access
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        description = msgspec.json.encode(document(OPERATIONS, ROOT, __version__))

        async def describe(_: Request) -> Response:
            return _reply(200, description, {})

        by_path: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            path = operation.path if operation.is_open else ROOT + operation.path
            by_path.setdefault(path, {})[operation.method] = operation
        pages = [Route(path, self._page(methods), methods=list(methods)) for path, methods in by_path.items()]
        return [Route(DESCRIPTION, describe, methods=["GET"]), *pages]

    def _page(self, operations: dict[str, Operation]) -> Callable[[Request], Any]:
        async def page(request: Request) -> Response:
            return await self._answer(operations["GET" if request.method == "HEAD" else request.method], request)

        return page

    async def _answer(self, operation: Operation, request: Request) -> Response:
        call = Call(request.path_params, self._clock())
        asked = _asked(request)
        if not operation.is_open:
            try:
                self._access.check(asked, call.now_s)
            except Refusal as refusal:
                if refusal.status != 429:  # those before it have said so already
                    self._audit(operation, call, asked, refusal.status, refusal.code)
                return _refused(refusal)
        status, code = 0, ""
        try:
            answer = await self._done(operation, request, call)
            status = answer.status
            return _reply(status, msgspec.json.encode(answer.content), _headers(operation))
        except Exception as error:
            told = _foreseen(error)
            status, code = told.status, told.code
            return _refused(told)
        finally:
            if operation.is_audited:
                self._audit(operation, call, asked, status, code)

    async def _done(self, operation: Operation, request: Request, call: Call) -> Answer:
        call.query = read_query(request, operation.query)
        call.body = await read_body(request, operation.body)
        return await operation.act(self._parts, call)

    def _audit(self, operation: Operation, call: Call, asked: Asked, status: int, code: str) -> None:
        audit.write(call.now_s, asked.client, operation.name, call.told, status, code)


def error_pages() -> dict[Any, Callable[[Request, Exception], Response]]:
    """What else the internal port may say, in the shape of every other refusal: for Starlette."""

    def refused(request: Request, error: Exception) -> Response:
        status: int = getattr(error, "status_code", 404)
        headers = getattr(error, "headers", None)
        if status == 405:
            return _refused(Refusal(405, "MethodNotAllowed", f"{request.method[:20]} is nothing to do here.", headers))
        return _refused(Refusal(404, "NotFound", "There is no such page: / names them."))

    return {404: refused, 405: refused}


def _asked(request: Request) -> Asked:
    return Asked(
        client=request.client.host if request.client is not None else "",
        scheme=request.scope["scheme"],
        host=request.headers.get("host", ""),
        origin=request.headers.get("origin"),
        authorization=request.headers.get("authorization"),
    )


def _foreseen(error: Exception) -> Refusal:
    refusal = refusal_of(error)
    if refusal is None:
        _log.error("an administrator's request failed", exc_info=error)
        return fault()
    return refusal


def _refused(refusal: Refusal) -> Response:
    headers = {"cache-control": "no-store", **refusal.headers}
    return _reply(refusal.status, msgspec.json.encode(refusal.shown()), headers)


def _headers(operation: Operation) -> dict[str, str]:
    """What is behind the key is kept by nobody; public keys for less long than a new one is known before it signs."""
    return {"cache-control": "max-age=30" if operation.is_open else "no-store"}


def _reply(status: int, content: bytes, headers: dict[str, str]) -> Response:
    return Response(content, status_code=status, headers=headers, media_type="application/json")
