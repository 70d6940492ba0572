"""Where do other processes of this installation ask, and who of them is let in?

I/O: a socket that listens; TLS with certificates on both sides (platforms/identity.py). While the vault can't be read,
nobody is let in, and who asks is refused a connection: there is no way that needs no certificate.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from router.config import RouterConfig
from router.listening import bound, listener, url_of
from router.platforms.identity import OwnIdentity

_PATIENCE_S = 1


class BetweenInstances:
    """Bound within `with`; it takes connections while `serve` runs."""

    def __init__(self, config: RouterConfig, own: OwnIdentity) -> None:
        self._config = config
        self._own = own

    def __enter__(self) -> Self:
        """Raises ConfigError for an address that can't be listened on."""
        self._bound = bound(self._config.peer_host, self._config.peer_port, "--peer-port")
        self._sock: socket.socket = self._bound.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bound.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return url_of(self._sock, "https")

    async def serve(self, app: Callable[..., Any]) -> None:
        """Until it is cancelled; then those who ask have a moment for their answer."""
        one = listener(app, "h11", _PATIENCE_S)
        one.config.load()
        await self._own.get_in_the_end()
        one.config.ssl = await self._own.server()
        serving = asyncio.create_task(one.serve([self._sock]))
        try:
            await asyncio.shield(serving)
        finally:
            one.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
