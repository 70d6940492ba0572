"""Are connections to replicas pooled, ended and given back as they should be? What raw sockets show is in wire/."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from router.core.errors import (
    ClientTooSlow,
    ReplicaClosed,
    ReplicaMisbehaved,
    ReplicaUnreachable,
    RequestTimeout,
    Unavailable,
)
from router.core.model import Replica
from router.upstream import ReplicaConnection, Upstream

PATIENCE_S = 8.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class ModelServer:
    """Takes connections, and leaves what is said on them to the test."""

    def __init__(self) -> None:
        self.peers: list[socket.socket] = []
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.sock.setblocking(False)

    def noun(self, uid: str = "one") -> Replica:
        host, port = self.sock.getsockname()
        return Replica(uid=uid, deployment="iris/blue", host=host, port=port, ready=True)

    async def peer(self) -> socket.socket:
        """The other end of the next connection."""
        async with asyncio.timeout(PATIENCE_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        self.peers.append(sock)
        return sock


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    yield server
    for peer in (*server.peers, server.sock):
        peer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(connect_timeout_ms=2_000, idle_ms=60_000)
    yield upstream
    upstream.close()
    await until(lambda: not upstream.open)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it looks at the router, which tells nobody
            await asyncio.sleep(0.002)


def begin(connection: ReplicaConnection, timeout_ms: int = 60_000) -> None:
    connection.begin("POST", asyncio.get_running_loop().time() + timeout_ms / 1000, timeout_ms, asyncio.current_task())
    connection.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")


async def use(connection: ReplicaConnection, peer: socket.socket, reply: bytes = OK) -> bytes:
    """One whole request; the body of its reply."""
    begin(connection)
    await asyncio.get_running_loop().sock_sendall(peer, reply)
    await connection.next_head()
    body = b""
    while piece := await connection.read():
        body += piece
    connection.end(request_whole=True)
    return body


async def ended(peer: socket.socket) -> bool:
    """The router closes that connection, whatever it said before."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while await asyncio.get_running_loop().sock_recv(peer, 65_536):
                pass
        except ConnectionResetError:
            pass
    return True


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
    upstream = Upstream(connect_timeout_ms=2_000, idle_ms=50)
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


async def test_a_refused_connection_is_unreachable_and_nothing_was_sent(
    upstream: Upstream, server: ModelServer
) -> None:
    replica = server.noun()
    server.sock.close()
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
    begin(connection, timeout_ms=50)
    peer.send(OK)
    await connection.next_head()
    await connection.read()
    connection.end(request_whole=True)
    loop = asyncio.get_running_loop()
    passed = asyncio.Event()
    loop.call_later(0.1, passed.set)
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
