"""What if a replica closes its connection, at whatever moment?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import LAST_CHUNK, ClientWire, Message, ReplicaWire, chunk, reply, request, turns, until

Leave = Callable[[ReplicaWire], None]
WAYS = pytest.mark.parametrize("leave", [ReplicaWire.close, ReplicaWire.reset, ReplicaWire.half_close])


def _error(answer: Message) -> dict[str, str]:
    error: dict[str, str] = json.loads(answer.body)["error"]
    return error


@WAYS
async def test_a_replica_that_closes_before_replying_is_502_with_the_v1_text(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    leave(wire)
    answer = await client.reply()
    assert answer.status == 502
    assert _error(answer)["message"] == "Replica closed connection before replying"
    assert stage.in_flight == 0


@WAYS
@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"])
async def test_a_replica_that_closes_within_its_head_is_502(stage: Stage, said: bytes, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(said)
    await turns()
    leave(wire)
    answer = await client.reply()
    assert answer.status == 502
    assert b"200 OK" not in client.received


@WAYS
async def test_a_reply_cut_short_of_its_length_is_cut_for_the_client_too(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    head = await client.head()
    assert head.get(b"content-length") == b"10"
    leave(wire)
    assert b"12345".startswith(await client.rest())
    await until(lambda: stage.in_flight == 0)


@WAYS
@pytest.mark.parametrize("said", [b"", b"5\r\nhel", chunk(b"hello"), chunk(b"hello") + b"0\r\n"])
async def test_a_chunked_reply_cut_short_never_looks_whole(stage: Stage, said: bytes, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + said)
    await client.head()
    leave(wire)
    assert LAST_CHUNK not in b"\r\n" + await client.rest()
    await until(lambda: stage.in_flight == 0)


@pytest.mark.parametrize("leave", [ReplicaWire.close, ReplicaWire.half_close])
async def test_a_reply_that_ends_with_its_connection_passes_whole(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"part one, ")
    await client.until(b"part one, ")
    await wire.send(b"part two")
    leave(wire)
    await client.until(b"part two\r\n0\r\n\r\n")
    stage.replica.answer_all(lambda asked: reply(b"next"))
    assert (await client.ask(request(body=b"{}"))).body == b"next"


async def test_a_reply_that_should_end_with_its_connection_but_is_reset_is_cut(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\n\r\npart one")
    await client.until(b"part one\r\n")
    wire.reset()
    assert await client.rest() == b""


async def test_a_whole_reply_counts_even_if_the_connection_is_reset_behind_it(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply(b"whole"))
    assert (await client.reply()).body == b"whole"
    wire.reset()
    await _ask_again(stage, client)


async def _ask_again(stage: Stage, client: ClientWire) -> None:
    """A POST that must not be lost, though the kept connection is gone."""
    asking = asyncio.create_task(client.ask(request(body=b"again")))
    wire, asked = await stage.replica.asked()
    assert asked.body == b"again"
    await wire.send(reply(b"served"))
    assert (await asking).body == b"served"


@WAYS
async def test_posts_are_all_served_by_a_replica_that_closes_kept_connections(stage: Stage, leave: Leave) -> None:
    client = await stage.client()
    for number in range(20):
        await client.send(request(body=b"%d" % number))
        wire, asked = await stage.replica.asked()
        await wire.send(reply(asked.body))
        assert (await client.reply()).body == b"%d" % number
        leave(wire)
    assert stage.statuses() == {200: 20}


async def test_posts_are_all_served_by_a_replica_that_closes_with_its_reply(stage: Stage) -> None:
    client = await stage.client()
    for number in range(20):
        await client.send(request(body=b"%d" % number))
        wire, asked = await stage.replica.asked()
        await wire.send(reply(asked.body))
        wire.close()  # in the same moment, without a word of it
        assert (await client.reply()).body == b"%d" % number
    assert stage.statuses() == {200: 20}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_a_connection_that_its_replica_means_to_close_is_not_used_again(stage: Stage, head: bytes) -> None:
    client = await stage.client()
    for _ in range(3):
        await client.send(request(body=b"{}"))
        wire, _ = await stage.replica.asked()
        await wire.send(head + b"ok")
        answer = await client.reply()
        assert answer.body == b"ok"
        assert answer.get(b"connection") is None  # the replica's closing is no matter of the client's
        assert await wire.closed()
    assert stage.statuses() == {200: 3}


async def test_a_replica_of_http_10_that_keeps_alive_is_kept(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"1"))
    wire, _ = await stage.replica.asked()
    for following in (b"2", b"3"):
        await wire.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
        assert (await client.reply()).start.startswith(b"HTTP/1.1 200")
        await client.send(request(body=following))
        assert (await wire.request()).body == following
    await wire.send(reply())
    await client.reply()


async def test_an_idle_connection_is_closed_before_its_replica_would_drop_it(open_stage: OpenStage) -> None:
    stage = await open_stage(replica_idle_ms=100)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply())
    await client.reply()
    assert await wire.closed()
    assert not stage.upstream.open


async def test_a_replica_that_leaves_has_its_idle_connections_closed_at_once(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply())
    await client.reply()
    gone, stage.replicas = stage.replicas, []
    stage.publish(max_queue_wait_ms=1)
    assert await wire.closed()
    assert (await client.ask(request(body=b"{}"))).status == 503
    stage.replicas = gone


async def test_a_connection_never_serves_another_replica_at_the_same_address(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply())
    await client.reply()
    stage.replica.uid = "iris/blue#born-again"
    stage.publish()
    assert await wire.closed()
    await _ask_again(stage, client)
