"""Are connections to replicas pooled, ended and given back as they should be? What raw sockets show is in wire/."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from router.core.errors import ReplicaUnreachable, Unavailable
from router.core.model import Replica
from router.upstream import Upstream
from tests.model_server import OK, ModelServer, begin, ended, until, use


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


async def test_a_whole_reply_leaves_a_connection_to_use_again(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    upstream.follow([replica])
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    for _ in range(3):
        assert await use(connection, peer) == b"ok"
        assert await upstream.connect(replica, math.inf, 60_000) is connection
    begin(connection)
    connection.end(request_whole=True)
    assert await ended(peer)


async def test_the_connection_used_last_is_used_first(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    upstream.follow([replica])
    pairs = [(await upstream.connect(replica, math.inf, 60_000), await server.peer()) for _ in range(2)]
    for connection, peer in pairs:
        await use(connection, peer)
    assert await upstream.connect(replica, math.inf, 60_000) is pairs[1][0]
    assert await upstream.connect(replica, math.inf, 60_000) is pairs[0][0]
    for connection, _ in pairs:
        begin(connection)
        connection.end(request_whole=False)


async def test_a_connection_serves_its_replica_only_never_its_address(upstream: Upstream, server: ModelServer) -> None:
    old, new = server.noun("old"), server.noun("new")
    upstream.follow([old, new])
    connection = await upstream.connect(old, math.inf, 60_000)
    peer = await server.peer()
    await use(connection, peer)
    assert await upstream.connect(new, math.inf, 60_000) is not connection
    upstream.follow([new])
    assert await ended(peer)


async def test_a_connection_whose_replica_left_meanwhile_is_not_kept(upstream: Upstream, server: ModelServer) -> None:
    replica = server.noun()
    upstream.follow([replica])
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    begin(connection)
    upstream.follow([])
    await asyncio.get_running_loop().sock_sendall(peer, OK)
    assert (await connection.next_head()).status == 200
    assert await connection.read() == b"ok"
    connection.end(request_whole=True)
    assert await ended(peer)


async def test_connections_idle_for_too_long_are_closed_and_the_sweep_ends(server: ModelServer) -> None:
    upstream = Upstream(connect_timeout_ms=8_000, idle_ms=50)
    replica = server.noun()
    upstream.follow([replica])
    connection = await upstream.connect(replica, math.inf, 60_000)
    peer = await server.peer()
    await use(connection, peer)
    assert await ended(peer)
    await until(lambda: not upstream.open)
    assert await upstream.connect(replica, math.inf, 60_000) is not connection
    upstream.close()
    await until(lambda: not upstream.open)


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent(upstream: Upstream) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # it does not listen, and nobody else gets the port
        host, port = deaf.getsockname()
        replica = Replica(uid="deaf", deployment="iris/blue", host=host, port=port, ready=True)
        with pytest.raises(ReplicaUnreachable) as raised:
            await upstream.connect(replica, math.inf, 60_000)
    assert raised.value.nothing_sent


async def test_a_connection_that_is_not_taken_in_time_is_unreachable(server: ModelServer) -> None:
    upstream = Upstream(connect_timeout_ms=100, idle_ms=60_000)
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
    host, port = full.getsockname()
    with pytest.raises(ReplicaUnreachable, match=r"within 0\.1 s"):
        await upstream.connect(
            Replica(uid="full", deployment="iris/blue", host=host, port=port, ready=True), math.inf, 60_000
        )
    for sock in (*waiting, full):
        sock.close()
    assert not upstream.open


async def test_a_router_without_a_file_left_does_not_blame_the_replica(upstream: Upstream) -> None:
    async def create_connection(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    loop = asyncio.get_running_loop()
    upstream._loop = SimpleNamespace(time=loop.time, create_connection=create_connection)  # type: ignore[assignment]
    replica = Replica(uid="a", deployment="iris/blue", host="127.0.0.1", port=1, ready=True)
    with pytest.raises(Unavailable) as caught:
        await upstream.connect(replica, math.inf, 60_000)
    assert caught.value.source == "router"
    upstream._loop = loop
