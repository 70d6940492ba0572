"""How much does the router hold for someone who is slow?"""

from __future__ import annotations

import asyncio

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import ClientWire, ReplicaWire, chunked_request, request, turns, until

_MOST_HELD = 1_000_000
_SMALL_BUFFERS = {"send_buffer_bytes": 16_384, "replica_receive_buffer_bytes": 16_384}
_BIG = 50_000_000


async def _reply_begun(stage: Stage, framing: bytes) -> tuple[ClientWire, ReplicaWire]:
    client = await stage.client(receive_buffer_bytes=16_384)
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    return client, wire


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: %d\r\n" % _BIG, b"", b"Transfer-Encoding: chunked\r\n"],
    ids=["length", "close", "chunked"],
)
async def test_a_replica_is_paused_by_a_client_that_reads_nothing(open_stage: OpenStage, framing: bytes) -> None:
    stage = await open_stage(**_SMALL_BUFFERS)
    client, wire = await _reply_begun(stage, framing)
    if b"chunked" in framing:
        await wire.send(b"%x\r\n" % _BIG)
    sent = await wire.send_as_much_as_goes(b"x" * _BIG)
    assert sent < _BIG
    assert stage.buffered_bytes() < _MOST_HELD
    client.close()
    await until(lambda: stage.in_flight == 0)


async def test_a_paused_reply_goes_on_when_the_client_reads_again(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SMALL_BUFFERS)
    body = bytes(range(256)) * 40_000
    client, wire = await _reply_begun(stage, b"Content-Length: %d\r\n" % len(body))
    sent = await wire.send_as_much_as_goes(body)
    assert sent < len(body)
    rest = asyncio.create_task(wire.send(body[sent:]))
    answer = await client.reply()
    await rest
    assert answer.body == body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_is_paused_by_a_replica_that_reads_nothing(open_stage: OpenStage, chunked: bool) -> None:
    stage = await open_stage(**_SMALL_BUFFERS)
    client = await stage.client()
    size = 20_000_000
    head = (
        chunked_request(ends=False) + b"%x\r\n" % size
        if chunked
        else request(b"Content-Length: %d" % size, method=b"POST")
    )
    await client.send(head)
    await stage.replica.connection()
    sent = await client.send_as_much_as_goes(b"x" * size)
    assert sent < size
    assert stage.buffered_bytes() < _MOST_HELD
    client.reset()


async def test_a_paused_upload_goes_on_when_the_replica_reads_again(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SMALL_BUFFERS)
    client = await stage.client()
    body = bytes(range(256)) * 80_000
    whole = request(body=body)
    sent = await client.send_as_much_as_goes(whole)
    assert sent < len(whole)
    rest = asyncio.create_task(client.send(whole[sent:]))
    wire, asked = await stage.replica.asked()
    await rest
    assert asked.body == body
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await client.reply()).status == 204


async def test_a_request_in_the_queue_is_not_read_into_memory(stage: Stage) -> None:
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send_as_much_as_goes(request(body=b"x" * _BIG))
    assert stage.queued == 1
    assert stage.buffered_bytes() < _MOST_HELD
    second.reset()
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    await first.reply()


async def test_pipelined_requests_are_not_read_into_memory(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"first"))
    await stage.replica.asked()
    sent = await client.send_as_much_as_goes(request(body=b"x" * 1_000) * 40_000)
    assert sent < 40_000_000
    assert all(len(each._received) < _MOST_HELD for each in stage.connections)
    client.reset()


async def test_a_client_that_stops_reading_is_cut_and_its_slot_freed(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SMALL_BUFFERS, limits=Limits(body_idle_timeout_ms=100))
    client, wire = await _reply_begun(stage, b"Content-Length: %d\r\n" % _BIG)
    await wire.send_as_much_as_goes(b"x" * _BIG)
    await until(lambda: stage.in_flight == 0)
    await until(lambda: stage.clients.count == 0)
    await wire.rest()
    assert len(await client.rest()) < _BIG


async def test_a_reply_that_ends_with_its_connection_does_not_look_whole_when_a_stalled_client_is_cut(
    open_stage: OpenStage,
) -> None:
    stage = await open_stage(**_SMALL_BUFFERS, limits=Limits(body_idle_timeout_ms=100))
    client = await stage.client(receive_buffer_bytes=16_384)
    await client.send(request(body=b"{}", version=b"HTTP/1.0"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % _BIG)
    await wire.send_as_much_as_goes(b"x" * _BIG)
    await until(lambda: stage.clients.count == 0)
    await client.rest()
    assert client.was_reset


async def test_a_client_that_never_takes_its_last_reply_is_cut(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SMALL_BUFFERS, limits=Limits(body_idle_timeout_ms=100))
    client = await stage.client(receive_buffer_bytes=4_096)
    await client.send(request(b"Connection: close", body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
    await until(lambda: stage.clients.count == 0)


async def test_a_client_that_reads_slowly_but_steadily_is_not_cut(open_stage: OpenStage) -> None:
    """The time is one without a byte (Limits.body_idle_timeout_ms), not one for all that is buffered."""
    stage = await open_stage(**_SMALL_BUFFERS, limits=Limits(body_idle_timeout_ms=1_000))
    body = b"x" * 700_000
    client, wire = await _reply_begun(stage, b"Content-Length: %d\r\n" % len(body))
    sending = asyncio.create_task(wire.send(body))
    while len(client.received) < len(body):
        assert await client.hear(8_192), "cut, though it took a piece every few milliseconds"
        await asyncio.sleep(0.02)
    await sending
    assert client.received.endswith(body)


async def test_an_early_reply_that_a_paused_client_reads_late_is_whole(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(b"Content-Length: 50000000", method=b"POST"))
    wire = await stage.replica.connection()
    await client.send_as_much_as_goes(b"x" * _BIG)
    await wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop")
    await turns()
    assert (await client.reply()).body == b"stop"
