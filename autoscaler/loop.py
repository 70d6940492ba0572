"""Who looks at the load, asks the law, and scales?

I/O: the platform; the routers through a feed (feed.py). It follows every deployment that has scale settings, whether
it leads or not, so that it can take over with all that the laws want to remember; only a leader scales and records.
How busy all deployments are it tells the platform, which may have a place to show it.

1. One deployment's failure is said once, and ends nothing.
2. A deployment is decided at least once in its law's period, and at once when a router reports more to do.
3. No deployment has two calls to the platform at the same time.
4. What something else scales is left alone.
5. What is held by hand has that number, and the law's own again once that is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from autoscaler.feed import Deliver
from autoscaler.observation import Decision, Observation
from autoscaler.records import Outcome
from autoscaler.scaled import ScaledDeployment
from autoscaler.share import NO_SHARE, shares
from autoscaler.utilization import Utilization
from router.core.model import Deployment, Instance, Load, Snapshot
from router.platforms import Platform, PlatformError
from router.platforms.local.race import first

REPORT_EVERY_S = 2.0
"""At most so long between two reports of a router, however rarely its deployments are decided: see REPORTS_VALID_S."""
SCALE_WITHIN_S = 10.0
"""For one call to the platform."""
TELL_EVERY_S = 1.0
"""How often the platform is told how busy its deployments are."""
LOOK_S = 0.5
"""How soon a deployment that is new is decided, while no router reports."""

log = logging.getLogger("scoregate.autoscaler")


class Reports(Protocol):
    """As `Feed`."""

    def follow(self, instances: Iterable[Instance], period_s: float) -> None: ...

    async def close(self) -> None: ...


class Recorder(Protocol):
    """As `Journal`."""

    def append(
        self, deployment: Deployment, seen: Observation, decision: Decision, outcome: Outcome, fault: str
    ) -> None: ...

    def forget(self, key: str) -> None: ...


class Autoscaler:
    """`run` it."""

    def __init__(self, platform: Platform, open_feed: Callable[[Deliver], Reports], recorder: Recorder) -> None:
        self._platform = platform
        self._feed = open_feed(self.report)
        self._recorder = recorder
        self._scaled: dict[str, ScaledDeployment] = {}
        self._utilization = Utilization()
        self._leads = False
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._told: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Until it is cancelled. Raises PlatformError when the platform can't be followed, or can't scale at all."""
        try:
            await first(self._follow(), self._follow_leadership(), self._decide_in_time(), self._tell())
        finally:
            await self._feed.close()
            calls = list(self._calls.values())
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    @property
    def leads(self) -> bool:
        """Whether this process may scale now."""
        return self._leads

    def report(self, instance: str, loads: list[Load], at_s: float) -> None:
        self._utilization.report(instance, loads)
        for load in loads:
            each = self._scaled.get(f"{load.endpoint}/{load.deployment}")
            if each is not None:
                with self._going_on(each.key, "its load"):
                    if each.report(instance, load, at_s):
                        self._decide(each, at_s)

    # -- what goes on side by side ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        async for snapshot in self._platform.watch():
            self._adopt(snapshot, _now())

    async def _follow_leadership(self) -> None:
        async for leads in self._platform.leadership():
            self._leads = leads
            log.info("scaling" if leads else "another autoscaler leads: observing, to take over when it goes")
            for call in self._calls.values() if not leads else ():
                call.cancel()  # two may not scale at any moment

    async def _decide_in_time(self) -> None:
        while True:
            now = _now()
            for each in list(self._scaled.values()):
                if each.due_s <= now:
                    self._decide(each, now)
            due_s = min((each.due_s for each in self._scaled.values()), default=now + LOOK_S)
            await asyncio.sleep(min(LOOK_S, max(0.0, due_s - now)))

    async def _tell(self) -> None:
        while True:
            self._platform.note_utilization(self._utilization.ratios())
            await asyncio.sleep(TELL_EVERY_S)

    # -- steps -----------------------------------------------------------------------------------------------

    def _adopt(self, snapshot: Snapshot, now: float) -> None:
        declared = {d.key: d for e in snapshot.endpoints for d in e.deployments if d.scale is not None}
        for key in self._scaled.keys() - declared.keys():
            self._forget(key)
        share = shares(snapshot)
        instances = {instance.id: instance.serves for instance in snapshot.instances}
        for key, deployment in declared.items():
            if key not in self._scaled:
                self._scaled[key] = ScaledDeployment(deployment)
            with self._going_on(key, "its snapshot"):
                self._scaled[key].follow(deployment, share.get(key, NO_SHARE), instances, now)
        intervals = [d.scale.polling_interval for d in declared.values() if d.scale is not None]
        self._utilization.follow(snapshot.instances)
        self._feed.follow(snapshot.instances, min([REPORT_EVERY_S, *intervals]))

    def _forget(self, key: str) -> None:
        del self._scaled[key]
        self._recorder.forget(key)
        self._told = {what: text for what, text in self._told.items() if what[0] != key}

    def _decide(self, each: ScaledDeployment, now: float) -> None:
        each.due_s = now + LOOK_S  # unless the law gets to say when
        with self._going_on(each.key, "its law"):
            calendar_s = time.time()  # noqa: TID251 - what is held by hand is held by the calendar
            seen, decision = each.decide(now, calendar_s)
            outcome = self._carry_out(each, decision.replicas, seen.wished, now)
            if self._leads:
                with self._going_on(each.key, "its record"):
                    self._recorder.append(each.noun, seen, decision, outcome, each.fault)

    def _carry_out(self, each: ScaledDeployment, replicas: int, wished: int, now: float) -> Outcome:
        if each.conflict is not None:
            self._say_conflict(each.key, each.conflict.reason)
            return "conflict"
        self._told.pop((each.key, "conflict"), None)
        if replicas == each.stands(now):
            each.fault = ""
            return "keep"
        if not self._leads or each.key in self._calls:
            return "keep"
        each.ask(replicas, now)
        leave_first = each.leave_first() if replicas < wished else ()
        call = asyncio.create_task(self._scale(each, replicas, leave_first))
        self._calls[each.key] = call
        call.add_done_callback(lambda _: self._calls.pop(each.key, None))
        return "ask"

    async def _scale(self, each: ScaledDeployment, replicas: int, leave_first: tuple[str, ...]) -> None:
        noun = each.noun
        with self._going_on(each.key, "its scaling"):
            try:
                async with asyncio.timeout(SCALE_WITHIN_S):
                    await self._platform.scale(noun.endpoint, noun.name, replicas, leave_first)
                each.fault = ""
            except asyncio.CancelledError:
                each.asked_in_vain("")
                raise
            except Exception as error:
                each.asked_in_vain(_said(error))
                raise

    def _say_conflict(self, key: str, reason: str) -> None:
        if self._told.get((key, "conflict")) != reason:
            self._told[key, "conflict"] = reason
            log.warning("%s is left alone: %s", key, reason)

    @contextmanager
    def _going_on(self, key: str, what: str) -> Iterator[None]:
        """A failure within is said once, and again when it changes, and its end; then everything goes on."""
        try:
            yield
        except Exception as error:
            if self._told.get((key, what)) != _said(error):
                self._told[key, what] = _said(error)
                ours = not isinstance(error, PlatformError | OSError)
                log.error("%s: %s failed, trying again: %s", key, what, _said(error), exc_info=ours)
        else:
            if self._told.pop((key, what), None) is not None:
                log.info("%s: %s works again", key, what)


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
