"""How does a request get to a replica, and its reply back?

I/O: opens connections to replicas, with TLS on them where a deployment says so. They are kept alive and pooled by the
replica's uid, never by its address, which may be another replica's a second later. What goes over one of them is in
replica_connection.py.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Coroutine, Iterable
from typing import Any

from router.core.errors import ReplicaUnreachable, RequestTimeout, Unavailable
from router.core.model import Replica
from router.replica_connection import ReplicaConnection
from router.replica_tls import Secured, shortcoming
from router.tls import TlsError


class Upstream:
    """All connections to replicas."""

    def __init__(self, *, connect_timeout_ms: int, idle_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect_timeout_s = connect_timeout_ms / 1000
        self._idle_s = idle_ms / 1000
        self._idle: dict[str, list[ReplicaConnection]] = {}
        self._known: set[str] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self.open: set[ReplicaConnection] = set()

    def follow(self, replicas: Iterable[Replica]) -> None:
        """Connections to replicas that are gone are closed: idle ones now, others after their request."""
        self._known = {replica.uid for replica in replicas}
        for uid in self._idle.keys() - self._known:
            for connection in self._idle.pop(uid):
                connection.close()

    async def connect(
        self, replica: Replica, deadline: float, timeout_ms: int, secured: Secured | TlsError | None = None
    ) -> ReplicaConnection:
        """A connection with nothing on it, before the loop's time `deadline`, which ends the request's `timeout_ms`.
        `secured`: over TLS, as this says; or why that can't be.

        Raises ReplicaUnreachable, RequestTimeout; Unavailable when the router itself has no file left for it.
        """
        if isinstance(secured, TlsError):
            raise ReplicaUnreachable(f"Replica {replica.uid} can't be asked over TLS: {secured}")
        while idle := self._idle.get(replica.uid):
            connection = idle.pop()
            if connection.is_quiet() and connection.port == replica.port and connection.secured == secured:
                return connection
            connection.close()
        give_up = self._loop.time() + self._connect_timeout_s
        try:
            async with asyncio.timeout_at(min(give_up, deadline)):
                _, protocol = await self._open(replica, secured)
        except TimeoutError:
            if deadline < give_up:
                raise RequestTimeout(timeout_ms) from None
            raise ReplicaUnreachable(
                f"Replica {replica.uid} took no connection within {self._connect_timeout_s:g} s."
            ) from None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise Unavailable("The router has too many connections to open another one.") from None
            raise ReplicaUnreachable(f"Replica {replica.uid} took no connection: {_reason(error)}.") from None
        return protocol

    def _open(
        self, replica: Replica, secured: Secured | None
    ) -> Coroutine[Any, Any, tuple[asyncio.Transport, ReplicaConnection]]:
        def connection() -> ReplicaConnection:
            return ReplicaConnection(self, replica, secured)

        if secured is None:
            return self._loop.create_connection(connection, replica.host, replica.port)
        name = secured.server_name or replica.host
        return self._loop.create_connection(
            connection, replica.host, replica.port, ssl=secured.context, server_hostname=name
        )

    def keep(self, connection: ReplicaConnection) -> None:
        """The connection is free for the next request to its replica."""
        if connection.uid not in self._known:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.setdefault(connection.uid, []).append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._idle_s / 2, self._sweep)

    def lost(self, connection: ReplicaConnection) -> None:
        self.open.discard(connection)
        idle = self._idle.get(connection.uid)
        if idle and connection in idle:
            idle.remove(connection)

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.open):
            connection.close()

    def _sweep(self) -> None:
        """Close what has idled for too long."""
        self._sweeper = None
        oldest = self._loop.time() - self._idle_s
        for uid, idle in list(self._idle.items()):
            kept = [connection for connection in idle if connection.idle_since > oldest]
            for connection in set(idle) - set(kept):
                connection.close()
            if kept:
                self._idle[uid] = kept
            else:
                del self._idle[uid]
        if self._idle:
            self._sweeper = self._loop.call_later(self._idle_s / 2, self._sweep)


def _reason(error: OSError) -> str:
    """In words for a client."""
    if isinstance(error, ssl.SSLError):
        return shortcoming(error)
    return error.strerror or type(error).__name__
