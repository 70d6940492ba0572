"""What did a client really send, and what if the answer is late, odd or absent?

I/O: a loopback socket.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CUT = b"(cut)"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Listening:
    """A server that notes each request and gives it to `answer`, with its number from 0.

    None ends the connection without a reply, `CUT` at its end ends it after one.
    """

    def __init__(self, answer: Callable[[int], Awaitable[bytes | None]]) -> None:
        self.url = ""
        self.asked: list[bytes] = []
        """Whole requests, head and body."""
        self.at_s: list[float] = []
        """When they had come, by the loop's clock."""
        self.connections = 0
        self._answer = answer
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._converse(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            self.asked.append(head + await reader.readexactly(int(length[1]) if length else 0))
            self.at_s.append(asyncio.get_running_loop().time())
            reply = await self._answer(len(self.asked) - 1)
            if reply is not None:
                writer.write(reply.removesuffix(CUT))
            if reply is None or reply.endswith(CUT):
                return

    async def close(self) -> None:
        for task, writer in self._open.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next turn of the loop


@asynccontextmanager
async def listening(answer: Callable[[int], Awaitable[bytes | None]]) -> AsyncIterator[Listening]:
    one = Listening(answer)
    server = await asyncio.start_server(one.connected, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
    try:
        yield one
    finally:
        server.close()
        await one.close()


def answers(*replies: bytes | None) -> Callable[[int], Awaitable[bytes | None]]:
    """One after another, the last one again and again."""

    async def answer(number: int) -> bytes | None:
        return replies[min(number, len(replies) - 1)]

    return answer


def status(code: int) -> bytes:
    return b"HTTP/1.1 %d Some\r\nContent-Length: 0\r\nLocation: /other\r\n\r\n" % code
