"""Does this process still run, or has another one its id?

I/O: /proc, descriptors of processes. An id is given again once its process is gone; the moment at which a process
started tells the two apart.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ENDED = frozenset("ZXx")
"""States of one that has ended, whose parent has not looked yet."""


def started(pid: int) -> int | None:
    """When it started, in clock ticks since this machine did; None for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b")")[2].split()  # before it is the command's name, which may hold anything
    return None if fields[0].decode() in _ENDED else int(fields[19])


def still_runs(pid: int, started_ticks: int) -> bool:
    return started(pid) == started_ticks


class Process:
    """One that is looked at many times a second. While it runs that is one call of the system, poll(2) on a descriptor
    that pidfd_open(2) gave, and not four and a text to make and to read."""

    def __init__(self, pid: int, started_ticks: int) -> None:
        self._key = pid, started_ticks
        self.descriptor = _descriptor_of(pid)
        """Can be read from once it has ended; None where the system gives none."""
        self._runs = still_runs(pid, started_ticks)  # it was the one with this id when its descriptor was opened

    def __del__(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    @property
    def runs(self) -> bool:
        if self._runs:
            self._runs = still_runs(*self._key) if self.descriptor is None else not _is_readable(self.descriptor)
        return self._runs


def _descriptor_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _is_readable(descriptor: int) -> bool:
    look = select.poll()
    look.register(descriptor, select.POLLIN)
    return bool(look.poll(0))


def age_s(started_ticks: int) -> float:
    """For how long a process that started then has run."""
    return max(0.0, float(Path("/proc/uptime").read_text().split()[0]) - started_ticks / _TICKS_PER_S)
