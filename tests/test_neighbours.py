"""neighbours.py: all are asked at once over TLS, who does not answer in time is left out, and nothing counts twice."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from msgspec.structs import replace

from router import neighbours as module
from router.core.circle import Peer
from router.core.model import Instance, Load, Snapshot
from router.neighbours import Neighbours
from router.platforms import PlatformError, instance_pages
from router.platforms.memory_administration import MemoryVault
from tests.autoscaler.nouns import load
from tests.identities import open_identity

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Asking:
    """The instance that asks."""

    def __init__(self, *instances: Instance, own: str = "own") -> None:
        self.snapshot: Snapshot | None = Snapshot(instances=instances)
        self.own_instance = own

    def load(self) -> list[Load]:
        return [load(1, 0)]

    def seen(self) -> list[Peer]:
        return [Peer("name of a", "a", is_up=True, silent_s=0.25, may_own=True, agrees=False)]

    def owned_by(self) -> Counter[str]:
        return Counter({"": 2, "name of a": 3})


def reply(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def telling(body: bytes, status: str = "200 OK") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body, status))

    return answer


def busy(in_flight: int) -> Answer:
    return telling(msgspec.json.encode([load(in_flight, 0)]))


async def silent(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


class Asked:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.lines: list[bytes] = []
        self.connections = 0


@asynccontextmanager
async def instance(
    name: str, answer: Answer, over_tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Instance, Asked]]:
    asked = Asked(answer)
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.lines.append(head.partition(b"\r\n")[0])
                await asked.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        open_now.add(task)
        task.add_done_callback(open_now.discard)

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=over_tls) as server:
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        peer = f"https://{where}" if over_tls is not None else ""
        try:
            yield Instance(id=name, admin="http://127.0.0.1:9" if peer else f"http://{where}", peer=peer), asked
        finally:
            for task in open_now:
                task.cancel()
            await asyncio.gather(*open_now, return_exceptions=True)


async def nobody() -> ssl.SSLContext:
    raise PlatformError("the vault is out of reach")


async def test_all_are_asked_for_their_own_over_connections_that_stay() -> None:
    vault = MemoryVault()
    one, two = await open_identity(vault), await open_identity(vault)

    async def own() -> ssl.SSLContext:
        return one.client

    async with instance("a", busy(3), two.server) as (a, asked), instance("b", busy(4)) as (b, _):
        itself = Instance(id="own", admin="http://127.0.0.1:9")
        asking = Asking()
        both = Neighbours(asking, own)
        for number in range(3):
            asking.snapshot = Snapshot(instances=(replace(a, serves=number == 1), itself, b))
            loads, answered, known = await both.gathered()
            assert ([each.in_flight for each in loads], answered, known) == ([8], 3, 3)
        assert asked.lines == [b"GET /load?scope=instance HTTP/1.1"] * 3
        assert asked.connections == 1
        await both.close()


@pytest.mark.parametrize(
    "answer",
    [silent, endless, telling(b"no", "500 Oops"), telling(b"[7]"), telling(b"\xff"), telling(b"", "302 X")],
)
async def test_who_does_not_answer_as_it_should_is_left_out_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1.5 if answer is silent else 20.0)
    monkeypatch.setattr(instance_pages, "MAX_REPLY_BYTES", 100_000)
    async with instance("bad", answer) as (bad, asked), instance("good", busy(4)) as (good, _):
        all_ = Neighbours(Asking(bad, good), nobody)
        loads, answered, known = await all_.gathered()
        assert ([each.in_flight for each in loads], answered, known) == ([5], 2, 3)
        asked.answer = busy(2)
        loads, answered, known = await all_.gathered()
        assert ([each.in_flight for each in loads], answered, known) == ([7], 3, 3)
        await all_.close()


@pytest.mark.parametrize("where", ["http://127.0.0.1:1", "not a url", "http://[", "ftp://127.0.0.1"])
async def test_who_is_not_there_is_left_out(where: str) -> None:
    gone = Instance(id="gone", admin=where)
    assert (await Neighbours(Asking(gone), nobody).gathered())[1:] == (1, 2)


async def test_without_an_identity_nobody_is_asked_in_the_open() -> None:
    one = await open_identity(MemoryVault())
    async with instance("a", busy(3), one.server) as (a, asked):
        loads, answered, known = await Neighbours(Asking(a), nobody).gathered()
        assert ([each.in_flight for each in loads], answered, known) == ([1], 1, 2)
        assert asked.connections == 0


async def test_one_of_another_installation_is_not_believed() -> None:
    mine, stranger = await open_identity(MemoryVault()), await open_identity(MemoryVault())

    async def own() -> ssl.SSLContext:
        return mine.client

    async with instance("a", busy(3), stranger.server) as (a, asked):
        assert (await Neighbours(Asking(a), own).gathered())[1:] == (1, 2)
        assert asked.lines == []


async def test_who_does_not_know_itself_asks_nobody_for_one_of_them_is_itself() -> None:
    async with instance("a", busy(3)) as (a, asked), instance("b", busy(3)) as (b, _):
        loads, answered, known = await Neighbours(Asking(a, b, own=""), nobody).gathered()
        assert ([each.in_flight for each in loads], answered, known) == ([1], 1, 2)
        assert asked.lines == []


async def test_alone_or_before_the_first_snapshot_its_own_load_is_all() -> None:
    asking = Asking()
    for snapshot in (asking.snapshot, None):
        asking.snapshot = snapshot
        for asking.own_instance in ("own", ""):
            assert await Neighbours(asking, nobody).gathered() == ([load(1, 0)], 1, 1)


async def test_connections_to_those_that_left_are_closed() -> None:
    async with instance("a", busy(3)) as (a, _), instance("b", busy(3)) as (b, _):
        asking = Asking(a, b)
        all_ = Neighbours(asking, nobody)
        await all_.gathered()
        assert len(all_._pages) == 2
        asking.snapshot = Snapshot(instances=(b,))
        await all_.gathered()
        (left,) = all_._pages.values()
        assert left._client is not None
        await all_.close()
        assert left._client is None
        assert not all_._pages


async def test_many_questions_at_once_share_what_there_is() -> None:
    async with instance("a", busy(3)) as (a, _):
        all_ = Neighbours(Asking(a), nobody)
        told = await asyncio.gather(*(all_.gathered() for _ in range(8)))
        assert {answered for _, answered, _ in told} == {2}
        assert len(all_._pages) == 1
        await all_.close()


async def test_how_each_instance_looks_this_one_first() -> None:
    async with instance("a", busy(3)) as (a, _):
        gone = Instance(id="gone", admin="http://127.0.0.1:1")
        all_ = Neighbours(Asking(gone, a), nobody)
        told = await all_.standings()
        assert [(each.id, each.is_self, each.up, each.in_flight) for each in told] == [
            ("own", True, True, 1),
            ("gone", False, False, None),
            ("a", False, True, 3),
        ]
        assert [(each.owns, each.silent_for_s, each.view_agrees) for each in told] == [
            (2, 0.0, True),
            (0, 0.0, False),
            (3, 0.25, False),
        ]
        await all_.close()
