"""How would Knative's pod autoscaler decide?

Pure. The rule, from Knative's documentation and `pkg/autoscaler/scaling/autoscaler.go`: each second the requests at
the moment are noted; every 2 s, and at once for the first request at none, `ceil(mean / target)` is taken over a stable
window of 60 s and over a panic window of 6 s, each between half the ready replicas and a thousand times as many. Where
the panic window asks for twice the ready replicas or more, panic begins; it ends 60 s after the last time it did. In
panic the higher of the two counts, and nothing decreases. A new autoscaler that finds more than one replica ready
begins in panic at that number: what it cannot remember it does not take down.

The reading: the activators stay in the path and report all requests, those that wait too, so the metric is never
clipped by capacity. What waits for a start is counted as if it were steady load (knative#4344), and starting replicas
are not: they are capacity only when they are ready.
"""

from __future__ import annotations

from autoscaler.observation import Decision, Observation
from autoscaler.rivals.knob import Knob
from autoscaler.rivals.pace import Pace
from autoscaler.window import Mean
from router.core.model import ScaleSettings

NOTED_EVERY_S = 1.0
DECIDED_EVERY_S = 2.0
STABLE_S = 60.0
PANIC_S = 6.0
PANIC_THRESHOLD = 2.0
MAX_UP_RATE = 1000
MAX_DOWN_RATE = 2


class KPA:
    period_s = NOTED_EVERY_S

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._knob = Knob(settings, concurrency, to_zero=True)
        self._notes, self._ticks = Pace(NOTED_EVERY_S), Pace(DECIDED_EVERY_S)
        self._stable, self._panic = Mean(STABLE_S), Mean(PANIC_S)
        self._panic_at_s: float | None = None
        self._panic_most = 0
        self._last: Decision | None = None

    def decide(self, seen: Observation) -> Decision:
        load = seen.in_flight + seen.queued
        if self._last is None and seen.ready > 1:
            self._panic_at_s, self._panic_most = seen.at_s, seen.ready
        idle_at_none = seen.wished == 0 and load == 0  # nobody is there to report
        if not idle_at_none and self._notes.due(seen.at_s):
            self._stable.add(seen.at_s, load)
            self._panic.add(seen.at_s, load)
        last = self._last
        if self._ticks.due(seen.at_s) or last is None or (last.replicas == 0 and load > 0):
            self._last = last = self._look(seen, load)
        return last

    def _look(self, seen: Observation, load: int) -> Decision:
        stable, panic = self._clip(seen, self._stable.mean), self._clip(seen, self._panic.mean)
        panicking = self._panics(seen)
        if panicking:
            self._panic_most = max(self._panic_most, stable, panic)
        replicas = self._knob.within(self._panic_most if panicking else stable)
        return Decision(
            replicas=replicas,
            need=self._knob.replicas_for(load),
            reason=f"mean of {STABLE_S:.0f} s {self._stable.mean:.1f}, of {PANIC_S:.0f} s {self._panic.mean:.1f}: "
            f"{stable} or, in panic, {panic}; {'panic, no decrease' if panicking else 'stable'}",
        )

    def _clip(self, seen: Observation, mean: float) -> int:
        ready = max(1, seen.ready)
        return min(max(self._knob.replicas_for(mean), ready // MAX_DOWN_RATE), ready * MAX_UP_RATE)

    def _panics(self, seen: Observation) -> bool:
        """Whether this is a panic, by the panic window's mean before it is clipped."""
        if self._knob.replicas_for(self._panic.mean) >= PANIC_THRESHOLD * max(1, seen.ready):
            self._panic_at_s = seen.at_s
        elif self._panic_at_s is not None and seen.at_s - self._panic_at_s > STABLE_S:
            self._panic_at_s, self._panic_most = None, 0
        return self._panic_at_s is not None
