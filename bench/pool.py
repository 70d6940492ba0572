"""How are many runs played on several cores, and ended together?

I/O: processes of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.pool import Pool
from typing import TypeVar

R = TypeVar("R")
S = TypeVar("S")


def played(
    play: Callable[[R], S], runs: Sequence[R], jobs: int, *, chunk: int = 1
) -> Generator[tuple[int, S], None, None]:
    """The number of a run, and what came of it, as they end; there is at least one run. `play` is a function of a
    module, and a run named by values alone, so that any process can play it. Ends its processes however it ends
    itself."""
    with _pool(min(jobs, len(runs))) as pool:  # leaving it terminates them
        yield from pool.imap_unordered(partial(_numbered, play), list(enumerate(runs)), chunksize=chunk)


def _numbered(play: Callable[[R], S], run: tuple[int, R]) -> tuple[int, S]:
    return run[0], play(run[1])


def _pool(jobs: int) -> Pool:
    resource_tracker.ensure_running()  # else the first start of a process does it, and unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # theirs from birth on: Ctrl-C is for this one
    try:
        return get_context("spawn").Pool(jobs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
