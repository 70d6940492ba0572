"""What becomes of a steady stream of requests under a law, second by second?

Pure. Requests are a fluid: each second so many come, and each ready replica serves one a second. Replicas start after
a cold start, or never where there is no room; those that go are those that start, then ready ones, at once.
"""

from __future__ import annotations

from autoscaler.observation import Law
from tests.autoscaler.rivals.seen import seen


class Fluid:
    """One deployment with concurrency 1 and requests of 1 s."""

    def __init__(self, law: Law, ready: int, *, cold_start_s: int = 10, room: int = 10_000) -> None:
        """`room`: replicas over so many never start."""
        self.law = law
        self.ready = ready
        self.cold_start_s = cold_start_s
        self.room = room
        self.starting: list[int] = []
        self.waiting = 0
        self.now = 0
        self.wished = ready
        self.history: list[int] = []
        """The wished number, each second."""

    def run(self, seconds: int, per_s: int) -> Fluid:
        for _ in range(seconds):
            self._second(per_s)
        return self

    def _second(self, per_s: int) -> None:
        started = [at for at in self.starting if self.now - at >= self.cold_start_s][: max(0, self.room - self.ready)]
        self.ready += len(started)
        self.starting = self.starting[len(started) :]
        load = self.waiting + per_s
        in_flight = min(self.ready, load)
        self.waiting = load - in_flight
        observation = seen(
            self.now, self.ready, in_flight, queued=self.waiting, starting=len(self.starting), wished=self.wished
        )
        self.wished = self.law.decide(observation).replicas
        self.starting += [self.now] * (self.wished - self.ready - len(self.starting))
        del self.starting[max(0, self.wished - self.ready) :]
        self.ready = min(self.ready, self.wished)
        self.history.append(self.wished)
        self.now += 1
