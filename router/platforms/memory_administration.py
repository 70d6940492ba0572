"""What does administration change where everything is in memory?

I/O: none. For tests and simulation: it publishes snapshots through the platform that it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from router.core.keys import Keys, checked
from router.core.model import Endpoint, Hold, Snapshot
from router.platforms.administration import Conflict, Sealed, Unknown, VaultName
from router.platforms.asked import (
    check_hold,
    check_present,
    deployment_of,
    endpoint_of,
    keyed_endpoint_of,
    replica_of,
    whole_traffic,
)


class Published(Protocol):
    """The platform, as far as administration needs it."""

    @property
    def snapshot(self) -> Snapshot: ...

    def publish(self, snapshot: Snapshot) -> None: ...


class MemoryVault:
    def __init__(self) -> None:
        self._entries: dict[str, Sealed] = {}
        self._changed = asyncio.Event()

    async def read(self, name: VaultName) -> Sealed | None:
        return self._entries.get(name)

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        present = self._entries.get(name)
        if (present.version if present is not None else None) != version:
            raise Conflict(f"{name} in the vault was changed meanwhile: read it again")
        self._entries[name] = Sealed(content, str(int(version or "0") + 1))
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, name: VaultName) -> AsyncIterator[Sealed | None]:
        while True:
            changed, told = self._changed, self._entries.get(name)
            yield told
            while self._entries.get(name) == told:
                await changed.wait()
                changed = self._changed


class MemoryAdministration:
    """`kept` are the keys by endpoint; `told` the decisions by deployment key, the newest last; `drained` the uids of
    replicas that leave by hand, and stay."""

    def __init__(self, platform: Published) -> None:
        self.vault = MemoryVault()
        self.kept: dict[str, Keys] = {}
        self.told: dict[str, list[Any]] = {}
        self.drained: set[str] = set()
        self._platform = platform

    async def keys(self, endpoint: str) -> Keys:
        keyed_endpoint_of(self._platform.snapshot, endpoint)
        if endpoint not in self.kept:
            raise Unknown(f"endpoint {endpoint} has no keys yet")
        return self.kept[endpoint]

    async def change_keys(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys:
        keys = checked(change(await self.keys(endpoint)))
        self.kept[endpoint] = keys
        self._replace(replace(endpoint_of(self._platform.snapshot, endpoint), keys=keys.hashes))
        return keys

    async def set_traffic(self, endpoint: str, traffic: Mapping[str, int], expected: Mapping[str, int] | None) -> None:
        noun = endpoint_of(self._platform.snapshot, endpoint)
        whole = whole_traffic(noun, traffic)
        check_present(endpoint, dict(noun.weights), expected)
        self._replace(replace(noun, weights=tuple(whole.items())))

    async def hold(self, endpoint: str, deployment: str, hold: Hold | None) -> None:
        snapshot = self._platform.snapshot
        noun = deployment_of(snapshot, endpoint, deployment)
        check_hold(noun, hold)
        holds = {key: each for key, each in snapshot.holds.items() if key != noun.key}
        self._platform.publish(replace(snapshot, holds=holds if hold is None else {**holds, noun.key: hold}))

    async def drain(self, replica: str, drained: bool) -> None:
        snapshot = self._platform.snapshot
        noun = replica_of(snapshot, replica)
        if noun.leaving and replica not in self.drained:
            return  # for good
        self.drained = self.drained | {replica} if drained else self.drained - {replica}
        replicas = (replace(each, leaving=drained) if each is noun else each for each in snapshot.replicas)
        self._platform.publish(replace(snapshot, replicas=tuple(replicas)))

    async def decisions(self, endpoint: str, deployment: str, last: int) -> list[Any]:
        noun = deployment_of(self._platform.snapshot, endpoint, deployment)
        return self.told.get(noun.key, [])[-last:] if last > 0 else []

    def _replace(self, endpoint: Endpoint) -> None:
        snapshot = self._platform.snapshot
        endpoints = (endpoint if each.name == endpoint.name else each for each in snapshot.endpoints)
        self._platform.publish(replace(snapshot, endpoints=tuple(endpoints)))
