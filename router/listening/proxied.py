"""Whose connection does a load balancer pass on?

I/O: one connection of a load balancer, until it has said in a PROXY header (core/proxy_header.py) who its client is;
from then on it is that client's connection. Only trusted proxies may say so: what comes from anybody else, or begins
otherwise, is closed without a word, for nothing is known of who would read it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from router.clients import Clients
from router.config import Network, is_within
from router.core.errors import BadRequest
from router.core.proxy_header import BadProxyHeader, parse

_log = logging.getLogger("scoregate.router")

Client = tuple[str, int]


def proxied(
    http: Callable[..., asyncio.Protocol], trusted: tuple[Network, ...], clients: Clients
) -> Callable[..., asyncio.Protocol]:
    """For `uvicorn.Config(http=...)`: connections of `http`, each behind a PROXY header from one of these."""

    def accept(**given: Any) -> Proxied:
        def begin(client: Client | None) -> asyncio.Protocol:
            return http(**given, client=client)

        return Proxied(begin, trusted, clients, given["server_state"].connections)

    return accept


class Proxied(asyncio.Protocol):
    def __init__(
        self,
        begin: Callable[[Client | None], asyncio.Protocol],
        trusted: tuple[Network, ...],
        clients: Clients,
        connections: set[Any],
    ) -> None:
        """`begin`: the client's own connection; without an address it is the balancer's. `connections`: those that
        uvicorn shuts down at its end."""
        self._begin = begin
        self._trusted = trusted
        self._clients = clients
        self._connections = connections
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    # -- what the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        clients = self._clients
        self._connections.add(self)
        clients.arriving.add(self)
        peer = self._peer()
        if not peer:  # it has left by now: who it was, nobody can tell
            self._transport.abort()
        elif not is_within(peer, self._trusted):
            self._refuse("it is not one of the trusted proxies")
        elif clients.count > clients.limits.max_connections and not clients.close_oldest_idle():
            self._transport.abort()
        else:
            within_s, loop = clients.limits.head_timeout_ms / 1000, asyncio.get_running_loop()
            self._timer = loop.call_later(within_s, self._refuse, "its PROXY header took too long")

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._received += data
        try:
            header = parse(self._received)
        except BadProxyHeader as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._leave()
            protocol = self._begin(header.client)
            self._transport.set_protocol(protocol)
            protocol.connection_made(self._transport)
            if rest := self._received[header.length :]:
                protocol.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    # -- called by uvicorn, and where all is cut -------------------------------------------------------------

    def shutdown(self) -> None:
        self._transport.abort()

    abort = shutdown

    # -- inside ----------------------------------------------------------------------------------------------

    def _refuse(self, reason: str) -> None:
        peer = self._peer()
        self._clients.on_refusal(BadRequest(f"The connection of {peer} is not taken: {reason}."), peer)
        _log.debug("connection of %s not taken: %s", peer, reason)
        self._transport.abort()

    def _leave(self) -> None:
        self._clients.arriving.discard(self)
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _peer(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""
