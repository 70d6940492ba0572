"""Who calls this instance, and what is answered first?

I/O: one connection that another instance made. Who may connect at all was decided before: by its certificate, or by
the rights on the folder of a unix socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from router.core.frames import VERSION, Hello, Message, Welcome
from router.peers.calling import Address
from router.peers.wire import Wire

HELLO_WITHIN_S = 5.0

_log = logging.getLogger("scoregate.peers")


class Called(Protocol):
    """Who is called; `Peers` is."""

    def called(self, answer: Answer, hello: Hello) -> None:
        """It has been answered already."""

    def told(self, answer: Answer, message: Message) -> None: ...

    def hung_up(self, answer: Answer) -> None: ...


class Answer(Wire):
    """One that calls this instance."""

    def __init__(self, called: Called, welcome: Callable[[], Welcome | None]) -> None:
        """`welcome`: what is said first; None once nobody is welcome any more."""
        super().__init__(self._take, self._over)
        self.name = ""
        """Of who calls; "" before it has said so."""
        self.called_back: Address | None = None
        """Where it wants to be called in turn."""
        self._called = called
        self._welcome = welcome
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = asyncio.get_running_loop().call_later(HELLO_WITHIN_S, self.abort)

    def _take(self, message: Message) -> None:
        if self.name:
            self._called.told(self, message)
        elif not isinstance(message, Hello):
            _log.error("another instance began without saying who it is; its connection is closed")
            self.abort()
        elif (welcome := self._welcome()) is None:
            self.abort()
        elif message.version != VERSION:
            self.send([welcome])
            self.close()
        else:
            self._forget_deadline()
            self.name = message.name
            self.send([welcome])
            self._called.called(self, message)

    def _over(self) -> None:
        self._forget_deadline()
        if self.name:
            self._called.hung_up(self)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
