"""How do messages between two instances cross a connection?

I/O: the connection's transport. The same at both ends, over TLS and over a unix socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from router.core.frames import FrameError, FrameReader, Message, encoded

MAX_WAITING_BYTES = 16 * 2**20
"""An instance that has not read so much is cut off: it hangs, or is not one of ours."""

_log = logging.getLogger("scoregate.peers")


class Wire(asyncio.Protocol):
    """One connection. `hear` is called with each message, `ended` once."""

    def __init__(self, hear: Callable[[Message], None], ended: Callable[[], None]) -> None:
        self._hear = hear
        self._ended = ended
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.silent_beats = 0
        """Beats of this instance since something came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.silent_beats = 0
        try:
            for message in self._reader.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return  # what went before was the last to be taken in
                self._hear(message)
        except FrameError as error:
            _log.error("another instance sent %s; its connection is closed", error)
            self.abort()
        except Exception:  # of ours: begun anew, with what both hold
            _log.exception("what another instance said can't be taken in; its connection is closed")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ended()

    @property
    def address(self) -> str:
        """Of the other end; "" over a unix socket."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def send(self, messages: list[Message]) -> None:
        """As one frame, or as few as can be."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            transport.write(encoded(messages))
        except FrameError as error:
            if (half := len(messages) // 2) > 0:
                self.send(messages[:half])
                self.send(messages[half:])
                return
            _log.error("can't tell another instance what this one holds: %s", error)
            self.abort()
            return
        if transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            _log.error("another instance reads nothing; its connection is closed")
            self.abort()

    def beat(self, give_up_after: int) -> None:
        """One more. After so many on which nothing came, whoever was there is not. Counted in beats, not in seconds: a
        process that was stopped finds what came meanwhile before it judges."""
        self.silent_beats += 1
        if self.silent_beats > give_up_after:
            self.abort()

    def close(self) -> None:
        """What was sent still goes out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
