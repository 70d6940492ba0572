"""Where does a test say that a router listens?

I/O: a state directory of the test's, /proc.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from router.platforms.local.running import started
from router.platforms.local.state import RouterPlace


def a_place(admin: str = "http://a", public: str = "http://b", *, pid: int | None = None, **more: Any) -> RouterPlace:
    """Of this process, unless it is told of another one that runs."""
    pid = os.getpid() if pid is None else pid
    ticks = more.pop("started", None) or started(pid) or 0
    return RouterPlace(
        **{"id": f"{pid}-{ticks}", "pid": pid, "started": ticks, "public": public, "admin": admin, **more}
    )


def an_ended_place(admin: str = "http://a", public: str = "http://b", **more: Any) -> RouterPlace:
    """Of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    place = a_place(admin, public, pid=process.pid, **more)
    process.wait()
    return place
