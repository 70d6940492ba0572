"""What lies in a state directory, and how is it read and written?

I/O: files below one directory, readable by their owner only.

    supervisor.lock                    held, and signed with its pid, by the one supervisor
    autoscaler.lock                    held by the one autoscaler that may scale
    snapshot.json                      all endpoints and replicas: the supervisor writes, routers follow
    scale/<endpoint>.<deployment>.json a wished number of replicas
    by-hand.json                       what an administrator set: see by_hand.py
    drained/<uid>/<id>                 a router's word that a leaving replica has no request of its any more
    routers/<id>.json                  where a router process listens, for each one that lives
    peers/<id>.sock                    where it answers the others of this machine
    workers.json                       a wished number of them: see workers/parent.py
    ledgers/                           what workers count: see ledger.py
    keys/, vault/                      see keys.py, vault.py
    decisions/                         what the autoscaler decided, and why: the autoscaler's own
    logs/                              what replicas and the router print

Every file is replaced whole, so a reader sees the old one or the new one, never half.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from router.core.model import Snapshot
from router.platforms import PlatformError
from router.platforms.local.running import started, still_runs
from router.platforms.private_files import Version, make_private_folder, version, write_whole

T = TypeVar("T")
LOGS_KEPT = 20
"""Log files kept per deployment, those of living replicas not counted."""


class ScaleWish(msgspec.Struct, frozen=True, rename="camel"):
    """A wish for a number of replicas."""

    replicas: int
    instance_count: int | None
    """What the file said when it was made; a fixed number of replicas follows the wish while it still does. None
    where it was made under scale settings."""
    leave_first: tuple[str, ...] = ()
    """Uids in the order in which these should leave when the number falls."""


class RouterPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a router process listens, and which process it is."""

    id: str
    """No other process has it, nor ever had."""
    index: int = 0
    """Which worker it is. Whoever takes the place of one that died has its number."""
    pid: int
    started: int
    """When the process did, in clock ticks since the machine did: it tells it from another with the same `pid`."""
    public: str
    admin: str
    peer: str = ""
    socket: str = ""

    @property
    def lives(self) -> bool:
        return still_runs(self.pid, self.started)


def own_place(*, public: str, admin: str, peer: str = "", index: int = 0, socket: str = "") -> RouterPlace:
    """Of this process."""
    pid = os.getpid()
    return RouterPlace(
        id=own_id(),
        index=index,
        pid=pid,
        started=started(pid) or 0,
        public=public,
        admin=admin,
        peer=peer,
        socket=socket,
    )


def own_id() -> str:
    """Under which this process is a router of its machine, if it is one."""
    pid = os.getpid()
    return f"{pid}-{started(pid) or 0}"


class StateDirectory:
    """Folders appear, with mode 0700, when something is first written to them. Reading creates nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self._snapshot = self.path / "snapshot.json"
        self._routers = self.path / "routers"
        self._scale = self.path / "scale"
        self._drained = self.path / "drained"
        self._autoscaler_lock = self.path / "autoscaler.lock"

    def snapshot_version(self) -> Version | None:
        return version(self._snapshot)

    def read_snapshot(self) -> Snapshot | None:
        """None when there is none. Raises PlatformError when it can't be read."""
        return _read(self._snapshot, Snapshot)

    def write_snapshot(self, snapshot: Snapshot) -> None:
        write_whole(self._snapshot, msgspec.json.encode(snapshot))

    def remove_snapshot(self) -> None:
        self._snapshot.unlink(missing_ok=True)

    def wish_file(self, endpoint: str, deployment: str) -> Path:
        return self._scale / f"{endpoint}.{deployment}.json"

    def read_wish(self, endpoint: str, deployment: str) -> ScaleWish | None:
        return _read(self.wish_file(endpoint, deployment), ScaleWish)

    def write_wish(self, endpoint: str, deployment: str, wish: ScaleWish) -> None:
        write_whole(self.wish_file(endpoint, deployment), msgspec.json.encode(wish))

    def remove_wish(self, endpoint: str, deployment: str) -> None:
        self.wish_file(endpoint, deployment).unlink(missing_ok=True)

    def write_router(self, place: RouterPlace) -> None:
        """Those that ended without a word are forgotten, too. Raises PlatformError."""
        for other, file in self._places():
            if not other.lives:
                file.unlink(missing_ok=True)
                if other.socket:
                    Path(other.socket).unlink(missing_ok=True)
        write_whole(self._routers / f"{place.id}.json", msgspec.json.encode(place))

    def remove_router(self, id: str) -> None:
        """At its clean end. Where that fails, its process will say that it is gone."""
        with suppress(OSError):
            (self._routers / f"{id}.json").unlink()

    def routers_version(self) -> frozenset[tuple[str, int]]:
        """Differs once a router was written or removed. Reads no file: it is asked many times a second."""
        try:
            with os.scandir(self._routers) as entries:
                return frozenset((each.name, each.inode()) for each in entries if each.name.endswith(".json"))
        except FileNotFoundError:
            return frozenset()

    def routers(self) -> list[RouterPlace]:
        """By their numbers; also those that ended without a word. What can't be read says of no router where it is."""
        return sorted((place for place, _ in self._places()), key=lambda each: (each.index, each.id))

    def living_routers(self) -> list[RouterPlace]:
        """By their numbers."""
        return [place for place in self.routers() if place.lives]

    def a_router(self) -> RouterPlace | None:
        """One that lives, for who may ask any of them; None where none does."""
        return next(iter(self.living_routers()), None)

    def is_drained(self, uid: str) -> bool:
        """Whether each router that lives has said so. Where none lives, nobody has requests."""
        told = self._drained / uid
        return all((told / place.id).exists() for place in self.living_routers())

    def note_drained(self, uid: str, router: str) -> None:
        """`router`: the id of who says so."""
        write_whole(self._drained / uid / router, b"")

    def forget_every_drained(self) -> None:
        for word in self._drained.glob("*"):
            shutil.rmtree(word, ignore_errors=True)

    def forget_drained(self, uid: str) -> None:
        shutil.rmtree(self._drained / uid, ignore_errors=True)

    def _places(self) -> Iterator[tuple[RouterPlace, Path]]:
        for file in self._routers.glob("*.json"):
            with suppress(PlatformError):
                if (place := _read(file, RouterPlace)) is not None:
                    yield place, file

    def log_of(self, endpoint: str, deployment: str, uid: str) -> Path:
        make_private_folder(self.logs)
        return self.logs / f"{endpoint}.{deployment}.{uid}.log"

    def log_of_router(self) -> Path:
        make_private_folder(self.logs)
        return self.logs / "router.log"

    def drop_old_logs(self, endpoint: str, deployment: str, living: set[Path]) -> None:
        """Keep the youngest LOGS_KEPT of this deployment, and those of living replicas."""
        past = [log for log in self.logs.glob(f"{endpoint}.{deployment}.*.log") if log not in living]
        past.sort(key=lambda log: log.stat().st_mtime_ns)
        for log in past[:-LOGS_KEPT]:
            log.unlink()

    def autoscaler_lock(self) -> Path:
        """The file; it need not exist, its folder does."""
        make_private_folder(self.path)
        return self._autoscaler_lock

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only supervisor of this directory. Raises PlatformError when another one is.

        The lock dies with its holder, however that ends.
        """
        make_private_folder(self.path)
        path = self.path / "supervisor.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise PlatformError(f"{path} can't be opened: {error.strerror}. Choose another --state-dir.") from error
        with os.fdopen(descriptor, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = path.read_text().strip() or "unknown"
                raise PlatformError(
                    f"{self.path} already has a supervisor, process {holder}: "
                    "stop it first, or give another --state-dir"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield


def end_of_log(log: Path, lines: int = 1) -> list[str]:
    """The last lines that say something, without terminal control characters; none when there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    said = [re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]", " ", line).rstrip() for line in text.splitlines()]
    return [line for line in said if line][-lines:]


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path} can't be read: {error}") from error
