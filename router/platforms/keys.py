"""Which keys open an endpoint?

I/O: one JSON file for each endpoint, in the clear, below the state directory; nobody but its owner may read it. The
router gets hashes only. A key is in no message and in no repr().
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.core.auth import KEY_RULE, hashed, is_key
from router.core.model import Endpoint, KeyHashes
from router.core.rules import is_name
from router.platforms import PlatformError

_LOCK_FILE = ".lock"


class Keys(Struct, frozen=True, rename="camel"):
    """Both open the endpoint; two, so that one can be replaced while clients use the other."""

    primary_key: str
    secondary_key: str

    def __repr__(self) -> str:
        return "Keys(primary_key=…, secondary_key=…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("primary_key", "…"), ("secondary_key", "…")]


class KeyStore:
    """The keys below `state_dir`, shared with other processes. Every method raises PlatformError."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "keys"

    def ensure(self, endpoint: str) -> Keys:
        """The endpoint's keys, new ones if it has none yet."""
        with self._locked():
            if self._file(endpoint).exists():
                return self.read(endpoint)
            keys = Keys(primary_key=secrets.token_urlsafe(32), secondary_key=secrets.token_urlsafe(32))
            self._write(endpoint, keys)
            return keys

    def read(self, endpoint: str) -> Keys:
        file = self._file(endpoint)
        try:
            keys = msgspec.json.decode(file.read_bytes(), type=Keys)
        except FileNotFoundError:
            raise PlatformError(
                f"{endpoint} has no keys in {self.folder} yet: they are made when it is first served; in a cluster "
                f"they are in a Secret: `kubectl get secret {endpoint.lower()}-keys -o yaml`"
            ) from None
        except OSError as error:
            raise PlatformError(f"{file} can't be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might hold a piece of a key
            raise PlatformError(_corrupt(file)) from None
        if not (is_key(keys.primary_key) and is_key(keys.secondary_key)):
            raise PlatformError(_corrupt(file))
        return keys

    def regenerate(self, endpoint: str, which: Literal["primary", "secondary"], value: str | None = None) -> Keys:
        """Replace one of the two, with a random key or with `value`, which must keep KEY_RULE."""
        if value is not None and not is_key(value):
            raise PlatformError(
                f"the {which} key given for {endpoint} has {len(value)} characters, but it must be {KEY_RULE}"
            )
        fresh = secrets.token_urlsafe(32) if value is None else value
        with self._locked():
            old = self.read(endpoint)
            keys = (
                Keys(primary_key=fresh, secondary_key=old.secondary_key)
                if which == "primary"
                else Keys(primary_key=old.primary_key, secondary_key=fresh)
            )
            self._write(endpoint, keys)
        return keys

    def hashes(self, endpoint: str) -> KeyHashes:
        keys = self.read(endpoint)
        return hashed(keys.primary_key, keys.secondary_key)

    def keyed(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the hashes of its keys, which are made if it wants keys and has none."""
        if endpoint.auth_mode != "key":
            return endpoint
        self.ensure(endpoint.name)
        return replace(endpoint, keys=self.hashes(endpoint.name))

    def _file(self, endpoint: str) -> Path:
        """A name can't lead out of the folder: it holds neither dots nor slashes."""
        if not is_name(endpoint):
            raise PlatformError(f"{endpoint!r} is not the name of an endpoint")
        return self.folder / f"{endpoint}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time reads and then writes."""
        try:
            for folder in (self.folder.parent, self.folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)  # it may have been there, open to others
            with (self.folder / _LOCK_FILE).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise PlatformError(f"{error.filename or self.folder} can't be used: {error.strerror}") from error

    def _write(self, endpoint: str, keys: Keys) -> None:
        """Whole or not at all: a reader or a power cut never meets half a file."""
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=f".{endpoint}.")  # with mode 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(keys) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._file(endpoint))
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def _corrupt(file: Path) -> str:
    return f"{file} does not hold two keys: put it back from a backup, or remove it and the endpoint gets new ones"
