"""instance_pages.py: a page is read over TLS with certificates on both sides, or is useless, and says why."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from router.core.model import Instance
from router.platforms import PlatformError, instance_pages
from router.platforms.instance_pages import Answer, InstancePages, UselessAnswer, why
from router.platforms.memory_administration import MemoryVault
from tests.identities import open_identity


class Answering:
    """An instance that says `body` on each page."""

    def __init__(self, vault: MemoryVault) -> None:
        self.vault = vault
        self.status, self.body = "200 OK", b"[1, 2]"
        self.lines: list[bytes] = []
        self.connections = 0
        self.open = 0

    @asynccontextmanager
    async def instance(self, over_tls: ssl.SSLContext | None) -> AsyncIterator[Instance]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=over_tls)
        async with server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            if over_tls:
                yield Instance(id="a", admin="http://127.0.0.1:9", peer=f"https://{address}")
            else:
                yield Instance(id="a", admin=f"http://{address}")
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                self.lines.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
                head = f"HTTP/1.1 {self.status}\r\nx-more: this\r\ncontent-length: {len(self.body)}\r\n\r\n"
                writer.write(head.encode() + self.body)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.open -= 1
        finally:
            writer.close()


@pytest.fixture
def answering() -> Answering:
    return Answering(MemoryVault())


@asynccontextmanager
async def pages(answering: Answering, asking: MemoryVault | None = None) -> AsyncIterator[InstancePages]:
    """`asking`: of another installation."""

    async def identify() -> ssl.SSLContext:
        return (await open_identity(asking or answering.vault)).client

    server = (await open_identity(answering.vault)).server
    async with answering.instance(server) as instance, InstancePages(instance, identify) as read:
        yield read


async def nobody() -> ssl.SSLContext:
    raise PlatformError("the vault is closed")


async def test_it_is_read_and_the_connection_is_kept(answering: Answering) -> None:
    async with pages(answering) as read:
        for _ in range(2):
            answer = await read.read("/load", list[int], {"scope": "instance"})
            assert isinstance(answer, Answer)
            assert (answer.said, answer.headers["x-more"]) == ([1, 2], "this")
        assert answering.lines == [b"GET /load?scope=instance HTTP/1.1"] * 2
        assert answering.connections == 1


async def test_closed_it_opens_anew(answering: Answering) -> None:
    async with pages(answering) as read:
        await read.read("/load", list[int])
        await read.close()
        await read.close()
        await read.read("/load", list[int])
        assert answering.connections == 2


async def test_two_that_ask_at_the_same_time_leave_nothing_open(answering: Answering) -> None:
    async with pages(answering) as read:
        told = await asyncio.gather(*(read.read("/load", list[int]) for _ in range(5)))
        assert [answer.said for answer in told] == [[1, 2]] * 5
        await read.close()
        async with asyncio.timeout(5):
            while answering.open:  # noqa: ASYNC110 - a server has no event for it
                await asyncio.sleep(0.01)


async def test_one_without_a_port_between_instances_is_asked_at_its_internal_one(answering: Answering) -> None:
    async with answering.instance(None) as instance, InstancePages(instance, nobody) as read:
        assert (await read.read("/load", list[int])).said == [1, 2]


async def test_who_can_not_show_who_it_is_does_not_ask(answering: Answering) -> None:
    instance = Instance(id="a", admin="http://127.0.0.1:9", peer="https://127.0.0.1:9")
    async with InstancePages(instance, nobody) as read:
        with pytest.raises(PlatformError, match="the vault is closed"):
            await read.read("/load", list[int])


async def test_one_of_another_installation_is_not_asked(answering: Answering) -> None:
    async with pages(answering, MemoryVault()) as read:
        with pytest.raises(httpx.ConnectError):
            await read.read("/load", list[int])
    assert answering.lines == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        ("404 Not Found", b"[1]", "it answers 404"),
        ("302 Found", b"[1]", "it answers 302"),
        ("200 OK", b'["x"]', "its answer is not a router's: Expected `int`"),
        ("200 OK", b'["\xff"]', "its answer is not a router's"),
        ("200 OK", b" " * 1_001, "its answer has more than 1000 bytes"),
    ],
)
async def test_what_is_no_such_page_says_why(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, status: str, body: bytes, message: str
) -> None:
    monkeypatch.setattr(instance_pages, "MAX_REPLY_BYTES", 1_000)
    answering.status, answering.body = status, body
    async with pages(answering) as read:
        with pytest.raises(UselessAnswer) as caught:
            await read.read("/load", list[int])
    assert message in str(caught.value)


def test_it_is_said_why_nothing_was_read() -> None:
    assert why(TimeoutError()) == "it does not answer in time"
    assert why(UselessAnswer("it answers 404")) == "it answers 404"
    assert why(ConnectionResetError()) == "ConnectionResetError"
