"""A program of the benchmark stays on its core, is metered with its children, and leaves nothing behind."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import ProcessGroup, cpu_time_us, running

CORE = min(os.sched_getaffinity(0))
FAMILY = """
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
thread = threading.Thread(target=lambda: sum(range(3_000_000)))
thread.start()
thread.join()
print("ready", flush=True)
child.wait()
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
PARENT_OF_DEAF = f"""
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", {DEAF!r}])
signal.pause()
"""


def _started(group: ProcessGroup) -> None:
    _until(lambda: "ready" in group.log.read_text())


def _until(met: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 20
    while not met():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_children_and_dead_threads_are_metered_and_pinned(tmp_path: Path) -> None:
    with running([sys.executable, "-c", FAMILY], core=CORE, log=tmp_path / "log") as group:
        _started(group)
        pids = group.pids()
        assert len(pids) == 2
        assert [os.sched_getaffinity(pid) for pid in pids] == [{CORE}, {CORE}]
        # The sum over three million numbers takes more than a millisecond on anything that runs Python.
        assert group.cpu_us() >= sum(cpu_time_us(pid) for pid in pids) * 0.5 > 1_000


def test_nothing_of_the_group_survives_even_what_is_deaf_to_sigterm(tmp_path: Path) -> None:
    with running([sys.executable, "-c", PARENT_OF_DEAF], core=CORE, log=tmp_path / "log") as group:
        _started(group)
        assert len(group.pids()) == 2
    _until(lambda: not group.pids())  # SIGKILL is sent, not waited for: the orphan is no child of ours
    assert not group.alive


def test_the_meter_of_a_process_that_is_gone_stands_at_zero(tmp_path: Path) -> None:
    with running(["sleep", "60"], core=CORE, log=tmp_path / "log") as group:
        pid = group.pids()[0]
        group.stop()
        assert not group.alive
        assert cpu_time_us(pid) == 0


def test_last_words_are_the_last_lines(tmp_path: Path) -> None:
    script = "for line in range(9): print(line)"
    with running([sys.executable, "-c", script], core=CORE, log=tmp_path / "log") as group:
        _until(lambda: not group.alive)
    assert group.last_words().split() == ["4", "5", "6", "7", "8"]
