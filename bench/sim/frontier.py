"""Where does one law stand against another, if both late requests and replicas count?

Pure. A point is one run: its late share and its replica-hours, less of each is better. Nothing is weighed against
anything: a point beats another where it is no worse on either axis and better on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Standing = Literal["beaten", "equalled", "open"]


class Point(NamedTuple):
    late_share: float
    replica_hours: float
    label: str = ""
    """By which setting."""


class Verdict(NamedTuple):
    """What one of ours there is to set against a point of theirs."""

    standing: Standing
    strictly: bool
    """Beaten on both axes by one and the same point."""
    nearest: Point
    """The one that beats it or equals it; else the one that says how far it is: see `nearest`."""


def beats(one: Point, other: Point) -> bool:
    no_worse = one.late_share <= other.late_share and one.replica_hours <= other.replica_hours
    return no_worse and one[:2] != other[:2]


def strictly_beats(one: Point, other: Point) -> bool:
    return one.late_share < other.late_share and one.replica_hours < other.replica_hours


def pareto(points: Iterable[Point]) -> list[Point]:
    """Those that none of them beats, the most punctual first; of points that are equal the first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: each[:2]):
        if not kept or point.replica_hours < kept[-1].replica_hours:
            kept.append(point)
    return kept


def nearest(ours: Sequence[Point], theirs: Point) -> Point:
    """Of those that are no later, the one with the fewest replica-hours; where there are none, the most punctual."""
    punctual = [point for point in ours if point.late_share <= theirs.late_share]
    if punctual:
        return min(punctual, key=lambda point: (point.replica_hours, point.late_share))
    return min(ours, key=lambda point: point[:2])


def judge(ours: Sequence[Point], theirs: Point) -> Verdict:
    """`ours` is not empty."""
    close = nearest(ours, theirs)
    if beats(close, theirs):
        return Verdict("beaten", any(strictly_beats(point, theirs) for point in ours), close)
    return Verdict("equalled" if close[:2] == theirs[:2] else "open", False, close)
