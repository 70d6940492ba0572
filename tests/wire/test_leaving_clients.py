"""What becomes of a request whose client goes away?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import ClientWire, chunk, chunked_request, reply, request, turns, until

Leave = Callable[[ClientWire], None]
WAYS = pytest.mark.parametrize("leave", [ClientWire.close, ClientWire.reset, ClientWire.half_close])


@WAYS
async def test_a_client_that_leaves_while_the_replica_works_cancels_its_request(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    assert stage.in_flight == 1
    leave(client)
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)
    assert stage.statuses() == {499: 1}


@WAYS
async def test_a_client_that_leaves_the_queue_gives_up_its_place(stage: Stage, leave: Leave) -> None:
    first, second, third = await stage.client(), await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send(request(body=b"second"))
    await until(lambda: stage.queued == 1)
    await third.send(request(body=b"third"))
    await until(lambda: stage.queued == 2)
    leave(second)
    await until(lambda: stage.queued == 1)
    await wire.send(reply(b"1"))
    await first.reply()
    assert (await wire.request()).body == b"third"
    await wire.send(reply(b"3"))
    assert (await third.reply()).body == b"3"
    assert b"second" not in stage.replica.heard()


async def test_the_slot_of_a_client_that_left_goes_to_the_next_in_the_queue(stage: Stage) -> None:
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send(request(body=b"second"))
    await until(lambda: stage.queued == 1)
    first.close()
    assert await wire.closed()
    wire, asked = await stage.replica.asked()
    assert asked.body == b"second"
    await wire.send(reply(b"2"))
    assert (await second.reply()).body == b"2"


@WAYS
async def test_a_client_that_leaves_while_it_uploads_cancels_its_request(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(b"Content-Length: 1000", method=b"POST") + b"a part")
    wire = await stage.replica.connection()
    await wire.until(b"a part")
    leave(client)
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)


@WAYS
async def test_a_chunked_upload_that_breaks_off_never_looks_complete(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(chunked_request(b"a part", ends=False))
    wire = await stage.replica.connection()
    await wire.until(b"a part")
    leave(client)
    assert await wire.rest() == b"\r\n"  # the chunk's own end
    await until(lambda: stage.in_flight == 0)


@WAYS
async def test_a_client_that_leaves_a_stream_cancels_it(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"data: 1\n\n"))
    await client.until(b"data: 1\n\n")
    leave(client)
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)


async def test_a_client_that_leaves_before_a_reply_of_known_length_is_whole_cancels_it(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    await client.until(b"12345")
    client.close()
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)


@pytest.mark.parametrize(("size", "leave"), [(100_000, ClientWire.close), (2_000_000, ClientWire.reset)])
async def test_a_client_that_leaves_the_queue_with_much_of_its_body_unread_gives_up_its_place(
    stage: Stage, size: int, leave: Leave
) -> None:
    """The router reads no more of the body than it must, and still sees that the client has gone."""
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send_as_much_as_goes(request(b"Content-Length: 3000000", method=b"POST") + b"x" * size)
    await until(lambda: stage.queued == 1)
    leave(second)
    await until(lambda: stage.queued == 0)
    await wire.send(reply())
    await first.reply()


async def test_a_client_that_leaves_while_its_replica_takes_nothing_frees_the_slot(open_stage: OpenStage) -> None:
    stage = await open_stage(replica_receive_buffer_bytes=4_096)
    client = await stage.client()
    await client.send(request(b"Content-Length: 50000000", method=b"POST"))
    wire = await stage.replica.connection()
    await client.send_as_much_as_goes(b"x" * 50_000_000)
    client.reset()
    await until(lambda: stage.in_flight == 0)
    assert wire.received == b""


async def test_a_client_that_leaves_behind_pipelined_requests_cancels_them_all(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"first") + request(body=b"second"))
    wire, first = await stage.replica.asked()
    assert first.body == b"first"
    client.close()
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)
    await turns()
    assert b"second" not in stage.replica.heard()


async def test_a_client_that_leaves_within_its_head_leaves_nothing_behind(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request()[:20])
    await until(lambda: stage.clients.count == 1)
    client.close()
    await until(lambda: stage.clients.count == 0)
    assert stage.connections == []
    assert stage.refusals == []
