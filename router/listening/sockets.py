"""On which sockets does a router take connections, and how do its workers come by them?

I/O: sockets that listen. One process binds them; its workers inherit them, and take connections from the same queue:
one that stops leaves what waits there to the others, and while none runs it waits for the next.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from router.config import RouterConfig
from router.listening import BACKLOG, bound


class Descriptors(NamedTuple):
    """Of sockets, as a process that inherits them knows them."""

    plain: int
    tls: int | None
    admin: int

    def all(self) -> tuple[int, ...]:
        return tuple(each for each in self if each is not None)


@dataclass(frozen=True)
class Sockets:
    """`tls`: where HTTPS is served."""

    plain: socket.socket
    tls: socket.socket | None
    admin: socket.socket

    def all(self) -> tuple[socket.socket, ...]:
        return tuple(each for each in (self.plain, self.tls, self.admin) if each is not None)

    def close(self) -> None:
        """Here; who has inherited them goes on."""
        for each in self.all():
            each.close()

    @property
    def descriptors(self) -> Descriptors:
        tls = None if self.tls is None else self.tls.fileno()
        return Descriptors(self.plain.fileno(), tls, self.admin.fileno())


@contextmanager
def bound_sockets(config: RouterConfig) -> Iterator[Sockets]:
    """Who comes from now on waits until connections are taken. Raises ConfigError for an address that can't be listened
    on."""
    with ExitStack() as bounds:
        plain = bounds.enter_context(bound(config.host, config.port, "--port"))
        tls = None
        if config.tls_dir is not None:
            tls = bounds.enter_context(bound(config.host, config.tls_port, "--tls-port"))
        admin = bounds.enter_context(bound(config.admin_host, config.admin_port, "--admin-port"))
        sockets = Sockets(plain, tls, admin)
        for each in sockets.all():
            each.listen(BACKLOG)
        yield sockets


@contextmanager
def inherited_sockets(descriptors: Descriptors) -> Iterator[Sockets]:
    with ExitStack() as inherited:
        plain, tls, admin = (
            None if each is None else inherited.enter_context(socket.socket(fileno=each)) for each in descriptors
        )
        assert plain is not None
        assert admin is not None
        yield Sockets(plain, tls, admin)
