"""Probes against small servers that answer well, badly, late or not at all, in the clear and over TLS."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.processes import free_port
from router.core.model import Probe, ReplicaTls, Route
from router.platforms.probe import Prober
from router.tls import server_context
from tests.certificates import NAME, Authority, pair_of

PATIENT = Probe(timeout=10)
HURRIED = Probe(timeout=0.05)
ROOT = Route(path="/")

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OURS, STRANGERS = Authority("Ours"), Authority("Somebody else's")
TRUSTED = ReplicaTls(server_name=NAME, ca_bundle=OURS.pem.decode())

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Conversation, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port. `talk` begins once the connection is there."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass  # the probe has heard enough
        finally:
            writer.transport.abort()

    async with await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls) as listening:
        yield listening.sockets[0].getsockname()[1]


def saying(reply: bytes) -> Conversation:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        await reader.read()  # until the probe leaves

    return talk


async def answer(talk: Conversation, route: Route = ROOT, probe: Probe = PATIENT) -> str:
    async with Prober() as prober, server(talk) as port:
        return await prober.ask("127.0.0.1", port, route, probe)


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

    async with Prober() as prober, server(talk) as port:
        route = Route(path="/health?deep=1", port=port)
        assert [await prober.ask("127.0.0.1", 1, route, PATIENT) for _ in range(2)] == ["well", "well"]
    assert [head.split(b"\r\n")[0] for head in heads] == [b"GET /health?deep=1 HTTP/1.1"] * 2
    assert {b"connection: close", b"user-agent: scoregate-probe"} <= set(heads[0].lower().split(b"\r\n"))


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await answer(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) == "well"


async def test_a_refused_connection_is_an_answer() -> None:
    async with Prober() as prober:
        assert await prober.ask("127.0.0.1", free_port(), ROOT, PATIENT) == "unwell"


async def test_a_name_that_nobody_can_have_is_unwell() -> None:
    async with Prober() as prober:
        assert await prober.ask("xn--zz", 80, ROOT, PATIENT) == "unwell"


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
    async with Prober() as prober, server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        answers = await asyncio.gather(*(prober.ask("127.0.0.1", port, ROOT, PATIENT) for _ in range(100)))
    assert set(answers) == {"well"}


# -- over TLS ---------------------------------------------------------------------------------------------------------


def certified(name: str = NAME) -> ssl.SSLContext:
    return server_context(pair_of(OURS.certify(name)))


async def test_tls_is_spoken_where_the_deployment_says_so() -> None:
    async with Prober() as prober, server(saying(WELL), certified()) as port:
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, TRUSTED) == "well"
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT) == "unwell"
        assert await prober.ask("127.0.0.1", 1, Route(path="/", port=port), PATIENT, TRUSTED) == "well"


async def test_without_a_name_the_certificate_is_asked_for_the_host() -> None:
    unnamed = ReplicaTls(ca_bundle=OURS.pem.decode())
    async with Prober() as prober, server(saying(WELL), certified("localhost")) as port:
        assert await prober.ask("localhost", port, ROOT, PATIENT, unnamed) == "well"
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, unnamed) == "unwell"


async def test_the_name_is_said_in_the_handshake() -> None:
    said: list[str | None] = []
    context = certified()
    context.sni_callback = lambda _, name, __: said.append(name)  # type: ignore[assignment]
    async with Prober() as prober, server(saying(WELL), context) as port:
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, TRUSTED) == "well"
    assert said == [NAME]


@pytest.mark.parametrize(
    ("tls", "says"),
    [
        (ReplicaTls(server_name=NAME, ca_bundle=STRANGERS.pem.decode()), "its certificate is not good: "),
        (ReplicaTls(server_name="other.example", ca_bundle=OURS.pem.decode()), "its certificate is not good: "),
        (ReplicaTls(server_name=NAME), "its certificate is not good: "),
        (ReplicaTls(ca_bundle="none"), "caBundle holds no certificate that can be read"),
    ],
    ids=["another authority", "another name", "no public authority's", "a bundle that is none"],
)
async def test_who_can_not_prove_it_is_unwell_and_that_is_told_once(
    tls: ReplicaTls, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Prober() as prober, server(saying(WELL), certified()) as port:
        for _ in range(3):
            assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, tls) == "unwell"
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert f"the replica at 127.0.0.1:{port} can't be asked over TLS: {says}" in caplog.text
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, TRUSTED) == "well"
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, tls) == "unwell"
        assert len(caplog.records) == 2, "it was well in between"


async def test_one_that_speaks_plain_http_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with Prober() as prober, server(saying(WELL)) as port:
        assert await prober.ask("127.0.0.1", port, ROOT, HURRIED, TRUSTED) == "silent"  # it waits for a head to end

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Prober() as prober, server(leave) as port:
        assert await prober.ask("127.0.0.1", port, ROOT, PATIENT, TRUSTED) == "unwell"
    assert "can't be asked over TLS: no TLS: " in caplog.text


async def test_what_is_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.platforms.probe._MOST_TOLD", 3)
    async with Prober() as prober:
        for port in range(1, 10):
            await prober.ask("127.0.0.1", port, ROOT, PATIENT, ReplicaTls(ca_bundle="none"))
            assert len(prober._told) <= 3


async def test_a_handshake_that_hangs_leaves_no_connection_behind() -> None:
    left: asyncio.Queue[bytes] = asyncio.Queue()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        left.put_nowait(b"gone")

    gc.disable()  # which would close it, some day
    try:
        async with Prober() as prober, server(hang) as port:
            assert await prober.ask("127.0.0.1", port, ROOT, HURRIED, TRUSTED) == "silent"
            async with asyncio.timeout(PATIENT.timeout):
                assert await left.get() == b"gone"
    finally:
        gc.enable()
