"""What would the router do if the platform said this?

I/O: none. A platform that is told what to say, for tests and simulation; other platforms publish through one, too.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from router.core.model import Replica, Snapshot
from router.platforms import UP_TO_DATE, PlatformError, Standing
from router.platforms.memory_administration import MemoryAdministration
from router.platforms.sizing import RouterSize, RouterStand

_NO_SNAPSHOT = Snapshot()


class MemorySizing:
    """`present` is what it says, and has the size that it was last asked for."""

    def __init__(self) -> None:
        self.present = RouterStand(RouterSize())

    async def stand(self) -> RouterStand:
        return self.present

    async def resize(self, size: RouterSize) -> None:
        self.present = self.present._replace(size=size)


class MemoryPlatform:
    """`scaled` is the last wish by deployment key, as it was made; in the snapshot it is within bounds. `stands` is
    what it says of itself, `utilization` what it was told, `own_instance` the id of this process among those that are
    published.

    Replicas that `scale` adds are not ready, and have an address that says nothing; replicas that it takes away are
    leaving, and gone once drained: those first that an administrator drained, who stay otherwise, then the unready,
    then those named, then the youngest. To make them ready is up to who publishes. All who ask lead, until they are
    told otherwise.
    """

    def __init__(self, snapshot: Snapshot = _NO_SNAPSHOT) -> None:
        self.snapshot = snapshot
        self.scaled: dict[str, int] = {}
        self.stands = UP_TO_DATE
        self.utilization: dict[str, float] = {}
        self.own_instance = ""
        self.administration = MemoryAdministration(self)
        self.sizing = MemorySizing()
        self._leads = True
        self._changed = asyncio.Event()
        self._uids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def publish(self, snapshot: Snapshot) -> None:
        """Nothing happens if it equals the present one."""
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            self._wake()

    def lead(self, leads: bool) -> None:
        """From now on this process may scale, or may not."""
        self._leads = leads
        self._wake()

    async def leadership(self) -> AsyncIterator[bool]:
        told: bool | None = None
        while True:
            changed = self._changed
            if self._leads != told:
                told = self._leads
                yield told
            await changed.wait()

    async def watch(self) -> AsyncIterator[Snapshot]:
        """The present snapshot at once, then each time the newest: one who is slow misses those between."""
        seen: Snapshot | None = None
        while True:
            changed = self._changed
            if self.snapshot != seen:
                seen = self.snapshot
                yield seen
            await changed.wait()

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        key = f"{endpoint}/{deployment}"
        known = {each.key: each for e in self.snapshot.endpoints for each in e.deployments}
        if key not in known:
            raise PlatformError(f"there is no deployment {key} to scale")
        if replicas < 0:
            raise PlatformError(f"{key} can't have {replicas} replicas: 0 is the fewest")
        self.scaled[key] = replicas
        wished = known[key].allowed(replicas) if known[key].scale else replicas
        staying = [each for each in self.snapshot.replicas if each.deployment == key and not self._leaves(each)]
        spare = _first_to_leave(staying, leave_first)[: max(0, len(staying) - wished)]
        self.administration.drained -= {each.uid for each in spare}
        kept = [replace(each, leaving=True) if each in spare else each for each in self.snapshot.replicas]
        added = [self._starting(key) for _ in range(wished - len(staying))]
        all_wished = {**self.snapshot.wished, key: wished}
        self.publish(replace(self.snapshot, replicas=(*kept, *added), wished=all_wished))

    async def drained(self, uid: str) -> None:
        gone = [each for each in self.snapshot.replicas if each.uid == uid and self._leaves(each)]
        replicas = tuple(each for each in self.snapshot.replicas if each not in gone)
        self.publish(replace(self.snapshot, replicas=replicas))

    def standing(self) -> Standing:
        return self.stands

    def note_utilization(self, ratios: Mapping[str, float]) -> None:
        self.utilization = dict(ratios)

    def _leaves(self, replica: Replica) -> bool:
        """For good, and not by hand."""
        return replica.leaving and replica.uid not in self.administration.drained

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _starting(self, key: str) -> Replica:
        uid = f"{key}#memory-{next(self._uids)}"
        return Replica(uid=uid, deployment=key, host="127.0.0.1", port=5001, ready=False)


def _first_to_leave(replicas: Sequence[Replica], leave_first: Sequence[str]) -> list[Replica]:
    """`replicas` come oldest first."""
    turns = {uid: turn for turn, uid in enumerate(leave_first)}
    return sorted(reversed(replicas), key=lambda each: (not each.leaving, each.ready, turns.get(each.uid, len(turns))))
