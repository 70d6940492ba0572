"""How does a router follow the replicas that run on its own machine?

I/O: the state directory. A supervisor (supervisor.py) writes the snapshot there; this end follows it and
leaves wishes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from router.core.model import Deployment, Instance, Snapshot
from router.platforms import UP_TO_DATE, PlatformError, Standing
from router.platforms.file_administration import FileAdministration
from router.platforms.local.instances import LivingInstances
from router.platforms.local.leader import leadership
from router.platforms.local.state import ScaleWish, StateDirectory, own_id
from router.platforms.private_files import Version
from router.platforms.sizing import FileSizing
from router.pulse import pulse

POLL_S = 0.05

log = logging.getLogger("scoregate.platform")


class LocalPlatform:
    """Platform of one machine. It needs no supervisor to start or to go on: it serves what it last knew."""

    def __init__(self, state_dir: Path) -> None:
        self._state = StateDirectory(state_dir)
        self.administration = FileAdministration(self._state.path, self._published, self._followed)
        self.sizing = FileSizing(self._state.path, lambda: len(self._state.living_routers()))
        self._told: Snapshot | None = None
        """The newest that any watch gave."""
        self._watches = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def watch(self) -> AsyncIterator[Snapshot]:
        read: Version | None = None
        seen: tuple[Snapshot | None, tuple[Instance, ...]] = None, ()
        known: Snapshot | None = None
        told: Snapshot | None = None
        instances = LivingInstances(self._state)
        if self._state.snapshot_version() is None:
            log.warning("no supervisor in %s yet, start one with `scoregate up FILE`", self._state.path)
        self._watches += 1
        try:
            while True:
                version = self._state.snapshot_version()
                if version is not None and version != read:
                    read = version
                    known = self._read() or known
                living = instances.look()
                if known is not None and (known is not seen[0] or living is not seen[1]):
                    seen = known, living
                    snapshot = replace(known, instances=living)
                    if snapshot != told:
                        told = self._told = snapshot
                        yield snapshot
                await pulse(POLL_S)
        finally:
            self._watches -= 1

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        if replicas < 0:
            raise PlatformError(f"{endpoint}/{deployment} can't have {replicas} replicas: 0 is the fewest")
        present = self._deployment(endpoint, deployment)
        known = _deployments(self._told).get(present.key, present)
        if known.scale is not None and present.scale is None:
            # A wish now would hold the fixed number at what was meant for a load.
            raise PlatformError(f"{present.key} has a fixed number of replicas now: its scaleSettings were removed")
        made_under = present.instance_count if present.scale is None else None
        self._state.write_wish(endpoint, deployment, ScaleWish(replicas, made_under, tuple(leave_first)))

    def leadership(self) -> AsyncIterator[bool]:
        return leadership(self._state.autoscaler_lock())

    async def drained(self, uid: str) -> None:
        """Tell the supervisor; once all routers that live have, it stops the replica."""
        self._state.note_drained(uid, self.own_instance)

    @property
    def own_instance(self) -> str:
        return own_id()

    def standing(self) -> Standing:
        """A directory is read at any time; a supervisor that is gone leaves nothing newer to know."""
        return UP_TO_DATE

    def note_utilization(self, ratios: Mapping[str, float]) -> None:
        """`scoregate status` asks the router itself."""

    def _read(self) -> Snapshot | None:
        try:
            return self._state.read_snapshot()
        except PlatformError as error:
            log.error("%s; going on with the last good one", error)
            return None

    def _published(self) -> Snapshot:
        """By the supervisor, just now."""
        snapshot = self._state.read_snapshot()
        if snapshot is None:
            raise PlatformError(f"no supervisor in {self._state.path}: start one with `scoregate up FILE`")
        return snapshot

    def _followed(self) -> Snapshot:
        """What whoever watches here was told last, while anybody does."""
        return self._told if self._told is not None and self._watches else self._published()

    def _deployment(self, endpoint: str, name: str) -> Deployment:
        known = _deployments(self._published())
        key = f"{endpoint}/{name}"
        if key not in known:
            raise PlatformError(f"there is no deployment {key}; known: {', '.join(known) or 'none'}")
        return known[key]


def _deployments(snapshot: Snapshot | None) -> dict[str, Deployment]:
    return {d.key: d for e in snapshot.endpoints for d in e.deployments} if snapshot is not None else {}
