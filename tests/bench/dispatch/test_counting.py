"""A replica works on one request at a time, in order, whoever is still there, and says truly what it had at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from bench.dispatch.counting import Account, Served, serve

Ports = tuple[int, int, int]


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    """Of accounts, and of two replicas."""
    listening: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(2, listening.set_result))
    account, one, other = await listening
    yield account, one, other
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _sent(port: int, body: bytes, method: str = "POST") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} /score HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def _asked(port: int, number: int, seconds: float) -> Served:
    reader, writer = await _sent(port, json.dumps({"n": number, "s": seconds}).encode())
    status, body = await _reply(reader)
    writer.close()
    assert status == 200
    return msgspec.json.decode(body, type=Served)


async def _accounts(port: int) -> list[Account]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"?")
    told = await reader.read()
    writer.close()
    return msgspec.json.decode(told, type=list[Account])


async def test_a_request_takes_as_long_as_it_says(ports: Ports) -> None:
    served = await _asked(ports[1], 7, 0.05)
    assert served.n == 7
    assert served.came == served.began
    assert served.ended - served.began >= 0.049


async def test_of_two_at_once_the_second_waits_inside_and_both_are_counted(ports: Ports) -> None:
    first = asyncio.create_task(_asked(ports[1], 1, 0.6))
    await asyncio.sleep(0.03)
    second = await _asked(ports[1], 2, 0.01)
    assert second.came < (await first).ended <= second.began
    one, other = await _accounts(ports[0])
    assert (one.served, one.most) == (2, 2)
    [overlap] = one.overlaps
    assert (overlap.began, overlap.ended, overlap.most) == (second.came, first.result().ended, 2)
    assert other == Account(0, 0, [])


async def test_one_after_the_other_is_no_overlap_and_replicas_are_apart(ports: Ports) -> None:
    await _asked(ports[1], 1, 0.01)
    await asyncio.gather(_asked(ports[1], 2, 0.02), _asked(ports[2], 3, 0.02))
    assert await _accounts(ports[0]) == [Account(2, 1, []), Account(1, 1, [])]


async def test_an_account_is_since_the_last_one(ports: Ports) -> None:
    await _asked(ports[1], 1, 0.01)
    await _accounts(ports[0])
    assert await _accounts(ports[0]) == [Account(0, 0, []), Account(0, 0, [])]


async def test_it_goes_on_when_who_asked_is_gone(ports: Ports) -> None:
    _, writer = await _sent(ports[1], b'{"n": 1, "s": 0.6}')
    await asyncio.sleep(0.02)
    writer.close()
    served = await _asked(ports[1], 2, 0.01)
    assert served.began - served.came > 0.02
    assert (await _accounts(ports[0]))[0].most == 2


async def test_a_third_is_the_same_overlap(ports: Ports) -> None:
    await asyncio.gather(*(_asked(ports[1], number, 0.2) for number in range(3)))
    [one, _] = await _accounts(ports[0])
    assert (one.most, len(one.overlaps), one.overlaps[0].most) == (3, 1, 3)


async def test_a_probe_is_no_request(ports: Ports) -> None:
    reader, writer = await _sent(ports[1], b"", "GET")
    assert await _reply(reader) == (200, b"Healthy")
    writer.close()
    assert (await _accounts(ports[0]))[0] == Account(0, 0, [])


@pytest.mark.parametrize("body", [b"", b"{}", b'{"n": 1, "s": "long"}'])
async def test_what_is_no_work_is_refused(ports: Ports, body: bytes) -> None:
    reader, writer = await _sent(ports[1], body)
    assert (await _reply(reader))[0] == 400
    writer.close()


async def test_what_is_no_http_is_refused(ports: Ports) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[1])
    writer.write(b"hello\r\n\r\n")
    answer: Any = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    writer.close()
