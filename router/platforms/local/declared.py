"""What does the user want on this machine right now?

I/O: reads the endpoints file, the keys, the scale wishes and what is set by hand, each again only when it changed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from router.core.model import Addresses, Deployment, Endpoint, Hold, Process
from router.platforms import PlatformError
from router.platforms.by_hand import ByHandFile, standing, with_weights
from router.platforms.endpoints_file import WatchedFile, load_endpoints
from router.platforms.keys import KeyStore
from router.platforms.local.state import ScaleWish, StateDirectory
from router.platforms.private_files import Version, version

log = logging.getLogger("scoregate.supervisor")


class Declared:
    """`endpoints`, with the hashes of their keys and the traffic set by hand; by deployment key `wished`, the number of
    replicas, `leave_first`, uids of those that should leave first when it falls, and `holds`; `drained`, uids of those
    that take nothing new.

    Raises PlatformError for a file that can't be used, but only at first: a later one is refused with a
    line in the log, and the last good one stays.
    """

    def __init__(self, file: Path, state: StateDirectory) -> None:
        self._file = file
        self._watched = WatchedFile(file)
        self._state = state
        self._keys = KeyStore(state.path)
        self._by_hand = ByHandFile(state.path)
        self._read = _load(file)
        self.endpoints: tuple[Endpoint, ...] = ()
        self.wished: dict[str, int] = {}
        self.leave_first: dict[str, tuple[str, ...]] = {}
        self.holds: dict[str, Hold] = {}
        self.drained: frozenset[str] = frozenset()
        self._versions: list[Version | None] = []
        self.look()

    def look(self) -> None:
        """Take in what changed since the last look."""
        file_changed = self._watched.settled()
        if file_changed:
            try:
                self._read = _load(self._file)
            except PlatformError as error:
                log.error("%s\nrefused: the last good one stays in force", error)
        versions = [version(path) for path in self._beside()]
        if self._by_hand.look() or file_changed or versions != self._versions:
            self._versions = versions
            hand, deployments = self._by_hand.present, [d for endpoint in self._read for d in endpoint.deployments]
            self.endpoints = tuple(with_weights(self._with_keys(endpoint), hand) for endpoint in self._read)
            self._take_in_wishes(deployments)
            scaled = {deployment.key for deployment in deployments if deployment.scale is not None}
            self.holds = {key: hold for key, hold in hand.holds.items() if key in scaled}
            self.drained = frozenset(hand.drained)

    def tidy(self, living: Collection[str], now_s: float) -> None:
        """Take away what was set by hand and stands no more. `living`: uids of all replicas; `now_s`: since the
        epoch."""

        def is_gone(replica: str) -> bool:
            return "@" not in replica and replica not in living  # with an address it is none of this machine's own

        self._by_hand.tidy(lambda hand: standing(hand, self._read, is_gone, now_s))

    def _beside(self) -> Iterator[Path]:
        """The files that count beside the endpoints file, whether they exist or not."""
        for endpoint in self._read:
            yield self._keys.folder / f"{endpoint.name}.json"
            for deployment in endpoint.deployments:
                yield self._state.wish_file(endpoint.name, deployment.name)

    def _with_keys(self, endpoint: Endpoint) -> Endpoint:
        try:
            return self._keys.keyed(endpoint)
        except PlatformError as error:
            log.error("%s; the last known keys of %s stay valid", error, endpoint.name)
            known = [known.keys for known in self.endpoints if known.name == endpoint.name]
            return replace(endpoint, keys=known[0] if known else None)

    def _take_in_wishes(self, deployments: Sequence[Deployment]) -> None:
        wishes = {deployment.key: self._wish(deployment) for deployment in deployments}
        self.wished = {deployment.key: self._count(deployment, wishes[deployment.key]) for deployment in deployments}
        self.leave_first = {key: wish.leave_first for key, wish in wishes.items() if wish is not None}

    def _wish(self, deployment: Deployment) -> ScaleWish | None:
        """One for a fixed number of replicas stands until the file says another `instanceCount`."""
        try:
            wish = self._state.read_wish(deployment.endpoint, deployment.name)
        except PlatformError as error:
            log.error("%s; the last wish stays in force", error)
            last = self.wished.get(deployment.key)
            return None if last is None else ScaleWish(last, deployment.instance_count)
        if wish is not None and deployment.scale is None and wish.instance_count != deployment.instance_count:
            self._state.remove_wish(deployment.endpoint, deployment.name)
            return None
        return wish

    def _count(self, deployment: Deployment, wish: ScaleWish | None) -> int:
        """Without a wish, one that scales has its fewest, or what it has had so far: an edit of the file ends none."""
        if deployment.scale is None:
            return deployment.instance_count if wish is None else wish.replicas
        return deployment.allowed(self.wished.get(deployment.key, 0) if wish is None else wish.replicas)


def process_of(deployment: Deployment) -> Process:
    """Raises PlatformError for a deployment that isn't a process of this machine."""
    if isinstance(deployment.workload, Process):
        return deployment.workload
    if isinstance(deployment.workload, Addresses):
        way, platform = "addresses", "static"
    else:
        way, platform = "a workload", "kubernetes"
    raise PlatformError(
        f"{deployment.key} has {way}: `scoregate up` runs processes only; "
        f"use `scoregate router --platform {platform}` for replicas that run elsewhere"
    )


def _load(file: Path) -> tuple[Endpoint, ...]:
    endpoints = load_endpoints(file)
    for endpoint in endpoints:
        for deployment in endpoint.deployments:
            process_of(deployment)
    return endpoints
