"""What does the user want on this machine right now?

I/O: reads the endpoints file, the keys and the scale wishes, each again only when it changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from router.core.model import Deployment, Endpoint, Process
from router.platforms import PlatformError
from router.platforms.endpoints_file import WatchedFile, load_endpoints
from router.platforms.keys import KeyStore
from router.platforms.local.state import StateDirectory, Version, version

log = logging.getLogger("scoregate.supervisor")


class Declared:
    """`endpoints`, with the hashes of their keys, and `wished`, the number of replicas by deployment key.

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
            self.wished = {d.key: self._wish(d) for endpoint in self._read for d in endpoint.deployments}

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

    def _wish(self, deployment: Deployment) -> int:
        """A wish stands until the file says another `instanceCount`."""
        try:
            wish = self._state.read_wish(deployment.endpoint, deployment.name)
        except PlatformError as error:
            log.error("%s; the last wish stays in force", error)
            return self.wished.get(deployment.key, deployment.instance_count)
        if wish is None:
            return deployment.instance_count
        if wish.instance_count != deployment.instance_count:
            self._state.remove_wish(deployment.endpoint, deployment.name)
            return deployment.instance_count
        return wish.replicas


def process_of(deployment: Deployment) -> Process:
    """Raises PlatformError for a deployment that isn't a process of this machine."""
    if isinstance(deployment.workload, Process):
        return deployment.workload
    raise PlatformError(
        f"{deployment.key} has addresses: `scoregate up` runs processes only; "
        "use `scoregate router --platform static` for replicas that run elsewhere"
    )


def _load(file: Path) -> tuple[Endpoint, ...]:
    endpoints = load_endpoints(file)
    for endpoint in endpoints:
        for deployment in endpoint.deployments:
            process_of(deployment)
    return endpoints
