"""How many connections may clients hold?"""

from __future__ import annotations

import json

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.stage import REFUSAL_ID, Stage
from tests.wire.wires import ClientWire, reply, request, turns, until


async def _idle_client(stage: Stage) -> ClientWire:
    client = await stage.client()
    assert (await client.ask(request(body=b"{}"))).status == 200
    return client


async def test_a_newcomer_takes_the_place_of_the_connection_idle_for_longest(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_connections=2))
    stage.replica.answer_all(lambda asked: reply(b"ok"))
    first, second = await _idle_client(stage), await _idle_client(stage)
    assert (await first.ask(request(body=b"{}"))).status == 200  # the second is idle for longer now
    newcomer = await _idle_client(stage)
    assert await second.closed()
    for client in (first, newcomer):
        assert (await client.ask(request(body=b"{}"))).status == 200


async def test_a_newcomer_is_503_when_all_connections_are_in_use(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_connections=2))
    busy, sending = await stage.client(), await stage.client()
    await busy.send(request(body=b"busy"))
    wire, _ = await stage.replica.asked()
    await sending.send(request()[:20])
    await until(lambda: stage.clients.count == 2)
    newcomer = await stage.client()
    answer = await newcomer.last_reply()
    assert answer.status == 503
    assert answer.get(b"retry-after") is not None
    assert answer.get(b"x-ms-request-id") == REFUSAL_ID
    assert json.loads(answer.body)["error"]["code"] == "TooManyConnections"
    newcomer.close()
    await wire.send(reply(b"served"))
    assert (await busy.reply()).body == b"served"


async def test_a_place_that_is_free_again_is_given_again(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_connections=1))
    stage.replica.answer_all(lambda asked: reply(b"ok"))
    for _ in range(5):
        client = await stage.client()
        await client.send(request()[:20])
        await until(lambda: stage.clients.count == 1)
        client.close()
        await until(lambda: stage.clients.count == 0)
    assert (await (await stage.client()).ask(request())).status == 200


async def test_a_refused_newcomer_that_stays_is_cut_and_gives_its_place_back(
    open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.protocol._LINGER_S", 0.1)
    stage = await open_stage(limits=Limits(max_connections=1))
    first = await stage.client()
    await first.send(request()[:20])
    await until(lambda: stage.clients.count == 1)
    newcomer = await stage.client()
    await newcomer.last_reply()
    await until(lambda: stage.clients.count == 1)


async def test_idle_connections_over_their_limit_are_closed_oldest_first(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_idle_connections=2))
    stage.replica.answer_all(lambda asked: reply(b"ok"))
    first, second, third = [await _idle_client(stage) for _ in range(3)]
    assert await first.closed()
    await turns()
    for client in (second, third):
        assert client.silent()
        assert (await client.ask(request(body=b"{}"))).status == 200


async def test_busy_connections_do_not_count_as_idle(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_idle_connections=1), max_concurrent_requests_per_instance=0)
    clients = [await stage.client() for _ in range(3)]
    wires = []
    for client in clients:
        await client.send(request(body=b"{}"))
        wires.append((await stage.replica.asked())[0])
    await turns()
    for client, wire in zip(clients, wires, strict=True):
        await wire.send(reply(b"ok"))
        assert (await client.reply()).status == 200
    assert await clients[0].closed()
    assert await clients[1].closed()
    assert clients[2].silent()


async def test_no_idle_connection_at_all_is_a_possible_limit(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(max_idle_connections=0))
    stage.replica.answer_all(lambda asked: reply(b"ok"))
    client = await stage.client()
    assert (await client.ask(request(body=b"{}"))).body == b"ok"
    assert await client.closed()
