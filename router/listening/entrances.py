"""Through which ports do clients come in, and what do they find there?

I/O: sockets that listen. One port for plain HTTP, and one for HTTPS where there is a certificate; the plain one then
tells clients where to go, unless insecure connections are allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from router.clients import Clients
from router.config import RouterConfig
from router.listening import Listener, bound, listener, url_of
from router.listening.certificate import Certificate
from router.listening.encrypted import encrypted
from router.listening.https_only import HttpsOnly
from router.listening.proxied import proxied


class Entrances:
    """Bound within `with`; they take connections from `open` until `shut`."""

    def __init__(self, config: RouterConfig, certificate: Certificate | None) -> None:
        self._config = config
        self._certificate = certificate
        self._listeners: list[Listener] = []
        self._serving: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        """Raises ConfigError for an address that can't be listened on."""
        config = self._config
        with ExitStack() as sockets:
            self._plain = sockets.enter_context(bound(config.host, config.port, "--port"))
            if self._certificate is not None:
                self._tls = sockets.enter_context(bound(config.host, config.tls_port, "--tls-port"))
            self._sockets = sockets.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sockets.close()

    @property
    def url(self) -> str:
        """Where clients score."""
        return url_of(self._plain) if self._certificate is None else url_of(self._tls, "https")

    async def open(
        self, app: Callable[..., Any], http: Callable[..., asyncio.Protocol], clients: Clients, patience_s: int
    ) -> None:
        """Returns when connections are taken. `patience_s`: for requests in flight, once it shall end."""
        certificate, on_plain = self._certificate, app
        if certificate is not None:
            if not self._config.allow_insecure_connections:
                on_plain = self._https_only(clients)
            over_tls = self._passed_on(encrypted(http, certificate.current, clients), clients)
            self._serve(listener(app, over_tls, patience_s), self._tls)
        self._serve(listener(on_plain, self._passed_on(http, clients), patience_s), self._plain)
        for one, serving in zip(self._listeners, self._serving, strict=True):
            await one.until_started(serving)

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

    def _https_only(self, clients: Clients) -> HttpsOnly:
        return HttpsOnly(
            redirects=self._config.plain_http == "redirect",
            port=self._plain.getsockname()[1],
            tls_port=self._tls.getsockname()[1],
            on_refusal=clients.on_refusal,
        )
