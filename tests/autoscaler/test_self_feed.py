"""self_feed.py: each process is asked over mutual TLS, and what one of them does is nothing to the others."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from autoscaler import self_feed as self_feed_module
from autoscaler.self_feed import SelfFeed
from router.core.model import Instance
from router.platforms import PlatformError, instance_pages
from router.platforms.memory_administration import MemoryVault
from tests.autoscaler.test_self_observer import routing
from tests.identities import open_identity

WORD = routing(7, 0.5, 3.0)
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def saying(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    return answer


async def silent(writer: asyncio.StreamWriter) -> None:
    """Until whoever asks has had enough."""
    while not writer.is_closing():  # noqa: ASYNC110 - a transport has no event
        await asyncio.sleep(0.05)


WELL = saying(msgspec.json.encode(WORD))


class Asked:
    def __init__(self) -> None:
        self.vault = MemoryVault()
        self.heads: list[bytes] = []
        self.feed = SelfFeed(self.identify)

    async def identify(self) -> ssl.SSLContext:
        return (await open_identity(self.vault)).client

    @asynccontextmanager
    async def router(self, name: str, answer: Answer, vault: MemoryVault | None = None) -> AsyncIterator[Instance]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await answer(writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        tls = (await open_identity(vault or self.vault)).server
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield Instance(id=name, admin="http://127.0.0.1:9", peer=f"https://127.0.0.1:{port}")
            server.close()


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def test_each_tells_of_its_own_work(asked: Asked) -> None:
    async with asked.router("a", WELL) as a, asked.router("b", WELL) as b:
        assert await asked.feed.ask([a, b]) == {"a": WORD, "b": WORD}
    assert len(asked.heads) == 2
    assert all(head.startswith(b"GET /routing HTTP/1.1") for head in asked.heads)


async def test_nobody_is_nobody(asked: Asked) -> None:
    assert await asked.feed.ask([]) == {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (saying(b"[]"), "its answer is not a router's"),
        (saying(b"\xff"), "its answer is not a router's"),
        (saying(b"", "404 Not Found"), "it answers 404"),
        (saying(b"x" * 65_537), "has more than 65536 bytes"),
        (silent, "it does not answer in time"),
    ],
    ids=["no word", "no text", "refused", "too long", "silent"],
)
async def test_a_useless_answer_is_left_out_and_said_once(
    asked: Asked, answer: Answer, why: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_feed_module, "WITHIN_S", 1.5 if answer is silent else 20.0)
    monkeypatch.setattr(instance_pages, "MAX_REPLY_BYTES", 65_536)
    caplog.set_level(logging.INFO, "scoregate.autoscaler")
    async with asked.router("a", WELL) as a, asked.router("b", answer) as b:
        for _ in range(2):
            assert await asked.feed.ask([a, b]) == {"a": WORD}
        (said,) = caplog.messages
        assert "router b at https" in said
        assert why in said


async def test_that_it_answers_again_is_said(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scoregate.autoscaler")
    answers = [saying(b"", "503 Service Unavailable"), WELL]

    async def next_answer(writer: asyncio.StreamWriter) -> None:
        await answers.pop(0)(writer)

    async with asked.router("a", next_answer) as a:
        assert await asked.feed.ask([a]) == {}
        assert await asked.feed.ask([a]) == {"a": WORD}
    assert [message.split(" ", 2)[2].split(":")[0] for message in caplog.messages][1:] == ["tells of its work again"]


async def test_a_process_of_another_installation_is_not_believed(asked: Asked) -> None:
    async with asked.router("a", WELL, MemoryVault()) as stranger:
        assert await asked.feed.ask([stranger]) == {}
    assert asked.heads == []


async def test_one_without_a_port_between_instances_is_left_out(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    assert await asked.feed.ask([Instance(id="a", admin="http://127.0.0.1:9")]) == {}
    assert "it has no port between instances" in caplog.text


async def test_while_it_is_not_known_who_this_is_nobody_is_asked(asked: Asked) -> None:
    async def unknown() -> ssl.SSLContext:
        raise PlatformError("the vault can't be read")

    async with asked.router("a", WELL) as a:
        assert await SelfFeed(unknown).ask([a]) == {}
    assert asked.heads == []
