"""Which process of this machine may scale?

I/O: a lock on one file. The kernel gives it back when its holder ends, however that goes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from router.platforms import PlatformError

RETRY_S = 0.5


async def leadership(file: Path) -> AsyncIterator[bool]:
    """Whether this process leads, at once and then after each change. Closing the iterator gives the lead back.

    Raises PlatformError for a file that can't be opened; its folder must exist.
    """
    told: bool | None = None
    while True:
        descriptor = _open(file)
        try:
            while _holds(descriptor, file):
                if told is not True:
                    told = True
                    yield True
                await asyncio.sleep(RETRY_S)
        finally:
            os.close(descriptor)
        if told is not False:
            told = False
            yield False
        await asyncio.sleep(RETRY_S)


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PlatformError(f"{file} can't be opened: {error.strerror}") from error


def _holds(descriptor: int, file: Path) -> bool:
    """Takes the lock if it is free. One on a file that was removed is worth nothing: another could lock the next."""
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    return False
