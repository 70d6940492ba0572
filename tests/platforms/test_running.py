"""running.py: a process is told from another one that has its id, and from one that has ended."""

import os
import subprocess
import sys

from router.platforms.local.running import age_s, started, still_runs


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
