"""How do several workers that listen on one socket each get their share of connections?

I/O: a socket that listens. An event loop takes all connections that wait at once: of fifty that come together the one
worker that is awake gets nearly all, and keeps them. Here a worker takes one in each turn of its loop; and one that has
more than another lets the others go first, for a millisecond. Then it takes some all the same: others may be busy.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Protocol

_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 1.0
"""While there is no file left for another connection."""

_OTHERS_FIRST_S = 0.001
_TAKEN_AT_ONCE = 8
"""After that."""

_log = logging.getLogger("scoregate.router")


class Share(Protocol):
    """How many connections this worker has, and the others."""

    def is_ahead(self) -> bool: ...

    def took_one(self) -> None: ...

    def leave(self) -> None:
        """No more are taken: nobody need wait for this one."""


class ReadyFirst:
    """A share of what any worker may be asked: one that is not ready, and so would speak for all, lets the others go
    first."""

    def __init__(self, not_ready_because: Callable[[], str | None]) -> None:
        self._not_ready_because = not_ready_because

    def is_ahead(self) -> bool:
        return self._not_ready_because() is not None

    def took_one(self) -> None:
        """None has had enough."""

    def leave(self) -> None:
        """Nobody counts."""


class Turns:
    """For uvicorn, in the place of what `loop.create_server` returns."""

    def __init__(
        self, sock: socket.socket, protocol: Callable[[], asyncio.Protocol], backlog: int, share: Share
    ) -> None:
        """`sock` may be other processes', too. Needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._protocol = protocol
        self._share = share
        self._starting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        sock.setblocking(False)
        sock.listen(backlog)
        self._look()

    def close(self) -> None:
        """No more; what waits is the others'."""
        if not self._is_closed:
            self._is_closed = True
            self._share.leave()
            self._loop.remove_reader(self._sock)
            if self._pause is not None:
                self._pause.cancel()

    async def wait_closed(self) -> None:
        """It is closed at once."""

    # -- inside --------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._loop.add_reader(self._sock, self._take_turn)

    def _take_turn(self) -> None:
        if self._share.is_ahead():
            self._wait(_OTHERS_FIRST_S, self._take_some)
        else:
            self._take_one()

    def _take_some(self) -> None:
        self._look()
        for _ in range(_TAKEN_AT_ONCE):
            if not self._take_one():
                return

    def _take_one(self) -> bool:
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another worker's, or gone
            return False
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _log.error("no connection can be taken: %s", error.strerror)
            self._wait(_PAUSE_S, self._look)
            return False
        self._share.took_one()
        starting = self._loop.create_task(self._begin(connection))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return True

    def _wait(self, for_s: float, then: Callable[[], object]) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(for_s, then)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it has gone
            connection.close()
