"""What becomes of a request that comes when its deployment has gone to zero?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from router.core.model import ScaleSettings, Snapshot, Trouble
from tests.wire.conftest import OpenStage
from tests.wire.stage import KEY, ScriptedReplica, Stage
from tests.wire.wires import ClientWire, reply, request, turns, until

TO_ZERO: dict[str, Any] = {"scale": ScaleSettings(min_instances=0, max_instances=3)}


async def at_zero(open_stage: OpenStage, **settings: int) -> Stage:
    """A stage where a request that is not held would be refused at once."""
    return await open_stage(replicas=0, deployment=TO_ZERO, **{"max_queue_wait_ms": 0} | settings)


async def test_a_held_request_is_served_when_the_first_replica_is_ready(open_stage: OpenStage) -> None:
    stage = await at_zero(open_stage)
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    await until(lambda: stage.queued == 1)
    await second.send(request(body=b"second"))
    await until(lambda: stage.queued == 2)
    stage.replicas.append(ScriptedReplica(f"{KEY}#0"))
    stage.publish()
    wire, asked = await stage.replica.asked()
    assert asked.body == b"first"
    await turns()
    assert (stage.in_flight, stage.queued) == (1, 1)
    await wire.send(reply(b"1"))
    assert (await first.reply()).body == b"1"
    assert (await wire.request()).body == b"second"
    await wire.send(reply(b"2"))
    assert (await second.reply()).body == b"2"
    assert stage.statuses() == {200: 2}


@pytest.mark.parametrize("leave", [ClientWire.close, ClientWire.reset, ClientWire.half_close])
async def test_a_client_that_leaves_while_held_gives_up_its_place(
    open_stage: OpenStage, leave: Callable[[ClientWire], None]
) -> None:
    stage = await at_zero(open_stage)
    leaver, stayer = await stage.client(), await stage.client()
    await leaver.send(request(body=b"leaver"))
    await until(lambda: stage.queued == 1)
    await stayer.send(request(body=b"stayer"))
    await until(lambda: stage.queued == 2)
    leave(leaver)
    await until(lambda: stage.queued == 1)
    stage.replicas.append(ScriptedReplica(f"{KEY}#0"))
    stage.publish()
    wire, asked = await stage.replica.asked()
    assert asked.body == b"stayer"
    await wire.send(reply())
    assert (await stayer.reply()).status == 200
    assert stage.statuses() == {499: 1, 200: 1}


async def test_a_request_that_is_held_in_vain_is_told_how_long(open_stage: OpenStage) -> None:
    stage = await at_zero(open_stage, max_cold_start_wait_ms=100)
    client = await stage.client()
    answer = await client.ask(request(body=b"{}"))
    assert answer.status == 503
    assert answer.get(b"retry-after") == b"1"
    assert json.loads(answer.body)["error"] == {
        "code": "NoReadyReplicas",
        "message": "No ready replicas for service iris: waited 0.1 s for the first replica to start",
    }
    assert (await client.ask(request(body=b"{}"))).status == 503, "the connection goes on"


async def test_a_trouble_ends_the_wait_with_its_reason(open_stage: OpenStage) -> None:
    stage = await at_zero(open_stage)
    client = await stage.client()
    await client.send(request(body=b"{}"))
    await until(lambda: stage.queued == 1)
    trouble = Trouble(deployment=KEY, kind="start", reason="exit code 1:\r\nImportError: \x1b[31mnumpy")
    stage.fleet.follow(replace(Snapshot(endpoints=(stage._endpoint,)), troubles=(trouble,)))
    answer = await client.reply()
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == (
        "No ready replicas for service iris: exit code 1: ImportError: [31mnumpy"
    )
