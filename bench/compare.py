"""How does a whole comparison run, from nothing started to all figures?

I/O: a temporary folder, processes, the progress bar, facts about the machine.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report, wrk
from bench.measure import Cores, Course, Plan, Sample, choose_cores
from bench.peers import Peer
from bench.proxies import PeerError, Proxy, direct, proxying


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that came of it, as `--json` writes it."""

    date: str
    machine: dict[str, str]
    cores: Cores
    plan: Plan
    versions: dict[str, str]
    titles: dict[str, str]
    """By proxy name, as are `left_out` and `broken`."""
    left_out: dict[str, str]
    """What is not installed, and how it would be."""
    broken: dict[str, str]
    """What is installed but did not start or broke down, and what was seen."""
    rows: list[report.Row]
    verdicts: list[report.Verdict]
    samples: list[Sample]

    @property
    def failed(self) -> bool:
        return bool(self.broken) or any(row.failed for row in self.rows)


def compare(peers: Sequence[Peer], plan: Plan, console: Console) -> Outcome:
    """Raises PeerError where the replica itself does not run: without it there is nothing to compare."""
    cores = choose_cores()
    present = [peer for peer in peers if peer.program]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scoregate-bench-")))
        bar = stack.enter_context(_progress(console))
        proxies, not_started = _start(present, folder, cores, stack)
        course = Course(proxies, plan, cores)
        task = bar.add_task("", total=course.steps)
        for step in course.run():
            bar.update(task, description=step)
            bar.advance(task)
        if report.DIRECT in course.broken:
            raise PeerError(f"the replica broke down: {course.broken[report.DIRECT]}")
    rows = report.summarize(course.samples)
    return Outcome(
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        machine=_machine(),
        cores=cores,
        plan=plan,
        versions={peer.name: peer.version() for peer in present} | {"wrk": wrk.version()},
        titles={proxy.name: proxy.title for proxy in proxies},
        left_out={peer.name: peer.install for peer in peers if not peer.program},
        broken=not_started | course.broken,
        rows=rows,
        verdicts=report.judge(rows),
        samples=course.samples,
    )


def _start(peers: Sequence[Peer], folder: Path, cores: Cores, stack: ExitStack) -> tuple[list[Proxy], dict[str, str]]:
    """The replica first, then all peers before it; and why some of them did not start."""
    replica = stack.enter_context(direct(folder, cores.load))
    proxies, not_started = [replica], {}
    for peer in peers:
        own_folder = folder / peer.name
        own_folder.mkdir()
        try:
            proxies.append(stack.enter_context(proxying(peer, own_folder, cores.proxy, replica.port)))
        except PeerError as error:
            not_started[peer.name] = str(error)
    return proxies, not_started


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    # Drawn seldom: the bar shares a core with the load.
    return Progress(*columns, TextColumn("{task.description}"), console=console, refresh_per_second=2, transient=True)


def _machine() -> dict[str, str]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
