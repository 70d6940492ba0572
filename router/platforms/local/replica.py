"""How does a deployment's command become a replica process?

I/O: a process group and its log file.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from router.core.model import Deployment, Process
from router.platforms.local.group import ProcessGroup
from router.platforms.local.state import StateDirectory, end_of_log

GRACE_S = 5.0
"""Between SIGTERM and SIGKILL."""


class ReplicaProcess:
    """One process group under one uid, which no other process ever gets."""

    def __init__(self, uid: str, port: int, log: Path, group: ProcessGroup) -> None:
        self.uid = uid
        self.port = port
        self.log = log
        self.group = group

    @classmethod
    async def start(
        cls, deployment: Deployment, process: Process, folder: Path, port: int, state: StateDirectory
    ) -> Self:
        """`folder` is that of the endpoints file. Raises OSError for a working directory that isn't there."""
        uid = f"{deployment.name}-{secrets.token_hex(6)}"
        log = state.log_of(deployment.endpoint, deployment.name, uid)
        values = {"PORT": str(port), "PYTHON": sys.executable}
        own = {name: substitute(value, values) for name, value in process.env.items()}
        group = await ProcessGroup.start(
            [substitute(word, values) for word in process.command],
            log=log,
            grace_s=GRACE_S,
            cwd=folder / (process.working_dir or ""),
            env={**os.environ, **own, "PORT": str(port)},
        )
        return cls(uid, port, log, group)

    def last_words(self) -> str:
        """Where its log is and what it says last, for a message about its failure."""
        line = end_of_log(self.log)
        return f"its log {self.log} ends with: {line[0]}" if line else f"its log {self.log} is empty"


def substitute(word: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value; names that aren't known stay as they are, as in Kubernetes."""
    for name, value in values.items():
        word = word.replace(f"$({name})", value)
    return word
