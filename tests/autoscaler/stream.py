"""What becomes of an even stream of requests under a law, second by second?

Pure. One router that counts, replicas that take their time to start, and a queue without an end. Requests that come at
once are served one after another, first come first served; time passes in quarters of a second.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from autoscaler.law import ScoregateLaw
from autoscaler.observation import Decision, Law, Observation
from router.core.model import ScaleSettings
from tests.autoscaler.nouns import seen

STEPS = 4
"""In each second."""


def law_of(concurrency: int = 1, **scale: Any) -> ScoregateLaw:
    """It may go to none, and to as many as it likes."""
    return ScoregateLaw(ScaleSettings(**{"min_instances": 0, "max_instances": 100_000, **scale}), concurrency)


def after_a_minute(law: Law, per_s: int, service_s: float, **now: Any) -> Decision:
    """At 60 s, after so many requests came each second and finished. `now`: what there is then."""
    flow: dict[str, Any] = {}
    for at in range(61):
        total = per_s * at
        flow = {"arrived_total": total, "finished_total": total, "held_seconds_total": total * service_s}
        if at < 60:
            law.decide(seen(at, 0, **flow, start_s=now.get("start_s")))
    return law.decide(seen(60, **{"wished": 1, **flow, **now}))


class Stream:
    """One deployment whose requests take `service_s` each. The law sees the measured start time from the beginning."""

    def __init__(
        self, law: Law, ready: int, *, service_s: float = 1.0, start_s: float = 10.0, concurrency: int = 1
    ) -> None:
        self.law = law
        self.ready = self.wished = ready
        self.service_s = service_s
        self.start_s = start_s
        self.concurrency = concurrency
        self.now = 0.0
        self.begun: list[float] = []
        """When each replica that still starts was asked for, the oldest first."""
        self.held: deque[float] = deque()
        """Until when each request in flight holds its slot."""
        self.queued = self.arrived = self.finished = 0
        self.history: list[int] = []
        """The number wished for, each second."""

    def run(self, seconds: int, per_s: int) -> Stream:
        """The law looks at the end of each second. `per_s`: a multiple of the steps, to come evenly."""
        for _ in range(seconds):
            for _ in range(STEPS):
                self._step(per_s // STEPS)
            self.look()
        return self

    def look(self) -> Decision:
        decision = self.law.decide(self.seen())
        self._scale(decision.replicas)
        self.history.append(decision.replicas)
        return decision

    def seen(self) -> Observation:
        return Observation(
            at_s=self.now,
            wished=self.wished,
            ready=self.ready,
            starting=tuple(self.now - begun for begun in self.begun),
            in_flight=len(self.held),
            queued=self.queued,
            arrived_total=self.arrived,
            finished_total=self.finished,
            held_seconds_total=self.finished * self.service_s,
            start_s=self.start_s,
        )

    def _step(self, arriving: int) -> None:
        self.now += 1 / STEPS
        while self.held and self.held[0] <= self.now:
            self.held.popleft()
            self.finished += 1
        while self.begun and self.now - self.begun[0] >= self.start_s:
            del self.begun[0]
            self.ready += 1
        self.arrived += arriving
        self.queued += arriving
        served = max(0, min(self.queued, self.ready * self.concurrency - len(self.held)))
        self.queued -= served
        self.held.extend([self.now + self.service_s] * served)

    def _scale(self, wished: int) -> None:
        self.wished = wished
        self.begun += [self.now] * (wished - self.ready - len(self.begun))
        del self.begun[max(0, wished - self.ready) :]
        self.ready = min(self.ready, wished)
