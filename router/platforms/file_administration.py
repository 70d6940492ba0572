"""What does administration change on one machine?

I/O: files below the state directory: keys (keys.py), what is set by hand (by_hand.py), the vault (vault.py); it reads
the autoscaler's journals (decisions.py). Whoever makes the snapshots, supervisor or router, takes them in. A change
returns once a snapshot shows it, or after SEEN_WITHIN_S: what is written stands, whoever looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from router.core.keys import Keys
from router.core.model import Addresses, Endpoint, Hold, Snapshot
from router.platforms import PlatformError, by_hand
from router.platforms.asked import (
    check_hold,
    deployment_of,
    endpoint_of,
    keyed_endpoint_of,
    replica_of,
    whole_traffic,
)
from router.platforms.by_hand import ByHand, ByHandFile
from router.platforms.decisions import last_decisions
from router.platforms.keys import KeyStore
from router.platforms.vault import FileVault

SEEN_WITHIN_S = 2.0
_LOOK_S = 0.03


class FileAdministration:
    """`snapshot` gives the newest that there is, `followed` the newest that this process follows, which may be behind;
    both raise PlatformError where nobody makes any."""

    def __init__(self, state_dir: Path, snapshot: Callable[[], Snapshot], followed: Callable[[], Snapshot]) -> None:
        self.vault = FileVault(state_dir)
        self._state_dir = state_dir
        self._keys = KeyStore(state_dir)
        self._by_hand = ByHandFile(state_dir)
        self._snapshot = snapshot
        self._followed = followed

    async def keys(self, endpoint: str) -> Keys:
        keyed_endpoint_of(self._snapshot(), endpoint)
        return await asyncio.to_thread(self._keys.read, endpoint)

    async def change_keys(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys:
        keyed_endpoint_of(self._snapshot(), endpoint)
        keys = await asyncio.to_thread(self._keys.change, endpoint, change)
        hashes = keys.hashes
        await self._seen(lambda now: all(each.keys == hashes for each in now.endpoints if each.name == endpoint))
        return keys

    async def set_traffic(self, endpoint: str, traffic: Mapping[str, int], expected: Mapping[str, int] | None) -> None:
        def changed(hand: ByHand) -> ByHand:
            noun = endpoint_of(self._snapshot(), endpoint)
            return by_hand.set_traffic(hand, noun, whole_traffic(noun, traffic), expected)

        def is_so(endpoint: Endpoint) -> bool:
            return all(percent == traffic.get(name, 0) for name, percent in endpoint.weights)

        await self._change(changed)
        await self._seen(lambda now: all(is_so(each) for each in now.endpoints if each.name == endpoint))

    async def hold(self, endpoint: str, deployment: str, hold: Hold | None) -> None:
        noun = deployment_of(self._snapshot(), endpoint, deployment)
        check_hold(noun, hold)
        await self._change(partial(by_hand.set_hold, key=noun.key, hold=hold))
        await self._seen(lambda now: now.holds.get(noun.key) == hold)

    async def drain(self, replica: str, drained: bool) -> None:
        noun = replica_of(self._snapshot(), replica)
        await self._change(partial(by_hand.set_drained, replica=noun.uid, drained=drained))
        await self._seen(lambda now: all(each.leaving == drained for each in now.replicas if each.uid == replica))

    async def decisions(self, endpoint: str, deployment: str, last: int) -> list[Any]:
        noun = deployment_of(self._snapshot(), endpoint, deployment)
        if isinstance(noun.workload, Addresses):
            return []  # nothing decides on them; what is recorded under this name is of another time
        return await asyncio.to_thread(last_decisions, self._state_dir, endpoint, deployment, last)

    async def _change(self, change: Callable[[ByHand], ByHand]) -> None:
        await asyncio.to_thread(self._by_hand.change, change)

    async def _seen(self, holds: Callable[[Snapshot], bool]) -> None:
        with suppress(TimeoutError, PlatformError):  # it is written, whatever becomes of whoever shows it
            async with asyncio.timeout(SEEN_WITHIN_S):
                while not holds(self._followed()):  # noqa: ASYNC110 - another process makes them
                    await asyncio.sleep(_LOOK_S)
