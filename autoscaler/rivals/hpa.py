"""How would Kubernetes' HorizontalPodAutoscaler decide?

Pure. The rule, from Kubernetes' documentation of autoscaling/v2 and its source: every 15 s
`ceil(replicas x utilization / target)`; nothing within 10 % of the target; at most the higher of twice as many and four
more in 15 s; down to the highest recommendation of 300 s. The first one is the present count, so a restart forgets
nothing. A replica that is not ready yet counts as unused on the way up, and not at all on the way down; with none
ready, nothing is known and the count stays.

The reading: the metric is a custom one, in flight + queued per replica, never clipped by capacity as CPU is. An HPA
does not go to zero: it keeps one.
"""

from __future__ import annotations

from autoscaler.observation import Decision, Observation
from autoscaler.rivals.knob import Knob
from autoscaler.rivals.pace import Pace
from autoscaler.window import Highest
from router.core.model import ScaleSettings

PERIOD_S = 15.0
TOLERANCE = 0.1
STABILIZATION_S = 300.0
FACTOR = 2
PODS = 4
"""At most twice as many, or four more, in the 15 s between two looks: whichever is more."""


def near(ratio: float) -> bool:
    """Whether utilization over target is too close to 1 to act on. The bound itself is, whatever its last bit."""
    return abs(1.0 - ratio) <= TOLERANCE + 1e-9


class Behavior:
    """What becomes of a recommendation: the stabilization window down, the rate up. The defaults of autoscaling/v2."""

    def __init__(self) -> None:
        self._recommended = Highest(STABILIZATION_S)
        self._fresh = True

    def follow(self, at_s: float, wished: int, recommended: int) -> int:
        if self._fresh:
            self._recommended.add(at_s, wished)
            self._fresh = False
        highest = self._recommended.add(at_s, recommended)
        if recommended > wished:
            return min(recommended, max(FACTOR * wished, wished + PODS))
        return min(wished, highest)


class HPA:
    period_s = PERIOD_S

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._knob = Knob(settings, concurrency, to_zero=False)
        self._pace = Pace(PERIOD_S)
        self._behavior = Behavior()
        self._last: Decision | None = None

    def decide(self, seen: Observation) -> Decision:
        if self._pace.due(seen.at_s) or self._last is None:
            self._last = self._look(seen)
        return self._last

    def _look(self, seen: Observation) -> Decision:
        load = seen.in_flight + seen.queued
        recommended = self._recommend(seen, load)
        replicas = self._knob.within(self._behavior.follow(seen.at_s, seen.wished, recommended))
        return Decision(
            replicas=replicas,
            need=self._knob.replicas_for(load),
            reason=f"{load} requests on {seen.ready} ready replicas: {recommended} recommended, {replicas} after the "
            f"{STABILIZATION_S:.0f} s window and the rate from {seen.wished}",
        )

    def _recommend(self, seen: Observation, load: int) -> int:
        """Before windows and rates; the present count where the metric is too near to the target or not there."""
        if seen.ready == 0:
            return seen.wished
        ratio = load / (seen.ready * self._knob.target)
        if ratio > 1.0 and seen.starting:
            ratio = load / ((seen.ready + len(seen.starting)) * self._knob.target)
            if ratio < 1.0:  # a change of direction is no reason to act
                return seen.wished
        return seen.wished if near(ratio) else self._knob.replicas_for(load)
