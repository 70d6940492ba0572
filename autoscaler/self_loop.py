"""Who looks at the routers' own work, asks the law of their size, and resizes them?

I/O: the platform; the routers through a feed (self_feed.py). Only who leads does any of it: unlike a deployment's, this
law needs little memory, and takes its time. A failure is said once, and ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from autoscaler.records import Outcome
from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen, sized
from autoscaler.self_observer import SelfObserver
from autoscaler.self_scaling import LOOK_S, WINDOW_S, SelfScalingLaw
from router.core.model import Instance, Routing
from router.platforms import Platform, PlatformError
from router.platforms.local.race import first
from router.platforms.sizing import RouterSize, RouterStand

VALID_S = 1.5 * LOOK_S
"""Who has not answered the last question is missing."""
RESIZE_WITHIN_S = 30.0

log = logging.getLogger("scoregate.autoscaler")


class Words(Protocol):
    """As `SelfFeed`."""

    async def ask(self, instances: Sequence[Instance]) -> Mapping[str, Routing]: ...


class SizeRecorder(Protocol):
    """As `Journal`."""

    def append_size(
        self, settings: SelfScaling, seen: SizeSeen, decision: SizeDecision, outcome: Outcome, fault: str
    ) -> None: ...


class SelfScaler:
    """`run` it."""

    def __init__(
        self,
        platform: Platform,
        leads: Callable[[], bool],
        words: Words,
        recorder: SizeRecorder,
        settings: SelfScaling,
    ) -> None:
        self._platform = platform
        self._leads = leads
        self._words = words
        self._recorder = recorder
        self._settings = settings
        self._instances: tuple[Instance, ...] = ()
        self._fault = ""
        """Why the platform refused what was last asked for."""
        self._told = ""
        self._begin()

    def _begin(self) -> None:
        self._law = SelfScalingLaw(self._settings)
        self._observer = SelfObserver(WINDOW_S, VALID_S)
        self._size: RouterSize | None = None

    async def run(self) -> None:
        """Until it is cancelled. Raises PlatformError when the platform can't be followed."""
        await first(self._follow(), self._look_in_time())

    async def _follow(self) -> None:
        async for snapshot in self._platform.watch():
            self._instances = tuple(each for each in snapshot.instances if each.serves)

    async def _look_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LOOK_S
            try:
                await self._look()
            except Exception as error:
                self._say(error)
            else:
                self._told = ""
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def _look(self) -> None:
        if not self._leads():
            self._begin()
            return
        instances = self._instances
        stand = await self._platform.sizing.stand()
        words = await self._words.ask(instances)
        if not self._leads():
            return
        now = asyncio.get_running_loop().time()
        if stand.size != self._size or not _is_there(stand, instances):
            self._observer.restart()
        for instance, routing in words.items():
            self._observer.report(instance, routing, now)
        begins, self._size = self._size is None, stand.size
        seen = self._seen(stand, [each.id for each in instances], list(words.values()), now, begins)
        await self._carry_out(seen, self._law.decide(seen))

    def _seen(
        self, stand: RouterStand, instances: Sequence[str], words: Sequence[Routing], now: float, begins: bool
    ) -> SizeSeen:
        cpus = min((each.cpus for each in words), default=1.0)
        seen = SizeSeen(
            at_s=round(now, 3),
            begins=begins,
            size=stand.size,
            has_pods=stand.has_pods,
            present=len(instances),
            is_settled=stand.is_settled,
            no_room=stand.no_room,
            conflict=stand.conflict,
            most_workers=self._most_workers(stand, words, cpus),
            cpus_each=round(min(1.0, cpus / stand.size.workers), 3),
        )
        figures = self._observer.figures(instances, now)
        if figures is None:
            return seen
        return replace(
            seen,
            complete=True,
            requests=figures.requests,
            mean_ms=round(figures.mean_ms, 3),
            p99_ms=round(figures.p99_ms, 3),
            cpus_used=round(figures.cpus_used, 3),
        )

    def _most_workers(self, stand: RouterStand, words: Sequence[Routing], cpus: float) -> int:
        """On one machine the routers know their bound; and no more of them than it has CPUs."""
        if stand.has_pods:
            return self._settings.max_workers
        return max(1, min([int(cpus), *(each.most_workers for each in words)]))

    async def _carry_out(self, seen: SizeSeen, decision: SizeDecision) -> None:
        outcome: Outcome = "conflict" if seen.conflict else "keep" if decision.step == "stay" else "ask"
        if not (seen.has_pods or seen.size.workers > 1 or seen.most_workers > 1):
            return  # there is one, and may never be another: nothing is decided
        try:
            self._recorder.append_size(self._settings, seen, decision, outcome, self._fault)
        finally:  # a full disk keeps nobody from being served
            if outcome == "ask":
                await self._resize(seen, decision)
        self._fault = ""
        if outcome == "conflict":
            raise PlatformError(f"the routers are left alone: {seen.conflict}")

    async def _resize(self, seen: SizeSeen, decision: SizeDecision) -> None:
        try:
            async with asyncio.timeout(RESIZE_WITHIN_S):
                await self._platform.sizing.resize(decision.size)
        except Exception as error:
            self._fault = _said(error)
            raise
        before, after = sized(seen.size, seen.has_pods), sized(decision.size, seen.has_pods)
        log.info("the router goes %s, from %s to %s: %s", decision.step, before, after, decision.reason)

    def _say(self, error: Exception) -> None:
        if self._told != _said(error):
            self._told = _said(error)
            ours = not isinstance(error, PlatformError | OSError)
            log.error("the router's own size, trying again: %s", self._told, exc_info=ours)


def _is_there(stand: RouterStand, instances: Sequence[Instance]) -> bool:
    return stand.is_settled and len(instances) == stand.size.processes


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) or type(error).__name__
