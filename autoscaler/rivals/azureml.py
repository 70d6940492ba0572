"""How would Azure ML's own router, azureml-fe, decide?

Pure. The rule, from Azure ML's documentation: utilization is busy replicas (v1), or busy replicas and queued requests
(v2), over all present replicas, started or not; every second the count becomes what brings it to the target. More
replicas at once; fewer after about a minute: here, to the highest need of 60 s, and not before 60 s have been seen.

The reading: a replica with several slots is busy by the share of them that is taken, as the documented sizing (requests
over slots) implies; with one slot that is the documented rule to the letter. azureml-fe never goes to zero.

Known failures, kept: v1's utilization is never over 1, so at 70 % each step grows it by 1.43 at most, and the next step
has to wait for the replicas of the last (knative#2141 and ray#24793 had the same). v2's queue grows for as long as
what was asked for is not there, and is asked for again, up to the most there may be.
"""

from __future__ import annotations

from autoscaler.observation import Decision, Observation
from autoscaler.rivals.knob import Knob
from autoscaler.rivals.pace import Pace
from autoscaler.window import Highest
from router.core.model import ScaleSettings

PERIOD_S = 1.0
HELD_S = 60.0


class _Frontend:
    """What both versions do with what they take for the load."""

    period_s = PERIOD_S

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self._knob = Knob(settings, concurrency, to_zero=False)
        self._concurrency = concurrency
        self._pace = Pace(PERIOD_S)
        self._needs = Highest(HELD_S)
        self._last: Decision | None = None

    def decide(self, seen: Observation) -> Decision:
        if self._last is None:
            self._needs.add(seen.at_s, seen.wished)
        if self._pace.due(seen.at_s) or self._last is None:
            self._last = self._look(seen)
        return self._last

    def _look(self, seen: Observation) -> Decision:
        load, told = self._load(seen)
        need = self._knob.replicas_for(load)
        highest = self._needs.add(seen.at_s, need)
        return Decision(
            replicas=self._knob.within(max(need, min(seen.wished, highest))),
            need=need,
            reason=f"{told} ask for {need}; the most of {HELD_S:.0f} s is {highest}",
        )

    def _load(self, seen: Observation) -> tuple[int, str]:
        raise NotImplementedError


class AzureMLV1(_Frontend):
    """Utilization is busy over present replicas."""

    def _load(self, seen: Observation) -> tuple[int, str]:
        present = seen.ready + len(seen.starting)
        busy = min(seen.in_flight, present * self._concurrency)
        return busy, f"{busy} busy slots of {present} replicas"


class AzureMLV2(_Frontend):
    """Utilization is busy replicas and queued requests over present replicas."""

    def _load(self, seen: Observation) -> tuple[int, str]:
        return seen.in_flight + seen.queued, f"{seen.in_flight} busy slots and {seen.queued} queued requests"
