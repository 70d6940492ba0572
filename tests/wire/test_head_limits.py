"""How much of a request head is taken, and how long is it waited for?"""

from __future__ import annotations

import asyncio

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import SCORE, ClientWire, reply, request, turns

_SMALL = Limits(max_head_bytes=1_024)
_HASTY = Limits(head_timeout_ms=150)


def _head_of(size: int) -> bytes:
    frame = len(request(b"X-Fill: "))
    return request(b"X-Fill: " + b"x" * (size - frame))


async def test_a_head_of_just_the_limit_is_taken(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_SMALL)
    stage.replica.answer_all(lambda asked: reply(b"fine"))
    client = await stage.client()
    assert (await client.ask(_head_of(1_024))).body == b"fine"


async def test_a_head_one_byte_over_the_limit_is_431(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_SMALL)
    client = await stage.client()
    await client.send(_head_of(1_025))
    assert (await client.last_reply()).status == 431
    assert stage.replica.wires == []


async def test_a_head_that_does_not_end_is_refused_the_moment_it_passes_the_limit(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_SMALL)
    client = await stage.client()
    endless = request()[:-2] + b"X-Fill: "
    await client.send(endless + b"x" * (1_024 - len(endless)))
    await turns()
    assert client.silent()
    await client.send(b"x")
    assert (await client.last_reply()).status == 431


async def test_what_comes_behind_a_refused_head_is_not_kept(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_SMALL)
    client = await stage.client()
    await client.send(request()[:-2] + b"X-Fill: " + b"x" * 2_000)
    assert (await client.reply()).status == 431
    for _ in range(40):
        await client.send(b"x" * 65_536)
        await turns(5)
        assert sum(len(each._received) for each in stage.connections) <= 65_536


async def test_a_head_within_the_limit_may_come_with_a_body_beyond_it(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_SMALL)
    stage.replica.answer_all(lambda asked: reply(asked.body))
    client = await stage.client()
    assert (await client.ask(request(body=b"y" * 20_000))).body == b"y" * 20_000


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 431)])
async def test_more_header_fields_than_the_limit_are_431(open_stage: OpenStage, count: int, status: int) -> None:
    stage = await open_stage(limits=Limits(max_headers=10))
    stage.replica.answer_all(lambda asked: reply())
    client = await stage.client()
    lines = [b"X-%d: 1" % number for number in range(count - 1)]  # and Host
    assert (await client.ask(request(*lines))).status == status


async def test_a_head_that_is_not_whole_in_time_is_408(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    client = await stage.client()
    began = asyncio.get_running_loop().time()
    await client.send(request()[:-2])
    assert (await client.last_reply()).status == 408
    assert asyncio.get_running_loop().time() - began > 0.1


async def _trickle(client: ClientWire) -> None:
    """A header that grows by a byte at a time, until the other side has had enough."""
    for _ in range(1_000):
        try:
            await client.send(b"x")
        except OSError:
            return
        if not client.silent():
            return
        await asyncio.sleep(0.01)
    pytest.fail("a trickle of bytes kept the head's time from running out")


async def test_bytes_that_trickle_in_do_not_extend_a_heads_time(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    client = await stage.client()
    await client.send(request()[:-2] + b"X-Slow: ")
    await _trickle(client)
    assert (await client.reply()).status == 408


async def test_the_head_of_a_later_request_has_the_same_time(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    stage.replica.answer_all(lambda asked: reply())
    client = await stage.client()
    assert (await client.ask(request())).status == 200
    await client.send(request()[:-2] + b"X-Slow: ")
    await _trickle(client)
    assert (await client.reply()).status == 408


async def test_the_head_of_a_pipelined_request_has_its_time_too(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    stage.replica.answer_all(lambda asked: reply())
    client = await stage.client()
    assert (await client.ask(request() + b"GET / HT")).status == 200
    assert (await client.last_reply()).status == 408


async def test_a_connection_that_never_says_anything_is_closed_without_a_word(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    client = await stage.client()
    assert await client.closed()
    assert not client.was_reset


async def test_empty_lines_before_a_request_are_skipped_and_buy_no_time(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_HASTY)
    stage.replica.answer_all(lambda asked: reply(b"fine"))
    client = await stage.client()
    assert (await client.ask(b"\r\n\r\n" + request())).body == b"fine"
    silent = await stage.client()
    await silent.send(b"\r\n")
    assert await silent.closed()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"Host: a.example", b"Host: a.example"),
        (b"Host: a.example", b"Host: b.example"),
        (b"Host: a b",),
        (b"Host: a/b",),
        (b"Host: user@a.example",),
        (b"Host: a.example, b.example",),
        (b'Host: a"b',),
        (b"Host: \xe4.example",),
    ],
    ids=["none", "twice", "two", "space", "slash", "userinfo", "list", "quote", "not-ascii"],
)
async def test_a_missing_doubled_or_impossible_host_is_400(stage: Stage, lines: tuple[bytes, ...]) -> None:
    client = await stage.client()
    await client.send(request(*lines, host=None))
    assert (await client.last_reply()).status == 400
    assert stage.replica.wires == []


async def test_a_long_url_reaches_the_replica_uncut(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_head_bytes=262_144))
    stage.replica.answer_all(lambda asked: reply(b"%d" % len(asked.path)))
    client = await stage.client()
    query = b"q=" + b"a" * 65_536 + b"&end=here"
    assert (await client.ask(request(path=SCORE + b"?" + query))).body == b"%d" % len(b"/score?" + query)
    assert query in stage.replica.heard()


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 431)])
async def test_a_url_is_taken_whole_or_not_at_all(open_stage: OpenStage, over: int, status: int) -> None:
    stage = await open_stage(limits=Limits(max_head_bytes=70_000))
    stage.replica.answer_all(lambda asked: reply(asked.path[-3:]))
    client = await stage.client()
    padding = 70_000 + over - len(request(path=SCORE + b"?end"))
    answer = await client.ask(request(path=SCORE + b"?" + b"a" * padding + b"end"))
    assert answer.status == status
    assert status == 431 or answer.body == b"end"
