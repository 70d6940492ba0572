"""What does a request cost where two processes share permits, against one that is alone?

I/O: processes, loopback sockets, CPU clocks. The load is wrk's: each connection sends its next request as soon as it
has a reply, to replicas with plenty of room, so that nobody waits for a permit.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench import wrk
from bench.dispatch.contenders import Scoregate, Started, declared, started
from bench.dispatch.live import SETTLE_S
from bench.measure import Cores
from bench.processes import free_ports, running
from bench.report import Spread, spread

REPLICAS = 8
SLOTS = 100
"""Of each: at the most connections, nobody finds fewer than nine of ten free."""
ONE, WORKERS, ROUTERS, APART = "1 x 1", "1 x 2", "2 x 1", "2 x 1, apart"
LAYOUTS: dict[str, tuple[tuple[int, int], ...]] = {
    ONE: ((1, 1),),
    WORKERS: ((1, 2),),
    ROUTERS: ((2, 1),),
    APART: ((1, 1),) * 2,
}
"""Installations, each of so many routers with so many processes. Two that are apart share nothing: they are what two
processes on one core cost by themselves."""
CONNECTIONS = (2, 64)
"""Divided among the routers."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    layout: str
    connections: int
    cpu_us: Spread
    """Per request, of all its processes."""
    requests_per_s: Spread
    p50_us: Spread
    p99_us: Spread
    failed: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    layout: str
    connections: int
    requests: int
    seconds: float
    cpu_us: float
    p50_us: float
    p99_us: float
    """Of two loads the mean of both."""
    failed: int


class Plenty(Scoregate):
    """With room for all."""

    def commands(self, folder: Path, ports: Sequence[int], replica_ports: Sequence[int]) -> list[list[str]]:
        commands = super().commands(folder, ports, replica_ports)
        (folder / "endpoints.yaml").write_text(declared(replica_ports, SLOTS))
        return commands


class Pair:
    """One layout, running."""

    def __init__(self, title: str, installations: Sequence[Started]) -> None:
        self.title = title
        self.addresses = [address for one in installations for address in one.addresses]
        self.groups = [group for one in installations for group in one.groups]

    def sample(self, connections: int, seconds: int, core: int) -> Sample:
        """Raises wrk.LoadError."""
        cpu_before_us = sum(group.cpu_us() for group in self.groups)
        with ThreadPoolExecutor(len(self.addresses)) as pool:
            each = {"connections": connections // len(self.addresses), "seconds": seconds, "core": core}
            loads = [
                pool.submit(wrk.load, f"http://127.0.0.1:{one.port}{one.path}", one.authorization, **each)
                for one in self.addresses
            ]
            counts = [load.result() for load in loads]
        return Sample(
            layout=self.title,
            connections=connections,
            requests=sum(one.requests for one in counts),
            seconds=max(one.duration_us for one in counts) / 1e6,
            cpu_us=sum(group.cpu_us() for group in self.groups) - cpu_before_us,
            p50_us=sum(one.p50_us for one in counts) / len(counts),
            p99_us=sum(one.p99_us for one in counts) / len(counts),
            failed=sum(one.failed for one in counts),
        )


def measured(cores: Cores, rounds: int, seconds: int, done: Callable[[float], None]) -> list[Cost]:
    """Rounds are interleaved. Raises PeerError, wrk.LoadError."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        ports = stack.enter_context(_replicas(Path(name), cores.load))
        pairs = [stack.enter_context(_pair(Path(name), title, cores.proxy, ports)) for title in LAYOUTS]
        time.sleep(SETTLE_S)
        steps = [(connections, pair) for _ in range(rounds) for connections in CONNECTIONS for pair in pairs]
        for pair in pairs:
            pair.sample(max(CONNECTIONS), 1, cores.load)  # warm
        for number, (connections, pair) in enumerate(steps):
            done(number / len(steps))
            samples.append(pair.sample(connections, seconds, cores.load))
    return [cost_of(samples, connections, pair.title) for connections in CONNECTIONS for pair in pairs]


def cost_of(samples: Sequence[Sample], connections: int, layout: str) -> Cost:
    of = [each for each in samples if (each.connections, each.layout) == (connections, layout)]
    return Cost(
        layout=layout,
        connections=connections,
        cpu_us=spread([each.cpu_us / each.requests for each in of]),
        requests_per_s=spread([each.requests / each.seconds for each in of]),
        p50_us=spread([each.p50_us for each in of]),
        p99_us=spread([each.p99_us for each in of]),
        failed=sum(each.failed for each in of),
    )


@contextmanager
def _pair(folder: Path, title: str, core: int, ports: Sequence[int]) -> Iterator[Pair]:
    with ExitStack() as stack:
        installations = []
        for number, (routers, workers) in enumerate(LAYOUTS[title]):
            own = folder / f"{title}-{number}"
            own.mkdir()
            installations.append(stack.enter_context(started(Plenty(routers, workers), own, core, ports)))
        yield Pair(title, installations)


@contextmanager
def _replicas(folder: Path, core: int) -> Iterator[list[int]]:
    with ExitStack() as stack:
        ports = free_ports(REPLICAS)
        for port in ports:
            command = [sys.executable, "-m", "bench.replica", str(port)]
            stack.enter_context(running(command, core=core, log=folder / f"replica-{port}.log"))
        yield ports
