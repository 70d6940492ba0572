"""What if a replica says more than it was asked?"""

from __future__ import annotations

import pytest

from tests.wire.stage import Stage
from tests.wire.wires import ClientWire, chunk, reply, request, turns

_POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


async def _next_is_served_on_a_fresh_connection(stage: Stage, client: ClientWire) -> None:
    """The next request's reply is its own, and comes over a connection of its own."""
    await client.send(request(body=b"next"))
    wire, asked = await stage.replica.asked()
    assert asked.body == b"next"
    await wire.send(reply(b"its own"))
    assert (await client.reply()).body == b"its own"
    assert b"poison" not in client.received


async def test_an_unsolicited_reply_on_an_idle_connection_never_answers_the_next_request(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply(b"first"))
    assert (await client.reply()).body == b"first"
    await wire.send(_POISON)
    assert await wire.closed()
    await _next_is_served_on_a_fresh_connection(stage, client)


async def test_an_unsolicited_reply_on_a_connection_never_used_for_a_reply_is_not_waited_for(stage: Stage) -> None:
    """A replica that talks before it is asked: its words are taken for the reply to what was sent, and no more."""
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire = await stage.replica.connection()
    await wire.send(_POISON + _POISON)
    await client.reply()
    await turns()
    client = await stage.client()
    await client.send(request(body=b"next"))
    wire, asked = await stage.replica.asked()
    assert asked.body == b"next"
    await wire.send(reply(b"its own"))
    assert (await client.reply()).body == b"its own"


@pytest.mark.parametrize(
    ("method", "whole"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"POST", b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n"),
        (b"POST", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n"),
        (b"POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"POST", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (b"POST", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ok") + b"0\r\n\r\n"),
    ],
    ids=["head", "head-chunked", "204", "204-length", "304", "empty", "length", "chunked"],
)
@pytest.mark.parametrize("in_one_segment", [True, False])
async def test_bytes_behind_a_whole_reply_never_answer_the_next_request(
    stage: Stage, method: bytes, whole: bytes, in_one_segment: bool
) -> None:
    client = await stage.client()
    await client.send(request(method=method, body=None if method == b"HEAD" else b"{}"))
    wire, _ = await stage.replica.asked()
    if in_one_segment:
        await wire.send(whole + _POISON)
    else:
        await wire.send(whole)
        await turns()
        await wire.send(_POISON)
    await client.reply(method)
    assert await wire.closed()
    await _next_is_served_on_a_fresh_connection(stage, client)


async def test_a_single_byte_too_many_ends_the_connection(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply(b"ok") + b"\n")
    assert (await client.reply()).body == b"ok"
    assert await wire.closed()
    await _next_is_served_on_a_fresh_connection(stage, client)


async def test_bytes_behind_the_reply_to_an_upload_that_goes_on_do_not_reach_anyone(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(b"Content-Length: 10", method=b"POST") + b"12345")
    wire = await stage.replica.connection()
    await wire.until(b"12345")
    await wire.send(reply(b"early") + _POISON)
    assert (await client.last_reply()).body == b"early"
    assert await wire.closed()
    assert b"poison" not in client.received
