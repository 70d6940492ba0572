"""What goes over a connection, byte by byte?

Raw ends of TCP connections, driven by hand, and just enough HTTP/1.1 to write requests and replies and to read them
strictly: whatever is not exactly one message fails the test.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

PATIENCE_S = 8.0
"""How long anything may take that must happen; no test waits for it when all is well."""

SCORE = b"/api/v1/endpoint/iris/score"
HOST = b"iris.example"
LAST_CHUNK = b"\r\n0\r\n\r\n"


def request(
    *lines: bytes,
    body: bytes | None = None,
    method: bytes | None = None,
    path: bytes = SCORE,
    version: bytes = b"HTTP/1.1",
    host: bytes | None = HOST,
) -> bytes:
    """A request: POST with its Content-Length when it has a body, else GET."""
    if method is None:
        method = b"GET" if body is None else b"POST"
    head = [b"%b %b %b" % (method, path, version)]
    if host is not None:
        head.append(b"Host: " + host)
    head += lines
    if body is not None:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + (body or b"")


def chunked_request(*pieces: bytes, lines: tuple[bytes, ...] = (), ends: bool = True) -> bytes:
    """A POST in chunks; without `ends`, the last chunk is still to come."""
    head = request(*lines, b"Transfer-Encoding: chunked", method=b"POST")
    return head + b"".join(map(chunk, pieces)) + (b"0\r\n\r\n" if ends else b"")


def reply(body: bytes = b"", *lines: bytes, status: int = 200) -> bytes:
    """A reply with its Content-Length."""
    head = [b"HTTP/1.1 %d Whatever" % status, *lines, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True)
class Message:
    """A whole request or reply. Header names in lower case."""

    start: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailer: bytes = b""

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def path(self) -> bytes:
        return self.start.split(b" ")[1]

    def all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]

    def get(self, name: bytes) -> bytes | None:
        """The field's value; it must not be there twice."""
        values = self.all(name)
        assert len(values) < 2, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> set[bytes]:
        return {name for name, _ in self.headers}


@dataclass(eq=False)
class Wire:
    """One end of a connection. `received` is all that ever came; what was read as a message is behind `taken`."""

    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    taken: int = 0
    ended: bool = False
    """The other end has closed; `was_reset`: not cleanly."""
    was_reset: bool = False

    @classmethod
    async def to(cls, address: tuple[str, int], receive_buffer_bytes: int | None = None) -> Self:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return cls(sock)

    # -- saying --------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send_in_bytes(self, data: bytes) -> None:
        """Each byte in a segment of its own."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await turns(2)

    async def send_as_much_as_goes(self, data: bytes) -> int:
        """Until the other side takes no more, though it gets every chance to. Returns how much went."""
        sent = stuck = 0
        while sent < len(data) and stuck < 200:
            try:
                sent += self.sock.send(memoryview(data)[sent : sent + 262_144])
                stuck = 0
            except BlockingIOError:
                stuck += 1
            await asyncio.sleep(0)
        return sent

    async def is_cut(self, data: bytes) -> bool:
        """Whoever goes on sending finds the connection reset."""
        try:
            for _ in range(100):
                await self.send(data)
                await turns(2)
        except OSError:
            return True
        return False

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- hearing -------------------------------------------------------------------------------------------

    async def hear(self, most: int = 65_536) -> bool:
        """Something more came; False when the other end has closed."""
        if self.ended:
            return False
        try:
            async with asyncio.timeout(PATIENCE_S):
                data = await asyncio.get_running_loop().sock_recv(self.sock, most)
        except ConnectionResetError:
            data, self.was_reset = b"", True
        self.received += data
        self.ended = not data
        return bool(data)

    def silent(self) -> bool:
        """Nothing has come that was not taken, not even the end."""
        try:
            data = self.sock.recv(65_536)
        except BlockingIOError:
            return len(self.received) == self.taken
        except ConnectionResetError:
            return False
        self.received += data
        self.ended = not data
        return False

    async def until(self, mark: bytes) -> bytes:
        """All up to and with `mark`."""
        while (at := self.received.find(mark, self.taken)) < 0:
            assert await self.hear(), f"closed before {mark!r}: {bytes(self.received[self.taken :])[:500]!r}"
        return self._take(at + len(mark) - self.taken)

    async def exactly(self, size: int) -> bytes:
        while len(self.received) - self.taken < size:
            assert await self.hear(), f"closed within {size} bytes: {bytes(self.received[self.taken :])[:500]!r}"
        return self._take(size)

    async def rest(self) -> bytes:
        """All until the other end closes."""
        while await self.hear():
            pass
        return self._take(len(self.received) - self.taken)

    async def closed(self) -> bool:
        """The other end closes, and says nothing before."""
        return await self.rest() == b""

    async def head(self) -> Message:
        lines = (await self.until(b"\r\n\r\n"))[:-4].split(b"\r\n")
        matches = [re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?(.*?)[ \t]*", line) for line in lines[1:]]
        assert all(matches), f"not header fields: {lines!r}"
        return Message(lines[0], [(match[1].lower(), match[2]) for match in matches if match])

    async def body(self, head: Message, ends_with_connection: bool = False) -> Message:
        """The message with that head, whole: by its chunks, its length, or the end of the connection."""
        coding, length = head.get(b"transfer-encoding"), head.get(b"content-length")
        assert coding is None or length is None, "framed twice"
        body, trailer = b"", b""
        if coding is not None:
            assert coding == b"chunked"
            while size := int(await self.until(b"\r\n"), 16):
                body += await self.exactly(size)
                assert await self.exactly(2) == b"\r\n"
            while (line := await self.until(b"\r\n")) != b"\r\n":
                trailer += line
        elif length is not None:
            body = await self.exactly(int(length))
        elif ends_with_connection:
            body = await self.rest()
            assert not self.was_reset
        return Message(head.start, head.headers, body, trailer)

    def _take(self, size: int) -> bytes:
        self.taken += size
        return bytes(self.received[self.taken - size : self.taken])


class ClientWire(Wire):
    """A client's end."""

    async def reply(self, method: bytes = b"POST") -> Message:
        """The next reply, whole; `method` is the request's."""
        head = await self.head()
        if method == b"HEAD" or head.status < 200 or head.status in (204, 304):
            return head
        return await self.body(head, ends_with_connection=True)

    async def ask(self, data: bytes) -> Message:
        """Send a request, get its reply."""
        await self.send(data)
        return await self.reply(data[: data.index(b" ")])

    async def last_reply(self) -> Message:
        """The next reply; the connection closes behind it, cleanly."""
        message = await self.reply()
        assert await self.closed(), "bytes behind the last reply"
        assert not self.was_reset
        return message


class ReplicaWire(Wire):
    """A replica's end."""

    async def request(self) -> Message:
        """The next request, whole."""
        return await self.body(await self.head())


async def turns(count: int = 50) -> None:
    """Let everything run that can: that many turns of the event loop, which both ends share with the router."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it looks at the router, which tells nobody
            await asyncio.sleep(0.002)
