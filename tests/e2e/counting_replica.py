"""How does a Pod run a replica that counts its own requests?

I/O: two listening sockets. `python -m tests.e2e.counting_replica ADDRESS PORT ACCOUNT_PORT`; see bench/dispatch.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from bench.dispatch.counting import Asked, Connection, Replica


async def serve(address: str, port: int, account_port: int) -> None:
    loop = asyncio.get_running_loop()
    replica = Replica()
    async with (
        await loop.create_server(partial(Asked, [replica]), address, account_port),
        await loop.create_server(partial(Connection, replica), address, port) as serving,
    ):
        await serving.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
