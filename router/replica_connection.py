"""What goes over one connection to a replica, and in which state does that leave it?

I/O: the transport. One request at a time; the reply is read as strictly as a request is. A connection is used again
only when the last reply was whole, said nothing of closing, and not one byte came behind it.
"""

from __future__ import annotations

import asyncio
import select
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from router.core.errors import ReplicaClosed, ReplicaMisbehaved, RequestTimeout, RouterError
from router.core.framing import Body, FramingError, UntilCloseBody, response_body
from router.core.http1 import ResponseHead, parse_response_head
from router.core.model import Replica
from router.replica_tls import Secured

if TYPE_CHECKING:
    from router.upstream import Upstream

_HIGH_WATER_BYTES = 65_536
_MAX_HEAD_BYTES = 65_536


class ReplicaConnection(asyncio.Protocol):
    """One connection, one request at a time: `begin`, `write`, `next_head` until it is final, `read` until it is
    empty, `end`.

    `failure` is the first thing that went wrong with the present request; every wait raises it.
    """

    _transport: asyncio.Transport
    _socket: select.poll

    def __init__(self, upstream: Upstream, replica: Replica, secured: Secured | None) -> None:
        self._upstream = upstream
        self.secured = secured
        self._loop = asyncio.get_running_loop()
        self.uid = replica.uid
        self.port = replica.port
        self.idle_since = 0.0
        self.is_open = False
        self._active = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: float | None = None
        self._timeout_ms = 0
        self._writable: asyncio.Future[None] | None = None
        self._reset("")

    def _reset(self, method: str) -> None:
        self._method = method
        self._answered = False
        self._head_bytes = b""
        self._heads: list[ResponseHead] = []
        self._body: Body | None = None
        self._reusable = False
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._reading_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._owner: asyncio.Task[Any] | None = None
        self.failure: RouterError | None = None
        self.has_cancelled = False
        self.replied_at = 0.0

    # -- one request, called by the app --------------------------------------------------------------------

    def begin(self, method: str, deadline: float, timeout_ms: int, owner: asyncio.Task[Any] | None) -> None:
        """The request has until the loop's time `deadline` for all of its reply; `owner` is the task that serves it."""
        self._reset(method)
        self._active = True
        self._owner = owner
        self._timeout_ms = timeout_ms
        self._deadline = deadline
        # One timer serves many requests: when it fires, it looks whether the deadline has moved on since.
        if self._timer is None or self._timer_at > deadline:
            self._set_timer(deadline)

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._transport.write(data)

    async def drain(self) -> None:
        """Until the replica has taken most of what was written, or the connection is lost."""
        while self._writable is not None and self.is_open:
            await asyncio.shield(self._writable)

    async def next_head(self) -> ResponseHead:
        """The next reply head: any number of 1xx, then the final one. Raises RouterError."""
        while not self._heads:
            await self._wait()
        return self._heads.pop(0)

    async def read(self) -> bytes:
        """What has come of the body, at least a byte of it; b"" when it is whole. Raises RouterError."""
        while not self._chunks:
            if self.whole:
                return b""
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """What has come of the body so far, without waiting."""
        chunks = self._chunks
        if not chunks:
            return b""
        self._chunks = []
        self._buffered_bytes = 0
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @property
    def whole(self) -> bool:
        """All of the reply has come (and may still have to be taken)."""
        return self._body is not None and self._body.done

    def end(self, *, request_whole: bool) -> None:
        """The app is done with this request, however it went."""
        self._active = False
        self._deadline = None
        self._owner = None
        whole = self.failure is None and self.whole
        if whole and request_whole and self._reusable and self.is_open and not self._reading_paused:
            self._upstream.keep(self)
        else:
            self.close()

    def fail(self, failure: RouterError) -> None:
        """End the request: the replica sees the connection close, the app gets `failure` where it waits."""
        if not self._active or self.failure is not None:
            return
        self.failure = failure
        self.close()
        if self._waiter is not None:
            self._wake()
        elif self._owner is not None:
            self.has_cancelled = True  # it waits for the client; the app turns this back into `failure`
            self._owner.cancel()

    def is_quiet(self) -> bool:
        """Nothing has come since the last reply, not even its end: seen by the loop, or waiting in the socket."""
        return self.is_open and not self._socket.poll(0)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()

    # -- what the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._socket = select.poll()
        self._socket.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        self.is_open = True
        self._upstream.open.add(self)

    def data_received(self, data: bytes) -> None:
        if not self._active or self.failure is not None:
            self.close()  # nobody asked for this
            return
        self._answered = True
        try:
            if self._body is None:
                self._take_head(data)
            else:
                self._take_body(data)
        except RouterError as error:
            self._spoil(error)
        except FramingError as error:
            self._spoil(ReplicaMisbehaved(f"The replica's reply breaks HTTP/1.1: {error}."))
        self._wake()

    def eof_received(self) -> None:
        self._reusable = False
        if not self._active:
            self.close()
        elif isinstance(self._body, UntilCloseBody):
            self._body.done = True
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._upstream.lost(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._active and not self.whole and self.failure is None:
            if self._body is not None:
                self.failure = ReplicaMisbehaved("The replica's reply ended before it was whole.")
            elif self._answered:
                self.failure = ReplicaMisbehaved("The replica's reply ended within its head.")
            else:
                self.failure = ReplicaClosed()
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # -- inside --------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        if self._head_bytes:
            data = self._head_bytes + data
        while self._body is None:
            end = data.find(b"\r\n\r\n") + 4
            if (end if end > 3 else len(data)) > _MAX_HEAD_BYTES:
                raise ReplicaMisbehaved(f"The head of the replica's reply is longer than {_MAX_HEAD_BYTES:,} bytes.")
            if end == 3:
                self._head_bytes = data
                return
            head = parse_response_head(data[:end])
            data = data[end:]
            self._heads.append(head)
            if head.status >= 200:
                self.replied_at = perf_counter()
                self._head_bytes = b""
                self._reusable = head.keep_alive
                body = self._body = response_body(self._method, head.status, head.content_length, head.chunked)
                if len(data) == head.content_length and not body.done:  # most replies: head and body in one piece
                    body.done = True
                    self._chunks.append(data)
                    return
        if data:
            self._take_body(data)

    def _take_body(self, data: bytes) -> None:
        body = cast(Body, self._body)
        if self.whole:
            self._reusable = False  # bytes behind a whole reply: they must never answer the next request
            self.close()
            return
        payload = body.feed(data)
        if payload:
            self._chunks.append(payload)
            self._buffered_bytes += len(payload)
            if self._buffered_bytes > _HIGH_WATER_BYTES and not body.done:
                self._reading_paused = True
                self._transport.pause_reading()
        if body.done and body.rest:
            self._reusable = False

    def _spoil(self, failure: RouterError) -> None:
        self.failure = failure
        self.close()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self) -> None:
        """Until something changes. What came before a failure is handed out before it is raised."""
        if self.failure is not None:
            raise self.failure
        self._waiter = self._loop.create_future()
        await self._waiter

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._deadline
        if deadline is None:
            return
        if self._loop.time() < deadline:
            self._set_timer(deadline)
        else:
            self.fail(RequestTimeout(self._timeout_ms))

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._check_deadline)
