"""How many replicas does this load need, by our own law?

Pure.

Theory of operation. Without a queue the need is Azure ML's documented rule, `ceil(in flight / (concurrency x target))`,
in whole numbers; but the last of a queue being served is no load, so what is in flight asks for no more than its
arrivals do. A queue (or a refusal for lack of room) is a backlog of work and a sign that the slots hide the true
load; that is then read from the arrivals: rate x service time. The question is what is left of the backlog when a
replica that is asked for now takes its first request, one start time from now, with every starting replica counted
from the moment it joins. If nothing is left, the backlog asks for nothing. If some is left, the load and what is left
ask for their full need at once, so that it drains within a quarter of a start time, or one service time. No more is
left than may wait: what is refused before does not come back.

A need is kept in two ways. What was asked for is kept for one start time: giving it up sooner costs more than it saves.
And each second in which a number of replicas was needed pays for keeping it `scaleDownStarts` start times, up to the
`scaleDownWindow`: so a number is kept that was needed for at least window / (scaleDownStarts x start time) seconds of
the window. Where replicas start slowly that is the highest need of the window; where they start at once, hardly
anything is kept; a number that bursts need again and again is kept between them.

How the parts were chosen: docs/decisions/0007. What it costs and gains beside other laws: docs/simulation.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf

from autoscaler.flow import Flow
from autoscaler.guards import Guards
from autoscaler.observation import Decision, Observation
from autoscaler.window import Highest, Lasting
from router.core.model import ScaleSettings

UNKNOWN_START_S = 10.0
"""Until a start was seen: about what pulling nothing and loading a small model takes."""
DRAIN_STARTS = 0.25
"""What is left of a backlog shall be gone after so many start times more."""
LONGEST_START = 3.0
"""A replica that has been starting for so many measured start times is not counted on."""
RATE_STARTS = 0.1
"""Arrivals are looked at over so many start times, at least a second: the longer the start, the surer one must be."""
SHORTEST_LOOK_S = 1.0
ROUNDING = 0.05
"""Replicas: an estimate that is over a whole number by no more does not ask for one more."""


class ScoregateLaw:
    """One deployment's law. `concurrency`: requests that one replica holds at once, at least 1."""

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self.period_s = float(settings.polling_interval)
        self._settings = settings
        self._concurrency = concurrency
        self._percent_slots = concurrency * settings.target_utilization_percentage
        """Busy slots per hundred replicas at the utilization aimed for."""
        self._flow = Flow()
        self._asked = Highest(self.period_s)
        self._needed = Lasting(settings.scale_down_window, self.period_s)
        self._guards = Guards(settings, concurrency)
        self._refused_total: int | None = None

    def decide(self, seen: Observation) -> Decision:
        self._flow.note(seen)
        starting_s = self._starting_s(seen)
        start_s = max([UNKNOWN_START_S if seen.start_s is None else seen.start_s, *starting_s])
        standing = self._standing_need(seen)
        need, why = self._need(seen, standing, starting_s, start_s)
        unknown = 0 if seen.complete else seen.wished  # what the silent ones need is taken to be what there is
        self._asked.window_s = max(start_s, self.period_s)
        asked = self._asked.add(seen.at_s, max(need, unknown))
        self._needed.add(seen.at_s, max(standing, unknown))
        worth_s = self._worth_s(start_s)
        lasting = self._needed.reached_for(worth_s)
        wanted = max(asked, lasting)
        if wanted > need:
            why += self._kept(wanted, worth_s if lasting >= asked else None)
        present = seen.ready + len(starting_s)
        if seen.queued and starting_s and wanted < present:
            wanted, why = present, f"{why}; the queue waits for the {len(starting_s)} that are starting"
        replicas, why = self._guards.apply(wanted, why, seen)
        return Decision(replicas=replicas, need=need, reason=why)

    def _kept(self, number: int, worth_s: float | None) -> str:
        """Why more than the need is kept: for what it was needed in the window, else because it was asked for."""
        if worth_s is None:
            return f"; {number} were needed less than {self._asked.window_s:.0f} s ago, as long as a start takes"
        how_long = f"for {worth_s:.0f} s or more of" if worth_s > self.period_s else "in"
        return f"; {number} were needed {how_long} the last {self._settings.scale_down_window:.0f} s"

    # -- what this moment needs ----------------------------------------------------------------------------

    def _need(self, seen: Observation, standing: int, starting_s: Sequence[float], start_s: float) -> tuple[int, str]:
        """Replicas, and why in words."""
        refused = 0 if self._refused_total is None else seen.refused_total - self._refused_total
        self._refused_total = seen.refused_total
        if not seen.queued and not refused:
            return self._need_without_queue(seen, standing, seen.ready + len(starting_s))
        told = f"{seen.in_flight} in flight, {seen.queued} queued" + (f", {refused} refused" if refused else "")
        if not seen.ready and not seen.in_flight and seen.queued + refused <= self._concurrency:
            return 1, f"{told}: the first replica can take it"
        offered = self._flow.offered(max(SHORTEST_LOOK_S, RATE_STARTS * start_s))
        service_s = self._flow.service_s
        if offered is None or service_s is None:
            need = self._at_aim(seen.in_flight + seen.queued + refused)
            return need, f"{told}, and none has finished yet: all at once need {need}"
        left = self._left(seen, offered, service_s, starting_s, start_s)
        told += f"; {offered / service_s:.3g} requests/s of {service_s:.3g} s each"
        if left <= 0:
            need = ceil(offered * 100 / self._percent_slots - ROUNDING)
            return need, f"{told} need {need}: the queue drains before a new replica could help, in {start_s:.3g} s"
        drain_s = max(service_s, DRAIN_STARTS * start_s)
        slots = offered * 100 / self._settings.target_utilization_percentage + left / drain_s
        need = max(1, ceil(slots / self._concurrency - ROUNDING))
        return need, f"{told} leave {left / service_s:.0f} waiting in {start_s:.3g} s, when a new replica helps: {need}"

    def _need_without_queue(self, seen: Observation, standing: int, present: int) -> tuple[int, str]:
        """The documented rule. But the rest of a queue that is being served is no load that asks for more."""
        need = self._at_aim(seen.in_flight)
        told = f"{seen.in_flight} in flight need {need} at {self._settings.target_utilization_percentage} %"
        if need <= max(standing, present):
            return need, told
        need = max(standing, present)
        return need, f"{told}, but no more than {standing} by their arrivals: {need}"

    def _at_aim(self, busy: int) -> int:
        """`ceil(busy / (concurrency x target))`, exactly: no rounding of fractions."""
        return -(-busy * 100 // self._percent_slots)

    def _left(
        self, seen: Observation, offered: float, service_s: float, starting_s: Sequence[float], start_s: float
    ) -> float:
        """Slot seconds of work still waiting when a replica that is asked for now is ready."""
        joins_s = (start_s - age_s for age_s in starting_s)
        slots = seen.ready * self._concurrency
        left = backlog_left(seen.queued * service_s, offered, slots, joins_s, self._concurrency, start_s)
        if seen.queue_wait_s is None or not seen.ready:
            return left
        return min(left, offered * seen.queue_wait_s)

    def _starting_s(self, seen: Observation) -> list[float]:
        """Since when those replicas start that may be counted on, the oldest first."""
        longest_s = inf if seen.start_s is None else LONGEST_START * seen.start_s + self.period_s
        return [age_s for age_s in seen.starting if age_s <= longest_s]

    # -- what is worth keeping -----------------------------------------------------------------------------

    def _standing_need(self, seen: Observation) -> int:
        """Replicas that would have served the last arrivals as they came: what a queue or a cold start piled up is
        not in it."""
        offered = self._flow.offered(max(SHORTEST_LOOK_S, self._flow.service_s or 0.0))
        if offered is None:
            return self._at_aim(seen.in_flight + seen.queued)
        return ceil(offered * 100 / self._percent_slots - ROUNDING)

    def _worth_s(self, start_s: float) -> float:
        """A number of replicas that was needed for so many seconds of the window is worth keeping through it."""
        window_s = self._settings.scale_down_window
        return window_s / max(1.0, self._settings.scale_down_starts * start_s)


def backlog_left(
    work: float, inflow: float, slots: int, joins_s: Iterable[float], slots_each: int, horizon_s: float
) -> float:
    """What is left of `work` (slot seconds) after `horizon_s`, while `inflow` (slot seconds per second) comes in, and
    `slots` work it off, and after each of `joins_s` (in order) `slots_each` more."""
    at_s = 0.0
    for join_s in joins_s:
        work = max(0.0, work + (inflow - slots) * (join_s - at_s))
        at_s = join_s
        slots += slots_each
    return max(0.0, work + (inflow - slots) * (horizon_s - at_s))
