"""Do replies and uploads pass as they come?"""

from __future__ import annotations

import pytest

from tests.wire.stage import Stage
from tests.wire.wires import chunk, chunked_request, request, until

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_events_reach_the_client_one_by_one(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(SSE)
    head = await client.head()  # before there is any event
    assert head.get(b"content-type") == b"text/event-stream"
    assert head.get(b"transfer-encoding") == b"chunked"
    for number in range(30):
        event = chunk(b"data: %d\n\n" % number)
        await wire.send(event)  # the next only once the client has seen the last
        assert await client.exactly(len(event)) == event
    await wire.send(b"0\r\n\r\n")
    assert await client.exactly(5) == b"0\r\n\r\n"
    assert client.silent()


async def test_half_a_chunk_is_passed_on_before_the_other_half_comes(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(SSE + b"a\r\nfirst")
    await client.until(b"first\r\n")
    await wire.send(b"other\r\n0\r\n\r\n")
    await client.until(b"other\r\n0\r\n\r\n")


async def test_a_reply_of_known_length_is_passed_on_as_it_comes(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert (await client.head()).get(b"content-length") == b"10"
    for digit in b"0123456789":
        await wire.send(bytes([digit]))
        assert await client.exactly(1) == bytes([digit])


async def test_a_reply_that_comes_byte_by_byte_is_the_same_reply(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send_in_bytes(b"HTTP/1.1 103 Early Hints\r\n\r\n" + SSE + chunk(b"hello") + b"0\r\nX: y\r\n\r\n")
    assert (await client.reply()).status == 103
    answer = await client.reply()
    assert (answer.status, answer.body, answer.trailer) == (200, b"hello", b"")


async def test_an_upload_reaches_the_replica_as_it_comes(stage: Stage) -> None:
    client = await stage.client()
    await client.send(chunked_request(ends=False))
    wire = await stage.replica.connection()
    head = await wire.head()
    assert head.get(b"transfer-encoding") == b"chunked"
    for number in range(20):
        piece = chunk(b"piece %d" % number)
        await client.send(piece)
        assert await wire.exactly(len(piece)) == piece
    await client.send(b"0\r\n\r\n")
    assert await wire.exactly(5) == b"0\r\n\r\n"
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await client.reply()).status == 204


async def test_an_upload_of_known_length_is_sent_with_that_length(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(b"Content-Length: 6", method=b"POST"))
    wire = await stage.replica.connection()
    head = await wire.head()
    assert head.get(b"content-length") == b"6"
    for byte in (b"a", b"b", b"c", b"d", b"e", b"f"):
        await client.send(byte)
        assert await wire.exactly(1) == byte
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    await client.reply()


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_many_tiny_chunks_are_a_whole_body(stage: Stage, version: bytes) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}", version=version))
    wire, _ = await stage.replica.asked()
    await wire.send(SSE + b"".join(chunk(b"%d," % number) for number in range(5_000)) + b"0\r\n\r\n")
    answer = await client.reply()
    assert answer.body == b"".join(b"%d," % number for number in range(5_000))
    await until(lambda: stage.in_flight == 0)
