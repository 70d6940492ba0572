"""How busy is each deployment, over several instances?

Pure. Each instance tells of its own requests alone, so they add up; all know the same replicas, and where they differ
for a moment, the most count. Numbered invariants, which the tests hold it to:

1. However the same requests are spread over instances, and in whatever order these tell, the outcome is the same.
2. A replica is busy once, however many instances have requests with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import fsum
from typing import NamedTuple

from router.core.model import Load


class Gathered(NamedTuple):
    """The load of all instances that answered in time."""

    loads: list[Load]
    answered: int
    known: int
    """Instances that there are, the one that asks among them."""


def merged(by_instance: Iterable[Sequence[Load]]) -> list[Load]:
    """One load for each deployment, in the order in which they are first told."""
    told: dict[tuple[str, str], list[Load]] = {}
    for load in (load for loads in by_instance for load in loads):
        told.setdefault((load.endpoint, load.deployment), []).append(load)
    return [_sum(loads) for loads in told.values()]


def utilization(in_flight: int, queued: int, slots: int) -> float:
    """0 where there is no slot, or no limit."""
    return round((in_flight + queued) / slots, 4) if slots else 0.0


def _sum(loads: Sequence[Load]) -> Load:
    if len(loads) == 1:
        return loads[0]
    replicas: Counter[str] = Counter()
    for load in loads:
        replicas.update(load.replicas)
    in_flight, queued = sum(load.in_flight for load in loads), sum(load.queued for load in loads)
    total, concurrency = max(load.total for load in loads), max(load.concurrency for load in loads)
    return Load(
        endpoint=loads[0].endpoint,
        deployment=loads[0].deployment,
        concurrency=concurrency,
        in_flight=in_flight,
        queued=queued,
        busy=sum(count > 0 for count in replicas.values()),
        ready=max(load.ready for load in loads),
        starting=max(load.starting for load in loads),
        total=total,
        refused_total=sum(load.refused_total for load in loads),
        arrived_total=sum(load.arrived_total for load in loads),
        finished_total=sum(load.finished_total for load in loads),
        held_seconds_total=round(fsum(load.held_seconds_total for load in loads), 3),
        utilization=utilization(in_flight, queued, total * concurrency),
        replicas=dict(replicas),
    )
