"""Which connections do clients hold, and what may they take?

I/O: none itself. What the connections of one router share; `protocol` has the connections.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from router.config import Limits
from router.core.errors import RouterError
from router.core.tally import Ledger

if TYPE_CHECKING:
    from router.listening.encrypted import Encrypted
    from router.listening.proxied import Proxied
    from router.protocol import ClientConnection


FAILED_HANDSHAKES = "failed handshakes"
"""Name of their cell in the ledger."""


class Clients:
    """All connections of clients, and what they may take."""

    def __init__(self, limits: Limits, on_refusal: Callable[[RouterError, str], bytes], ledger: Ledger) -> None:
        """`on_refusal`: told of each request that no app saw, and the client's address; returns an id for the reply."""
        self.limits = limits
        self.on_refusal = on_refusal
        self.idle: OrderedDict[ClientConnection, None] = OrderedDict()
        self.open: set[ClientConnection] = set()
        self.arriving: set[Encrypted | Proxied] = set()
        """Those that have not come to a byte of a request: TLS is agreed on, or a balancer says whose they are."""
        (self._failed_handshakes,) = ledger.open((FAILED_HANDSHAKES,), 1)
        self.is_draining = False

    @property
    def count(self) -> int:
        return len(self.open) + len(self.arriving)

    @property
    def failed_handshakes(self) -> int:
        """Ever; only grows."""
        return int(self._failed_handshakes[0])

    def count_failed_handshake(self) -> None:
        self._failed_handshakes[0] += 1

    def close_oldest_idle(self) -> bool:
        """To make room; False when each connection is in use."""
        if self.idle:
            self.idle.popitem(last=False)[0].close()
            return True
        return False

    async def cut(self) -> None:
        """End what is left at once; returns when every request has been concluded."""
        tasks = [connection.task for connection in self.open if connection.task is not None]
        for connection in list(self.open):
            connection.cut()
        if tasks:
            await asyncio.wait(tasks)
