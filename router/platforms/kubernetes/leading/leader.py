"""Does this process lead, by a Lease of the cluster?

I/O: requests to the API server, one at a time and each with a deadline. elector.py decides; here its questions are
sent and its answers brought back. That a lead is over is known by the clock alone, also while a request hangs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import msgspec

from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.leading.elector import LEASE_S, Ask, Elector, Lease

REQUEST_WITHIN_S = 1.5
RELEASE_WITHIN_S = 1.5
"""For all that it takes to let another lead."""

_SHORTEST_S = 0.001
"""A timer may fire a little early: it is not set for less."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

log = logging.getLogger("scoregate.platform")


def elapsed_s() -> float:
    """A clock that no one sets, and that goes on while the machine is suspended. It is read each time: the time of an
    event loop may be that of a moment before the process was stopped."""
    return time.clock_gettime(_CLOCK)


class Leader:
    """One candidate for the Lease `name`. Several processes may be given the same `identity`: it is for people, and
    each `follow` adds something of its own to it."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        *,
        clock: Callable[[], float] = elapsed_s,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._chance = chance
        self._elector: Elector | None = None

    def leads(self) -> bool:
        """At this very moment. To be asked right before each write that only a leader may do."""
        return self._elector is not None and self._elector.leads(self._clock())

    async def follow(self) -> AsyncGenerator[bool, None]:
        """Whether this process leads: the first word within REQUEST_WITHIN_S, then one after each change. Never ends
        by itself. Closing it lets another lead, which takes up to RELEASE_WITHIN_S. One at a time."""
        identity = f"{self._identity}_{secrets.token_hex(4)}"
        elector = self._elector = Elector(self._namespace, self._name, identity, self._chance)
        campaign = _Campaign(self._api, self._namespace, self._name, elector, self._clock)
        run = asyncio.create_task(campaign.run())
        run.add_done_callback(lambda _: campaign.changed.set())
        speaks_at = self._clock() + REQUEST_WITHIN_S
        told: bool | None = None
        try:
            while not run.done():
                campaign.changed.clear()
                now = self._clock()
                leads = elector.leads(now)
                may_speak = told is not None or leads or campaign.has_settled or now >= speaks_at
                if may_speak and leads != told:
                    told = leads
                    yield leads
                else:
                    await _set_or_late(campaign.changed, elector.turns_at(now) if may_speak else speaks_at, now)
            await run  # it failed
        finally:
            elector.leave(self._clock())
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            await campaign.release()


class _Campaign:
    """The requests of one candidate. `changed` is set after each answer."""

    def __init__(self, api: Api, namespace: str, name: str, elector: Elector, clock: Callable[[], float]) -> None:
        self.changed = asyncio.Event()
        self.has_settled = False
        """What there was to be asked at once has been asked."""
        self._api = api
        self._lease = f"{namespace}/{name}"
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._one = f"{self._all}/{name}"
        self._elector = elector
        self._clock = clock
        self._fault: tuple[int, str] | None = None
        self._holder = ""

    async def run(self) -> None:
        while True:
            wait_s = self._elector.due_s - self._clock()
            if wait_s > 0:
                self.has_settled = True
                self.changed.set()
                await asyncio.sleep(max(wait_s, _SHORTEST_S))
            await self._step(REQUEST_WITHIN_S)
            self.changed.set()

    async def release(self) -> None:
        """Once the elector leaves. Failure is said, and no more: others have to wait then."""
        try:
            async with asyncio.timeout(RELEASE_WITHIN_S):
                while not self._elector.has_left:
                    await asyncio.sleep(max(0.0, self._elector.due_s - self._clock()))
                    await self._step(RELEASE_WITHIN_S)
        except TimeoutError:
            log.warning(
                "the Lease %s could not be released: nobody leads until it lapses, in %d s", self._lease, LEASE_S
            )

    async def _step(self, within_s: float) -> None:
        ask = self._elector.ask(self._clock(), datetime.now(UTC))  # noqa: TID251 - a Lease tells people the time
        try:
            lease = msgspec.json.decode(await self._send(ask, within_s), type=Lease)
        except ApiError as error:
            if error.status == 404 and ask.method == "GET":
                self._elector.absent(self._clock())
                return
            self._elector.failed(self._clock(), error.retry_after_s)
            self._say_fault((error.status, error.reason), error)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._elector.failed(self._clock())
            self._say_fault((200, type(error).__name__), error)
        else:
            self._elector.told(lease, self._clock())
            self._say_holder()

    async def _send(self, ask: Ask, within_s: float) -> bytes:
        if ask.method == "GET":
            return await self._api.read(self._one, within_s=within_s)
        path = self._all if ask.method == "POST" else self._one
        return await self._api.write(ask.method, path, ask.lease, within_s=within_s)

    def _say_fault(self, fault: tuple[int, str], error: Exception) -> None:
        """Once, whatever else goes wrong in the same way. A 409 is no fault: another was faster."""
        if fault[0] != 409 and fault != self._fault:
            self._fault = fault
            log.warning("the Lease %s can't be had, trying again: %s", self._lease, error)

    def _say_holder(self) -> None:
        if self._fault is not None and self._elector.due_s > self._clock():  # nothing is left to be refused
            self._fault = None
            log.info("the Lease %s can be had again", self._lease)
        if self._holder != self._elector.holder:
            self._holder = self._elector.holder
            log.info("the Lease %s is held by %s", self._lease, self._holder or "nobody")


async def _set_or_late(event: asyncio.Event, until: float | None, now: float) -> None:
    try:
        async with asyncio.timeout(max(until - now, _SHORTEST_S) if until is not None else None):
            await event.wait()
    except TimeoutError:
        return
