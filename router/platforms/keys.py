"""Which keys open an endpoint?

I/O: one JSON file for each endpoint, in the clear, below the state directory; nobody but its owner may read it. The
router gets hashes only.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from router.core.keys import BadKey, Keys, checked
from router.core.model import Endpoint, KeyHashes
from router.core.rules import is_name
from router.platforms import PlatformError
from router.platforms.administration import Unknown
from router.platforms.private_files import locked, make_private_folder, write_whole

_LOCK_FILE = ".lock"


class KeyStore:
    """The keys below `state_dir`, shared with other processes. Every method raises PlatformError."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "keys"

    def ensure(self, endpoint: str) -> Keys:
        """The endpoint's keys, new ones if it has none yet: only then is anybody waited for."""
        self._close_folder()
        if self._file(endpoint).exists():
            return self.read(endpoint)
        with self._locked():
            if self._file(endpoint).exists():
                return self.read(endpoint)
            keys = Keys(primary_key=new_key(), secondary_key=new_key())
            self._write(endpoint, keys)
            return keys

    def read(self, endpoint: str) -> Keys:
        file = self._file(endpoint)
        try:
            return checked(msgspec.json.decode(file.read_bytes(), type=Keys))
        except FileNotFoundError:
            raise Unknown(
                f"{endpoint} has no keys in {self.folder} yet: they are made when it is first served; in a cluster "
                f"they are in a Secret: `kubectl get secret {endpoint.lower()}-keys -o yaml`"
            ) from None
        except OSError as error:
            raise PlatformError(f"{file} can't be read: {error.strerror}") from error
        except BadKey as error:
            raise PlatformError(_corrupt(file, f": {error}")) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might hold a piece of a key
            raise PlatformError(_corrupt(file)) from None

    def change(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys:
        """What `change` makes of the present keys; nobody else changes them meanwhile. Raises what it raises, and
        BadKey; then nothing was changed."""
        with self._locked():
            old = self.read(endpoint)
            keys = checked(change(old))
            if keys != old:
                self._write(endpoint, keys)
        return keys

    def hashes(self, endpoint: str) -> KeyHashes:
        return self.read(endpoint).hashes

    def keyed(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with the hashes of its keys, which are made if it takes keys and has none."""
        if not endpoint.accepts("key"):
            return endpoint
        return replace(endpoint, keys=self.ensure(endpoint.name).hashes)

    def _file(self, endpoint: str) -> Path:
        """A name can't lead out of the folder: it holds neither dots nor slashes."""
        if not is_name(endpoint):
            raise PlatformError(f"{endpoint!r} is not the name of an endpoint")
        return self.folder / f"{endpoint}.json"

    def _close_folder(self) -> None:
        make_private_folder(self.folder)
        try:
            self.folder.chmod(0o700)  # it may have been there, open to others
        except OSError as error:
            raise PlatformError(f"{self.folder} can't be used: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time reads and then writes."""
        self._close_folder()
        with locked(self.folder / _LOCK_FILE):
            yield

    def _write(self, endpoint: str, keys: Keys) -> None:
        write_whole(self._file(endpoint), msgspec.json.encode(keys) + b"\n", lasting=True)


def new_key() -> str:
    """One that nobody can guess."""
    return secrets.token_urlsafe(32)


def _corrupt(file: Path, why: str = "") -> str:
    return (
        f"{file} does not hold the keys of an endpoint{why}. Put it back from a backup, or remove it and the endpoint "
        "gets new ones"
    )
