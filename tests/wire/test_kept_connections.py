"""Is a kept connection to a replica looked at before it is used again?

Here is no client, so that the test, not the event loop, says what the kernel holds at which moment.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from router.replica_connection import ReplicaConnection
from router.upstream import Upstream
from tests.wire.stage import ScriptedReplica
from tests.wire.wires import ReplicaWire, reply, request, until

Kept = tuple[Upstream, ScriptedReplica, ReplicaConnection, ReplicaWire]


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    """A connection that has served one request, and its other end."""
    upstream = Upstream(connect_timeout_ms=8_000, idle_ms=60_000)
    replica = ScriptedReplica("iris/blue#0")
    upstream.follow([replica.noun()])
    connection = await upstream.connect(replica.noun(), math.inf, 60_000)
    wire = await replica.connection()
    connection.begin("POST", math.inf, 60_000, asyncio.current_task())
    connection.write(request(body=b""))
    await wire.request()
    await wire.send(reply(b"ok"))
    await connection.next_head()
    assert await connection.read() == b"ok"
    connection.end(request_whole=True)
    yield upstream, replica, connection, wire
    upstream.close()
    await replica.close()
    await until(lambda: not upstream.open)


async def test_one_on_which_nothing_came_is_used_again(kept: Kept) -> None:
    upstream, replica, connection, _ = kept
    assert await upstream.connect(replica.noun(), math.inf, 60_000) is connection
    upstream.keep(connection)


@pytest.mark.parametrize("idle_s", [0.0, 1.0])
@pytest.mark.parametrize("said", [reply(b"poison"), b"\n", None], ids=["a reply", "a byte", "the end"])
async def test_one_on_which_something_came_is_not_used_even_if_nobody_has_read_it_yet(
    kept: Kept, said: bytes | None, idle_s: float
) -> None:
    upstream, replica, connection, wire = kept
    connection.idle_since -= idle_s
    if said is None:
        wire.half_close()
    else:
        wire.sock.send(said)
    other = await upstream.connect(replica.noun(), math.inf, 60_000)
    assert other is not connection
    assert not connection.is_open
    upstream.keep(other)


async def test_who_gives_up_while_taking_one_leaves_nothing_behind(kept: Kept) -> None:
    upstream, replica, connection, _ = kept
    connection.idle_since -= 1.0
    taking = asyncio.create_task(upstream.connect(replica.noun(), math.inf, 60_000))
    await asyncio.sleep(0)
    if taking.done():
        upstream.keep(taking.result())
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    upstream.follow([])  # closes all that is kept
    await until(lambda: not upstream.open)
