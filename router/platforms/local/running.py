"""Does this process still run, or has another one its id?

I/O: /proc. An id is given again once its process is gone; the moment at which a process started tells the two apart.
"""

from __future__ import annotations

import os
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


def age_s(started_ticks: int) -> float:
    """For how long a process that started then has run."""
    return max(0.0, float(Path("/proc/uptime").read_text().split()[0]) - started_ticks / _TICKS_PER_S)
