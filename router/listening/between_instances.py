"""Where do other processes of this installation ask, and who of them is let in?

I/O: a socket that listens, with certificates on both sides (platforms/identity.py); and a unix socket, for those of the
same machine or Pod that may open its folder. While the vault can't be read, nobody is let in over the network, and who
asks is refused a connection: there is no way that needs no certificate.

Pages are asked for over HTTP; who works together with this instance says so while hands are shaken (ALPN), and is
answered by `peers`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from uvicorn.protocols.http.h11_impl import H11Protocol

from router.config import RouterConfig
from router.listening import bound, listener, url_of
from router.platforms import PlatformError
from router.platforms.identity import ALPN, OwnIdentity
from router.platforms.private_files import make_private_folder

_PATIENCE_S = 1

_log = logging.getLogger("scoregate.router")

Answers = Callable[[], asyncio.Protocol]
"""Makes the protocol of one connection of another instance."""


class BetweenInstances:
    """Bound within `with`; it takes connections while `serve` runs."""

    def __init__(self, config: RouterConfig, own: OwnIdentity, path: str) -> None:
        """`path`: of the unix socket; "" for none."""
        self._config = config
        self._own = own
        self._path = path

    def __enter__(self) -> Self:
        """Raises ConfigError for an address that can't be listened on."""
        self._bound = bound(self._config.peer_host, self._config.peer_port, "--peer-port")
        self._sock: socket.socket = self._bound.__enter__()
        self._local = None
        if self._path:
            try:
                self._local = _bound_at(Path(self._path))
                self._inode = os.stat(self._path).st_ino
            except (OSError, PlatformError) as error:
                _log.warning("instances here meet over TLS: can't listen on %s: %s", self._path, error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bound.__exit__(kind, error, trace)
        if self._local is not None:
            self._local.close()

    @property
    def url(self) -> str:
        return url_of(self._sock, "https")

    @property
    def path(self) -> str:
        """Of the unix socket; "" where there is none."""
        return self._path if self._local is not None else ""

    async def serve(self, app: Callable[..., Any], answers: Answers) -> None:
        """Until it is cancelled; then those who ask have a moment for their answer."""
        local = None
        if self._local is not None:
            local = await asyncio.get_running_loop().create_unix_server(answers, sock=self._local)
        try:
            await self._serve_network(app, answers)
        finally:
            if local is not None:
                local.close()
                _remove(Path(self._path), self._inode)

    async def _serve_network(self, app: Callable[..., Any], answers: Answers) -> None:
        def http(**given: Any) -> _Door:
            return _Door(answers, lambda: H11Protocol(**given))

        one = listener(app, http, _PATIENCE_S)
        one.config.load()
        await self._own.get_in_the_end()
        one.config.ssl = await self._own.server()
        serving = asyncio.create_task(one.serve([self._sock]))
        try:
            await asyncio.shield(serving)
        finally:
            one.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)


class _Door(asyncio.Protocol):
    """A connection whose hands are shaken: by what was agreed on, it is another's from then on."""

    def __init__(self, answers: Answers, pages: Answers) -> None:
        self._answers = answers
        self._pages = pages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        speaks = None if tls is None else tls.selected_alpn_protocol()
        chosen = self._answers() if speaks == ALPN else self._pages()
        transport.set_protocol(chosen)
        chosen.connection_made(transport)


def _remove(path: Path, inode: int) -> None:
    """Unless it is another one's by now: whoever takes this instance's place listens there, too."""
    with suppress(OSError):
        if path.stat().st_ino == inode:
            path.unlink()


def _bound_at(path: Path) -> socket.socket:
    """What an earlier process left there goes. Raises OSError, PlatformError."""
    make_private_folder(path.parent)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
    except OSError:
        sock.close()
        raise
    return sock
