"""Through which ports do clients come in, and what do they find there?

I/O: sockets that listen. One port for plain HTTP, and one for HTTPS where there is a certificate; the plain one then
tells clients where to go, unless insecure connections are allowed.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import Any

from router.clients import Clients
from router.config import RouterConfig
from router.listening import Listener, listener, url_of
from router.listening.certificate import Certificate
from router.listening.encrypted import encrypted
from router.listening.https_only import HttpsOnly
from router.listening.proxied import proxied
from router.listening.sockets import Sockets
from router.listening.turns import Share


class Entrances:
    """They take connections from `open` until `shut`."""

    def __init__(
        self, config: RouterConfig, certificate: Certificate | None, sockets: Sockets, share: Share | None
    ) -> None:
        self._config = config
        self._certificate = certificate
        self._plain, self._tls = sockets.plain, sockets.tls
        self._share = share
        self._listeners: list[Listener] = []
        self._serving: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where clients score."""
        return url_of(self._plain) if self._tls is None else url_of(self._tls, "https")

    async def open(self, app: Callable[..., Any], http: Callable[..., asyncio.Protocol], clients: Clients) -> None:
        """Returns when connections are taken."""
        certificate, on_plain = self._certificate, app
        patience_s = math.ceil(self._config.drain_timeout_ms / 1000)
        if certificate is not None and self._tls is not None:
            if not self._config.allow_insecure_connections:
                on_plain = self._https_only(clients, self._tls)
            over_tls = self._passed_on(encrypted(http, certificate.current, clients), clients)
            self._serve(listener(app, over_tls, patience_s, self._share), self._tls)
        self._serve(listener(on_plain, self._passed_on(http, clients), patience_s, self._share), self._plain)
        for one, serving in zip(self._listeners, self._serving, strict=True):
            await one.until_started(serving)

    def close_to_newcomers(self) -> None:
        """Whoever is in may stay, and ask on. Only where others take connections from the same sockets."""
        for one in self._listeners:
            one.close_to_newcomers()

    async def shut(self) -> None:
        """Nobody new gets in. Returns when the last request has its reply, or the patience is over."""
        for one in self._listeners:
            one.should_exit = True
        await asyncio.gather(*self._serving)

    def _serve(self, one: Listener, sock: Any) -> None:
        self._listeners.append(one)
        self._serving.append(asyncio.create_task(one.serve([sock])))

    def _passed_on(self, http: Callable[..., asyncio.Protocol], clients: Clients) -> Callable[..., asyncio.Protocol]:
        """Behind a PROXY header, where balancers send one."""
        return proxied(http, self._config.trusted_proxies, clients) if self._config.proxy_protocol else http

    def _https_only(self, clients: Clients, tls: socket.socket) -> HttpsOnly:
        return HttpsOnly(
            redirects=self._config.plain_http == "redirect",
            port=self._plain.getsockname()[1],
            tls_port=tls.getsockname()[1],
            on_refusal=clients.on_refusal,
        )
