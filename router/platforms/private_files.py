"""How is a file written that only its owner may read?

I/O: files and folders, one lock file. Whole or not at all: a reader or a power cut never meets half a file.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from router.platforms import PlatformError

LOCKED_WITHIN_S = 10.0
_LOOK_S = 0.005

Version = tuple[int, int, int]
"""mtime_ns, size, inode: differs whenever a file was replaced."""


def version(path: Path) -> Version | None:
    """None when the file isn't there."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def write_whole(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """In the place of what is there, with mode 0600 whatever the umask. `lasting`: a power cut right after this
    returned does not undo it. Raises PlatformError."""
    make_private_folder(path.parent)
    try:
        # mkstemp gives mode 0600 and a name nobody else writes to
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                if lasting:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        if lasting:
            _sync_folder(path.parent)
    except OSError as error:
        raise PlatformError(f"{path} can't be written: {error.strerror}") from error


def make_private_folder(folder: Path) -> None:
    """It and those above it, with mode 0700; one that is there stays as it is. Raises PlatformError."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise PlatformError(f"{folder} can't be made: {error.strerror}. Choose another --state-dir.") from error


@contextmanager
def locked(lock: Path, within_s: float = LOCKED_WITHIN_S) -> Iterator[None]:
    """One process at a time; others wait, so long. The lock dies with its holder. Raises PlatformError, also where
    somebody holds it for longer: who is stopped, or waits for its disk, stops nobody else."""
    make_private_folder(lock.parent)
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlatformError(f"{lock} can't be opened: {error.strerror}") from error
    try:
        _take(descriptor, lock, within_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, lock: Path, within_s: float) -> None:
    give_up_s = time.monotonic() + within_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_s:
                raise PlatformError(f"{lock} is held by another process") from None
        except OSError as error:
            raise PlatformError(f"{lock} can't be locked: {error.strerror}") from error
        time.sleep(_LOOK_S)


def _sync_folder(folder: Path) -> None:
    """What is renamed is only in the folder, which is written back in its own time otherwise."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
