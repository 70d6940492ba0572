"""Requests leave at their moments, each to its instance, once; what became of each is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from bench.dispatch.counting import Served, Work
from bench.dispatch.load import Request
from bench.dispatch.sending import Address, Sender, send_all

Answer = Callable[[Work], Awaitable[bytes]]


def _http(body: bytes, status: int = 200, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} It", f"content-length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _served(work: Work) -> bytes:
    return msgspec.json.encode(Served(work.n, 0.0, 1.0, 2.0))


class Instance:
    """Answers each request as it is told."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.heads: list[str] = []
        self.works: list[Work] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                work = msgspec.json.decode(await reader.readexactly(length), type=Work)
                self.heads.append(head)
                self.works.append(work)
                writer.write(await self.answer(work))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _instances(*answers: Answer) -> AsyncIterator[tuple[Sender, list[Instance]]]:
    instances = [Instance(answer) for answer in answers]
    servers = [await asyncio.start_server(instance.serve, "127.0.0.1", 0) for instance in instances]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    sender = Sender([Address(port=port, path="/score", authorization="Bearer k") for port in ports])
    try:
        yield sender, instances
    finally:
        sender.close()
        for server in servers:
            server.close()
            await server.wait_closed()
        await asyncio.sleep(0.01)


async def _well(work: Work) -> bytes:
    return _http(_served(work))


def _ignore(_share: float) -> None:
    pass


async def test_each_goes_to_its_instance_with_its_length_and_who_asks() -> None:
    requests = [Request(0.0, 1, 0.5), Request(0.01, 0, 0.25), Request(0.02, 1, 0.125)]
    async with _instances(_well, _well) as (sender, instances):
        sent = await send_all(sender, requests, 5.0, _ignore)
    assert [[work.n for work in each.works] for each in instances] == [[1], [0, 2]]
    assert [work.s for work in instances[1].works] == [0.5, 0.125]
    assert instances[0].heads[0].startswith("POST /score HTTP/1.1\r\n")
    assert "\r\nauthorization: Bearer k\r\n" in instances[0].heads[0]
    assert [each.instance for each in sent] == [1, 0, 1]
    assert [each.served for each in sent] == [Served(number, 0.0, 1.0, 2.0) for number in range(3)]
    assert {each.failure for each in sent} == {""}


async def test_none_waits_for_anothers_reply_and_the_intended_moment_is_the_plans() -> None:
    gate = asyncio.Event()

    async def late(work: Work) -> bytes:
        if work.n == 2:
            gate.set()
        await gate.wait()
        return _http(_served(work))

    async with _instances(late) as (sender, [instance]):
        sent = await send_all(sender, [Request(0.01 * each, 0, 0.1) for each in range(3)], 5.0, _ignore)
    assert instance.connections == 3
    assert [each.intended - sent[0].intended for each in sent] == pytest.approx([0.0, 0.01, 0.02])
    assert all(each.late_s >= 0 for each in sent)


async def test_connections_are_used_again() -> None:
    async with _instances(_well) as (sender, [instance]):
        for number in range(3):
            await sender.ask(0, Work(number, 0.1))
    assert instance.connections == 1


async def test_but_not_one_that_is_to_be_closed() -> None:
    async def closing(work: Work) -> bytes:
        return _http(_served(work), 200, "connection: close")

    async with _instances(closing) as (sender, [instance]):
        for number in range(2):
            await sender.ask(0, Work(number, 0.1))
    assert instance.connections == 2


async def test_a_refusal_a_break_a_wrong_reply_and_a_timeout_are_failures_by_name() -> None:
    async def badly(work: Work) -> bytes:
        if work.n == 0:
            return _http(b"", 503)
        if work.n == 1:
            raise ConnectionError
        if work.n == 2:
            return _http(_served(Work(99, 0.1)))
        if work.n == 3:
            await asyncio.sleep(30)
        return b"no http\r\n\r\n" if work.n == 4 else _http(_served(work))

    async with _instances(badly) as (sender, [instance]):
        sent = await send_all(sender, [Request(0.03 * each, 0, 0.1) for each in range(6)], 1.0, _ignore)
        assert len(instance.works) == 6  # nothing is sent again
    assert [each.failure for each in sent] == [
        "status 503",
        "connection lost",
        "the reply to another request",
        "timeout",
        "connection lost",
        "",
    ]
    assert [each.served is None for each in sent] == [True] * 5 + [False]


async def test_an_instance_that_is_away_refuses_and_the_others_go_on() -> None:
    async with _instances(_well, _well) as (sender, _):
        sender._addresses = [Address(port=1, path="/", authorization=""), sender._addresses[1]]
        sent = await send_all(sender, [Request(0.0, 0, 0.1), Request(0.0, 1, 0.1)], 5.0, _ignore)
    assert [each.failure for each in sent] == ["connection refused", ""]


async def test_progress_is_told_and_ends_with_all() -> None:
    told: list[float] = []
    async with _instances(_well) as (sender, _):
        await send_all(sender, [Request(0.0, 0, 0.1)] * 101, 5.0, told.append)
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert told == sorted(told)
