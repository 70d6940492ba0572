"""How is a command run so that nothing of it is ever left behind?

I/O: a process group and its log file.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from router.platforms.local import guard


class ProcessGroup:
    """A command, all that it starts, and the guard (guard.py) that ends them when we do, however we end.

    `pid` is the guard's, and the id of the group and of its session.
    """

    def __init__(self, process: asyncio.subprocess.Process, grace_s: float) -> None:
        self.pid = process.pid
        self._process = process
        self._grace_s = grace_s

    @classmethod
    async def start(
        cls, command: Sequence[str], *, log: Path, grace_s: float, cwd: Path, env: Mapping[str, str]
    ) -> Self:
        """`grace_s` lies between SIGTERM and SIGKILL. Its output replaces what is in `log`.

        A command that can't be started says so there and ends with 127. Raises OSError for a missing `cwd`.
        """
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard.__file__, str(grace_s), *command),
                cwd=cwd,
                env=env,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process, grace_s)

    async def wait(self) -> int:
        """Its exit code, or 128 + the signal that ended it. What it left of its group has got SIGKILL by then."""
        code = await self._process.wait()
        self.kill()
        return code if code >= 0 else 128 - code

    async def end(self) -> None:
        """SIGTERM to the group, the grace, SIGKILL; returns as `wait` does."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the guard does the rest
        try:
            async with asyncio.timeout(self._grace_s + 1.0):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        """SIGKILL to the group, if there still is one."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
