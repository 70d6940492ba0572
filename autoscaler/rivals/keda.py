"""How would KEDA's HTTP add-on decide?

Pure. The rule, from the add-on's documentation and source: the scaler polls the interceptors every 0.5 s for two
metrics, requests at the moment (concurrency) and requests per second over a window of 60 s; of both, the one that asks
for more counts. From none to the first replica KEDA goes by itself, at once, and back to none 300 s after the last
sign of a request; everything between is the HPA's, every 15 s, with its tolerance, rates and windows, on the total
over all replicas, ready or not.

The reading: both metrics are set. The target of the second is what the first comes to by the time a request takes, as
measured (it is a fixed number that a user works out in the same way). A partial report is taken for the whole, as
KEDA does (KEDA#1667).
"""

from __future__ import annotations

from autoscaler.observation import Decision, Observation
from autoscaler.rivals import hpa
from autoscaler.rivals.knob import Knob
from autoscaler.rivals.pace import Pace
from autoscaler.window import Rate
from router.core.model import ScaleSettings

PERIOD_S = 0.5
WINDOW_S = 60.0
GRANULARITY_S = 1.0
COOLDOWN_S = 300.0


class KEDA:
    period_s = PERIOD_S

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._knob = Knob(settings, concurrency, to_zero=True)
        self._pace, self._buckets, self._hpa_pace = Pace(PERIOD_S), Pace(GRANULARITY_S), Pace(hpa.PERIOD_S)
        self._rate = Rate(WINDOW_S)
        self._behavior = hpa.Behavior()
        self._active_s: float | None = None
        self._last: Decision | None = None

    def decide(self, seen: Observation) -> Decision:
        if self._pace.due(seen.at_s) or self._last is None:
            self._last = self._poll(seen, self._last)
        return self._last

    def _poll(self, seen: Observation, last: Decision | None) -> Decision:
        if self._buckets.due(seen.at_s):
            self._rate.add(seen.at_s, seen.arrived_total)
        load, rate_per_s = seen.in_flight + seen.queued, self._rate.per_s
        if load or rate_per_s or self._active_s is None:
            self._active_s = seen.at_s
        if self._knob.least == 0 and (decision := self._zero(seen, load, self._active_s)) is not None:
            return decision
        return self._scale(seen, load, rate_per_s) if self._hpa_pace.due(seen.at_s) or last is None else last

    def _zero(self, seen: Observation, load: int, active_s: float) -> Decision | None:
        """KEDA's own part: to none, from none, and staying there."""
        need = self._knob.replicas_for(load)
        if seen.wished == 0:
            reason = f"{load} requests and no replica: the first one" if load else "no replica, no request"
            return Decision(replicas=1 if load else 0, need=need, reason=reason)
        if seen.at_s - active_s >= COOLDOWN_S:
            return Decision(replicas=0, need=need, reason=f"no request for {COOLDOWN_S:.0f} s")
        return None

    def _scale(self, seen: Observation, load: int, rate_per_s: float) -> Decision:
        """The HPA's part: the higher of two recommendations."""
        held_s = seen.held_seconds_total / seen.finished_total if seen.finished_total else 0.0
        by_rate = self._recommend(seen.wished, rate_per_s * held_s)
        recommended = max(self._recommend(seen.wished, load), by_rate)
        replicas = max(1, self._knob.within(self._behavior.follow(seen.at_s, seen.wished, recommended)))
        return Decision(
            replicas=replicas,
            need=self._knob.replicas_for(load),
            reason=f"{load} requests, {rate_per_s:.1f} new ones a second of {held_s:.2f} s: {recommended} recommended, "
            f"{replicas} after the HPA's window and rate from {seen.wished}",
        )

    def _recommend(self, wished: int, load: float) -> int:
        held = wished > 0 and hpa.near(load / (wished * self._knob.target))
        return wished if held else self._knob.replicas_for(load)
