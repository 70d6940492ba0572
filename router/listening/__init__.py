"""On which addresses does a router listen, and what serves there?

I/O: sockets that listen.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from router.config import ConfigError
from router.listening.turns import Share, Turns
from router.pulse import pulse

BACKLOG = 4_096
_DATE_S = 1.0


class Listener(uvicorn.Server):
    """uvicorn's server, with signals left to ours: it would close at SIGTERM, and end by the signal."""

    share: Share | None = None

    def __init__(self, config: uvicorn.Config) -> None:
        self._exits = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        return self._exits.is_set()

    @should_exit.setter
    def should_exit(self, should: bool) -> None:  # uvicorn's is an attribute
        if should:
            self._exits.set()

    async def main_loop(self) -> None:
        """uvicorn's looks ten times a second whether it should exit."""
        dating = asyncio.create_task(self._tell_the_time())
        try:
            await self._exits.wait()
        finally:
            dating.cancel()

    async def _tell_the_time(self) -> None:
        """In each reply's `Date`: uvicorn's tick makes it anew."""
        while True:
            await self.on_tick(0)
            await pulse(_DATE_S)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        share = self.share
        if share is None:
            await super().startup(sockets)
            return

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state={}
            )
            return made

        self.servers = [Turns(sock, protocol, self.config.backlog, share) for sock in sockets or ()]  # type: ignore[misc]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def close_to_newcomers(self) -> None:
        """Whoever is connected may ask on."""
        for server in self.servers:
            server.close()

    async def until_started(self, serving: asyncio.Task[None]) -> None:
        while not self.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.005)  # uvicorn sets a flag, and has no event to wait for


def listener(app: Callable[..., Any], http: object, patience_s: int, share: Share | None = None) -> Listener:
    """`http`: what makes the protocol of a connection. `patience_s`: for requests in flight, once it shall end.
    `share`: of the connections, where other processes listen on the same sockets."""
    made = Listener(
        uvicorn.Config(
            app,
            http=http,  # type: ignore[arg-type]  # it takes any callable that makes a protocol
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            backlog=BACKLOG,
            timeout_graceful_shutdown=patience_s,
        )
    )
    made.share = share
    return made


@contextmanager
def bound(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """A socket to listen on. Raises ConfigError naming the option to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            changed = option if error.errno in (errno.EADDRINUSE, errno.EACCES) else option.replace("port", "host")
            raise ConfigError(f"Can't listen on {host}:{port}: {error.strerror}. Choose another {changed}.") from None
        yield sock
    finally:
        sock.close()


def url_of(sock: socket.socket, scheme: str = "http") -> str:
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
