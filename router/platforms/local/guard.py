"""How does a replica end together with the supervisor that started it?

I/O: one child process, its process group, and standard input.

Run as `python guard.py GRACE_S COMMAND...`, as the leader of a process group. It starts the command in that
group and waits for the first of two: the command ends, then so does the guard, with its exit code; or
standard input ends, because the supervisor closed it or is gone, even by SIGKILL. Then the whole group gets
SIGTERM, the grace, SIGKILL. It imports nothing of Scoregate, so that it starts in milliseconds and is small.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def run(grace_s: float, command: list[str]) -> int:
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"can't start {command[0]}: {error.strerror}\n")
        return 127
    ended = os.pidfd_open(child.pid)
    readable, _, _ = select.select([ended, sys.stdin], [], [])
    if ended not in readable:
        _end_group(ended, grace_s)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_group(ended: int, grace_s: float) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    select.select([ended], [], [], grace_s)
    # What the command left behind, its workers say, goes too; and so does the guard.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run(float(sys.argv[1]), sys.argv[2:]))
