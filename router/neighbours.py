"""How busy are the other instances, by their own word?

I/O: HTTP to each, at its port between instances, over TLS with certificates on both sides; at its internal port where
it has no other. All are asked at the same time, and each has to answer soon: who asks wants to know how things are now.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from router.core.circle import Peer
from router.core.loads import Gathered, merged
from router.core.model import Instance, InstanceStanding, Load, Snapshot
from router.platforms.instance_pages import Identify, InstancePages, why

PATIENCE_S = 0.5
_OWN = {"scope": "instance"}
_SELF = Peer("", None, is_up=True, silent_s=0.0, may_own=True, agrees=True)
_UNSEEN = Peer("-", None, is_up=False, silent_s=0.0, may_own=True, agrees=False)

_log = logging.getLogger("scoregate.router")


class Asking(Protocol):
    """The instance that asks; `router.server` has it."""

    @property
    def own_instance(self) -> str:
        """As a platform says it."""

    @property
    def snapshot(self) -> Snapshot | None: ...

    def load(self) -> list[Load]: ...

    def seen(self) -> Sequence[Peer]:
        """The others, as this one is connected to them."""

    def owned_by(self) -> Counter[str]:
        """How many deployments each instance owns, by the name of a peer; "" is the one that asks."""


class Neighbours:
    """Connections are kept from one question to the next. `close` it in the end."""

    def __init__(self, asking: Asking, identify: Identify) -> None:
        self._asking = asking
        self._identify = identify
        self._pages: dict[Instance, InstancePages] = {}

    async def gathered(self) -> Gathered:
        """The load of all, this one's included."""
        others = self._others()
        told = await self.loads(others) if self._asking.own_instance else {}
        return Gathered(merged([self._asking.load(), *told.values()]), 1 + len(told), 1 + len(others))

    async def standings(self) -> list[InstanceStanding]:
        """This one first."""
        others = self._others()
        told = await self.loads(others) if self._asking.own_instance else {}
        owned, seen = self._asking.owned_by(), {peer.place: peer for peer in self._asking.seen()}
        own = _standing(self._asking.own_instance, self._asking.load(), _SELF, owned[""])
        standings = [own]
        for each in others:
            peer = seen.get(each.id, _UNSEEN)
            standings.append(_standing(each.id, told.get(each.id), peer, owned[peer.name]))
        return standings

    def _others(self) -> list[Instance]:
        """Who does not know its own id takes one of them for itself, and asks none: its requests would count twice."""
        snapshot, own = self._asking.snapshot, self._asking.own_instance
        instances = snapshot.instances if snapshot is not None else ()
        return [each for each in instances if each.id != own] if own else list(instances[1:])

    async def loads(self, instances: Sequence[Instance]) -> dict[str, list[Load]]:
        """By the ids of those that answer in time. Who was asked before and is none of these is forgotten."""
        present = [replace(instance, serves=True) for instance in instances]  # no matter for how it is reached
        for gone in self._pages.keys() - set(present):
            if (pages := self._pages.pop(gone, None)) is not None:  # who asks at the same time may have been first
                await pages.close()
        told = await asyncio.gather(*(self._ask(instance) for instance in present))
        return {instance.id: loads for instance, loads in zip(present, told, strict=True) if loads is not None}

    async def close(self) -> None:
        while self._pages:
            await self._pages.popitem()[1].close()

    async def _ask(self, instance: Instance) -> list[Load] | None:
        if (pages := self._pages.get(instance)) is None:
            pages = self._pages[instance] = InstancePages(instance, self._identify)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await pages.read("/load", list[Load], _OWN)).said
        except Exception as error:  # whatever it is, the others' word counts
            _log.debug("instance %s does not tell its load: %s", instance.id, why(error))
            await pages.close()  # the next connection may have to show who this process is by then
            return None
        finally:
            if self._pages.get(instance) is not pages:  # forgotten meanwhile
                await pages.close()


def _standing(id: str, loads: list[Load] | None, peer: Peer, owns: int) -> InstanceStanding:
    return InstanceStanding(
        id=id,
        name=id,
        is_self=peer is _SELF,
        up=peer.is_up,
        silent_for_s=round(peer.silent_s, 3),
        owns=owns,
        view_agrees=peer.agrees,
        in_flight=None if loads is None else sum(load.in_flight for load in loads),
    )
