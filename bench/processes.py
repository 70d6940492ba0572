"""How is a program of the benchmark kept on one core, metered, and ended with all its children?

I/O: processes, /proc, CPU clocks of other processes. Linux only.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from router.platforms.local.ports import Ports

ROOT = Path(__file__).parent.parent
"""Where `python -m bench.…` and `python -m router` find their modules."""

GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""

_PORTS = Ports("127.0.0.1")
atexit.register(_PORTS.give_all_back)


class ProcessGroup:
    """A started program and whatever it started itself.

    A group of its own, so that Ctrl-C reaches it only through us, in order.
    """

    def __init__(self, command: Sequence[str], core: int, log: Path) -> None:
        self.log = log
        # taskset becomes the program, so threads made at the very start are on the core too.
        pinned = ["taskset", "--cpu-list", str(core), *command]
        with log.open("wb") as out:
            self._leader = subprocess.Popen(
                pinned, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0
            )

    @property
    def alive(self) -> bool:
        return self._leader.poll() is None

    def pids(self) -> list[int]:
        return [pid for pid, group in _process_groups() if group == self._leader.pid]

    def cpu_us(self) -> float:
        """User and system time of all threads of all its processes so far, dead threads included."""
        return sum(cpu_time_us(pid) for pid in self.pids())

    def last_words(self) -> str:
        """The last lines of its output, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-5:]) or "(it said nothing)"

    def stop(self) -> None:
        """SIGTERM, a grace, SIGKILL; waits for the leader, and leaves nothing of the group behind."""
        with suppress(ProcessLookupError):
            os.killpg(self._leader.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._leader.wait(GRACE_S)
        with suppress(ProcessLookupError):
            os.killpg(self._leader.pid, signal.SIGKILL)
        self._leader.wait()


@contextmanager
def running(command: Sequence[str], *, core: int, log: Path) -> Iterator[ProcessGroup]:
    with ExitStack() as stack:
        with _signals_wait():
            group = ProcessGroup(command, core, log)
            stack.callback(group.stop)
        yield group


@contextmanager
def _signals_wait() -> Iterator[None]:
    """A Ctrl-C between the fork and our hold on the process would leave it running."""
    noted: list[int] = []
    usual = {
        number: signal.signal(number, lambda number, _frame: noted.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, reaction in usual.items():
            signal.signal(number, reaction)
    for noted_number in noted:
        signal.raise_signal(noted_number)


def cpu_time_us(pid: int) -> float:
    """0 for a process that is gone.

    /proc/PID/stat counts the same time in ticks of 10 ms, the process's CPU clock in nanoseconds. The clock's
    number is that of clock_getcpuclockid(3), which Python lacks.
    """
    clock = (~pid << 3) | 2
    try:
        return time.clock_gettime_ns(clock) / 1_000
    except OSError:
        return 0.0


def free_port() -> int:
    """Of 127.0.0.1. Nobody else gets it: not from the kernel, nor here while this process lives."""
    return _PORTS.take()


def free_ports(count: int) -> list[int]:
    """All different."""
    return [free_port() for _ in range(count)]


def _process_groups() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended while we looked
                # "pid (name, which may hold anything) state ppid pgrp ..."
                after_name = (entry / "stat").read_text(errors="replace").rpartition(")")[2]
                state, _parent, group = after_name.split()[:3]
                if state != "Z":  # ended, and only its parent has yet to notice
                    yield int(entry.name), int(group)
