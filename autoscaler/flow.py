"""How fast do requests come, and how long does each hold its slot?

Pure. From counters that only grow: a rate is a difference of two looks over the time between them, and the busy slots
that a rate fills, were there room for all, are rate x service time (Little's law). No queue and no clipping is in it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from autoscaler.observation import Observation

MEMORY_S = 60.0
"""The service time is the mean of what finished in so long ..."""
ENOUGH = 20
"""... and of what was known before, as long as fewer than so many have: after a pause, short ones finish first."""

SEVERAL = 5.0
"""So many should have finished by now, and none has: by chance that comes once in 150 times."""


class _Look(NamedTuple):
    at_s: float
    arrived: int
    finished: int
    held_s: float
    in_flight: int


class Flow:
    """One deployment's requests."""

    def __init__(self) -> None:
        self.service_s: float | None = None
        """None until the first has finished."""
        self._mean_s: float | None = None
        self._settled_s: float | None = None
        """The mean of when enough had finished last."""
        self._stuck_since_s: float | None = None
        """Since then slots are held, and none was given back."""
        self._looks: deque[_Look] = deque()

    def note(self, seen: Observation) -> None:
        """What is not complete says nothing: what a silent router counted comes later, and all at once."""
        if not seen.complete:
            return
        looks = self._looks
        heard_s = seen.at_s if seen.heard_s is None else seen.heard_s
        if looks and heard_s <= looks[-1].at_s:  # nothing new: time has passed, but not for the counters
            return
        if not looks or not looks[-1].in_flight or seen.finished_total != looks[-1].finished:
            self._stuck_since_s = heard_s
        counters = (seen.arrived_total, seen.finished_total, seen.held_seconds_total)
        looks.append(_Look(heard_s, *counters, seen.in_flight))
        while len(looks) > 2 and looks[1].at_s <= heard_s - MEMORY_S:
            looks.popleft()
        before = looks[0] if len(looks) > 1 else _Look(heard_s, 0, 0, 0.0, 0)
        self._look_at_finished(looks[-1].finished - before.finished, looks[-1].held_s - before.held_s)
        self._doubt(heard_s, seen.in_flight)

    def _look_at_finished(self, finished: int, held_s: float) -> None:
        if finished <= 0 or held_s <= 0:  # a few quick ones hold a slot for 0.000 s, as it is reported
            return
        self._mean_s = held_s / finished
        if finished >= ENOUGH:
            self._settled_s = self._mean_s
        elif self._settled_s is not None:
            self._mean_s = (held_s + (ENOUGH - finished) * self._settled_s) / ENOUGH

    def _doubt(self, now: float, in_flight: int) -> None:
        """While none finishes, though several should have: those in flight take at least as long as that."""
        self.service_s = self._mean_s
        if self._mean_s is not None and self._stuck_since_s is not None:
            stuck_s = now - self._stuck_since_s
            if stuck_s * in_flight > SEVERAL * self._mean_s:
                self.service_s = max(self._mean_s, stuck_s)

    def arrivals_per_s(self, over_s: float) -> float:
        """Over at least so long, as far as it remembers; 0 at the first look."""
        over_s = min(over_s, MEMORY_S)
        last = self._looks[-1]
        before = last
        for before in reversed(self._looks):
            if last.at_s - before.at_s >= over_s - 1e-6:
                break
        return (last.arrived - before.arrived) / max(over_s, last.at_s - before.at_s)

    def offered(self, over_s: float) -> float | None:
        """Busy slots that the arrivals of the last so many seconds fill; None until a service time is known."""
        return None if self.service_s is None else self.arrivals_per_s(over_s) * self.service_s
