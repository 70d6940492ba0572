"""Whose time is it, over several attempts and while the client is the slow one?"""

from __future__ import annotations

import asyncio

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import ReplicaWire, request, until

_BIG = 8_000_000


async def _asked_by_any(stage: Stage) -> ReplicaWire:
    """The newest connection to a replica, once the request on it is whole."""
    asking = [asyncio.create_task(replica.asked()) for replica in stage.replicas]
    done, rest = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return done.pop().result()[0]


async def test_the_request_timeout_covers_all_attempts(open_stage: OpenStage) -> None:
    """The first replica closes after most of the time; the second gets only what is left of it."""
    stage = await open_stage(replicas=2, request_timeout_ms=2_000)
    client = await stage.client()
    started = asyncio.get_running_loop().time()
    await client.send(request(b"Idempotency-Key: 1", body=b"x"))
    await until(lambda: any(replica.wires for replica in stage.replicas))
    first, other = sorted(stage.replicas, key=lambda replica: not replica.wires)
    wire, _ = await first.asked()
    while asyncio.get_running_loop().time() < started + 1.0:  # noqa: ASYNC110 - it is time that must pass
        await asyncio.sleep(0.01)
    wire.close()
    again, _ = await other.asked()
    asked_again = asyncio.get_running_loop().time()
    assert (await client.reply()).status == 504
    assert asyncio.get_running_loop().time() < asked_again + 1.9, "it got a whole time of its own"
    await again.rest()


async def test_clients_that_do_not_take_their_replies_are_not_the_replicas_failure(open_stage: OpenStage) -> None:
    stage = await open_stage(
        replicas=2, request_timeout_ms=300, send_buffer_bytes=16_384, replica_receive_buffer_bytes=16_384
    )
    for _ in range(12):
        client = await stage.client(receive_buffer_bytes=16_384)
        await client.send(request(body=b"x"))
        wire = await _asked_by_any(stage)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _BIG)
        await wire.send_as_much_as_goes(b"x" * _BIG)
        await until(lambda: stage.in_flight == 0)
        client.reset()
    assert stage.fleet.loads()[0].ready == 2


async def test_a_client_and_a_replica_that_leave_together_leave_nothing_behind(open_stage: OpenStage) -> None:
    """The request must not go on, on another replica, for a client that is gone: nothing would ever end it."""
    stage = await open_stage(replicas=2)
    for _ in range(20):
        client = await stage.client()
        await client.send(request(b"Idempotency-Key: 1", body=b"x"))
        wire = await _asked_by_any(stage)
        client.reset()
        wire.reset()
        await until(lambda: stage.in_flight == 0)
