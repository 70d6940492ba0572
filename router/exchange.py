"""How does one request on a client's connection look to the ASGI app?

I/O: through the connection's transport. `receive` and `send` of ASGI, with back-pressure both ways: the body is read
no faster than the app takes it, the reply is produced no faster than the client does.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from router.core.errors import BadRequest, RouterError
from router.core.framing import Body, FramingError, NoBody, request_body
from router.core.http1 import Header, RequestHead, status_line
from router.core.replies import ReplyFraming

if TYPE_CHECKING:
    from router.protocol import ClientConnection

Message = MutableMapping[str, Any]

_HIGH_WATER_BYTES = 65_536
_WHOLE = NoBody()


class Exchange:
    """One request and its reply.

    The request's side: `_pieces` have come and were not asked for; `_body.done` ends them. The reply's: `send` takes
    `start`, then pieces.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_buffered_bytes",
        "_connection",
        "_end_told",
        "_failure",
        "_framing",
        "_head",
        "_pending_head",
        "_pieces",
        "_receive_waiter",
        "disconnected",
        "finished",
        "rest",
        "started",
    )

    def __init__(self, connection: ClientConnection, head: RequestHead, received: bytes) -> None:
        """`received`: what came behind the head; `rest` is what of it lies behind the body."""
        self._connection = connection
        self._head = head
        self._framing = ReplyFraming(head.method, is_http_10=head.is_http_10, keeps_alive=head.keep_alive)
        self._pieces: list[bytes] = []
        self._buffered_bytes = 0
        self._asked = False
        self._end_told = False
        self._receive_waiter: asyncio.Future[None] | None = None
        self._failure: RouterError | None = None
        self._pending_head: bytes | None = None
        self.started = False
        self.finished = False
        self.disconnected = False
        self.rest = b""
        if received and len(received) == head.content_length:  # most requests: head and body in one piece
            self._body: Body = _WHOLE
            self._pieces.append(received)
        else:
            self._body = request_body(head.content_length, head.chunked)
            if received:
                self.rest = received if self._body.done else self.feed(received)

    # -- called by the connection --------------------------------------------------------------------------

    @property
    def body_done(self) -> bool:
        return self._body.done

    @property
    def keeps_alive(self) -> bool:
        return self._framing.keeps_alive

    def close_after(self) -> None:
        """No further request on this connection."""
        self._framing.keeps_alive = False

    def feed(self, data: bytes) -> bytes:
        """More bytes off the wire. Returns those behind the body's end."""
        if self._failure is not None:
            return b""
        try:
            piece = self._body.feed(data)
        except FramingError as error:
            self.fail(BadRequest(f"The request body breaks HTTP/1.1: {error}."))
            return b""
        if piece and not self.finished:
            self._pieces.append(piece)
            self._buffered_bytes += len(piece)
            if self._buffered_bytes > _HIGH_WATER_BYTES and not self._body.done:
                self._connection.pause_reading()
        if piece or self._body.done:
            self._connection.expect_body_by(None)
            self._wake()
        return self._body.rest

    def fail(self, failure: RouterError) -> None:
        """The rest of the body will not come: the app's `receive` raises `failure`."""
        self._failure = failure
        self._wake()

    def disconnect(self) -> None:
        self.disconnected = True
        self._wake()

    # -- ASGI ----------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The first call never waits: it says what has come, which may be nothing yet. Raises RouterError."""
        if not self._asked:
            self._asked = True
            if self._head.expects_continue and not self._body.done and not self._pieces:
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return self._take()
        while not self._pieces and not self.disconnected and (self._end_told or not self._body.done):
            if self._failure is not None:
                raise self._failure
            await self._wait()
        return {"type": "http.disconnect"} if self.disconnected else self._take()

    def _take(self) -> Message:
        pieces = self._pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if pieces:
            self._pieces = []
            self._buffered_bytes = 0
            if not self._body.done:
                self._connection.resume_reading()
        self._end_told = self._body.done
        return {"type": "http.request", "body": piece, "more_body": not self._end_told}

    async def _wait(self) -> None:
        connection = self._connection
        self._receive_waiter = connection.loop.create_future()
        if not self._body.done:
            connection.resume_reading()
            connection.expect_body_by(connection.limits.body_idle_timeout_ms)
        try:
            await self._receive_waiter
        finally:
            self._receive_waiter = None

    def _wake(self) -> None:
        if self._receive_waiter is not None and not self._receive_waiter.done():
            self._receive_waiter.set_result(None)

    async def send(self, message: Message) -> None:
        """`http.response.start`, then `http.response.body`, the last without `more_body`; 1xx before, see
        `app.INFORMATIONAL`."""
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
            if self._connection.is_writing_paused:
                await self._connection.drain()
        elif kind == "http.response.start":
            self._start(message["status"], message["headers"])
        elif not self._head.is_http_10:
            lines = [b"%b: %b\r\n" % header for header in message["headers"]]
            self._connection.write(b"%b%b\r\n" % (status_line(message["status"]), b"".join(lines)))

    def _start(self, status: int, headers: list[Header]) -> None:
        """The reply's head; written together with the first piece of its body."""
        if self.started:
            raise RuntimeError("the reply has started")
        self.started = True
        connection = self._connection
        if not self._body.done or connection.is_draining:
            self._framing.keeps_alive = False
        self._pending_head = self._framing.head(status, headers, connection.date_line())

    def _send_body(self, piece: bytes, has_more: bool) -> None:
        if not self.started or self.finished:
            raise RuntimeError("a piece of a reply's body before its start or after its end")
        piece = self._framing.piece(piece, has_more)
        if self._pending_head is not None:
            piece = self._pending_head + piece
            self._pending_head = None
        if piece:
            self._connection.write(piece)
        if not has_more:
            self.finished = True
            self._pieces = []
