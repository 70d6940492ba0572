"""How busy are the other instances, by their own word?

I/O: HTTP to each, at its port between instances, over TLS with certificates on both sides; at its internal port where
it has no other. All are asked at the same time, and each has to answer soon: who asks wants to know how things are now.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import httpx
import msgspec
from msgspec.structs import replace

from router.core.circle import Peer
from router.core.loads import Gathered, merged
from router.core.model import Instance, InstanceStanding, Load, Snapshot
from router.platforms import identity
from router.platforms.handshake import Trace, closing_handshakes

PATIENCE_S = 0.5
MAX_REPLY_BYTES = 8 * 2**20
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

    def __init__(self, asking: Asking, identify: Callable[[], Awaitable[ssl.SSLContext]]) -> None:
        """`identify`: how this process shows who it is. It may raise PlatformError."""
        self._asking = asking
        self._identify = identify
        self._clients: dict[Instance, httpx.AsyncClient] = {}

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
        for gone in self._clients.keys() - set(present):
            await self._forget(gone)
        told = await asyncio.gather(*(self._ask(instance) for instance in present))
        return {instance.id: loads for instance, loads in zip(present, told, strict=True) if loads is not None}

    async def close(self) -> None:
        for instance in list(self._clients):
            await self._forget(instance)

    async def _ask(self, instance: Instance) -> list[Load] | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._fetch(await self._client(instance), instance)
        except Exception as error:  # whatever it is, the others' word counts
            _log.debug("instance %s does not tell its load: %s", instance.id, str(error) or type(error).__name__)
            await self._forget(instance)  # the next connection may have to show who this process is by then
            return None

    async def _client(self, instance: Instance) -> httpx.AsyncClient:
        if (known := self._clients.get(instance)) is not None:
            return known
        url, verify = instance.peer or instance.admin, await self._identify() if instance.peer else False
        if instance not in self._clients:  # two may have asked at the same time
            self._clients[instance] = httpx.AsyncClient(base_url=url, trust_env=False, timeout=None, verify=verify)
        return self._clients[instance]

    async def _fetch(self, client: httpx.AsyncClient, instance: Instance) -> list[Load]:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with (
            closing_handshakes() as trace,
            client.stream("GET", "/load", params=_OWN, headers=headers, extensions=_over_tls(instance, trace)) as reply,
        ):
            reply.raise_for_status()
            content = bytearray()
            async for piece in reply.aiter_raw():
                content += piece
                if len(content) > MAX_REPLY_BYTES:
                    raise ValueError(f"its answer has more than {MAX_REPLY_BYTES} bytes")
            return msgspec.json.decode(content, type=list[Load])

    async def _forget(self, instance: Instance) -> None:
        client = self._clients.pop(instance, None)
        if client is not None:
            await client.aclose()


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


def _over_tls(instance: Instance, trace: Trace) -> dict[str, Any]:
    return {"sni_hostname": identity.NAME, "trace": trace} if instance.peer else {}
