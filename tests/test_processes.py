"""processes.py: what workers took of the machine is there also once they have ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector

from router.processes import ProcessesCollector

NAMES = ("cpu_seconds", "virtual_memory_bytes", "resident_memory_bytes", "start_time_seconds", "open_fds", "max_fds")
BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"


def figures(collector: ProcessesCollector | ProcessCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def test_families_are_those_of_one_process() -> None:
    mine = ProcessCollector(registry=CollectorRegistry())
    ours = ProcessesCollector(os.getpid(), lambda: [])
    assert [(f.name, f.type, f.documentation) for f in ours.collect()] == [
        (f.name, f.type, f.documentation)
        for name in (
            "cpu_seconds",
            "virtual_memory_bytes",
            "resident_memory_bytes",
            "start_time_seconds",
            "open_fds",
            "max_fds",
        )
        for f in mine.collect()
        if f.name == f"process_{name}"
    ]
    one, other = figures(ours), figures(mine)
    for name in ("process_start_time_seconds", "process_max_fds"):
        assert abs(one[name] - other[name]) <= 1, name
    assert 0.5 < one["process_resident_memory_bytes"] / other["process_resident_memory_bytes"] < 2


def test_the_cpu_time_of_a_child_counts_while_it_lives_and_after_its_end_and_once() -> None:
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        before = figures(ProcessesCollector(os.getpid(), lambda: []))
        collector = ProcessesCollector(os.getpid(), lambda: [child.pid])
        child.stdout.readline()
        alive = figures(collector)
        assert alive["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"] + 0.25
        assert alive["process_open_fds"] > before["process_open_fds"]
        child.kill()
        while b") Z " not in Path(f"/proc/{child.pid}/stat").read_bytes():
            time.sleep(0.001)
        ended = figures(collector)
        assert ended["process_cpu_seconds_total"] >= alive["process_cpu_seconds_total"], "its end was not seen yet"
    finally:
        child.kill()
        child.communicate()
    seen = figures(collector)
    assert seen["process_cpu_seconds_total"] >= ended["process_cpu_seconds_total"]
    assert seen["process_cpu_seconds_total"] < alive["process_cpu_seconds_total"] + 0.25, "not twice"
    assert seen["process_resident_memory_bytes"] < alive["process_resident_memory_bytes"]


def test_a_process_that_is_no_child_of_the_parent_does_not_count() -> None:
    alone = figures(ProcessesCollector(os.getpid(), lambda: []))
    with_others = figures(ProcessesCollector(os.getpid(), lambda: [1, os.getppid(), 2**22 + 1]))
    assert with_others["process_max_fds"] == alone["process_max_fds"]
    assert with_others["process_virtual_memory_bytes"] < alone["process_virtual_memory_bytes"] * 1.5
