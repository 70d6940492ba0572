"""What is known of one request while it is served?

I/O: random digits of the operating system. Filled in along the walk (`app`), read at its end by the counters and the
access log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping, Sequence
from time import perf_counter
from typing import Any
from urllib.parse import quote

from router.core import hygiene
from router.core.auth import Caller
from router.core.errors import RouterError
from router.core.http1 import Header
from router.core.model import Endpoint
from router.core.routes import Match
from router.fleet import LiveDeployment

Scope = MutableMapping[str, Any]

ARRIVED = "scoregate.arrived"
"""Key of the scope: `perf_counter()` when the head was whole, where the server says so."""


class RandomDigits:
    """Random hexadecimal digits, drawn from the operating system many at a time."""

    def __init__(self) -> None:
        self._at = 0
        self._drawn = b""

    def take(self) -> bytes:
        """48 that nobody got before."""
        if self._at == len(self._drawn):
            self._drawn = os.urandom(6_144).hex().encode()
            self._at = 0
        at, self._at = self._at, self._at + 48
        return self._drawn[at : self._at]


class Request:
    """One request. What is only sometimes set has its default here on the class."""

    endpoint: Endpoint | None = None
    caller: Caller | None = None
    """Whose credential opened the endpoint; also where its rate limit ended the request."""
    cross_origin: Sequence[Header] = ()
    """What its reply says to browsers, where the endpoint has words for them."""
    live: LiveDeployment | None = None
    client_request_id: bytes | None = None
    trace: bytes = b""
    replica_uid = ""
    first_body: bytes | None = None
    """What has come of the body, while that is little; None until it was asked for."""
    has_more_body = False
    is_streamed = False
    """More of the body went to a replica than is kept: it can't be sent again."""
    upload: asyncio.Task[None] | None = None
    """Sends what of the body has not come with its first piece."""
    deadline: float | None = None
    """The event loop's time at which `requestTimeoutMs` is over; set with the first slot."""
    body_bytes = 0
    reply_bytes = 0
    attempts = 0
    is_repeated = False
    """It may have been executed once already."""
    waited_s = 0.0
    overhead_s = 0.0
    status = 0
    started = False
    """The reply's head is out: whatever fails now can only cut it short."""
    awaits_client = False
    """Only the client can bring it forward: more of the body is due."""
    error: RouterError | None = None

    def __init__(self, scope: Scope, digits: bytes) -> None:
        """`digits`: 48 random hexadecimal ones, for the ids that the client did not bring."""
        self.arrived: float = scope.get(ARRIVED) or perf_counter()
        self.scope = scope
        self.method: str = scope["method"]
        self.headers: list[Header] = scope["headers"]
        self.fields = fields = hygiene.by_name(self.headers)
        length = fields.get(b"content-length")
        self.declared_bytes = int(length) if length is not None and length.isdigit() else None
        """The body's length as `Content-Length` says."""
        self.request_id = hygiene.request_id(fields.get(b"x-request-id"), digits)
        given = fields.get(b"x-ms-client-request-id")
        if given is not None:
            self.client_request_id = hygiene.client_request_id(given) or None
        self._digits = digits

    @property
    def path(self) -> bytes:
        raw: bytes | None = self.scope.get("raw_path")  # optional in ASGI
        return quote(self.scope["path"]).encode() if raw is None else raw

    def head(self, match: Match, live: LiveDeployment, forwarded: bytes) -> bytes:
        """The request's head as the replica gets it, but for the line that frames the body, and the empty one."""
        path = match.path
        if path is None:
            path = live.scoring_path
        if query := self.scope["query_string"]:
            path = b"%b?%b" % (path, query)
        fields = self.fields
        self.trace = hygiene.trace_context(fields, self._digits)
        lines = [hygiene.to_replica(self.headers, fields)]
        if b"host" not in fields:  # HTTP/1.0; the replica is asked in HTTP/1.1
            lines.append(b"host: %b\r\n" % match.route.endpoint.name.encode())
        lines.append(forwarded)
        lines.append(self.trace)
        lines.append(b"x-request-id: %b\r\n" % self.request_id)
        if self.client_request_id is not None:
            lines.append(b"x-ms-client-request-id: %b\r\n" % self.client_request_id)
        if match.route.endpoint.forward_authorization and b"authorization" in fields:
            lines.append(b"authorization: %b\r\n" % fields[b"authorization"])
        return b"%b %b HTTP/1.1\r\n%b" % (self.method.encode(), path, b"".join(lines))

    def framing(self) -> bytes:
        """The line that frames the body for the replica, and the empty line. Needs the first piece of the body."""
        if self.has_more_body and self.declared_bytes is None:
            return b"transfer-encoding: chunked\r\n\r\n"
        length = self.declared_bytes
        if length is None:
            length = len(self.first_body or b"")
            if not length and self.method not in ("POST", "PUT", "PATCH"):
                return b"\r\n"
        return b"content-length: %d\r\n\r\n" % length

    def own_reply_headers(self) -> list[Header]:
        """What every reply carries, errors too."""
        headers = [(b"x-ms-request-id", self.request_id), (b"x-request-id", self.request_id)]
        if self.client_request_id is not None:
            headers.append((b"x-ms-client-request-id", self.client_request_id))
        if self.live is not None:
            headers.append(self.live.reply_header)
        headers += self.cross_origin
        return headers
