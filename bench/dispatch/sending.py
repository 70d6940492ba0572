"""What became of requests that were sent at their intended times, each to its instance?

I/O: connections, a monotonic clock. An open loop, as bench/openloop.py, but lean, with a body for each request and
several addresses: nobody waits for a reply before the next request is sent, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import httptools
import msgspec

from bench.dispatch.counting import Served, Work
from bench.dispatch.load import Request

TIMER_S = 0.001
START_S = 0.2
"""From the call to the first moment."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Moments are seconds of CLOCK_MONOTONIC."""

    intended: float
    instance: int
    late_s: float
    """Of this sender."""
    ended: float
    """When it was known what became of it."""
    served: Served | None
    failure: str = ""
    """Why it was not."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    path: str
    authorization: str
    host: str = "127.0.0.1"


_decode_served = msgspec.json.Decoder(Served).decode


class Line(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._reply: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionError("connection lost"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises ConnectionError."""
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk

    def on_message_complete(self) -> None:
        status, body = self._parser.get_status_code(), bytes(self._body)
        self._body.clear()
        if not self._parser.should_keep_alive():
            self.is_open = False
            self._transport.close()
        self._parser = httptools.HttpResponseParser(self)
        if self._reply is not None and not self._reply.done():
            self._reply.set_result((status, body))


class Sender:
    """To all instances. `close` it."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._idle: list[list[Line]] = [[] for _ in addresses]

    async def ask(self, instance: int, work: Work) -> Served:
        """Raises OSError: it was not served; the message says why."""
        line = await self._line(instance)
        status, body = await line.ask(_request(self._addresses[instance], work))
        if line.is_open:
            self._idle[instance].append(line)
        if status != 200:
            raise OSError(f"status {status}")
        served = _decode_served(body)
        if served.n != work.n:
            raise OSError("the reply to another request")
        return served

    def close(self) -> None:
        for line in [line for lines in self._idle for line in lines]:
            line.close()

    async def _line(self, instance: int) -> Line:
        idle = self._idle[instance]
        while idle:
            if (line := idle.pop()).is_open:
                return line
        address = self._addresses[instance]
        _, made = await asyncio.get_running_loop().create_connection(Line, address.host, address.port)
        return made


async def send_all(
    sender: Sender, requests: Sequence[Request], timeout_s: float, done: Callable[[float], None]
) -> list[Sent]:
    """In the order of the requests, once the last of them has its reply, or timed out. `done` is told, now and then,
    what share of them was sent."""
    began = time.monotonic() + START_S
    tasks = []
    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            while (wait_s := began + request.at_s - time.monotonic()) > 0:  # noqa: ASYNC110 - it waits for a clock
                await asyncio.sleep(max(wait_s, TIMER_S))
            await asyncio.sleep(0)
            tasks.append(group.create_task(_send(sender, number, request, began, timeout_s)))
            if number % 50 == 0:
                done(number / len(requests))
    done(1.0)
    return [task.result() for task in tasks]


async def _send(sender: Sender, number: int, request: Request, began: float, timeout_s: float) -> Sent:
    intended = began + request.at_s
    late_s = time.monotonic() - intended
    served, failure = None, ""
    try:
        async with asyncio.timeout(timeout_s):
            served = await sender.ask(request.instance, Work(number, request.length_s))
    except TimeoutError:
        failure = "timeout"
    except OSError as error:
        failure = "connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
    return Sent(
        intended=intended,
        instance=request.instance,
        late_s=late_s,
        ended=time.monotonic(),
        served=served,
        failure=failure,
    )


def _request(address: Address, work: Work) -> bytes:
    body = msgspec.json.encode(work)
    head = f"POST {address.path} HTTP/1.1\r\nhost: bench\r\nauthorization: {address.authorization}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
