"""A point beats another where it is no worse on either axis and better on one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sim.frontier import Point, beats, judge, nearest, pareto, strictly_beats

SHARES, HOURS = st.sampled_from([0.0, 0.1, 0.2, 0.5]), st.sampled_from([1.0, 2.0, 3.0, 5.0])
POINT = st.builds(Point, SHARES, HOURS, st.just(""))
POINTS = st.lists(POINT)
HERE = Point(0.1, 10.0)


@pytest.mark.parametrize(
    ("other", "beaten", "strictly"),
    [
        (Point(0.2, 11.0), True, True),
        (Point(0.1, 11.0), True, False),
        (Point(0.2, 10.0), True, False),
        (Point(0.1, 10.0), False, False),
        (Point(0.2, 9.0), False, False),
        (Point(0.05, 11.0), False, False),
        (Point(0.05, 9.0), False, False),
    ],
)
def test_no_worse_on_either_axis_and_better_on_one(other: Point, beaten: bool, strictly: bool) -> None:
    assert (beats(HERE, other), strictly_beats(HERE, other)) == (beaten, strictly)


def test_labels_do_not_count() -> None:
    assert not beats(Point(0.1, 10.0, "a"), Point(0.1, 10.0, "b"))


@given(POINTS)
def test_the_frontier_is_what_nobody_beats(points: list[Point]) -> None:
    unbeaten = {point for point in points if not any(beats(other, point) for other in points)}
    found = pareto(points)
    assert set(found) == unbeaten
    assert len(found) == len(unbeaten)
    assert [point.late_share for point in found] == sorted(point.late_share for point in found)


@given(POINTS.filter(bool), POINT)
def test_the_nearest_alone_says_how_a_point_stands(ours: list[Point], theirs: Point) -> None:
    verdict = judge(ours, theirs)
    assert verdict.nearest == nearest(ours, theirs)
    assert (verdict.standing == "beaten") == any(beats(point, theirs) for point in ours)
    assert verdict.strictly == any(strictly_beats(point, theirs) for point in ours)
    if verdict.standing == "equalled":
        assert theirs in ours


def test_the_nearest_is_the_cheapest_that_is_no_later_or_the_most_punctual() -> None:
    ours = [Point(0.0, 20.0), Point(0.1, 12.0), Point(0.1, 11.0), Point(0.4, 5.0)]
    assert nearest(ours, Point(0.2, 3.0)) == Point(0.1, 11.0)
    assert nearest(ours[1:], Point(0.05, 30.0)) == Point(0.1, 11.0)
    assert judge(ours, Point(0.2, 3.0)) == ("open", False, Point(0.1, 11.0))
    assert judge(ours[1:], Point(0.05, 30.0)).standing == "open"
    assert judge(ours, Point(0.1, 11.0)) == ("equalled", False, Point(0.1, 11.0))
    assert judge(ours, Point(0.1, 11.5)) == ("beaten", False, Point(0.1, 11.0))
    assert judge(ours, Point(0.3, 11.5)) == ("beaten", True, Point(0.1, 11.0))
