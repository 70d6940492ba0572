"""Which laws and loads are small enough to work out by hand?

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoscaler.observation import Decision, Observation
from bench.sim.scenarios import Scenario


class Scripted:
    """Wishes for what the script says of the moment, and keeps what it was shown."""

    period_s = 1.0

    def __init__(self, script: Callable[[float], int]) -> None:
        self._script = script
        self.shown: list[Observation] = []

    def decide(self, seen: Observation) -> Decision:
        self.shown.append(seen)
        replicas = self._script(seen.at_s)
        return Decision(replicas=replicas, need=replicas, reason="so says the script")


def always(replicas: int) -> Scripted:
    return Scripted(lambda _now: replicas)


def load(arrivals: Sequence[float], services_s: float | Sequence[float], seconds: float, initial: int = 1) -> Scenario:
    lengths = [services_s] * len(arrivals) if isinstance(services_s, float) else services_s
    return Scenario(seconds=seconds, arrivals=arrivals, services_s=lengths, initial=initial)
