"""Probes against small servers that answer well, badly, late or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from router.core.model import Probe, Route
from router.platforms.probe import ask, probing_client

PATIENT = Probe(timeout=10)
HURRIED = Probe(timeout=0.05)
ROOT = Route(path="/")

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Conversation) -> AsyncIterator[int]:
    """Its port. `talk` begins once the request's head has come."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass  # the probe has heard enough
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


def saying(reply: bytes) -> Conversation:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        await reader.read()  # until the probe leaves

    return talk


async def answer(talk: Conversation, route: Route = ROOT, probe: Probe = PATIENT) -> str:
    async with probing_client() as client, server(talk) as port:
        return await ask(client, "127.0.0.1", port, route, probe)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "well"), (204, "well"), (302, "well"), (399, "well"), (400, "unwell"), (404, "unwell"), (503, "unwell")],
)
async def test_the_status_says_it(status: int, expected: str) -> None:
    reply = b"HTTP/1.1 %d Something\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n" % status
    assert await answer(saying(reply)) == expected


async def test_it_asks_for_the_route_on_a_connection_of_its_own() -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await reader.read() == b""  # and nothing more on this connection

    async with probing_client() as client, server(talk) as port:
        route = Route(path="/health?deep=1", port=port)
        assert [await ask(client, "127.0.0.1", 1, route, PATIENT) for _ in range(2)] == ["well", "well"]
    assert [head.split(b"\r\n")[0] for head in heads] == [b"GET /health?deep=1 HTTP/1.1"] * 2
    assert {b"connection: close", b"user-agent: scoregate-probe"} <= set(heads[0].lower().split(b"\r\n"))


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await answer(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) == "well"


async def test_a_refused_connection_is_an_answer() -> None:
    async with server(saying(b"")) as port:
        pass  # nobody listens there any more
    async with probing_client() as client:
        assert await ask(client, "127.0.0.1", port, ROOT, PATIENT) == "unwell"


async def test_a_name_that_nobody_can_have_is_unwell() -> None:
    async with probing_client() as client:
        assert await ask(client, "xn--zz", 80, ROOT, PATIENT) == "unwell"


async def test_a_reset_connection_is_an_answer() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    assert await answer(leave) == "unwell"


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_is_no_http_is_unwell(reply: bytes) -> None:
    assert await answer(saying(reply)) == "unwell"


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"])
async def test_no_whole_answer_in_time_is_silence(reply: bytes) -> None:
    assert await answer(saying(reply), probe=HURRIED) == "silent"


async def test_a_long_body_is_left_alone() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + bytes(1024 * 1024)
    assert await answer(saying(endless)) == "well"


async def test_many_at_once() -> None:
    async with probing_client() as client, server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        answers = await asyncio.gather(*(ask(client, "127.0.0.1", port, ROOT, PATIENT) for _ in range(100)))
    assert set(answers) == {"well"}
