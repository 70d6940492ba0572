"""Does a reply that has no body leave the connection in order?"""

from __future__ import annotations

import pytest

from tests.wire.stage import Stage
from tests.wire.wires import reply, request

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", b"1234"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", b"9"),
    ],
)
async def test_the_reply_to_head_has_the_length_and_no_body(stage: Stage, head: bytes, length: bytes | None) -> None:
    client = await stage.client()
    await client.send(request(method=b"HEAD"))
    wire, asked = await stage.replica.asked()
    assert asked.start == b"HEAD /score HTTP/1.1"
    await wire.send(head)
    answer = await client.reply(b"HEAD")
    assert answer.status == int(head[9:12])
    assert answer.get(b"content-length") == length
    await client.send(request(body=b"next"))
    assert (await wire.request()).body == b"next"
    await wire.send(KEPT)
    assert (await client.reply()).body == b"ok"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nX-A: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nX-A: 1\r\nContent-Length: 1234\r\nETag: x\r\n\r\n",
    ],
)
async def test_204_and_304_have_no_body_and_keep_both_connections(stage: Stage, head: bytes) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(head)
    answer = await client.reply()
    assert answer.status == int(head[9:12])
    assert answer.get(b"x-a") == b"1"
    assert b"transfer-encoding" not in answer.names
    assert answer.status == 304 or b"content-length" not in answer.names  # RFC 9110 8.6
    assert (answer.get(b"content-length") == b"1234") == (b"1234" in head)
    await client.send(request(body=b"next"))
    assert (await wire.request()).body == b"next"
    await wire.send(KEPT)
    assert (await client.reply()).body == b"ok"


async def test_an_error_of_the_routers_own_has_no_body_for_head(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(method=b"HEAD", path=b"/nowhere"))
    answer = await client.reply(b"HEAD")
    assert answer.status == 404
    assert answer.get(b"content-type") == b"application/json"
    stage.replica.answer_all(lambda asked: reply(b"fine"))
    assert (await client.ask(request(body=b"{}"))).body == b"fine"


async def test_an_empty_body_is_a_body_of_length_0(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b""))
    wire, asked = await stage.replica.asked()
    assert asked.get(b"content-length") == b"0"
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    answer = await client.reply()
    assert (answer.get(b"content-length"), answer.body) == (b"0", b"")


async def test_a_get_without_a_body_is_sent_without_any_framing(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request())
    wire, asked = await stage.replica.asked()
    assert asked.names.isdisjoint({b"content-length", b"transfer-encoding"})
    await wire.send(reply(b"ok"))
    assert (await client.reply()).body == b"ok"


async def test_a_get_with_a_body_has_it_forwarded(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(method=b"GET", body=b"query"))
    wire, asked = await stage.replica.asked()
    assert (asked.start, asked.body) == (b"GET /score HTTP/1.1", b"query")
    await wire.send(reply())
    await client.reply(b"GET")


@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
async def test_any_method_reaches_the_model(stage: Stage, method: bytes) -> None:
    stage.replica.answer_all(lambda asked: reply(asked.start))
    client = await stage.client()
    assert (await client.ask(request(method=method, body=b"x"))).body == method + b" /score HTTP/1.1"
