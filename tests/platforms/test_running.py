"""running.py: a process is told from another one that has its id, and from one that has ended."""

import os
import subprocess
import sys

import pytest

from router.platforms.local import running
from router.platforms.local.running import Process, age_s, started, still_runs


def test_this_process_runs_since_it_started():
    ticks = started(os.getpid())
    assert ticks is not None
    assert still_runs(os.getpid(), ticks)
    assert not still_runs(os.getpid(), ticks - 1)
    assert 0 < age_s(ticks) < 86_400
    assert age_s(10**12) == 0


def test_one_that_has_ended_does_not_run_even_while_nobody_has_looked():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ticks = started(process.pid)
    assert ticks is not None
    process.communicate(b"\n")
    assert not still_runs(process.pid, ticks)
    zombie = subprocess.Popen([sys.executable, "-c", "print()"], stdout=subprocess.PIPE)
    zombie.stdout.read()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert started(zombie.pid) is None
    zombie.communicate()


def test_the_name_of_a_command_may_hold_anything(tmp_path):
    odd = tmp_path / "a) S (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "600"]) as process:
        try:
            ticks = started(process.pid)
            assert ticks is not None
            assert ticks >= started(os.getpid())
        finally:
            process.kill()


def refused(_: int) -> int:
    raise OSError("no such call")


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_a_process_that_is_looked_at_often_runs_until_it_has_ended(has_descriptors, monkeypatch):
    if not has_descriptors:  # an old kernel, or one that forbids it
        monkeypatch.setattr(os, "pidfd_open", refused)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        ticks = started(other.pid)
        process, earlier = Process(other.pid, ticks), Process(other.pid, ticks - 1)
        assert (process.descriptor is not None) is has_descriptors
        assert [process.runs, process.runs, earlier.runs] == [True, True, False]
        other.stdin.close()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert not process.runs, "nobody has waited for it yet"
    assert not process.runs
    assert not Process(other.pid, ticks).runs


def test_to_look_at_one_that_runs_reads_nothing(monkeypatch):
    process = Process(os.getpid(), started(os.getpid()))
    monkeypatch.setattr(running, "started", refused)
    assert process.runs


def test_what_is_looked_at_no_more_keeps_no_descriptor():
    process = Process(os.getpid(), started(os.getpid()))
    descriptor = process.descriptor
    os.fstat(descriptor)
    del process
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
