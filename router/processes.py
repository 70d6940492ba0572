"""What do all processes of a router take of the machine, together?

I/O: /proc. The same families as prometheus-client's own for one process. A worker that has ended is not there any more,
but the system keeps the CPU time that it took with its parent's, from the moment in which the parent has seen its end.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_READS = 10


class _Stat(NamedTuple):
    """Of /proc/<pid>/stat (proc(5)), in its units."""

    parent: int
    cpu: int
    children_cpu: int
    """Of those that have ended and were waited for."""
    started: int
    virtual_bytes: int
    resident_pages: int


class ProcessesCollector(Collector):
    """`workers`: ids of processes that are, or were, children of `parent`."""

    def __init__(self, parent: int, workers: Callable[[], Sequence[int]]) -> None:
        self._parent = parent
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        parent, workers = self._read()
        living = [each for each in (parent, *workers.values()) if each is not None]
        ticks = sum(each.cpu for each in living) + (0 if parent is None else parent.children_cpu)
        pids = [self._parent, *workers]
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        yield CounterMetricFamily(
            "process_cpu_seconds", "Total user and system CPU time spent in seconds.", value=ticks / _TICKS_PER_S
        )
        for name, documentation, value in (
            ("virtual_memory_bytes", "Virtual memory size in bytes.", sum(each.virtual_bytes for each in living)),
            (
                "resident_memory_bytes",
                "Resident memory size in bytes.",
                sum(each.resident_pages for each in living) * _PAGE_BYTES,
            ),
            (
                "start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                _booted_at_s() + min((each.started for each in living), default=0) / _TICKS_PER_S,
            ),
            ("open_fds", "Number of open file descriptors.", sum(map(_open_files, pids))),
            ("max_fds", "Maximum number of open file descriptors.", limit * len(living)),
        ):
            yield GaugeMetricFamily(f"process_{name}", documentation, value=value)

    def _read(self) -> tuple[_Stat | None, dict[int, _Stat]]:
        """At one moment, as far as ends of workers go: one between two reads would be counted twice, or not at all."""
        for _ in range(_READS):
            parent = _stat(self._parent)
            workers = {pid: stat for pid in self._workers() if (stat := _stat(pid)) and stat.parent == self._parent}
            after = _stat(self._parent)
            if parent is None or after is None or after.children_cpu == parent.children_cpu:
                break
        return parent, workers


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    field = [b"", b"", b"", *text.rpartition(b")")[2].split()]  # field[n] is the n-th of proc(5), from 3 on
    cpu, children = int(field[14]) + int(field[15]), int(field[16]) + int(field[17])
    return _Stat(int(field[4]), cpu, children, int(field[22]), int(field[23]), int(field[24]))


def _open_files(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _booted_at_s() -> int:
    for line in Path("/proc/stat").read_bytes().splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1])
    return 0
