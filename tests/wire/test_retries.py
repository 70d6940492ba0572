"""When is a request sent a second time?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import ScriptedReplica, Stage
from tests.wire.wires import ClientWire, ReplicaWire, chunked_request, reply, request, turns, until


@pytest.fixture
async def pair(open_stage: OpenStage) -> Stage:
    return await open_stage(replicas=2)


async def _first_asked(stage: Stage) -> tuple[ScriptedReplica, ReplicaWire, ScriptedReplica]:
    """The replica that got the request, its connection, and the other one."""
    await until(lambda: any(replica.wires for replica in stage.replicas))
    one, other = sorted(stage.replicas, key=lambda replica: not replica.wires)
    return one, await one.connection(), other


@pytest.mark.parametrize(
    "data", [request(body=b"{}"), request(), chunked_request(b"{}")], ids=["post", "get", "chunked"]
)
async def test_a_request_that_no_connection_took_is_served_by_another_replica(pair: Stage, data: bytes) -> None:
    await pair.replicas[0].refuse_connections()
    pair.replicas[1].answer_all(lambda asked: reply(b"here: " + asked.body))
    for _ in range(4):
        client = await pair.client()
        answer = await client.ask(data)
        assert answer.status == 200
        assert answer.body.startswith(b"here: ")
    assert pair.retries >= 1


async def test_an_upload_still_on_its_way_is_served_by_another_replica_if_nothing_was_sent(pair: Stage) -> None:
    await pair.replicas[0].refuse_connections()
    for _ in range(2):
        client = await pair.client()
        await client.send(chunked_request(b"first, ", ends=False))
        wire = await pair.replicas[1].connection()
        await wire.until(b"first, ")
        await client.send(b"6\r\nsecond\r\n0\r\n\r\n")
        await wire.until(b"second\r\n0\r\n\r\n")
        await wire.send(reply(b"ok", b"Connection: close"))
        assert (await client.reply()).body == b"ok"
    assert pair.retries >= 1


async def test_a_request_that_no_replica_took_is_502(pair: Stage) -> None:
    for replica in pair.replicas:
        await replica.refuse_connections()
    client = await pair.client()
    assert (await client.ask(request(body=b"{}"))).status == 502
    assert pair.in_flight == 0


async def _fail_reused(
    stage: Stage, data: bytes, fail: Callable[[ReplicaWire], None]
) -> tuple[ClientWire, ScriptedReplica]:
    """Both replicas have a kept connection; the one that gets the request fails it before a byte of a reply.

    Returns the client, which waits for its reply, and the other replica.
    """
    wires = []
    for _ in stage.replicas:
        warm = await stage.client()
        await warm.send(request(body=b"warm"))
        wires.append(warm)
    held = [await replica.asked() for replica in stage.replicas]
    for wire, _ in held:
        await wire.send(reply())
    for warm in wires:
        await warm.reply()
    client = await stage.client()
    await client.send(data)
    await until(lambda: not all(wire.silent() for wire, _ in held))
    number = 1 if held[0][0].silent() else 0
    await held[number][0].request()
    fail(held[number][0])
    return client, stage.replicas[1 - number]


IDEMPOTENT: dict[str, tuple[bytes, dict[str, Any]]] = {
    "GET": (request(), {}),
    "PUT": (request(method=b"PUT", body=b"x"), {}),
    "POST with a key": (request(b"Idempotency-Key: 1", body=b"x"), {}),
    "POST of a deployment that says so": (request(body=b"x"), {"deployment": {"idempotent": True}}),
}


@pytest.mark.parametrize("name", IDEMPOTENT)
@pytest.mark.parametrize("fail", [ReplicaWire.close, ReplicaWire.reset])
async def test_an_idempotent_request_whose_kept_connection_dies_is_served_by_another_replica(
    open_stage: OpenStage, name: str, fail: Callable[[ReplicaWire], None]
) -> None:
    data, settings = IDEMPOTENT[name]
    stage = await open_stage(replicas=2, **settings)
    client, other = await _fail_reused(stage, data, fail)
    wire = other.wires[0]
    asked = await wire.request()
    assert asked.body in data
    await wire.send(reply(b"second try"))
    assert (await client.reply()).body == b"second try"
    assert stage.retries == 1


@pytest.mark.parametrize("fail", [ReplicaWire.close, ReplicaWire.reset])
async def test_a_post_whose_kept_connection_dies_is_502_and_never_sent_again(
    pair: Stage, fail: Callable[[ReplicaWire], None]
) -> None:
    client, other = await _fail_reused(pair, request(body=b"once only"), fail)
    assert (await client.reply()).status == 502
    await turns()
    assert b"once only" not in bytes(other.heard())
    assert pair.retries == 0


async def test_an_idempotent_request_is_sent_again_once_only(open_stage: OpenStage) -> None:
    """RFC 9110 9.2.2: a retry that failed is not retried."""
    stage = await open_stage(replicas=3)

    async def hang_up(replica: ScriptedReplica) -> None:
        (await replica.asked())[0].close()

    failing = [asyncio.create_task(hang_up(replica)) for replica in stage.replicas]
    client = await stage.client()
    assert (await client.ask(request())).status == 502
    asked = sum(replica.heard().count(b"GET /score") for replica in stage.replicas)
    for task in failing:
        task.cancel()
    await asyncio.gather(*failing, return_exceptions=True)
    assert asked == 2


@pytest.mark.parametrize(
    "said", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_nothing_is_sent_again_once_a_byte_of_a_reply_has_come(pair: Stage, said: bytes) -> None:
    client = await pair.client()
    await client.send(request())
    _, wire, other = await _first_asked(pair)
    await wire.request()
    await wire.send(said)
    await turns()
    wire.close()
    await client.rest() if b"200" in said else await client.reply()
    await turns()
    assert other.wires == []
    assert pair.retries == 0


async def test_nothing_is_sent_again_after_a_timeout(open_stage: OpenStage) -> None:
    stage = await open_stage(replicas=2, request_timeout_ms=400)
    client = await stage.client()
    await client.send(request())
    _, _, other = await _first_asked(stage)
    assert (await client.reply()).status == 504
    await turns()
    assert other.wires == []


async def test_a_body_that_is_half_gone_is_not_sent_again(pair: Stage) -> None:
    """What is small is kept; of this, more went to the replica than is."""
    client = await pair.client()
    await client.send(request(b"Idempotency-Key: 1", b"Content-Length: 200000", method=b"POST") + b"first")
    _, wire, other = await _first_asked(pair)
    await wire.until(b"first")
    await client.send(b"x" * 100_000 + b"half")
    await wire.until(b"half")
    wire.close()
    assert (await client.reply()).status == 502
    await turns()
    assert other.wires == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_small_body_that_comes_in_pieces_is_sent_again_whole(pair: Stage, chunked: bool) -> None:
    client = await pair.client()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 8"
    one, two = (b"4\r\nhalf\r\n", b"4\r\nmore\r\n0\r\n\r\n") if chunked else (b"half", b"more")
    await client.send(request(b"Idempotency-Key: 1", framing, method=b"POST"))
    _, wire, other = await _first_asked(pair)
    await client.send(one)
    await wire.until(b"half")
    wire.close()
    again = await other.connection()
    await again.until(b"half")
    await client.send(two)
    await again.until(b"more")
    await again.send(reply(b"scored"))
    assert (await client.reply()).body == b"scored"


async def test_the_models_own_5xx_is_never_sent_again(pair: Stage) -> None:
    client = await pair.client()
    await client.send(request(b"Idempotency-Key: 1", body=b"x"))
    _, wire, other = await _first_asked(pair)
    await wire.request()
    await wire.send(reply(b"busy", status=503))
    assert (await client.reply()).body == b"busy"
    assert other.wires == []


async def test_retries_stop_when_their_budget_is_spent(pair: Stage) -> None:
    while pair.fleet.live["iris/blue"].budget.spend():
        pass
    spent = pair.retries
    client = await pair.client()
    await client.send(request())
    _, wire, other = await _first_asked(pair)
    await wire.request()
    wire.close()
    assert (await client.reply()).status == 502
    assert other.wires == []
    assert pair.retries == spent


async def test_the_slot_is_left_before_the_next_try(open_stage: OpenStage) -> None:
    stage = await open_stage(replicas=2)
    client = await stage.client()
    await client.send(request())
    one, wire, other = await _first_asked(stage)
    await wire.request()
    wire.close()
    again = await other.connection()
    assert stage.in_flight == 1
    assert stage.fleet.loads()[0].replicas[one.uid] == 0
    await again.request()  # a reply that came before it would be nobody's
    await again.send(reply(b"ok"))
    assert (await client.reply()).body == b"ok"
