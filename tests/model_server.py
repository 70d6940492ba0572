"""A model's server that says nothing by itself: the other end of the router's connections, in the test's hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from router.core.model import Replica
from router.replica_connection import ReplicaConnection

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
