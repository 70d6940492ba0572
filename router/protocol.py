"""What do the bytes on a client's connection mean?

I/O: one connection of a client, as a protocol class for uvicorn (`uvicorn.Config(http=...)`). It collects a request's
head under limits, runs the ASGI app with it as one task, and reads the next request only when that task has ended.
What breaks HTTP/1.1 or a limit is answered here, before any app is called.

Theory: a connection is reading a head (`_exchange` is None), serving (`_exchange` and `task` are set), or closing
(`_is_closing`: what still comes is read and dropped for a while, so that the client can read its last reply; RFC 9112
9.6). One timer serves all its deadlines: when it fires, it looks whether the deadline has moved on since.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from router.app import CANCELS, INFORMATIONAL, TASK
from router.clients import Clients
from router.core.errors import BadRequest, ClientTooSlow, HeadTooLarge, RouterError, TooManyConnections
from router.core.http1 import RequestHead, parse_request_head, status_line
from router.core.replies import error_reply
from router.exchange import Exchange
from router.request import ARRIVED

_TLS_RECORD = 0x16
"""The first byte of a client that speaks TLS; no request begins so."""
_LINGER_S = 5.0
_HANG_UP_LOOK_S = 0.1
_WRITE_HIGH_WATER_BYTES = 65_536
_EXTENSIONS: dict[str, dict[str, str]] = {CANCELS: {}, INFORMATIONAL: {}}
_ASGI = {"version": "3.0", "spec_version": "2.4"}

_log = logging.getLogger("scoregate.router")


def protocol_of(clients: Clients) -> Callable[..., asyncio.Protocol]:
    """For `uvicorn.Config(http=...)`: makes a connection of these clients."""
    return partial(ClientConnection, clients=clients)


class ClientConnection(asyncio.Protocol):
    """One connection of a client."""

    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        clients: Clients,
        client: tuple[str, int] | None = None,
    ) -> None:
        """`client`: who it is, where something in between has said so; else the other end of the connection."""
        self.loop = _loop or asyncio.get_running_loop()
        self.limits = clients.limits
        self._app = config.loaded_app
        self._client = client
        self._clients = clients
        self._server_state = server_state
        self._received = b""
        self._exchange: Exchange | None = None
        self.task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_reading_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: float | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._hang_up_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None

    # -- what the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER_BYTES)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # it lists its own classes
        clients = self._clients
        clients.open.add(self)
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        if self._client is None and isinstance(peer, tuple):
            self._client = peer[:2]
        self._server = local[:2] if isinstance(local, tuple) else None
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        if clients.count > self.limits.max_connections and not clients.close_oldest_idle():
            self._refuse(TooManyConnections(self.limits.max_connections))
            return
        self._set_deadline(self.limits.head_timeout_ms)

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        exchange = self._exchange
        if exchange is None:
            self._received = self._received + data if self._received else data
            self._read_head()
        elif exchange.body_done:
            self._received += data  # the next request, early: it waits
            if len(self._received) > self.limits.max_head_bytes:
                self.pause_reading()
        else:
            self._received = exchange.feed(data)

    def eof_received(self) -> None:
        """The client is gone: half-closed clients are not served, as nginx does it. The transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._clients.open.discard(self)
        self._clients.idle.pop(self, None)
        self._server_state.connections.discard(self)
        for timer in (self._timer, self._stall_timer, self._hang_up_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        if self._exchange is not None:
            self._exchange.disconnect()
        self.resume_writing()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # -- called by uvicorn and the server ------------------------------------------------------------------

    def shutdown(self) -> None:
        """An idle connection closes now, another when its reply is out."""
        if self._exchange is None:
            self.close()
        else:
            self._exchange.close_after()

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self.transport.close()
            self._cut_unless_it_reads()  # one that never does must not stay for ever

    # -- called by the exchange ----------------------------------------------------------------------------

    @property
    def is_draining(self) -> bool:
        return self._clients.is_draining

    @property
    def is_writing_paused(self) -> bool:
        return self._writable is not None

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def date_line(self) -> bytes:
        for name, value in self._server_state.default_headers:
            if name == b"date":
                return b"date: %b\r\n" % value
        return b""

    async def drain(self) -> None:
        """Until the client has taken most of what was written. One that takes nothing for too long is cut."""
        self._cut_unless_it_reads()
        while self._writable is not None:
            await self._writable

    def _cut_unless_it_reads(self, unread_bytes: int | None = None) -> None:
        """Look at what is written and not taken, from time to time, until it is nothing or has not become less.

        `unread_bytes`: at the last look.
        """
        left_bytes = self.transport.get_write_buffer_size()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if unread_bytes is not None and left_bytes >= unread_bytes:
            self.cut()
        elif left_bytes:
            idle_s = self.limits.body_idle_timeout_ms / 1000
            self._stall_timer = self.loop.call_later(idle_s, self._cut_unless_it_reads, left_bytes)

    def pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()
            if self._hang_up_timer is None:
                self._hang_up_timer = self.loop.call_later(_HANG_UP_LOOK_S, self._look_for_hang_up)

    def _look_for_hang_up(self) -> None:
        """While reading is paused the event loop does not see the client leave; the socket knows."""
        self._hang_up_timer = None
        if self._is_reading_paused and not self._is_closing:
            poll = select.poll()
            poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
            if poll.poll(0):
                self.transport.abort()
            else:
                self._hang_up_timer = self.loop.call_later(_HANG_UP_LOOK_S, self._look_for_hang_up)

    def resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            self.transport.resume_reading()

    def expect_body_by(self, timeout_ms: int | None) -> None:
        """The next bytes of the body are due in that time; None: they are not."""
        if timeout_ms is None:
            self._deadline = None
        else:
            self._set_deadline(timeout_ms)

    # -- requests ------------------------------------------------------------------------------------------

    def _read_head(self) -> None:
        received = self._received
        if received[:1] in (b"\r", b"\n"):
            received = self._received = received.lstrip(b"\r\n")  # RFC 9112 2.2
        if not received:
            return
        end = received.find(b"\r\n\r\n") + 4
        size = end if end > 3 else len(received)
        if size > self.limits.max_head_bytes:
            self._refuse(HeadTooLarge(f"The request head is longer than {self.limits.max_head_bytes:,} bytes."))
            return
        if end == 3:
            if received[0] == _TLS_RECORD:
                self._refuse(BadRequest("This port speaks plain HTTP, and the request came over TLS."))
            elif b"\n\n" in received:
                self._refuse(
                    BadRequest("The lines of a request head end with CR LF (RFC 9112 2.2), not with LF alone.")
                )
            else:
                self._expect_rest_of_head()
            return
        arrived = perf_counter()
        try:
            head = parse_request_head(received[:end], self.limits.max_headers)
        except RouterError as error:
            self._refuse(error)
            return
        self._clients.idle.pop(self, None)
        self._deadline = None
        exchange = self._exchange = Exchange(self, head, received[end:])
        self._received = exchange.rest
        self._server_state.total_requests += 1
        scope = self._scope(head, arrived)
        scope[TASK] = self.task = self.loop.create_task(self._run(exchange, scope))

    def _expect_rest_of_head(self) -> None:
        """From its first byte, a head has its time, whatever trickles in."""
        if self in self._clients.idle:
            del self._clients.idle[self]
            self._set_deadline(self.limits.head_timeout_ms)

    def _scope(self, head: RequestHead, arrived: float) -> dict[str, Any]:
        target, _, query = head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if head.is_http_10 else "1.1",
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "method": head.method.decode("ascii"),
            "root_path": "",
            "path": target.decode("ascii"),
            "raw_path": target,
            "query_string": query,
            "headers": head.headers,
            "extensions": _EXTENSIONS,
            ARRIVED: arrived,
        }

    async def _run(self, exchange: Exchange, scope: dict[str, Any]) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except RouterError:
            pass  # failed after its reply began: cut below
        except Exception:
            _log.exception("the app failed outside of its own error handling")
        finally:
            self.task = None
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        """The app is done with the request: the next one, or the end of the connection."""
        self._exchange = None
        if self._is_closing:
            return
        if not exchange.finished:
            self.cut()
        elif not exchange.body_done:
            self._linger()
        elif not exchange.keeps_alive:
            self.close()
        else:
            self.resume_reading()
            if self._received:
                self._set_deadline(self.limits.head_timeout_ms)
                self._read_head()
            else:
                self._idle()

    def cut(self) -> None:
        """A reply cut short must not look whole: the client sees a reset, not an end that could be its own."""
        self._is_closing = True
        reset = struct.pack("ii", 1, 0)  # SO_LINGER, no time
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self.transport.abort()

    def _idle(self) -> None:
        clients = self._clients
        clients.idle[self] = None
        self._set_deadline(self.limits.idle_timeout_ms)
        if len(clients.idle) > self.limits.max_idle_connections:
            clients.close_oldest_idle()

    def _refuse(self, error: RouterError) -> None:
        """Reply to what can't be a request, and close."""
        request_id = self._clients.on_refusal(error, self._client[0] if self._client else "")
        headers, body = error_reply(error, [(b"x-ms-request-id", request_id), (b"x-request-id", request_id)])
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.write(b"%b%b%b\r\n%b" % (status_line(error.status), self.date_line(), lines, body))
        self._linger()

    def _linger(self) -> None:
        """Close, but keep reading for a while: an abrupt close would take the reply from the client (RFC 9112 9.6)."""
        self._is_closing = True
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline = None
            self._linger_timer = self.loop.call_later(_LINGER_S, self._end_linger)
            self._cut_unless_it_reads()
        else:
            self.transport.close()

    def _end_linger(self) -> None:
        if self.transport.get_write_buffer_size():  # still reading its reply
            self._linger_timer = self.loop.call_later(_LINGER_S, self._end_linger)
        else:
            self.transport.abort()

    # -- time ----------------------------------------------------------------------------------------------

    def _set_deadline(self, timeout_ms: int) -> None:
        deadline = self._deadline = self.loop.time() + timeout_ms / 1000
        if self._timer is None or self._timer_at > deadline:
            self._set_timer(deadline)

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.loop.call_at(deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._deadline
        if deadline is None or self._is_closing:
            return
        if self.loop.time() < deadline:
            self._set_timer(deadline)
        elif self._exchange is not None:
            idle_ms = self.limits.body_idle_timeout_ms
            self._exchange.fail(ClientTooSlow(f"Nothing of the request body came for {idle_ms:,} ms."))
        elif self._received:
            self._refuse(ClientTooSlow(f"The request head was not whole after {self.limits.head_timeout_ms:,} ms."))
        else:
            self.close()
