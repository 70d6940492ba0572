"""Which replicas know themselves how many requests they ever had at once?

I/O: listening sockets, one for each replica and one to ask; a clock.

Each works on one request at a time, in order, as a model server with one thread does, for as long as the request says.
It goes on when whoever sent the request is gone. `POST` is a request, `{"n": 7, "s": 0.1}`: its number, and its length
in seconds. Any `GET` is a probe. All moments are seconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import cast

import httptools
import msgspec

from bench.replica import BAD_REQUEST, HEALTHY


class Work(msgspec.Struct):
    """What a request asks for."""

    n: int
    s: float


class Served(msgspec.Struct):
    """What it is answered."""

    n: int
    came: float
    began: float
    ended: float


class Overlap(msgspec.Struct):
    """A time in which a replica had more than one request."""

    began: float
    ended: float
    most: int


class Account(msgspec.Struct):
    """What one replica has seen since it was asked last; times in which it still has too many included."""

    served: int
    most: int
    overlaps: list[Overlap]


_decode_work = msgspec.json.Decoder(Work).decode


class Replica:
    """One, behind all of its connections."""

    def __init__(self) -> None:
        self._inside: deque[tuple[Work, float, Connection]] = deque()
        self._served = self._most = 0
        self._overlaps: list[Overlap] = []

    def take(self, work: Work, connection: Connection) -> None:
        now = time.monotonic()
        self._inside.append((work, now, connection))
        count = len(self._inside)
        self._most = max(self._most, count)
        if count == 1:
            self._begin(now)
        elif count == 2:
            self._overlaps.append(Overlap(now, 0.0, count))
        else:
            self._overlaps[-1].most = max(self._overlaps[-1].most, count)

    def account(self) -> Account:
        told = Account(self._served, self._most, self._overlaps)
        self._served, self._most, self._overlaps = 0, len(self._inside), []
        if self._most > 1:
            self._overlaps.append(Overlap(time.monotonic(), 0.0, self._most))
        return told

    def _begin(self, now: float) -> None:
        work = self._inside[0][0]
        asyncio.get_running_loop().call_later(work.s, self._end, now)

    def _end(self, began: float) -> None:
        now = time.monotonic()
        work, came, connection = self._inside.popleft()
        self._served += 1
        if len(self._inside) == 1:
            self._overlaps[-1].ended = now
        if self._inside:
            self._begin(now)
        connection.reply(msgspec.json.encode(Served(work.n, came, began, now)))


class Connection(asyncio.Protocol):
    """To one replica. One request at a time: no client of ours, and no proxy, sends more."""

    _transport: asyncio.Transport

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk

    def on_message_complete(self) -> None:
        body = bytes(self._body)
        self._body.clear()
        if self._parser.get_method() != b"POST":
            self._transport.write(HEALTHY)
            return
        try:
            work = _decode_work(body)
        except msgspec.DecodeError:
            self._refuse()
        else:
            self._replica.take(work, self)

    def reply(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)

    def _refuse(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(BAD_REQUEST)
            self._transport.close()


class Asked(asyncio.Protocol):
    """A connection to the port of accounts: whatever comes is answered with all of them, as JSON, and the end."""

    _transport: asyncio.Transport

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(msgspec.json.encode([replica.account() for replica in self._replicas]))
        self._transport.close()


async def serve(count: int, listening: Callable[[list[int]], None]) -> None:
    """`listening` is told the ports, which the system picks: of accounts, then of each replica."""
    loop = asyncio.get_running_loop()
    replicas = [Replica() for _ in range(count)]
    protocols: list[Callable[[], asyncio.BaseProtocol]] = [partial(Asked, replicas)]
    protocols += [partial(Connection, replica) for replica in replicas]
    async with AsyncExitStack() as stack:
        servers = [await loop.create_server(each, "127.0.0.1", 0, backlog=1024) for each in protocols]
        for server in servers:
            await stack.enter_async_context(server)
        listening([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), lambda ports: print(msgspec.json.encode(ports).decode(), flush=True)))
