"""What would another law, or other settings, have done with this recorded load?

Pure. Open loop: the requests in flight and queued are those that were recorded, whatever the replayed law does about
them. Its replicas are a simple model: one that it asks for is ready after the start time, and one that it gives up is
gone at once, the youngest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from msgspec import to_builtins
from msgspec.structs import replace

from autoscaler.observation import Law, Observation
from autoscaler.records import Decided, Terms
from router.core.model import ScaleSettings
from router.core.shape import problems_of

GAP_S = 120.0
"""The journal has a line a minute. Where it has none for so long nobody was there to decide, and nothing counts."""


_COUNTERS = ("arrived_total", "finished_total", "held_seconds_total", "refused_total")


class Moment(NamedTuple):
    """What was recorded. Its time counts from the first line, and its counters grow, through restarts of whoever
    recorded."""

    seen: Observation
    concurrency: int


class Point(NamedTuple):
    """After one decision: what there is, until the next point."""

    at_s: float
    demand: int
    """Requests in flight and queued."""
    slots: int
    """Requests that ready replicas could hold."""
    replicas: int
    """Ready and starting."""
    wished: int
    lasts_s: float
    """0 where the recording has a gap."""


class Summary(NamedTuple):
    replica_hours: float
    changes: int
    highest: int
    lowest: int
    short_s: float
    """How long there were more requests than slots."""
    total_s: float


def moments(records: Iterable[Terms | Decided]) -> list[Moment]:
    """Raises ValueError, saying which rule is broken, for records that make no sense in this order."""
    found: list[Moment] = []
    terms: Terms | None = None
    story = _Story()
    for record in records:
        if isinstance(record, Decided):
            if terms is None:
                raise ValueError("a decision comes before the first line of kind terms")
            found.append(Moment(story.next(record), terms.concurrency))
            continue
        if terms is not None and record.deployment != terms.deployment:
            raise ValueError(f"it holds {terms.deployment} and {record.deployment}: it must hold one deployment")
        if record.concurrency < 1:
            raise ValueError(f"concurrency is {record.concurrency}: it must be at least 1")
        for problem in problems_of(ScaleSettings, to_builtins(record.settings)):
            raise ValueError(f"settings.{problem}")
        terms = record
    return found


def recorded(moments: Sequence[Moment]) -> list[Point]:
    """What really happened."""
    points = []
    for moment, lasts_s in zip(moments, _durations_s(moments), strict=True):
        seen, slots = moment.seen, moment.seen.ready * moment.concurrency
        replicas = seen.ready + len(seen.starting)
        points.append(Point(seen.at_s, seen.in_flight + seen.queued, slots, replicas, seen.wished, lasts_s))
    return points


def replay(moments: Sequence[Moment], law: Law, start_s: float) -> Iterator[Point]:
    """One law's points, for each recorded moment and each of its periods between. `start_s`: of a replica."""
    model: _Model | None = None
    for moment, lasts_s in zip(moments, _durations_s(moments), strict=True):
        model = model or _Model(moment.seen, start_s)
        for number, length_s in enumerate(_looks_s(lasts_s, law.period_s)):
            at_s = moment.seen.at_s + number * law.period_s
            seen = model.seen(_later(moment.seen, number * law.period_s), at_s)
            model.follow(law.decide(seen).replicas, at_s)
            demand = seen.in_flight + seen.queued
            slots = model.ready(at_s) * moment.concurrency
            yield Point(at_s, demand, slots, model.wished, model.wished, length_s)


def looks(moments: Sequence[Moment], period_s: float) -> int:
    """How many points the replay of a law with this period has."""
    return sum(1 for lasts_s in _durations_s(moments) for _ in _looks_s(lasts_s, period_s))


def summarise(points: Sequence[Point]) -> Summary:
    wishes = [point.wished for point in points]
    return Summary(
        replica_hours=sum(point.replicas * point.lasts_s for point in points) / 3600,
        changes=sum(before != after for before, after in pairwise(wishes)),
        highest=max((point.replicas for point in points), default=0),
        lowest=min((point.replicas for point in points), default=0),
        short_s=sum(point.lasts_s for point in points if point.demand > point.slots),
        total_s=sum(point.lasts_s for point in points),
    )


def measured_start_s(moments: Sequence[Moment]) -> float | None:
    """The last that was measured; None where no replica was seen to start."""
    return next((moment.seen.start_s for moment in reversed(moments) if moment.seen.start_s is not None), None)


class _Story:
    """Observations of one observer after another, as one that never ended would have made them."""

    def __init__(self) -> None:
        self._last: Decided | None = None
        self._at_s = 0.0
        self._before: dict[str, float] = dict.fromkeys(_COUNTERS, 0)

    def next(self, record: Decided) -> Observation:
        seen, last = record.seen, self._last
        if last is not None:
            self._at_s += _elapsed_s(last, record)
            for name in _COUNTERS:
                if getattr(seen, name) < getattr(last.seen, name):  # a new observer, whose counters begin at 0
                    self._before[name] += getattr(last.seen, name)
        self._last = record
        counters = {name: getattr(seen, name) + self._before[name] for name in _COUNTERS}
        return replace(_later(seen, self._at_s - seen.at_s), **counters)


class _Model:
    """The replicas that a law would have: when each is ready, the oldest first."""

    def __init__(self, first: Observation, start_s: float) -> None:
        self._start_s = start_s
        started = [0.0] * first.ready
        starting = [max(0.0, start_s - since_s) for since_s in first.starting]
        self._ready_s = [*started, *starting]
        self.wished = first.wished
        self.follow(first.wished, 0.0)

    def ready(self, at_s: float) -> int:
        return sum(ready_s <= at_s for ready_s in self._ready_s)

    def seen(self, recorded: Observation, at_s: float) -> Observation:
        starting = [ready_s - self._start_s for ready_s in self._ready_s if ready_s > at_s]
        return replace(
            recorded,
            wished=self.wished,
            ready=len(self._ready_s) - len(starting),
            starting=tuple(sorted((at_s - begun_s for begun_s in starting), reverse=True)),
            leaving=0,
            start_s=self._start_s,
        )

    def follow(self, wished: int, at_s: float) -> None:
        self.wished = wished
        missing = wished - len(self._ready_s)
        self._ready_s = [*self._ready_s[:wished], *[at_s + self._start_s] * max(0, missing)]


def _later(seen: Observation, by_s: float) -> Observation:
    """The same, with reports as fresh."""
    return replace(seen, at_s=seen.at_s + by_s, heard_s=None if seen.heard_s is None else seen.heard_s + by_s)


def _elapsed_s(last: Decided, record: Decided) -> float:
    """By the observer's clock; by the calendar where that began anew, or where the machine slept."""
    elapsed_s, by_calendar_s = record.seen.at_s - last.seen.at_s, record.time - last.time
    return elapsed_s if elapsed_s >= 0 and abs(elapsed_s - by_calendar_s) < GAP_S else max(0.0, by_calendar_s)


def _durations_s(moments: Sequence[Moment]) -> list[float]:
    """How long each moment lasts; 0 for the last, and for one with a gap behind it."""
    elapsed_s = [after.seen.at_s - before.seen.at_s for before, after in pairwise(moments)]
    return [*(each_s if each_s < GAP_S else 0.0 for each_s in elapsed_s), 0.0][: len(moments)]


def _looks_s(lasts_s: float, period_s: float) -> Iterator[float]:
    """How long each decision holds, the one at the moment itself first. A moment that comes a little late makes no
    decision more."""
    while lasts_s >= 1.5 * period_s:
        yield period_s
        lasts_s -= period_s
    yield lasts_s
