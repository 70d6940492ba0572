"""What happens to a request, from its head to its last byte?

I/O: through ASGI towards the client, through `upstream` towards the replica. The steps are numbered as in
docs/architecture.md, and `_walk` reads in their order. Every failure is a RouterError; one `except` turns it into the
one reply.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine
from time import perf_counter
from typing import Any

from router.accesslog import AccessLog
from router.cancelling import Message, Receive, Send, cancelling
from router.core import cors, hygiene, retries
from router.core.dispatch import Permit, Ticket
from router.core.errors import (
    BadRequest,
    ClientGone,
    ClientTooSlow,
    InternalFault,
    PayloadTooLarge,
    RequestTimeout,
    RouterError,
    SwaggerNotFound,
    Unavailable,
)
from router.core.http1 import ResponseHead
from router.core.model import Cors
from router.core.replies import error_reply
from router.core.routes import Match
from router.fleet import Fleet, LiveDeployment
from router.forwarding import Forwarding
from router.gate import Gate
from router.records import record_of
from router.replica_connection import ReplicaConnection
from router.request import RandomDigits, Request, Scope
from router.upstream import Upstream

TASK = "scoregate.task"
"""Key of the scope: the task that runs the app, where the server says so."""
CANCELS = "scoregate.cancels"
"""ASGI extension: the server cancels the request's task when its client leaves."""
INFORMATIONAL = "scoregate.informational"
"""ASGI extension: the server sends 1xx replies, as `{"type": "scoregate.informational", "status", "headers"}`."""

_KEPT_BODY_BYTES = 65_536
"""So much of a body is kept until the reply begins, to be sent again if that is safe."""

_log = logging.getLogger("scoregate.router")


class Router:
    """The ASGI app. Works under any server; under `router.protocol` it costs least."""

    def __init__(
        self, fleet: Fleet, gate: Gate, upstream: Upstream, forwarding: Forwarding, access_log: AccessLog | None
    ) -> None:
        self._fleet = fleet
        self._gate = gate
        self._upstream = upstream
        self._forwarding = forwarding
        self._access_log = access_log
        self._random = random.Random()
        self._digits = RandomDigits()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] != "http":
            raise NotImplementedError(f"The router serves HTTP; this is ASGI scope type {scope['type']}.")
        if CANCELS in scope.get("extensions", ()):
            return self._serve(scope, receive, send)
        return cancelling(self._serve, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, self._digits.take())
        try:
            try:
                await self._walk(request, receive, send)
            except RouterError as error:
                request.error = error
            except asyncio.CancelledError:
                request.error = ClientGone()
                raise
            except Exception:
                _log.exception("request %s failed in the router", request.request_id.decode())
                request.error = InternalFault()
            if request.error is not None:
                await self._reply_with_error(request, request.error, send)  # 12
        finally:
            self._conclude(request)

    async def _walk(self, request: Request, receive: Receive, send: Send) -> None:
        fields = request.fields
        hygiene.check_id_lengths(fields)  # 2
        match = self._fleet.table.match(request.path)  # 3
        endpoint = request.endpoint = match.route.endpoint
        if endpoint.cors is not None and await _answers_browser(request, endpoint.cors, send):
            return
        declared = request.declared_bytes
        if declared is not None and declared > endpoint.max_payload_bytes:
            raise PayloadTooLarge(endpoint.max_payload_bytes, declared)
        authorization = fields.get(b"authorization")
        caller = self._gate.check(endpoint, authorization)  # 4
        if caller is None:
            caller = await self._gate.verify(endpoint, authorization)
            match = self._fleet.table.match(request.path)  # what is served may be other by now
            endpoint = request.endpoint = match.route.endpoint
        request.caller = caller
        caller.admit(endpoint.name, request.arrived)
        deployment = match.route.choose(fields.get(b"azureml-model-deployment"), self._random.random())  # 5
        live = request.live = self._fleet.live[deployment.key]
        live.budget.request()
        head = request.head(match, live, self._forwarding.lines(request))
        tried: frozenset[str] = frozenset()
        while True:  # 6-11, again on another replica only where that is safe
            try:
                last_piece = await self._attempt(request, match, live, head, tried, receive, send)
                break
            except RouterError as error:
                if isinstance(error, Unavailable) and request.error is not None:
                    raise request.error from None  # no other replica had room: the first failure is the news
                if not _may_retry(request, live, error):
                    raise
                request.error = error
                tried |= {request.replica_uid}
                if request.upload is not None:
                    await asyncio.wait((request.upload,))
        await send({"type": "http.response.body", "body": last_piece, "more_body": False})

    async def _attempt(
        self,
        request: Request,
        match: Match,
        live: LiveDeployment,
        head: bytes,
        tried: frozenset[str],
        receive: Receive,
        send: Send,
    ) -> bytes:
        """All but the last piece of the reply is sent; that is returned, for which no replica is needed any more."""
        admission = live.admission
        slot: Permit | Ticket = admission.acquire(tried)  # 6
        permit = slot if isinstance(slot, Permit) else await admission.wait(slot)
        try:
            request.waited_s += permit.waited_s
            request.replica_uid = permit.replica.uid
            request.attempts += 1
            if request.first_body is None:
                await _read_first(request, receive)
            timeout_ms = live.noun.request.request_timeout_ms
            if request.deadline is None:
                request.deadline = permit.granted_at + timeout_ms / 1000
            connection = await self._upstream.connect(permit.replica, request.deadline, timeout_ms, live.secured)  # 7
            owner = request.scope.get(TASK) or asyncio.current_task()
            connection.begin(request.method, request.deadline, timeout_ms, owner)
            last_piece = await _exchange(request, match, connection, owner, head, receive, send)  # 8, 9
            request.error = None
            admission.succeeded(permit)
            return last_piece
        except RouterError as error:
            if error.source == "replica":
                admission.failed(permit, error)
            raise
        finally:
            admission.release(permit)  # 10, 11

    async def _reply_with_error(self, request: Request, error: RouterError, send: Send) -> None:
        if request.started:
            raise error  # too late for a reply: the server cuts the connection, so that nothing looks complete
        request.status = error.status
        headers, body = error_reply(error, request.own_reply_headers())
        request.started = True
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _conclude(self, request: Request) -> None:
        duration_s = perf_counter() - request.arrived
        error, live = request.error, request.live
        if error is not None:
            request.status = error.status
            error.__traceback__ = None  # its frames hold the request, which holds the error: neither would be let go
        if live is None:
            name = "" if request.endpoint is None else request.endpoint.name
            self._fleet.count_unrouted(name, request.status)
        else:
            live.counters.conclude(
                request.status,
                duration_s,
                request.overhead_s,
                request.waited_s,
                request.body_bytes,
                request.reply_bytes,
            )
            if error is not None or request.attempts > 1:
                live.note_troubles()
        if request.caller is not None:
            request.caller.count(request.status)
        if self._access_log is not None:
            self._access_log.append(record_of(request, duration_s, self._forwarding.client(request)))


async def _answers_browser(request: Request, settings: Cors, send: Send) -> bool:
    """Whether a browser only asked what a page may do; then it has its answer. Else the reply will say who may read
    it."""
    request.cross_origin = cors.reply_headers(settings, request.fields)
    if not cors.is_preflight(request.method, request.fields):
        return False
    request.cross_origin = cors.preflight_headers(settings, request.fields)
    request.status, request.started = 204, True
    await send({"type": "http.response.start", "status": 204, "headers": request.own_reply_headers()})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return True


async def _read_first(request: Request, receive: Receive) -> None:
    """The first piece of the body; a small one is whole with it, and can be sent again if need be."""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise ClientGone
    request.first_body = _counted(request, event)


def _counted(request: Request, event: Message) -> bytes:
    """The piece of the body in `event`, checked against the limit and against what Content-Length says."""
    piece: bytes = event.get("body", b"")
    has_more = request.has_more_body = event.get("more_body", False)
    count = request.body_bytes = request.body_bytes + len(piece)
    endpoint, declared = request.endpoint, request.declared_bytes
    if endpoint is not None and count > endpoint.max_payload_bytes:
        raise PayloadTooLarge(endpoint.max_payload_bytes)
    if declared is not None and (count > declared if has_more else count != declared):
        raise BadRequest(f"The body has {count:,} bytes, its Content-Length says {declared:,}.")
    return piece


async def _exchange(
    request: Request,
    match: Match,
    connection: ReplicaConnection,
    owner: asyncio.Task[Any] | None,
    head: bytes,
    receive: Receive,
    send: Send,
) -> bytes:
    """Send the request over the connection and its reply to the client, both as they come; returns the last piece."""
    upload: asyncio.Task[None] | None = None
    first = request.first_body or b""
    try:
        framing = request.framing()
        is_chunked = framing.startswith(b"transfer")
        connection.write(b"%b%b%b" % (head, framing, _chunk(first) if is_chunked else first))
        sent_at = perf_counter()
        if request.has_more_body:
            upload = request.upload = asyncio.create_task(_upload(request, connection, is_chunked, receive))
        reply = await connection.next_head()
        while reply.status < 200:
            if reply.status != 100 and INFORMATIONAL in request.scope.get("extensions", ()):
                await send({"type": INFORMATIONAL, "status": reply.status, "headers": hygiene.to_client(reply.headers)})
            reply = await connection.next_head()
        if match.swagger and reply.status == 404:
            raise SwaggerNotFound
        last_piece = await _relay(request, connection, reply, send)
        if request.attempts == 1:
            request.overhead_s += max(0.0, sent_at - request.arrived - request.waited_s)
        return last_piece
    except asyncio.CancelledError:
        if not connection.has_cancelled or connection.failure is None or owner is None or owner.uncancel():
            raise
        raise _blamed(request, connection.failure) from None
    except RequestTimeout as error:
        raise _blamed(request, error) from None
    finally:
        if upload is not None:
            upload.cancel()
        connection.end(request_whole=not request.has_more_body)


def _blamed(request: Request, failure: RouterError) -> RouterError:
    """A deadline that passed while the client owed us its body, or did not take its reply, is the client's."""
    if isinstance(failure, RequestTimeout) and request.awaits_client:
        what = "The reply had not been taken" if request.started else "The request body had not come"
        return ClientTooSlow(f"{what} when the request's time was over.")
    return failure


async def _relay(request: Request, connection: ReplicaConnection, reply: ResponseHead, send: Send) -> bytes:
    """The replica's reply to the client, as it comes, but for its last piece, which is returned."""
    headers = hygiene.to_client(reply.headers)
    if request.cross_origin:
        headers = cors.without_replicas_own(headers)
    headers += request.own_reply_headers()
    request.status = reply.status
    request.started = True
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    request.overhead_s = perf_counter() - connection.replied_at
    chunk = connection.take()
    while not connection.whole:
        request.reply_bytes += len(chunk)
        request.awaits_client = True
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        request.awaits_client = False
        chunk = await connection.read()
    chunk += connection.take()
    request.reply_bytes += len(chunk)
    return chunk


async def _upload(request: Request, connection: ReplicaConnection, is_chunked: bool, receive: Receive) -> None:
    """The rest of the request's body to the replica, as it comes and as fast as the replica takes it."""
    try:
        while request.has_more_body:
            await connection.drain()
            request.awaits_client = True
            event = await receive()
            request.awaits_client = False
            if event["type"] == "http.disconnect":
                raise ClientGone
            piece = _counted(request, event)
            if request.body_bytes <= _KEPT_BODY_BYTES:
                request.first_body = (request.first_body or b"") + piece
            else:
                request.is_streamed = True
            if is_chunked:
                piece = _chunk(piece) if request.has_more_body else _chunk(piece) + b"0\r\n\r\n"
            connection.write(piece)
    except RouterError as error:
        connection.fail(error)
    except Exception:
        _log.exception("request %s failed in the router", request.request_id.decode())
        connection.fail(InternalFault())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _may_retry(request: Request, live: LiveDeployment, error: RouterError) -> bool:
    if request.started or request.is_streamed or request.attempts >= retries.MAX_ATTEMPTS:
        return False
    idempotent = retries.is_idempotent(
        request.method,
        has_idempotency_key=b"idempotency-key" in request.fields,
        declared=live.noun.idempotent,
    )
    if not retries.is_safe(error, idempotent=idempotent and not request.is_repeated) or not live.budget.spend():
        return False
    request.is_repeated |= error.unanswered
    return True
