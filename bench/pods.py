"""How long does one change take, and how much memory, with ten thousand Pods? `python -m bench.pods`; see --help.

I/O: the terminal, the file of `--json`; /proc/self/status. No socket: what the API server says is made up (crowd.py),
and decoded, kept and served by the very parts that a router has.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench import crowd
from bench.files import json_option, write_json
from bench.latency import Quantiles, quantiles
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import Fleet
from router.platforms import ClusterSettings
from router.platforms.kubernetes.cluster import Cluster
from router.platforms.kubernetes.objects import EndpointObject, Pod, Workload
from router.upstream import Upstream

FILE_WIDTH = 120
"""Columns of the tables where they do not go to a terminal: nothing is cut."""
LOAD_STEPS = ("a page of the list decoded", "its Pods taken in")
CHANGE_STEPS = ("decoded", "taken in", "snapshot made", "snapshot followed")
ALL_STEPS = "all of it"

_OWN_MEMORY = Path("/proc/self/status")


class Plan(Struct, frozen=True):
    pods: int
    workloads: int
    """Each has an endpoint of its own."""
    changes: int


class Report(Struct, frozen=True):
    plan: Plan
    pod_bytes: int
    """Of JSON, for one Pod."""
    load: dict[str, Quantiles]
    load_s: float
    """From the first byte of the list to the first request, without what the list takes on its way."""
    change: dict[str, Quantiles]
    """From the bytes of one Pod's event to the moment from which it takes requests, or takes none."""
    mib_before: float
    mib: float


class _Page(Struct):
    items: list[Pod]


class Times:
    """How long each step took, by its name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, steps: Iterable[str], marks: Sequence[float]) -> None:
        """`marks`: when the first step began, and when each ended."""
        for step, (began, ended) in zip(steps, pairwise(marks), strict=True):
            self.seconds[step].append(ended - began)
        self.seconds[ALL_STEPS].append(marks[-1] - marks[0])

    @property
    def quantiles(self) -> dict[str, Quantiles]:
        return {step: found for step, seconds in self.seconds.items() if (found := quantiles(seconds)) is not None}


class Router:
    """What a router knows of a cluster, and serves."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cluster = Cluster(ClusterSettings())
        self.fleet = Fleet(Upstream(connect_timeout_ms=1_000, idle_ms=1_000), Memory(), Sharing("bench", lambda: None))

    def declare(self) -> None:
        share = -(-self._plan.pods // self._plan.workloads)
        for number in range(self._plan.workloads):
            workload = msgspec.json.decode(crowd.workload_json(number, share), type=Workload)
            self._cluster.workload("Deployment", workload.metadata.key, workload)
            endpoint = msgspec.json.decode(crowd.endpoint_json(number), type=EndpointObject)
            self._cluster.endpoint(endpoint.metadata.key, endpoint)

    def load(self, page: bytes) -> list[float]:
        marks = [time.perf_counter()]
        pods = msgspec.json.decode(page, type=_Page).items
        marks.append(time.perf_counter())
        for pod in pods:
            self._cluster.pod(pod.metadata.key, pod)
        return [*marks, time.perf_counter()]

    def look(self) -> list[float]:
        marks = [time.perf_counter()]
        snapshot = self._cluster.snapshot()
        marks.append(time.perf_counter())
        self.fleet.follow(snapshot)
        return [*marks, time.perf_counter()]

    def change(self, event: bytes) -> list[float]:
        marks = [time.perf_counter()]
        pod = msgspec.json.decode(event, type=Pod)
        marks.append(time.perf_counter())
        self._cluster.pod(pod.metadata.key, pod)
        return [*marks, *self.look()]

    @property
    def ready(self) -> int:
        return sum(live.admission.dispatcher.ready for live in self.fleet.live.values())


@contextmanager
def calm_gc() -> Iterator[None]:
    """As a router has it: a collection of everything would take longer than all that is measured here."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def measure(plan: Plan, console: Console) -> Report:
    """In a coroutine, because what is served arms timers."""
    mib_before = resident_mib()
    router, load, change = Router(plan), Times(), Times()
    router.declare()
    console.print(f"The list of {plan.pods:,} Pods ...")
    for page in crowd.pages(plan.pods, plan.workloads):
        load.add(LOAD_STEPS, router.load(page))
    first = router.look()
    load_s = sum(load.seconds.pop(ALL_STEPS)) + first[-1] - first[0]
    load.add(("first snapshot made", "first snapshot followed"), first)
    del load.seconds[ALL_STEPS]
    _expect(router, plan.pods)
    console.print(f"{plan.changes:,} times a Pod that stops being ready, and is again ...")
    for number in range(plan.changes):
        pod = number * 7_919 % plan.pods  # a prime: from one workload to another
        for ready in (False, True):
            event = crowd.pod_json(pod, plan.workloads, ready=ready, version=2 + number)
            change.add(CHANGE_STEPS, router.change(event))
            _expect(router, plan.pods - (not ready))
        await asyncio.sleep(0)
    size = len(crowd.pod_json(0, plan.workloads))
    return Report(plan, size, load.quantiles, load_s, change.quantiles, mib_before, resident_mib())


def _expect(router: Router, ready: int) -> None:
    if router.ready != ready:
        raise RuntimeError(f"{router.ready} replicas take requests where {ready} should: nothing was measured")


def resident_mib() -> float:
    """Of this process, now."""
    for line in _OWN_MEMORY.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{_OWN_MEMORY} has no line VmRSS")


def table(title: str, steps: dict[str, Quantiles]) -> Table:
    shown = Table("", "p50 ms", "p99 ms", "max ms", title=title, title_justify="left", min_width=60)
    for step, found in steps.items():
        shown.add_row(step, *(f"{figure:.2f}" for figure in (found.p50_ms, found.p99_ms, found.max_ms)))
    return shown


def _show(report: Report) -> None:
    console, plan = Console(highlight=False), report.plan
    if not console.is_terminal:
        console.width = FILE_WIDTH
    size = f"{plan.pods:,} Pods of {report.pod_bytes / 1024:.1f} KiB, {plan.workloads:,} workloads and endpoints"
    console.print(table(f"{size}: loaded in {report.load_s:.2f} s", report.load))
    console.print(table(f"One Pod changes, {2 * plan.changes:,} times", report.change))
    grown = report.mib - report.mib_before
    console.print(f"Memory: {report.mib:.0f} MiB, of which {grown:.0f} MiB since the start")


@click.command()
@click.option("--pods", type=click.IntRange(1, 100_000), default=10_000, show_default=True)
@click.option("--workloads", type=click.IntRange(1, 10_000), default=1_000, show_default=True, help="And endpoints.")
@click.option("--changes", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Pods that change.")
@json_option
def main(pods: int, workloads: int, changes: int, json_file: Path | None) -> None:
    """What do ten thousand Pods cost a router: to learn of them, to follow one that changes, to remember?

    Each change is followed alone, from the bytes of its event to the moment from which requests go by it. A router
    that is flooded with changes takes many in with one snapshot.
    """
    with calm_gc():
        report = asyncio.run(measure(Plan(pods, workloads, changes), Console(stderr=True)))
    _show(report)
    write_json(json_file, report)


if __name__ == "__main__":
    main()
