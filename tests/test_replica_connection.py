"""What goes over one connection to a replica, and what is left of it then? What raw sockets show is in wire/."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from router.core.errors import ClientTooSlow, ReplicaClosed, ReplicaMisbehaved, RequestTimeout
from router.upstream import Upstream
from tests.model_server import OK, PATIENCE_S, ModelServer, begin, until, use


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    yield server
    for peer in (*server.peers, server.sock):
        peer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(connect_timeout_ms=8_000, idle_ms=60_000)
    yield upstream
    upstream.close()
    await until(lambda: not upstream.open)


async def test_what_came_before_a_failure_is_handed_out_before_it_is_raised(
    upstream: Upstream, server: ModelServer
) -> None:
    replica = server.noun()
    upstream.follow([replica])
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    begin(connection)
    await asyncio.get_running_loop().sock_recv(peer, 65_536)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    peer.close()
    await until(lambda: not upstream.open)
    assert (await connection.next_head()).status == 200
    assert await connection.read() == b"part"
    with pytest.raises(ReplicaMisbehaved):
        await connection.read()
    connection.end(request_whole=True)


async def test_every_wait_raises_the_first_failure(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    connection = await upstream.connect(replica, math.inf, 60_000)
    await server.peer()
    begin(connection)
    loop = asyncio.get_running_loop()
    loop.call_soon(connection.fail, ClientTooSlow("first"))
    loop.call_soon(connection.fail, RequestTimeout(1))
    with pytest.raises(ClientTooSlow):
        await connection.next_head()
    connection.end(request_whole=False)


async def test_a_failure_cancels_an_owner_who_waits_elsewhere(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    connection = await upstream.connect(replica, math.inf, 60_000)
    await server.peer()

    async def own() -> None:
        begin(connection, timeout_ms=50)
        await asyncio.Event().wait()  # for the client, say

    owner = asyncio.create_task(own())
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert isinstance(connection.failure, RequestTimeout)
    connection.end(request_whole=False)


async def test_one_deadline_does_not_outlive_its_request(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    upstream.follow([replica])
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    begin(connection, timeout_ms=500)
    peer.send(OK)
    await connection.next_head()
    await connection.read()
    connection.end(request_whole=True)
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    loop.call_later(0.6, passed.set)
    await passed.wait()
    assert connection.is_open
    assert await use(await upstream.connect(replica, math.inf, 60_000), peer) == b"ok"


async def test_a_replica_that_closes_unasked_fails_the_request_that_was_not_answered(
    upstream: Upstream, server: ModelServer
) -> None:
    replica = server.noun()
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    begin(connection)
    await asyncio.get_running_loop().sock_recv(peer, 65_536)
    peer.close()
    with pytest.raises(ReplicaClosed) as raised:
        await connection.next_head()
    assert raised.value.unanswered
    connection.end(request_whole=True)


async def test_a_replica_that_takes_nothing_makes_the_writer_wait(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    connection.begin("POST", math.inf, 60_000, asyncio.current_task())
    for _ in range(400):
        connection.write(b"x" * 65_536)
    draining = asyncio.create_task(connection.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    peer.close()  # the end of the connection ends the wait
    async with asyncio.timeout(PATIENCE_S):
        await draining
    connection.end(request_whole=False)
