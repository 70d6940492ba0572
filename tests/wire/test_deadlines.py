"""What happens when a time is over?"""

from __future__ import annotations

import asyncio
import json

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.wires import LAST_CHUNK, chunk, chunked_request, reply, request, until

_SOON = {"request_timeout_ms": 400}
_IDLE = Limits(body_idle_timeout_ms=150)


async def test_a_replica_that_does_not_reply_in_time_is_504_and_its_request_is_cancelled(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SOON)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    answer = await client.reply()
    assert answer.status == 504
    assert json.loads(answer.body)["error"]["code"] == "RequestTimeout"
    assert await wire.closed()
    assert stage.in_flight == 0
    stage.replica.answer_all(lambda asked: reply(b"next"))
    assert (await client.ask(request(body=b"next"))).body == b"next"


async def test_an_unfinished_reply_head_does_not_hold_off_504(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SOON)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Slow: ")
    assert (await client.reply()).status == 504
    assert await wire.closed()


async def test_a_reply_that_has_begun_is_cut_at_the_deadline(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SOON)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"begun"))
    await client.until(b"begun\r\n")
    assert LAST_CHUNK not in b"\r\n" + await client.rest()
    assert await wire.closed()
    await until(lambda: stage.in_flight == 0)
    assert stage.statuses() == {504: 1}


async def test_a_reply_within_the_time_is_never_touched_by_the_deadline(open_stage: OpenStage) -> None:
    stage = await open_stage(request_timeout_ms=1_000)
    stage.replica.answer_all(lambda asked: reply(b"ok"))
    client = await stage.client()
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began < 1.5:
        assert (await client.ask(request(body=b"{}"))).status == 200
        await asyncio.sleep(0.02)
    assert len(stage.replica.wires) == 1


async def test_the_requests_time_does_not_run_in_the_queue(open_stage: OpenStage) -> None:
    stage = await open_stage(request_timeout_ms=400)
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    await stage.replica.asked()
    await second.send(request(body=b"second"))
    assert (await first.reply()).status == 504  # the second has waited as long
    wire, asked = await stage.replica.asked()
    assert asked.body == b"second"
    await wire.send(reply(b"in time"))
    assert (await second.reply()).body == b"in time"


async def test_a_client_that_still_owes_its_body_at_the_deadline_is_408(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SOON)
    client = await stage.client()
    await client.send(request(b"Content-Length: 100", method=b"POST") + b"slow")
    wire = await stage.replica.connection()
    assert (await client.last_reply()).status == 408
    await wire.rest()
    assert stage.in_flight == 0


async def test_a_replica_that_does_not_take_the_body_is_504(open_stage: OpenStage) -> None:
    stage = await open_stage(**_SOON, replica_receive_buffer_bytes=4_096)
    client = await stage.client()
    await client.send(request(b"Content-Length: 50000000", method=b"POST"))
    await client.send_as_much_as_goes(b"x" * 50_000_000)
    assert (await client.reply()).status == 504
    client.reset()


@pytest.mark.parametrize(
    "data",
    [
        request(b"Content-Length: 10", method=b"POST"),
        request(b"Content-Length: 10", method=b"POST") + b"12345",
        chunked_request(b"12345", ends=False),
        chunked_request(b"12345", ends=False) + b"5\r\n123",
        chunked_request(b"12345", ends=False) + b"0\r\nX-Trailer: ",
    ],
    ids=["nothing", "length", "chunk", "half a chunk", "trailer"],
)
async def test_a_body_that_does_not_go_on_is_408(open_stage: OpenStage, data: bytes) -> None:
    stage = await open_stage(limits=_IDLE)
    client = await stage.client()
    await client.send(data)
    answer = await client.last_reply()
    assert answer.status == 408
    assert answer.get(b"connection") == b"close"
    assert LAST_CHUNK not in stage.replica.heard()
    assert stage.in_flight == 0


async def test_each_piece_of_the_body_starts_its_idle_time_anew(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(body_idle_timeout_ms=1_000))
    stage.replica.answer_all(lambda asked: reply(asked.body))
    client = await stage.client()
    await client.send(request(b"Content-Length: 6", method=b"POST"))
    for byte in (b"a", b"b", b"c", b"d", b"e", b"f"):
        await asyncio.sleep(0.25)  # the client's own pace: 1.5 s in all
        await client.send(byte)
    assert (await client.reply()).body == b"abcdef"


async def test_a_slow_replica_is_no_idle_client(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=_IDLE)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await asyncio.sleep(0.4)  # the replica's own pace
    assert client.silent()
    await wire.send(reply(b"thought about it"))
    assert (await client.reply()).body == b"thought about it"


async def test_a_request_waits_no_longer_for_a_slot_than_it_may(open_stage: OpenStage) -> None:
    stage = await open_stage(max_queue_wait_ms=100)
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    answer = await second.ask(request(body=b"second"))
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == "Too many requests for service iris (overloaded)"
    assert int(answer.get(b"retry-after") or 0) >= 1
    await wire.send(reply())
    await first.reply()
    assert b"second" not in stage.replica.heard()


async def test_a_queue_that_is_full_refuses_at_once(open_stage: OpenStage) -> None:
    stage = await open_stage(max_queue_length=1)
    first, second, third = await stage.client(), await stage.client(), await stage.client()
    await first.send(request(body=b"1"))
    wire, _ = await stage.replica.asked()
    await second.send(request(body=b"2"))
    await until(lambda: stage.queued == 1)
    assert (await third.ask(request(body=b"3"))).status == 503
    await wire.send(reply())
    assert (await first.reply()).status == 200
    assert (await wire.request()).body == b"2"
    await wire.send(reply())
    assert (await second.reply()).status == 200


async def test_no_ready_replica_is_503_with_the_v1_text(open_stage: OpenStage) -> None:
    stage = await open_stage(replicas=0, max_queue_wait_ms=50)
    client = await stage.client()
    answer = await client.ask(request(body=b"{}"))
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == "No ready replicas for service iris"
    assert answer.get(b"retry-after") is not None
