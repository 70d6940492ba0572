"""How does a client's connection become an encrypted one?

I/O: one connection of a client. A layer between the event loop's transport and the protocol above, which takes it for
a plain transport: OpenSSL works on memory, and nothing is buffered here. So whatever the connection above relies on
holds for TLS as for TCP: the size of what is not yet written, half-closing, an abrupt end, a client that hangs up.

Theory: a connection shakes hands (`_above` has not been told of it), is open, or is over (`_is_shut`: our close_notify
is out; what still comes is dropped unread). A handshake has a deadline, and counts as a connection of a client.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from router.clients import Clients
from router.core.errors import BadRequest
from router.core.http1 import status_line
from router.core.replies import error_reply

_HANDSHAKE_RECORD = 0x16
"""The first byte of every TLS connection (RFC 8446 5.1)."""
_RECORD_BYTES = 16_384
"""The most that one record holds (RFC 8446 5.2), and one read returns."""
_ANSWERS_BYTES = 16_384
"""So much OpenSSL may answer by itself (key updates, alerts) while no byte of a request comes, or none is read."""
_REFUSED_IN_WORDS = 64
"""So many newcomers over the limit get the handshake that a 503 costs; more are cut."""
_END_WITHIN_S = 5.0
_GONE = asyncio.Protocol()

_log = logging.getLogger("scoregate.router")

Contexts = Callable[[], ssl.SSLContext]


def encrypted(http: Callable[..., asyncio.Protocol], contexts: Contexts, clients: Clients) -> Callable[..., Any]:
    """For `uvicorn.Config(http=...)`: connections of `http` over TLS. `contexts`: the one for a new connection."""

    def accept(**given: Any) -> Encrypted:
        return Encrypted(http(**given), contexts(), clients, given["server_state"].connections)

    return accept


class Encrypted(asyncio.Protocol, asyncio.Transport):
    """A protocol for the event loop, and a transport for the protocol above."""

    def __init__(
        self, above: asyncio.Protocol, context: ssl.SSLContext, clients: Clients, connections: set[Any]
    ) -> None:
        """`connections`: those that uvicorn shuts down at its end, this one as long as it shakes hands."""
        super().__init__()
        self._above = above
        self._context = context
        self._clients = clients
        self._connections = connections
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_new = True
        self._is_open = False
        self._is_shut = False
        self._answered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    # -- what the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        self._connections.add(self)
        clients = self._clients
        clients.arriving.add(self)
        over = clients.count - clients.limits.max_connections
        if over > 0 and not clients.close_oldest_idle() and over > _REFUSED_IN_WORDS:
            clients.count_failed_handshake()
            self.abort()
        else:
            self._set_timer(clients.limits.head_timeout_ms / 1000, self._fail, "it took too long")

    def data_received(self, data: bytes) -> None:
        if self._is_shut:
            return
        if self._is_new and data[0] != _HANDSHAKE_RECORD:
            self._refuse_plain()
            return
        self._is_new = False
        self._incoming.write(data)
        try:
            with suppress(ssl.SSLWantReadError):
                if not self._is_open:
                    self._shake_hands()
                self._read()
            self._answer()
        except ssl.SSLError as error:
            self._flush()  # the alert that says why
            self._fail((error.reason or str(error)).replace("_", " ").lower())

    def eof_received(self) -> None:
        """The client is gone, as without TLS. The transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_handshake()
        self._is_shut = True
        if self._is_open:
            self._above.connection_lost(exc)
        self._above = _GONE  # what OpenSSL holds must not wait for the garbage collector

    def pause_writing(self) -> None:
        if self._is_open:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._is_open:
            self._above.resume_writing()

    # -- called by uvicorn: only while hands are shaken --------------------------------------------------------

    def shutdown(self) -> None:
        self.abort()

    # -- what the protocol above calls -----------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._context
        return self._tls if name == "ssl_object" else self._wire.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_shut or self._wire.is_closing():
            return
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]
        self._flush()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._say_goodbye()
        self._wire.write_eof()

    def close(self) -> None:
        self._say_goodbye()
        self._wire.close()

    def abort(self) -> None:
        """Without close_notify: what was said may not be whole."""
        self._is_shut = True
        self._wire.abort()

    def is_closing(self) -> bool:
        return self._wire.is_closing()

    def pause_reading(self) -> None:
        self._wire.pause_reading()

    def resume_reading(self) -> None:
        self._wire.resume_reading()

    def is_reading(self) -> bool:
        return self._wire.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._wire.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._wire.get_write_buffer_size()

    # -- inside ----------------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        """Raises SSLWantReadError until it is done."""
        self._tls.do_handshake()
        self._flush()
        self._leave_handshake()
        self._is_open = True
        self._answered_bytes = 0
        self._above.connection_made(self)

    def _read(self) -> None:
        """Everything that is there, in one piece: a byte in a record of its own costs what it does without TLS. Raises
        SSLWantReadError when that ends within a record."""
        pieces: list[bytes] = []
        has_ended = False
        try:
            while self._incoming.pending and not has_ended:
                pieces.append(self._tls.read(_RECORD_BYTES))
                has_ended = not pieces[-1]
        finally:
            if any(pieces):
                self._pass_on(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if has_ended and not self._is_shut:  # close_notify: a client that half-closes is gone
            self.close()

    def _pass_on(self, data: bytes) -> None:
        if not self.get_write_buffer_size():  # it has read the answers so far
            self._answered_bytes = 0
        self._above.data_received(data)

    def _answer(self) -> None:
        """What OpenSSL has to say by itself. Nobody may have it talk without end, and not listen."""
        if self._outgoing.pending:
            self._answered_bytes += self._outgoing.pending
            self._flush()
            if self._is_open and self._answered_bytes > _ANSWERS_BYTES:
                self._fail("nothing but key updates")

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._wire.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            if self._is_open:
                with suppress(ssl.SSLError):  # it would wait for the client's own close_notify, which nobody needs
                    self._tls.unwrap()
                self._flush()

    def _leave_handshake(self) -> None:
        self._clients.arriving.discard(self)
        self._connections.discard(self)
        self._stop_timer()

    def _refuse_plain(self) -> None:
        """An HTTP client that does not know can read this; nothing else comes here that could read anything."""
        error = BadRequest("This port speaks HTTPS, and the request came over plain HTTP.")
        request_id = self._clients.on_refusal(error, self._peer())
        headers, body = error_reply(error, [(b"x-ms-request-id", request_id), (b"x-request-id", request_id)])
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self._wire.write(b"%b%b\r\n%b" % (status_line(error.status), lines, body))
        self._is_shut = True
        self._wire.write_eof()
        self._set_timer(_END_WITHIN_S, self._wire.abort)

    def _fail(self, reason: str) -> None:
        if not self._is_open:
            self._clients.count_failed_handshake()
        _log.debug("TLS with %s failed: %s", self._peer(), reason)
        self._is_shut = True
        self._wire.close()
        self._set_timer(_END_WITHIN_S, self._wire.abort)

    def _set_timer(self, within_s: float, then: Callable[..., None], *given: object) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(within_s, then, *given)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _peer(self) -> str:
        peer = self._wire.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""
