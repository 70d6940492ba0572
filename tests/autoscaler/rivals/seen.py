"""What does an observation look like of which only the load matters?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.observation import Decision, Law, Observation
from router.core.model import ScaleSettings


def settings(*, percent: int = 70, least: int = 1, most: int = 1000) -> ScaleSettings:
    return ScaleSettings(min_instances=least, max_instances=most, target_utilization_percentage=percent)


def seen(
    at_s: float,
    ready: int,
    in_flight: int = 0,
    *,
    queued: int = 0,
    starting: int = 0,
    wished: int | None = None,
    arrived: int = 0,
    finished: int = 0,
    held_s: float = 0.0,
    complete: bool = True,
) -> Observation:
    """`wished`: what there is, when not given. `held_s`: seconds that each finished request held its slot."""
    return Observation(
        at_s=at_s,
        wished=ready + starting if wished is None else wished,
        ready=ready,
        starting=(1.0,) * starting,
        in_flight=in_flight,
        queued=queued,
        arrived_total=arrived,
        finished_total=finished,
        held_seconds_total=finished * held_s,
        complete=complete,
    )


def shown(law: Law, observations: Iterable[Observation]) -> list[int]:
    """How many replicas it decided for each."""
    return [law.decide(each).replicas for each in observations]


def last_of(law: Law, observations: Iterable[Observation]) -> Decision:
    return [law.decide(each) for each in observations][-1]
