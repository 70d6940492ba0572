"""What does the user want on this machine right now?

I/O: reads the endpoints file, the keys and the scale wishes, each again only when it changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from router.core.model import Addresses, Deployment, Endpoint, Process
from router.platforms import PlatformError
from router.platforms.endpoints_file import WatchedFile, load_endpoints
from router.platforms.keys import KeyStore
from router.platforms.local.state import ScaleWish, StateDirectory, Version, version

log = logging.getLogger("scoregate.supervisor")


class Declared:
    """`endpoints`, with the hashes of their keys; by deployment key `wished`, the number of replicas, and
    `leave_first`, uids of those that should leave first when it falls.

    Raises PlatformError for a file that can't be used, but only at first: a later one is refused with a
    line in the log, and the last good one stays.
    """

    def __init__(self, file: Path, state: StateDirectory) -> None:
        self._file = file
        self._watched = WatchedFile(file)
        self._state = state
        self._keys = KeyStore(state.path)
        self._read = _load(file)
        self.endpoints: tuple[Endpoint, ...] = ()
        self.wished: dict[str, int] = {}
        self.leave_first: dict[str, tuple[str, ...]] = {}
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
        if file_changed or versions != self._versions:
            self._versions = versions
            self.endpoints = tuple(self._with_keys(endpoint) for endpoint in self._read)
            self._take_in_wishes([d for endpoint in self._read for d in endpoint.deployments])

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
