"""How would Ray Serve decide?

Pure. The rule, from Ray Serve's documentation and `serve/autoscaling_policy.py`: requests at the moment, served or
waiting, are averaged over a look-back of 30 s and pushed every 10 s; that over `target_ongoing_requests`, rounded
up, is asked for. It is done once more was asked for without a break for 30 s, or less for 600 s; what is done is what
is asked for at that moment. With no replica running, a request is pushed and one replica started at once; while it
starts, nothing more is. To none it goes only from one.

The reading: totals are used, as today, not means per replica (ray#18925); the control loop, 0.1 s there, looks once a
second here, which moves a decision by less than that.
"""

from __future__ import annotations

from autoscaler.observation import Decision, Observation
from autoscaler.rivals.knob import Knob
from autoscaler.rivals.pace import Pace
from autoscaler.window import Mean
from router.core.model import ScaleSettings

PERIOD_S = 1.0
PUSH_S = 10.0
LOOK_BACK_S = 30.0
UPSCALE_DELAY_S = 30.0
DOWNSCALE_DELAY_S = 600.0


class RayServe:
    period_s = PERIOD_S

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._knob = Knob(settings, concurrency, to_zero=True)
        self._pace, self._pushes = Pace(PERIOD_S), Pace(PUSH_S)
        self._requests = Mean(LOOK_BACK_S)
        self._pushed = 0.0
        self._direction = 0
        self._since_s = 0.0
        self._last: Decision | None = None

    def decide(self, seen: Observation) -> Decision:
        if self._pace.due(seen.at_s) or self._last is None:
            self._last = self._look(seen)
        return self._last

    def _look(self, seen: Observation) -> Decision:
        load = seen.in_flight + seen.queued
        self._requests.add(seen.at_s, load)
        if self._pushes.due(seen.at_s) or (seen.ready == 0 and load > 0):
            self._pushed = self._requests.mean
        if seen.ready == 0:
            wanted = max(1, seen.wished) if self._pushed else seen.wished
            reason = f"no replica runs, {load} requests: {wanted} at once"
        else:
            wanted, reason = self._agree(seen)
        return Decision(replicas=self._knob.within(wanted), need=self._knob.replicas_for(load), reason=reason)

    def _agree(self, seen: Observation) -> tuple[int, str]:
        """The present count until what is asked for was on one side of it for long enough."""
        asked = self._knob.within(self._knob.replicas_for(self._pushed))
        if seen.wished > 1:
            asked = max(1, asked)
        direction = (asked > seen.wished) - (asked < seen.wished)
        if direction != self._direction:
            self._direction, self._since_s = direction, seen.at_s
        told = f"a mean of {self._pushed:.1f} requests over {LOOK_BACK_S:.0f} s asks for {asked}"
        if direction == 0:
            return asked, told
        delay_s = UPSCALE_DELAY_S if direction > 0 else DOWNSCALE_DELAY_S
        agreed_s = seen.at_s - self._since_s
        if agreed_s < delay_s:
            return seen.wished, f"{told}; {seen.wished} until it did for {delay_s:.0f} s, {agreed_s:.0f} s so far"
        self._direction = 0
        return asked, f"{told}, and did for {delay_s:.0f} s"
