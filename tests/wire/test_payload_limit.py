"""How large may a request's body be?"""

from __future__ import annotations

import json

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import LAST_CHUNK, chunk, chunked_request, reply, request, turns, until

LIMIT = 1_000_000


@pytest.fixture
async def limited(open_stage: OpenStage) -> Stage:
    return await open_stage(endpoint={"max_payload_bytes": LIMIT})


async def test_a_length_over_the_limit_is_413_before_a_byte_of_the_body_is_read(limited: Stage) -> None:
    client = await limited.client()
    await client.send(request(b"Content-Length: %d" % (LIMIT + 1), method=b"POST"))
    answer = await client.last_reply()
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["code"] == "PayloadTooLarge"
    assert answer.get(b"connection") == b"close"
    assert limited.replica.wires == []


async def test_a_client_that_goes_on_sending_can_still_read_its_413(limited: Stage) -> None:
    client = await limited.client()
    await client.send(request(b"Content-Length: %d" % (10 * LIMIT), method=b"POST"))
    for _ in range(20):
        await client.send(b"x" * 65_536)
        await turns(3)
    assert (await client.last_reply()).status == 413
    assert not client.was_reset


async def test_413_comes_before_a_slot_is_waited_for(limited: Stage) -> None:
    first, second = await limited.client(), await limited.client()
    await first.send(request(body=b"first"))
    wire, _ = await limited.replica.asked()
    await second.send(request(b"Content-Length: %d" % (LIMIT + 1), method=b"POST"))
    assert (await second.last_reply()).status == 413
    await wire.send(reply())
    await first.reply()


@pytest.mark.parametrize("in_chunks", [False, True])
async def test_a_body_of_just_the_limit_is_taken(limited: Stage, in_chunks: bool) -> None:
    limited.replica.answer_all(lambda asked: reply(b"%d" % len(asked.body)))
    client = await limited.client()
    data = b"x" * LIMIT
    await client.send(chunked_request(data[:400_000], data[400_000:]) if in_chunks else request(body=data))
    assert (await client.reply()).body == b"%d" % LIMIT


async def test_a_chunked_body_is_413_the_moment_its_count_passes_the_limit(limited: Stage) -> None:
    client = await limited.client()
    await client.send(chunked_request(b"x" * LIMIT, ends=False))
    wire = await limited.replica.connection()
    await wire.until(b"x" * 100)
    await turns(200)
    assert client.silent()
    await client.send(chunk(b"y"))  # more of it, or an end, may never come
    answer = await client.last_reply()
    assert answer.status == 413
    await wire.rest()
    assert not bytes(wire.received).endswith(b"0\r\n\r\n")
    assert b"y" not in wire.received
    await until(lambda: limited.in_flight == 0)


async def test_a_small_chunked_body_over_the_limit_reaches_no_replica(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint={"max_payload_bytes": 10})
    client = await stage.client()
    await client.send(chunked_request(b"0123456789", b"x"))
    assert (await client.reply()).status == 413
    assert stage.replica.heard() == b""


async def test_a_size_over_the_limit_does_not_wait_for_its_data(limited: Stage) -> None:
    """Data that never comes can't be counted; what does come is, and the limit holds."""
    client = await limited.client()
    await client.send(chunked_request(ends=False) + b"fffffffffffffff\r\n")
    wire = await limited.replica.connection()
    sent = await client.send_as_much_as_goes(b"x" * 3 * LIMIT)
    assert sent > LIMIT
    assert (await client.reply()).status == 413
    assert len(wire.received) <= LIMIT + 10_000


async def test_a_reply_that_has_begun_is_cut_when_the_count_passes(limited: Stage) -> None:
    client = await limited.client()
    await client.send(chunked_request(b"x", ends=False))
    wire = await limited.replica.connection()
    await wire.until(b"1\r\nx\r\n")
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"so far"))
    await client.until(b"so far\r\n")
    await client.send(chunk(b"x" * LIMIT))
    assert LAST_CHUNK not in b"\r\n" + await client.rest()
    assert LAST_CHUNK not in b"\r\n" + await wire.rest()
    await until(lambda: limited.in_flight == 0)
