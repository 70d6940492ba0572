"""feed.py: each router is asked as often as it should be, and what one of them does is nothing to the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from autoscaler import feed as feed_module
from autoscaler.feed import SEQUENCE, Feed
from router.core.model import Instance, Load
from router.platforms import PlatformError, instance_pages
from router.platforms.memory_administration import MemoryVault
from tests.autoscaler.nouns import load
from tests.identities import open_identity

OWN = {"scope": "instance"}
"""What every question has: an internal port would answer for all instances."""
PERIOD_S = 0.2
PATIENCE_S = 20.0
LOADS = msgspec.json.encode([load(2, 1)])


Answer = Callable[[dict[str, str], asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes = LOADS, *lines: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


class Router:
    """A small HTTP server that answers `/load` as it is told, and notes what it was asked, and when."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []
        self.asked_s: list[float] = []
        self.connections = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                url = urlsplit(head.split()[1].decode())
                assert url.path == "/load"
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                self.asked.append(query)
                self.asked_s.append(asyncio.get_running_loop().time())
                await self.answer(query, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


async def patient(query: dict[str, str], writer: asyncio.StreamWriter) -> None:
    """As a router does in which no queue forms."""
    await asyncio.sleep(int(query.get("wait_ms", 0)) / 1000)
    writer.write(reply(LOADS, f"{SEQUENCE}: 7"))


def saying(content: bytes) -> Answer:
    async def answer(_: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return answer


class Listening:
    def __init__(self) -> None:
        self.vault = MemoryVault()
        self.feed = Feed(self.note, self.identify)
        self.heard: dict[str, list[tuple[list[Load], float]]] = {}

    async def identify(self) -> ssl.SSLContext:
        return (await open_identity(self.vault)).client

    def note(self, instance: str, loads: list[Load], at_s: float) -> None:
        self.heard.setdefault(instance, []).append((loads, at_s))

    async def until(self, instance: str, reports: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heard.get(instance, [])) < reports:  # noqa: ASYNC110 - the feed calls, and has no event
                await asyncio.sleep(0.005)


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    one = Listening()
    yield one
    await one.feed.close()


@asynccontextmanager
async def router(
    name: str, answer: Answer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Instance, Router]]:
    """`tls`: of its port between instances; without it, it has only the internal one."""
    one = Router(answer)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield (
            (
                Instance(id=name, admin=f"http://{where}")
                if tls is None
                else Instance(id=name, admin="http://127.0.0.1:9", peer=f"https://{where}")
            ),
            one,
        )
        server.close()


async def test_reports_come_every_period_over_one_connection(listening: Listening) -> None:
    async with router("r1", patient) as (instance, asked):
        listening.feed.follow([instance], PERIOD_S)
        await listening.until("r1", 4)
        waiting = {**OWN, "wait_ms": "200", "since": "7"}
        assert asked.asked[:3] == [OWN, waiting, waiting]
        assert asked.connections == 1
        times = [at_s for _, at_s in listening.heard["r1"]]
        assert times[3] - times[1] > 2 * PERIOD_S - 0.05
        assert listening.heard["r1"][0][0] == [load(2, 1)]
        await listening.feed.close()


async def test_a_push_comes_at_once_and_never_more_than_ten_a_second(listening: Listening) -> None:
    async with router("r1", saying(reply(LOADS, f"{SEQUENCE}: 7"))) as (instance, asked):
        began_s = asyncio.get_running_loop().time()
        listening.feed.follow([instance], 60.0)
        await listening.until("r1", 5)
        assert asked.asked_s[4] - began_s > 0.39  # four gaps of a tenth
        await listening.feed.close()


async def test_a_router_that_holds_nothing_back_is_asked_once_in_a_period(listening: Listening) -> None:
    async with router("r1", saying(reply())) as (instance, asked):
        began_s = asyncio.get_running_loop().time()
        listening.feed.follow([instance], PERIOD_S)
        await listening.until("r1", 4)
        assert asked.asked[:3] == [OWN, OWN, OWN]
        assert asked.asked_s[3] - began_s > 3 * PERIOD_S - 0.01
        await listening.feed.close()


async def hanging(_: dict[str, str], __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def dripping(_: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(_: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


BAD: list[tuple[Answer, str]] = [
    (saying(reply(b"<html>hello</html>")), "its answer is not a router's"),
    (saying(reply(b'[{"endpoint": 7}]')), "its answer is not a router's"),
    (saying(reply(b"\xff\xff")), "its answer is not a router's"),
    (saying(reply(b"no", status="404 Not Found")), "it answers 404"),
    (saying(reply(b"", "location: /elsewhere", status="302 Found")), "it answers 302"),
    (saying(b"SSH-2.0-OpenSSH\r\n"), "it does not answer in time"),
    (hanging, "it does not answer in time"),
    (dripping, "it does not answer in time"),
    (endless, "more than 100000 bytes"),
]


@pytest.mark.parametrize(("answer", "complaint"), BAD)
async def test_who_answers_badly_is_named_once_and_the_others_are_heard(
    listening: Listening,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    complaint: str,
) -> None:
    monkeypatch.setattr(instance_pages, "MAX_REPLY_BYTES", 100_000)
    hangs = "in time" in complaint
    monkeypatch.setattr(feed_module, "PATIENCE_S", 0.3 if hangs else PATIENCE_S)
    caplog.set_level(logging.INFO)
    async with router("bad", answer) as (bad, asked), router("good", patient) as (good, _):
        listening.feed.follow([bad, good], 0.05)
        await listening.until("good", 8)
        async with asyncio.timeout(PATIENCE_S):
            while len(asked.asked) < 3:  # noqa: ASYNC110 - it looks at a server
                await asyncio.sleep(0.005)
        assert "bad" not in listening.heard
        (line,) = [said for record in caplog.records if (said := record.getMessage()).startswith("router bad ")]
        assert line.startswith(f"router bad at {bad.admin} does not report its load: ")
        assert complaint in line
        asked.answer = patient
        await listening.until("bad", 1)
        assert "router bad reports its load again" in caplog.text
        await listening.feed.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "not a url", "http://[", "ftp://127.0.0.1"])
async def test_who_is_not_there_is_named_once(listening: Listening, caplog: pytest.LogCaptureFixture, url: str) -> None:
    async with router("good", patient) as (good, _):
        listening.feed.follow([Instance(id="gone", admin=url), good], 0.05)
        await listening.until("good", 6)
        assert caplog.text.count("router gone at") == 1
        await listening.feed.close()


async def test_an_instance_that_leaves_is_asked_no_more_and_its_connection_closes(listening: Listening) -> None:
    async with router("r1", patient) as (first, asked), router("r2", patient) as (second, _):
        listening.feed.follow([first, second], PERIOD_S)
        await listening.until("r1", 2)
        listening.feed.follow([second], PERIOD_S)
        async with asyncio.timeout(PATIENCE_S):
            await asked.gone.wait()
        heard = len(listening.heard["r1"])
        await listening.until("r2", len(listening.heard["r2"]) + 3)
        assert len(listening.heard["r1"]) == heard
        await listening.feed.close()


async def test_following_again_disturbs_nobody(listening: Listening) -> None:
    async with router("r1", patient) as (instance, asked):
        for number in range(5):  # one that begins to drain, or ceases, is the same one
            listening.feed.follow([replace(instance, serves=number % 2 == 0)], PERIOD_S)
            await asyncio.sleep(0.01)
        await listening.until("r1", 3)
        assert asked.connections == 1
        await listening.feed.close()


async def test_a_router_that_does_not_know_what_it_said_is_asked_without_it(listening: Listening) -> None:
    async def forgetful(query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        refused = reply(b"", status="400 Bad Request")
        writer.write(refused if "since" in query else reply(LOADS, f"{SEQUENCE}: 7"))

    async with router("r1", forgetful) as (instance, asked):
        listening.feed.follow([instance], 0.05)
        await listening.until("r1", 3)
        assert ["since" in query for query in asked.asked[:5]] == [False, True, False, True, False]
        await listening.feed.close()


async def test_instances_of_one_installation_are_asked_over_tls(listening: Listening) -> None:
    there = await open_identity(listening.vault)
    async with router("r1", patient, there.server) as (instance, asked):
        listening.feed.follow([instance], PERIOD_S)
        await listening.until("r1", 2)
        assert asked.asked[:2] == [OWN, {**OWN, "wait_ms": "200", "since": "7"}]
        assert asked.connections == 1
        await listening.feed.close()


async def test_one_that_is_not_of_this_installation_is_not_believed(
    listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor asked on its internal port instead: who is between the two could make that happen."""
    stranger = await open_identity(MemoryVault())
    async with router("r1", patient, stranger.server) as (instance, asked):
        listening.feed.follow([instance], PERIOD_S)
        async with asyncio.timeout(PATIENCE_S):
            while "does not report its load" not in caplog.text:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.005)
        await asyncio.sleep(3 * PERIOD_S)
        assert asked.asked == []
        assert listening.heard == {}
        assert "certificate verify failed" in caplog.text
        await listening.feed.close()


async def test_a_handshake_that_hangs_leaves_no_connection_behind(
    listening: Listening, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PATIENCE_S", 0.3)
    gone = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal gone
        try:
            while await reader.read(65_536):
                pass
            gone += 1
        finally:
            writer.close()

    gc.disable()  # which would close it, some day
    try:
        async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
            peer = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            listening.feed.follow([Instance(id="r1", admin="http://127.0.0.1:9", peer=peer)], 0.05)
            async with asyncio.timeout(PATIENCE_S):
                while gone < 2:  # noqa: ASYNC110 - it looks at a server
                    await asyncio.sleep(0.005)
            await listening.feed.close()
    finally:
        gc.enable()
    assert "it does not answer in time" in caplog.text


async def test_while_the_vault_is_out_of_reach_it_is_tried_again(
    listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    there = await open_identity(listening.vault)
    identify, tries = listening.identify, 0

    async def locked() -> ssl.SSLContext:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise PlatformError("the vault is out of reach")
        return await identify()

    listening.feed = Feed(listening.note, locked)
    async with router("r1", patient, there.server) as (instance, _):
        listening.feed.follow([instance], PERIOD_S)
        await listening.until("r1", 1)
        assert tries == 3
        assert caplog.text.count("the vault is out of reach") == 1
        await listening.feed.close()


async def test_who_belongs_together_may_change(listening: Listening) -> None:
    """The authority in the vault was replaced: the next question is asked with what counts by then."""
    before, after = MemoryVault(), MemoryVault()
    there = await open_identity(after)
    listening.vault = before
    async with router("r1", patient, there.server) as (instance, asked):
        listening.feed.follow([instance], PERIOD_S)
        await asyncio.sleep(2 * PERIOD_S)
        assert asked.asked == []
        listening.vault = after
        await listening.until("r1", 2)
        await listening.feed.close()
