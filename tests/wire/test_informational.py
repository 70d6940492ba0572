"""What of replies that come before the reply (1xx), and of `Expect`?"""

from __future__ import annotations

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import reply, request, turns, until

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
EXPECTS = request(b"Expect: 100-continue", b"Content-Length: 5", method=b"POST")


async def test_100_of_the_replica_is_swallowed(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(CONTINUE + CONTINUE + reply(b"done"))
    answer = await client.reply()
    assert (answer.status, answer.body) == (200, b"done")


async def test_103_is_passed_on_at_once_and_the_reply_follows(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(HINTS)
    hints = await client.reply()
    assert (hints.status, hints.headers) == (103, [(b"link", b"</style.css>; rel=preload")])
    assert client.silent()
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"
    await client.send(request(body=b"next"))
    assert (await wire.request()).body == b"next"
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"


async def test_103_is_not_passed_to_a_client_of_http_10(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}", version=b"HTTP/1.0"))
    wire, _ = await stage.replica.asked()
    await wire.send(HINTS + reply(b"done"))
    assert (await client.reply()).status == 200


async def test_many_informational_replies_in_one_segment_with_the_last(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(CONTINUE + HINTS + HINTS + reply(b"done"))
    assert [(await client.reply()).status for _ in range(3)] == [103, 103, 200]


async def test_101_that_nobody_asked_for_is_502(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(b"Connection: Upgrade", b"Upgrade: websocket", body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw")
    assert (await client.reply()).status == 502
    assert await wire.closed()
    assert b"raw" not in client.received


async def test_a_replica_that_closes_behind_a_100_is_502(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(CONTINUE)
    await turns()
    wire.close()
    assert (await client.reply()).status == 502


async def test_a_client_that_expects_100_gets_it_once_there_is_a_slot(stage: Stage) -> None:
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send(EXPECTS)
    await until(lambda: stage.queued == 1)
    await turns()
    assert second.silent()
    await wire.send(reply())
    await first.reply()
    assert (await second.reply()).status == 100
    await second.send(b"hello")
    asked = await wire.request()
    assert asked.body == b"hello"
    assert b"expect" not in asked.names
    await wire.send(reply(b"done"))
    assert (await second.reply()).body == b"done"


async def test_100_is_sent_once(stage: Stage) -> None:
    client = await stage.client()
    await client.send(EXPECTS)
    assert (await client.reply()).status == 100
    wire = await stage.replica.connection()
    for byte in (b"h", b"e", b"l", b"l", b"o"):
        await client.send(byte)
        await turns(5)
    assert (await wire.request()).body == b"hello"
    await wire.send(CONTINUE + reply(b"done"))
    assert (await client.reply()).status == 200


async def test_a_client_that_sends_its_body_unasked_needs_no_100(stage: Stage) -> None:
    client = await stage.client()
    await client.send(EXPECTS + b"hello")
    wire, asked = await stage.replica.asked()
    assert asked.body == b"hello"
    await wire.send(reply(b"done"))
    assert (await client.reply()).status == 200


async def test_a_client_of_http_10_gets_no_100(stage: Stage) -> None:
    client = await stage.client()
    await client.send(EXPECTS.replace(b"HTTP/1.1", b"HTTP/1.0"))
    wire = await stage.replica.connection()
    await turns()
    assert client.silent()
    await client.send(b"hello")
    assert (await wire.request()).body == b"hello"
    await wire.send(reply(b"done"))
    assert (await client.reply()).body == b"done"


@pytest.mark.parametrize(
    ("status", "data", "settings"),
    [
        (401, EXPECTS, {"endpoint": {"auth_mode": "key"}}),
        (404, EXPECTS.replace(b"/iris/", b"/rose/"), {}),
        (413, EXPECTS, {"endpoint": {"max_payload_bytes": 4}}),
        (503, EXPECTS, {"replicas": 0, "max_queue_wait_ms": 10}),
    ],
)
async def test_a_request_that_is_refused_gets_no_100_first(
    open_stage: OpenStage, status: int, data: bytes, settings: dict[str, object]
) -> None:
    stage = await open_stage(**settings)
    client = await stage.client()
    await client.send(data)
    answer = await client.last_reply()
    assert answer.status == status
    assert answer.get(b"connection") == b"close"


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b"", b"100"])
async def test_any_other_expectation_is_417(stage: Stage, value: bytes) -> None:
    client = await stage.client()
    await client.send(request(b"Expect: " + value, body=b"hello"))
    assert (await client.last_reply()).status == 417
    assert stage.replica.wires == []
