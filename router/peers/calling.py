"""How is another instance called, and how does that go on?

I/O: one connection at a time to one address, over TLS with certificates on both sides or to a unix socket. It is made
again whenever it has ended, until the call is ended.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from router.core.frames import VERSION, Hello, Message, Welcome
from router.peers.wire import Wire
from router.platforms import PlatformError, identity

ANSWERS_WITHIN_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0

_log = logging.getLogger("scoregate.peers")


class Address(NamedTuple):
    """Of an instance: a URL, and the path of a unix socket, which is tried first where it is known."""

    peer: str
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or self.peer


class Met(Protocol):
    """Who wants to know what comes of a call; `Peers` does."""

    def met(self, call: Call, welcome: Welcome) -> bool:
        """Somebody has answered; whether to go on."""

    def heard(self, call: Call, message: Message) -> None: ...

    def lost(self, call: Call) -> None:
        """Who was met is connected no more."""


class Call:
    """To one address. `place`: as the platform lists it; None for one that called first, and is not listed yet."""

    def __init__(
        self,
        address: Address,
        place: str | None,
        hello: Callable[[], Hello],
        identify: Callable[[], Awaitable[ssl.SSLContext]],
        met: Met,
    ) -> None:
        """`identify`: how this process shows who it is. It may raise PlatformError."""
        self.address = address
        self.place = place
        self.name = ""
        """Of who answered; "" while nobody has."""
        self._hello = hello
        self._identify = identify
        self._met = met
        self._wire: Wire | None = None
        self._told = ""

    async def run(self) -> None:
        """Until it is cancelled, or there is no point in it."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if not await self._once():
                    return
                pause_s = FIRST_PAUSE_S
            except (OSError, PlatformError, ValueError) as error:  # ValueError: of an address that is none
                self._say(str(error) or "it does not answer in time")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def send(self, messages: list[Message]) -> None:
        if self._wire is not None:
            self._wire.send(messages)

    def beat(self, give_up_after: int) -> None:
        """One more. A wire on which nothing has come for so many is cut."""
        if self._wire is not None:
            self._wire.beat(give_up_after)

    # -- inside --------------------------------------------------------------------------------------------

    async def _once(self) -> bool:
        """One connection, from its beginning to its end; whether there shall be another."""
        loop = asyncio.get_running_loop()
        goes_on: asyncio.Future[bool] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()

        def hear(message: Message) -> None:
            if self.name:
                self._met.heard(self, message)
            elif not isinstance(message, Welcome) or goes_on.done():
                return
            elif message.version == VERSION:
                goes_on.set_result(self._begin(wire, message))
            else:
                goes_on.set_exception(ConnectionError(_other_version(message.version)))

        wire = Wire(hear, lambda: None if ended.done() else ended.set_result(None))
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._connect(wire)
                wire.send([self._hello()])
                await asyncio.wait((goes_on, ended), return_when=asyncio.FIRST_COMPLETED)
            if not goes_on.done():
                raise ConnectionError("it hung up")
            if goes_on.result():
                await ended
            return goes_on.result()
        finally:
            wire.close()
            self._end()

    def _begin(self, wire: Wire, welcome: Welcome) -> bool:
        """Somebody has answered; whether there is a point in it. In the very turn in which that was heard: what comes
        next may follow in the same piece."""
        self._told = ""
        self._wire, self.name = wire, welcome.name
        if self._met.met(self, welcome):
            return True
        self._wire, self.name = None, ""
        return False

    def _end(self) -> None:
        if self.name:
            self._met.lost(self)
        self._wire, self.name = None, ""

    async def _connect(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        if self.address.socket:
            try:
                await loop.create_unix_connection(lambda: wire, self.address.socket)
                return
            except OSError:  # whoever could not listen there still does on its port
                if not self.address.peer:
                    raise
        url = urlsplit(self.address.peer)
        if not url.hostname or not url.port:
            raise ValueError(f"{self.address.peer!r} is no URL with a host and a port")
        await loop.create_connection(
            lambda: wire,
            url.hostname,
            url.port,
            ssl=await self._identify(),
            server_hostname=identity.NAME,
            ssl_handshake_timeout=ANSWERS_WITHIN_S,
        )

    def _say(self, reason: str) -> None:
        """Once."""
        if reason != self._told:
            self._told = reason
            _log.info("instance %s is not reached, trying again: %s", self.place or self.address, reason)


def _other_version(version: int) -> str:
    return f"it speaks version {version} of what instances say to each other, this one {VERSION}"
