"""How busy is each deployment, over all routers?

Pure. Keeps the last word of every router that is there; a platform shows the ratios to who looks after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from router.core.model import Instance, Load


class Utilization:
    """`report` what routers say, `follow` which of them there are; `ratios` are of all that is known now."""

    def __init__(self) -> None:
        self._loads: dict[str, Sequence[Load]] = {}

    def follow(self, instances: Iterable[Instance]) -> None:
        """The word of a router that left does not count any more."""
        present = {instance.id for instance in instances}
        self._loads = {instance: loads for instance, loads in self._loads.items() if instance in present}

    def report(self, instance: str, loads: Sequence[Load]) -> None:
        self._loads[instance] = loads

    def ratios(self) -> dict[str, float]:
        """(in flight + queued) / (replicas x concurrency) by deployment key, without those that have no replica or no
        limit. Every router knows the same replicas; where they differ for a moment, the most count."""
        demand: dict[str, int] = defaultdict(int)
        slots: dict[str, int] = defaultdict(int)
        for load in (load for loads in self._loads.values() for load in loads):
            key = f"{load.endpoint}/{load.deployment}"
            demand[key] += load.in_flight + load.queued
            slots[key] = max(slots[key], load.total * load.concurrency)
        return {key: demand[key] / count for key, count in slots.items() if count}
