"""Can a request, or a part of one, become another's?"""

from __future__ import annotations

import pytest

from tests.wire.stage import Stage
from tests.wire.wires import chunk, chunked_request, reply, request

_HIDDEN = b"POST /api/v1/endpoint/iris/admin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: Upgrade", b"Upgrade: h2c"),
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        (b"Connection: keep-alive, Upgrade",),
    ],
)
async def test_the_body_of_a_request_that_offers_an_upgrade_reaches_the_replica_whole(
    stage: Stage, lines: tuple[bytes, ...]
) -> None:
    client = await stage.client()
    await client.send(request(*lines, body=_HIDDEN) + request(body=b"the next one"))
    wire, first = await stage.replica.asked()
    assert first.body == _HIDDEN
    assert first.names.isdisjoint({b"connection", b"upgrade", b"http2-settings"})
    await wire.send(reply(b"first"))
    assert (await client.reply()).body == b"first"
    assert (await wire.request()).body == b"the next one"
    await wire.send(reply(b"second"))
    assert (await client.reply()).body == b"second"
    assert len(stage.replica.wires) == 1


async def test_a_chunked_body_behind_an_upgrade_offer_reaches_the_replica_whole(stage: Stage) -> None:
    client = await stage.client()
    await client.send(chunked_request(_HIDDEN, lines=(b"Connection: Upgrade", b"Upgrade: h2c")))
    wire, first = await stage.replica.asked()
    assert first.body == _HIDDEN
    await wire.send(reply(b"first"))
    assert (await client.reply()).body == b"first"
    await client.send(request(body=b"next"))
    assert (await wire.request()).body == b"next"
    await wire.send(reply(b"second"))
    assert (await client.reply()).body == b"second"


async def test_an_upgrade_with_a_body_that_comes_late_is_not_taken_for_a_request(stage: Stage) -> None:
    client = await stage.client()
    whole = request(b"Connection: Upgrade", b"Upgrade: h2c", body=_HIDDEN)
    await client.send(whole[: -len(_HIDDEN)])
    wire = await stage.replica.connection()
    await client.send(_HIDDEN)
    assert (await wire.request()).body == _HIDDEN
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"
    assert client.silent()
    assert stage.statuses() == {200: 1}


async def test_trailer_fields_of_a_request_never_become_headers(stage: Stage) -> None:
    client = await stage.client()
    head = request(b"Transfer-Encoding: chunked", b"Trailer: X-Internal-User", method=b"POST")
    await client.send(head + chunk(b"hello") + b"0\r\nHost: evil.example\r\nX-Internal-User: root\r\n\r\n")
    wire, asked = await stage.replica.asked()
    assert asked.body == b"hello"
    assert asked.trailer == b""
    assert b"x-internal-user" not in asked.names
    assert asked.get(b"host") == b"iris.example"
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"


async def test_trailer_fields_that_come_late_never_become_headers_of_the_next_request(stage: Stage) -> None:
    client = await stage.client()
    await client.send(chunked_request(b"hello", ends=False))
    wire = await stage.replica.connection()
    await client.send(b"0\r\nX-Internal-User: root\r\n")
    await client.send(b"Authorization: Bearer x\r\n\r\n" + request(body=b"next"))
    assert (await wire.request()).body == b"hello"
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"
    following = await wire.request()
    assert following.body == b"next"
    assert following.names.isdisjoint({b"x-internal-user", b"authorization"})
    await wire.send(reply(b"done"))
    await client.reply()
    assert b"root" not in stage.replica.heard()


async def test_trailer_fields_of_a_reply_never_become_headers(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hi") + b"0\r\nX-Late: 1\r\n\r\n")
    answer = await client.reply()
    assert answer.body == b"hi"
    assert answer.trailer == b""
    assert b"x-late" not in answer.names


async def test_white_space_behind_a_value_is_no_part_of_it(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(b"Transfer-Encoding: chunked ", b"X-Shade:  blue \t", method=b"POST"))
    await client.send(chunk(b"hello") + b"0\r\n\r\n" + request(body=b"next"))
    wire, asked = await stage.replica.asked()
    assert asked.body == b"hello"
    assert asked.get(b"x-shade") == b"blue"
    await wire.send(reply(b"1"))
    assert (await wire.request()).body == b"next"
    await wire.send(reply(b"2"))
    assert [(await client.reply()).body, (await client.reply()).body] == [b"1", b"2"]


async def test_white_space_behind_the_replicas_values_is_no_part_of_them(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \r\nX-A: b \t\r\n\r\n" + chunk(b"hi") + b"0\r\n\r\n"
    )
    answer = await client.reply()
    assert (answer.body, answer.get(b"x-a")) == (b"hi", b"b")
