"""Do requests follow each other on one connection as they should?"""

from __future__ import annotations

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import Message, chunk, chunked_request, reply, request, turns, until


def _echo(asked: Message) -> bytes:
    return reply(asked.body or b"nothing")


async def test_requests_on_one_connection_share_one_connection_to_the_replica(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    for number in range(50):
        answer = await client.ask(request(body=b"%d" % number))
        assert (answer.status, answer.body) == (200, b"%d" % number)
        assert answer.get(b"connection") is None
    assert len(stage.replica.wires) == 1


async def test_three_requests_in_one_segment_are_answered_in_their_order(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"1") + chunked_request(b"2") + request())
    wire, asked = await stage.replica.asked()
    assert asked.body == b"1"
    await turns()
    assert wire.silent()  # one after the other
    await wire.send(reply(b"one"))
    assert (await wire.request()).body == b"2"
    await wire.send(reply(b"two"))
    assert (await wire.request()).start.startswith(b"GET ")
    await wire.send(reply(b"three"))
    assert [(await client.reply()).body for _ in range(3)] == [b"one", b"two", b"three"]


async def test_pipelined_requests_may_be_refused_and_served_in_turn(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send(request(body=b"1") + request(path=b"/nowhere") + request(body=b"3"))
    assert [(await client.reply()).status for _ in range(3)] == [200, 404, 200]


async def test_a_malformed_request_behind_good_ones_leaves_them_their_replies(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send(request(body=b"1") + request(body=b"2") + b"what?\r\n\r\n" + request(body=b"4"))
    assert [(await client.reply()).status for _ in range(2)] == [200, 200]
    assert (await client.last_reply()).status == 400
    assert b"content-length: 1\r\n\r\n4" not in stage.replica.heard()


@pytest.mark.parametrize("data", [request(body=b"hello"), chunked_request(b"hel", b"lo")], ids=["length", "chunked"])
async def test_a_request_that_comes_byte_by_byte_is_the_same_request(stage: Stage, data: bytes) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send_in_bytes(data + data)
    assert [(await client.reply()).body for _ in range(2)] == [b"hello", b"hello"]
    assert stage.statuses() == {200: 2}


@pytest.mark.parametrize("cut", range(1, 260, 6))
async def test_a_segment_boundary_anywhere_makes_no_difference(stage: Stage, cut: int) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    data = chunked_request(b"hel", b"lo") + request(body=b"world")
    await client.send(data[:cut])
    await turns(10)
    await client.send(data[cut:])
    assert [(await client.reply()).body for _ in range(2)] == [b"hello", b"world"]


@pytest.mark.parametrize("line", [b"Connection: close", b"Connection: Close", b"Connection: keep-alive, close"])
async def test_a_client_that_wants_the_connection_closed_has_it_closed(stage: Stage, line: bytes) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send(request(line, body=b"bye"))
    answer = await client.last_reply()
    assert (answer.body, answer.get(b"connection")) == (b"bye", b"close")


async def test_requests_behind_one_that_closes_are_not_served(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send(request(b"Connection: close", body=b"last") + request(body=b"never"))
    assert (await client.last_reply()).body == b"last"
    assert b"never" not in stage.replica.heard()


async def test_a_client_of_http_10_gets_its_reply_and_the_end(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.send(request(body=b"old", version=b"HTTP/1.0"))
    answer = await client.last_reply()
    assert (answer.body, answer.get(b"connection")) == (b"old", b"close")


async def test_a_client_of_http_10_that_asks_for_it_is_kept_alive(stage: Stage) -> None:
    stage.replica.answer_all(_echo)
    client = await stage.client()
    for body in (b"one", b"two"):
        answer = await client.ask(request(b"Connection: keep-alive", body=body, version=b"HTTP/1.0"))
        assert (answer.body, answer.get(b"connection")) == (body, b"keep-alive")


@pytest.mark.parametrize("lines", [(), (b"Connection: keep-alive",)])
async def test_a_client_of_http_10_gets_no_chunks(stage: Stage, lines: tuple[bytes, ...]) -> None:
    client = await stage.client()
    await client.send(request(*lines, body=b"{}", version=b"HTTP/1.0"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"a") + chunk(b"b") + b"0\r\n\r\n")
    answer = await client.reply()
    assert answer.body == b"ab"
    assert b"transfer-encoding" not in answer.names
    assert answer.get(b"connection") == b"close"


async def test_a_client_of_http_10_whose_reply_is_cut_sees_a_reset_not_an_end(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}", version=b"HTTP/1.0"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"a"))
    await client.until(b"a")
    wire.close()
    await client.rest()
    assert client.was_reset


async def test_the_replica_gets_a_host_even_from_a_client_of_http_10_that_sends_none(stage: Stage) -> None:
    """RFC 9112 3.2: every HTTP/1.1 request has one, and the router sends HTTP/1.1."""
    client = await stage.client()
    await client.send(request(body=b"{}", version=b"HTTP/1.0", host=None))
    wire, asked = await stage.replica.asked()
    assert asked.start == b"POST /score HTTP/1.1"
    assert len(asked.all(b"host")) == 1
    await wire.send(reply())
    await client.reply()


async def test_an_absolute_url_names_the_host(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}", path=b"http://other.example:81/api/v1/service/iris/score?a=1"))
    wire, asked = await stage.replica.asked()
    assert asked.path == b"/score?a=1"
    assert asked.get(b"host") == b"other.example:81"
    await wire.send(reply())
    await client.reply()


async def test_when_the_router_stops_kept_connections_are_told_and_closed(stage: Stage) -> None:
    idle, busy = await stage.client(), await stage.client()
    await idle.send(request(body=b"1"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply())
    assert (await idle.reply()).get(b"connection") is None
    await busy.send(request(body=b"2"))
    await wire.request()
    stage.clients.is_draining = True
    for connection in stage.connections:
        connection.shutdown()
    assert await idle.closed()
    await wire.send(reply(b"finished"))
    answer = await busy.last_reply()
    assert (answer.body, answer.get(b"connection")) == (b"finished", b"close")


async def test_an_idle_connection_is_closed_in_time_and_silently(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(idle_timeout_ms=100))
    stage.replica.answer_all(_echo)
    client = await stage.client()
    await client.ask(request(body=b"{}"))
    assert await client.closed()
    assert not client.was_reset
    await until(lambda: stage.clients.count == 0)
    assert stage.refusals == []
