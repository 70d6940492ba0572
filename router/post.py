"""What does a router process share with the others of its machine or Pod?

I/O: none itself. The command line says so for a router that is the only one, its parent (workers/) for a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from router.config import RouterConfig
from router.core.tally import Ledger, Memory
from router.ledger import LEDGERS, FileLedger, Totals
from router.listening.sockets import Descriptors, Sockets, bound_sockets, inherited_sockets


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a worker has in common with the others."""

    totals: Totals
    access_log_lock: Path
    descriptors: Descriptors
    parent: int
    """Its process id."""

    def processes(self) -> Sequence[int]:
        """Ids of the workers that were the last in their places."""
        return self.totals.pids()


@dataclass(frozen=True, kw_only=True)
class Post:
    """A place among workers. `shared` is None for a router that is the only one."""

    index: int
    ledger: Ledger
    shared: Shared | None

    def sockets(self, config: RouterConfig) -> AbstractContextManager[Sockets]:
        """Raises ConfigError."""
        return bound_sockets(config) if self.shared is None else inherited_sockets(self.shared.descriptors)


def only() -> Post:
    return Post(index=0, ledger=Memory(), shared=None)


def worker(index: int, state_dir: Path, descriptors: Descriptors, parent: int) -> Post:
    """Raises OSError, PlatformError where its ledger can't be written."""
    folder = state_dir.absolute() / LEDGERS
    ledger = FileLedger(folder, str(index))
    lock = folder.with_name("access-log.lock")
    shared = Shared(totals=Totals(folder), access_log_lock=lock, descriptors=descriptors, parent=parent)
    return Post(index=index, ledger=ledger, shared=shared)
