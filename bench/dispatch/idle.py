"""What do routers take that have nothing to do?

I/O: processes, loopback sockets, CPU clocks. What is there to do without a request: look at files, beat for each other,
count, and probe replicas, each as often as it does by default but for probes (contenders.py).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.dispatch.contenders import Scoregate, replicas, started
from bench.measure import Cores
from bench.processes import ProcessGroup
from bench.report import Spread, spread

LAYOUTS = ((1, 1), (1, 2), (3, 2), (6, 1))
"""Routers, and workers of each."""
REPLICAS = 12
SETTLE_S = 6.0
"""After which nothing is new to anybody."""


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    layout: str
    workers: int
    """In all."""
    core_percent: Spread
    """Of all processes together, parents included."""


def measured(cores: Cores, rounds: int, seconds: float, done: Callable[[float], None]) -> list[Idle]:
    """Raises PeerError."""
    found = []
    for number, (routers, workers) in enumerate(LAYOUTS):
        done(number / len(LAYOUTS))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with (
                replicas(REPLICAS, folder, cores.load) as (_, ports),
                started(Scoregate(routers, workers), folder, cores.proxy, ports) as running,
            ):
                time.sleep(SETTLE_S)
                percents = [_percent(running.groups, seconds) for _ in range(rounds)]
        found.append(Idle(layout=f"{routers} x {workers}", workers=routers * workers, core_percent=spread(percents)))
    return found


def _percent(groups: Sequence[ProcessGroup], seconds: float) -> float:
    began_us, began_s = sum(group.cpu_us() for group in groups), time.monotonic()
    time.sleep(seconds)
    return (sum(group.cpu_us() for group in groups) - began_us) / (time.monotonic() - began_s) / 1e4
