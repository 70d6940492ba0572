"""Which replicas are there, and what have they cost?

Pure. One deployment's replicas on virtual time. Each costs from the moment it is asked for until it is gone: while it
starts, while it is unwell, and while it finishes what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from msgspec.structs import replace

from router.core.model import Replica

DEPLOYMENT = "sim/sim"


class Replicas:
    """In the order in which they were asked for. `now` never goes back."""

    def __init__(self) -> None:
        self._there: dict[str, Replica] = {}
        self._numbers = count()
        self._seconds = 0.0
        self._counted_at = 0.0

    def __len__(self) -> int:
        return len(self._there)

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._there.values())

    def __contains__(self, uid: str) -> bool:
        return uid in self._there

    def seconds(self, now: float) -> float:
        """Of all replicas so far, summed up."""
        self._seconds += (now - self._counted_at) * len(self._there)
        self._counted_at = now
        return self._seconds

    def add(self, now: float, *, ready: bool) -> str:
        """The uid of the new one."""
        self.seconds(now)
        uid = f"r{next(self._numbers)}"
        self._there[uid] = Replica(uid=uid, deployment=DEPLOYMENT, host="127.0.0.1", port=1, ready=ready)
        return uid

    def turn(self, uid: str, *, ready: bool) -> None:
        self._there[uid] = replace(self._there[uid], ready=ready)

    def leave(self, uid: str) -> None:
        self._there[uid] = replace(self._there[uid], leaving=True)

    def is_leaving(self, uid: str) -> bool:
        """False for one that is gone."""
        return uid in self._there and self._there[uid].leaving

    def forget(self, uid: str, now: float) -> None:
        self.seconds(now)
        del self._there[uid]

    def staying(self) -> list[Replica]:
        return [each for each in self._there.values() if not each.leaving]

    def first_ready(self) -> str | None:
        return next((each.uid for each in self._there.values() if each.ready and not each.leaving), None)
