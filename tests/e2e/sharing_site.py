"""How is it seen that several routers keep one limit? Replicas that count their own requests, and clients of all.

I/O: sockets of this machine, and router processes.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.front import SCORE
from tests.router_process import STARTS_WITHIN_S, RouterProcess, declare, routing

HEAD_END = b"\r\n\r\n"
REQUEST = f"POST {SCORE} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Excess(NamedTuple):
    """A moment in which a replica had more requests than its limit."""

    at: float
    in_flight: int


class Replicas:
    """So many, each on a port of its own. A request takes its time there, also when whoever sent it is gone."""

    def __init__(self, limit: int, mean_s: float) -> None:
        self.limit = limit
        self.mean_s = mean_s
        self.ports: list[int] = []
        self.in_flight: Counter[int] = Counter()
        self.excesses: list[Excess] = []
        self.served = 0
        self.gate = asyncio.Event()
        """While it is not set, no request ends."""
        self.gate.set()
        self._chance = random.Random(1)

    @property
    def busy(self) -> int:
        return sum(self.in_flight.values())

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        try:
            while True:
                head = await reader.readuntil(HEAD_END)
                if head.startswith(b"POST"):
                    await reader.readexactly(2)
                    await self._work(port)
                writer.write(OK)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _work(self, port: int) -> None:
        self.in_flight[port] += 1
        if self.in_flight[port] > self.limit:
            self.excesses.append(Excess(asyncio.get_running_loop().time(), self.in_flight[port]))
        try:
            await asyncio.sleep(self._chance.expovariate(1 / self.mean_s))
            await self.gate.wait()
            self.served += 1
        finally:
            self.in_flight[port] -= 1


class Clients:
    """Of all routers: they ask at their own pace, however the replies come."""

    def __init__(self) -> None:
        self.ends: defaultdict[int, Counter[str]] = defaultdict(Counter)
        """Statuses and failures, by the router's port."""
        self._idle: defaultdict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, port: int) -> None:
        task = asyncio.create_task(self._ask(port))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def load(self, ports: list[int], weights: list[float], rate: float, for_s: float) -> None:
        """A Poisson process; of what is in flight at its end nothing is forgotten."""
        chance, loop = random.Random(2), asyncio.get_running_loop()
        at = began = loop.time()
        while at < began + for_s:
            at += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, at - loop.time()))
            self.ask(*chance.choices(ports, weights))

    async def all_answered(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    @property
    def pending(self) -> int:
        return len(self._tasks)

    def total(self, ports: Iterable[int]) -> Counter[str]:
        return sum((self.ends[port] for port in ports), Counter[str]())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for connections in self._idle.values():
            for _, writer in connections:
                writer.transport.abort()

    async def _ask(self, port: int) -> None:
        writer = None
        try:
            reader, writer = (
                self._idle[port].pop() if self._idle[port] else await asyncio.open_connection("127.0.0.1", port)
            )
            writer.write(REQUEST)
            head = await reader.readuntil(HEAD_END)
            (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            self.ends[port][head[9:12].decode()] += 1
            self._idle[port].append((reader, writer))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.ends[port][type(error).__name__] += 1
            if writer is not None:
                writer.transport.abort()


class Site:
    def __init__(self, folder: Path, replicas: Replicas, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.replicas = replicas
        self.clients = Clients()
        self.routers: list[RouterProcess] = []
        self._stack = stack

    async def start(self, count: int) -> list[RouterProcess]:
        """At once, as after a restart of the machine; until they are ready and have met."""
        new = [
            await self._stack.enter_async_context(routing(self.folder, "--access-log", "off", waits=False))
            for _ in range(count)
        ]
        for router in new:
            await router.started()
        for router in new:
            await router.ready(len(self.replicas.ports))
        self.routers += new
        return new

    async def until_agreed(self) -> None:
        """Until each sees each other one, and as that one does."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            for router in self.routers:
                while not self._all_agree(await self.standings(router)):  # noqa: ASYNC110 - it looks at processes
                    await asyncio.sleep(0.05)

    def _all_agree(self, standings: list[dict[str, Any]]) -> bool:
        return len(standings) == len(self.routers) and all(each["up"] and each["viewAgrees"] for each in standings)

    async def standings(self, router: RouterProcess) -> list[dict[str, Any]]:
        async with router.client() as client:
            standings: list[dict[str, Any]] = (await client.get(f"{router.place.admin}/instances")).json()
            return standings

    async def owner(self) -> RouterProcess:
        """Whose permits all use; there is one deployment."""
        found: list[RouterProcess] = []
        async with asyncio.timeout(STARTS_WITHIN_S):
            while len(found) != 1:  # a starved machine may be between two views
                ids = [each["id"] for each in await self.standings(self.routers[0]) if each["owns"]]
                found = [router for router in self.routers if [router.place.id] == ids]
        return found[0]

    async def borrower(self) -> RouterProcess:
        owner = await self.owner()
        return next(router for router in self.routers if router is not owner)

    @property
    def ports(self) -> list[int]:
        return [router.port for router in self.routers]


@asynccontextmanager
async def site_of(
    folder: Path, routers: int, replicas: int, limit: int = 1, mean_s: float = 0.03, **settings: Any
) -> AsyncIterator[Site]:
    counting = Replicas(limit, mean_s)
    async with AsyncExitStack() as stack:
        for _ in range(replicas):
            server = await asyncio.start_server(counting.handle, "127.0.0.1", 0)
            stack.callback(server.close)
            counting.ports.append(server.sockets[0].getsockname()[1])
        settings = {"maxConcurrentRequestsPerInstance": limit, "maxQueueLength": 1_000} | settings
        declare(folder / "endpoints.yaml", *counting.ports, **settings)
        site = Site(folder, counting, stack)
        stack.callback(site.clients.close)
        if routers:
            await site.start(routers)
        yield site
        counting.gate.set()


def written(state: Path, id: str) -> dict[str, Any]:
    """What a router wrote of where it listens."""
    place: dict[str, Any] = json.loads((state / "routers" / f"{id}.json").read_text())
    return place
