"""replay.py: recorded loads meet other laws, on the recorded clock, with replicas of the law's own."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.observation import Decision, Observation
from autoscaler.records import Decided, Terms
from autoscaler.replay import looks, measured_start_s, moments, recorded, replay, summarise
from router.core.model import ScaleSettings
from tests.autoscaler.nouns import KEY, decision, seen

TERMS = Terms(time=0.0, deployment=KEY, concurrency=2, settings=ScaleSettings())


def at(at_s: float, demand: int = 0, *, time_s: float | None = None, wished: int = 1, **figures: Any) -> Decided:
    observation = seen(at_s, wished, in_flight=demand, **figures)
    return Decided(time=1e9 + (at_s if time_s is None else time_s), seen=observation, decision=decision(wished))


class Noting:
    """A law that wants as many replicas as requests, and keeps what it was shown."""

    period_s = 1.0

    def __init__(self) -> None:
        self.shown: list[Observation] = []

    def decide(self, seen: Observation) -> Decision:
        self.shown.append(seen)
        return Decision(replicas=seen.in_flight, need=seen.in_flight, reason="")


def test_time_goes_on_when_the_observers_clock_begins_anew_or_the_machine_slept() -> None:
    story = moments([TERMS, at(50), at(51), at(1, time_s=60), at(2, time_s=61), at(3, time_s=1_000)])
    assert [moment.seen.at_s for moment in story] == [0, 1, 10, 11, 950]


def test_a_wall_clock_that_was_set_changes_nothing_small() -> None:
    assert [moment.seen.at_s for moment in moments([TERMS, at(0), at(1, time_s=5), at(2, time_s=2)])] == [0, 1, 2]


@pytest.mark.parametrize(
    ("records", "rule"),
    [
        ([at(0)], "before the first line of kind terms"),
        ([TERMS, Terms(time=0, deployment="iris/red", concurrency=1, settings=ScaleSettings())], "one deployment"),
        ([Terms(time=0, deployment=KEY, concurrency=0, settings=ScaleSettings())], "concurrency is 0"),
    ],
)
def test_records_that_make_no_sense_are_refused(records: list[Terms | Decided], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        moments(records)


def test_counters_go_on_when_the_observer_begins_anew() -> None:
    said = [(3, 1.5), (5, 2.0), (1, 0.5), (2, 0.5), (0, 0.0)]
    story = moments([TERMS, *(at(n, arrived_total=count, held_seconds_total=s) for n, (count, s) in enumerate(said))])
    assert [moment.seen.arrived_total for moment in story] == [3, 5, 6, 7, 7]
    assert [moment.seen.held_seconds_total for moment in story] == [1.5, 2.0, 2.5, 2.5, 2.5]


def test_reports_stay_as_fresh_as_they_were() -> None:
    law = Noting()
    story = moments([TERMS, at(50, heard_s=49.75), at(52, heard_s=51.5), at(1, time_s=60)])
    assert [moment.seen.heard_s for moment in story] == [-0.25, 1.5, None]
    list(replay(story[:2], law, start_s=0.0))
    assert [each.heard_s for each in law.shown] == [-0.25, 0.75, 1.5]


def test_what_was_recorded_is_told_as_it_was() -> None:
    story = moments([TERMS, at(0, 3, wished=2), at(10, 5, wished=4, ready=2, starting=(1.0,)), at(15, wished=1)])
    points = recorded(story)
    assert [(p.demand, p.slots, p.replicas, p.wished, p.lasts_s) for p in points] == [
        (3, 4, 2, 2, 10),
        (5, 4, 3, 4, 5),
        (0, 2, 1, 1, 0),
    ]


def test_a_law_sees_the_recorded_load_and_its_own_replicas() -> None:
    law = Noting()
    story = moments([TERMS, at(0, 1), at(1, 3, wished=9, leaving=1), at(2, 3), at(3, 3), at(4, 1), at(5, 1)])
    points = list(replay(story, law, start_s=1.5))
    shown = [(each.wished, each.ready, each.starting, each.leaving, each.start_s) for each in law.shown]
    assert shown == [
        (1, 1, (), 0, 1.5),
        (1, 1, (), 0, 1.5),
        (3, 1, (1.0, 1.0), 0, 1.5),
        (3, 3, (), 0, 1.5),
        (3, 3, (), 0, 1.5),
        (1, 1, (), 0, 1.5),
    ]
    assert [point.replicas for point in points] == [1, 3, 3, 3, 1, 1]
    assert [point.slots for point in points] == [2, 2, 2, 6, 2, 2]


def test_between_two_lines_it_is_asked_in_each_of_its_periods() -> None:
    law = Noting()
    story = moments([TERMS, at(0, 1), at(4.2, 1), at(5.2004, 1)])
    points = list(replay(story, law, start_s=0.0))
    assert [each.at_s for each in law.shown] == [0.0, 1.0, 2.0, 3.0, 4.2, 5.2004]
    assert sum(point.lasts_s for point in points) == pytest.approx(5.2004)
    assert looks(story, 1.0) == 6


def test_replicas_that_were_starting_go_on_starting_and_the_youngest_go_first() -> None:
    law = Noting()
    story = moments([TERMS, at(0, 3, wished=3, ready=1, starting=(4.0, 1.0)), at(1, 2), at(2, 3), at(3, 3)])
    list(replay(story, law, start_s=5.0))
    assert [(each.ready, each.starting) for each in law.shown] == [
        (1, (4.0, 1.0)),
        (2, (2.0,)),
        (2, ()),
        (2, (1.0,)),
    ]


def test_a_gap_in_the_recording_counts_for_nobody() -> None:
    story = moments([TERMS, at(0, 1, wished=2), at(10, 1, wished=2), at(1000, 1, wished=2), at(1010, 1)])
    assert summarise(recorded(story)).total_s == 20
    law = Noting()
    points = list(replay(story, law, start_s=0.0))
    assert sum(point.lasts_s for point in points) == 20
    assert len(points) == 10 + 1 + 10 + 1 == looks(story, 1.0)


def test_the_summary_adds_up() -> None:
    story = moments([TERMS, at(0, 3), at(60, 6, wished=3), at(90, wished=3), at(100, wished=2), at(110)])
    summary = summarise(recorded(story))
    assert summary.replica_hours == pytest.approx((60 * 1 + 30 * 3 + 10 * 3 + 10 * 2) / 3600)
    assert (summary.changes, summary.lowest, summary.highest) == (3, 1, 3)
    assert (summary.short_s, summary.total_s) == (60, 110)


def test_the_start_time_is_the_last_that_was_measured() -> None:
    assert measured_start_s(moments([TERMS, at(0), at(1)])) is None
    assert measured_start_s(moments([TERMS, at(0, start_s=4.0), at(1, start_s=2.5), at(2)])) == 2.5
