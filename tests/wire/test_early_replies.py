"""What if the reply comes before the request has been sent whole?"""

from __future__ import annotations

import asyncio

import pytest

from router import protocol
from tests.wire.stage import Stage
from tests.wire.wires import LAST_CHUNK, ClientWire, Message, chunk, chunked_request, reply, request, turns, until

UPLOAD = request(b"Content-Length: 1000000", method=b"POST") + b"start"


async def _next_needs_a_fresh_connection(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"next"))
    wire, asked = await stage.replica.asked()
    assert asked.body == b"next"
    await wire.send(reply(b"own"))
    assert (await client.reply()).body == b"own"


@pytest.mark.parametrize("upload", [UPLOAD, chunked_request(b"start", ends=False)], ids=["length", "chunked"])
async def test_an_early_reply_reaches_the_client_whole_and_both_connections_end(stage: Stage, upload: bytes) -> None:
    client = await stage.client()
    await client.send(upload)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(reply(b"no, thanks", b"Connection: keep-alive", status=400))
    answer = await client.last_reply()
    assert (answer.status, answer.body) == (400, b"no, thanks")
    assert answer.get(b"connection") == b"close"
    assert LAST_CHUNK not in b"\r\n" + await wire.rest()
    await _next_needs_a_fresh_connection(stage)


async def test_an_early_reply_reaches_a_client_that_goes_on_uploading(stage: Stage) -> None:
    """What still comes is read and dropped for a while: a reset would take the reply away (RFC 9112 9.6)."""
    client = await stage.client()
    await client.send(UPLOAD)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(reply(b"no, thanks", status=413))
    await until(lambda: stage.in_flight == 0)
    for _ in range(10):
        await client.send(b"x" * 65_536)
    answer = await client.last_reply()
    assert (answer.status, answer.body) == (413, b"no, thanks")
    assert stage.replica.heard().count(b"x" * 100) == 0


async def test_what_a_client_uploads_behind_its_reply_is_not_read_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_LINGER_S", 0.1)
    client = await stage.client()
    await client.send(UPLOAD)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(reply(b"no, thanks", status=413))
    await client.last_reply()
    await until(lambda: stage.clients.count == 0)
    assert await client.is_cut(b"x" * 65_536)


async def test_the_rest_of_an_upload_is_no_request_of_its_own(stage: Stage) -> None:
    client = await stage.client()
    hidden = request(body=b"hidden")
    await client.send(request(b"Content-Length: %d" % (5 + len(hidden)), method=b"POST") + b"start")
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(reply(b"early"))
    assert (await client.reply()).body == b"early"
    await client.send(hidden)
    assert await client.closed()
    assert b"hidden" not in stage.replica.heard()


async def test_the_slot_of_an_early_reply_is_free_at_once(stage: Stage) -> None:
    client = await stage.client()
    await client.send(UPLOAD)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(reply(b"early", status=400))
    await client.reply()
    assert stage.in_flight == 0


async def test_request_and_reply_stream_at_the_same_time(stage: Stage) -> None:
    client = await stage.client()
    await client.send(chunked_request(b"ping 0", ends=False))
    wire = await stage.replica.connection()
    await wire.until(b"ping 0\r\n")
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.head()
    for number in range(1, 20):
        await wire.send(chunk(b"pong %d" % number))
        await client.until(b"\r\n")
        assert await client.until(b"\r\n") == b"pong %d\r\n" % number
        await client.send(chunk(b"ping %d" % number))
        await wire.until(b"ping %d\r\n" % number)
    await client.send(b"0\r\n\r\n")
    await wire.until(b"0\r\n\r\n")
    await wire.send(b"0\r\n\r\n")
    assert await client.rest() == b"0\r\n\r\n"
    assert stage.statuses() == {200: 1}


async def test_a_reply_begun_early_ends_well_when_the_upload_ends_first(stage: Stage) -> None:
    client = await stage.client()
    await client.send(UPLOAD)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    await client.until(b"12345")
    reading = asyncio.create_task(wire.exactly(999_995))
    await client.send(b"x" * 999_995)
    await reading
    await wire.send(b"67890")
    assert await client.rest() == b"67890"


async def _take_in_turns(client: ClientWire, total: int) -> int:
    """Reads and uploads at once, as a client does that pipes a stream through the model."""
    size = 0
    while size < total:
        assert await client.hear(262_144)
        size += len(client.received)
        client.received.clear()
    return size


async def test_a_big_reply_passes_while_the_client_still_uploads(stage: Stage) -> None:
    client = await stage.client()
    await client.send(UPLOAD)
    wire = await stage.replica.connection()
    await wire.until(b"start")
    body = b"y" * 5_000_000
    sending = asyncio.create_task(wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body))
    head: Message = await client.head()
    assert head.get(b"content-length") == b"5000000"
    client.received, client.taken = client.received[client.taken :], 0
    for _ in range(10):
        await client.send(b"x" * 10_000)
    received = len(client.received)
    client.received.clear()
    assert await _take_in_turns(client, len(body) - received) == len(body) - received
    await sending
    await turns()
    assert await client.closed()
