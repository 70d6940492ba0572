"""How does a Pod run a replica that counts its own requests?

I/O: two listening sockets. `python -m tests.e2e.counting_replica ADDRESS PORT ACCOUNT_PORT`; see bench/dispatch.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import partial

import msgspec

from bench.dispatch.counting import Account, Asked, Connection, Replica


async def serve(address: str, port: int, account_port: int) -> None:
    loop = asyncio.get_running_loop()
    replica = Replica()
    async with (
        await loop.create_server(partial(Asked, [replica]), address, account_port),
        await loop.create_server(partial(Connection, replica), address, port) as serving,
    ):
        await serving.serve_forever()


def account_at(address: str, account_port: int) -> Account:
    """Of the replica there."""
    with socket.create_connection((address, account_port), timeout=10) as asked:
        asked.sendall(b"?")
        told = b"".join(iter(lambda: asked.recv(65_536), b""))
    (one,) = msgspec.json.decode(told, type=list[Account])
    return one


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
