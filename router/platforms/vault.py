"""Where are the installation's own secrets on one machine?

I/O: one file for each entry in `vault/` below the state directory; nobody but its owner may read it.

What others may read is read nevertheless, with a warning: it may be known by now, but to refuse it would shut out every
client for something that only new secrets mend. What others may write is refused: it may be theirs. Each write takes
all that away.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from router.platforms import PlatformError
from router.platforms.administration import Conflict, Sealed, VaultName
from router.platforms.private_files import locked, make_private_folder, write_whole
from router.pulse import pulse

MAX_ENTRY_BYTES = 4 * 2**20
POLL_S = 0.2
_LOCK_FILE = ".lock"
_Seen = tuple[int, int, int, int] | None

log = logging.getLogger("scoregate.vault")


class FileVault:
    """A `Vault`, shared with other processes. An entry's version is a hash of what it holds."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "vault"
        self._warned: set[Path] = set()

    async def read(self, name: VaultName) -> Sealed | None:
        return await asyncio.to_thread(self._read, name)

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        await asyncio.to_thread(self._write, name, content, version)

    async def follow(self, name: VaultName) -> AsyncIterator[Sealed | None]:
        """While it can't be read and never was, it waits: that is not the same as none."""
        seen: list[_Seen] = []  # the last that was read, as _state told it
        told: list[Sealed | None] = []
        complaint, file = "", str(self._file(name))
        while True:
            state = _state(file)
            if seen != [state]:
                try:
                    sealed = await self.read(name)
                    seen, complaint = [state], ""
                except PlatformError as error:
                    if str(error) != complaint:
                        complaint = str(error)
                        log.error("%s; going on with what was read before", error)
                else:
                    if told != [sealed]:
                        told = [sealed]
                        yield sealed
            await pulse(POLL_S)

    def _file(self, name: VaultName) -> Path:
        return self.folder / name

    def _read(self, name: VaultName) -> Sealed | None:
        path = self._file(name)
        try:
            self._check_mode(self.folder, os.stat(self.folder).st_mode)
            content = self._content(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlatformError(f"{path} can't be read: {error.strerror}") from error
        if len(content) > MAX_ENTRY_BYTES:
            raise PlatformError(f"{path} has more than {MAX_ENTRY_BYTES} bytes: it is not Scoregate's")
        return Sealed(content, hashlib.sha256(content).hexdigest()[:32])

    def _content(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise PlatformError(f"{path} can't be read: it is not a file")
            self._check_mode(path, mode)
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_ENTRY_BYTES + 1)
        finally:
            os.close(descriptor)

    def _check_mode(self, path: Path, mode: int) -> None:
        way = f"only their owner may use them: `chmod -R go= {self.folder}`"
        if mode & stat.S_IWOTH:
            raise PlatformError(f"{path} can be written by everybody, so it may hold somebody else's secrets; {way}")
        if mode & (stat.S_IRWXG | stat.S_IRWXO) and path not in self._warned:
            self._warned.add(path)
            log.warning("%s is open to others than its owner, who may know what it holds; %s", path, way)

    def _write(self, name: VaultName, content: bytes, version: str | None) -> None:
        if len(content) > MAX_ENTRY_BYTES:
            raise PlatformError(f"{name} has {len(content)} bytes, but the vault takes at most {MAX_ENTRY_BYTES}")
        make_private_folder(self.folder)
        try:
            self.folder.chmod(0o700)
        except OSError as error:
            raise PlatformError(f"{self.folder} can't be used: {error.strerror}") from error
        with locked(self.folder / _LOCK_FILE):
            present = self._read(name)
            if (present.version if present is not None else None) != version:
                raise Conflict(f"{name} in {self.folder} was changed meanwhile: read it again")
            write_whole(self._file(name), content, lasting=True)


def _state(file: str) -> _Seen:
    """Differs after each change. One that can't be looked at is as one that isn't there: reading it tells more."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
