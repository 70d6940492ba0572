"""An overlap is held against the kill before it, and a failure is a killed instance's or another's."""

from __future__ import annotations

import math

from bench.dispatch.counting import Overlap, Served
from bench.dispatch.faults import Faults, Kill, judged
from bench.dispatch.load import Load
from bench.dispatch.sending import Sent
from router.core.circle import LEASE_S

LOAD = Load(replicas=2, share=0.5)
KILLS = [
    Kill(at=100.0, instance=1, was_owner=True, back_at=102.0),
    Kill(at=110.0, instance=2, was_owner=False, back_at=112.0),
]


def _sent(intended: float, instance: int, wait_s: float | None) -> Sent:
    """With None it fails, 0.2 s later."""
    served = None
    if wait_s is not None:
        served = Served(n=0, came=intended, began=intended + wait_s, ended=intended + wait_s + 0.1)
    failure = "" if served else "connection lost"
    return Sent(intended=intended, instance=instance, late_s=0.0, ended=intended + 0.2, served=served, failure=failure)


def _judged(sent: list[Sent], overlaps: list[Overlap]) -> Faults:
    return judged(LOAD, KILLS, sent, overlaps)


def test_an_overlap_within_a_lease_of_a_kill_keeps_the_bound_and_a_later_one_breaks_it() -> None:
    within = [Overlap(100.5, 100.7, 2), Overlap(110.0 + LEASE_S, 115.0, 3)]
    found = _judged([], within)
    assert (found.beyond, found.most_in_flight) == (0, 3)
    assert found.overlaps_s == [0.5, LEASE_S]
    assert found.lasted_s == [100.7 - 100.5, 115.0 - 112.0]
    assert _judged([], [Overlap(100.0 + LEASE_S + 0.1, 105.0, 2)]).beyond == 1


def test_one_before_any_kill_breaks_it() -> None:
    found = _judged([], [Overlap(99.9, 100.5, 2)])
    assert (found.beyond, found.overlaps_s) == (1, [math.inf])


def test_one_that_goes_on_has_no_length_yet() -> None:
    assert _judged([], [Overlap(100.5, 0.0, 2)]).lasted_s == []


def test_without_overlaps_one_at_once_was_the_most() -> None:
    found = _judged([], [])
    assert (found.most_in_flight, found.beyond, found.overlaps_s) == (1, 0, [])


def test_failures_are_those_of_the_killed_from_the_kill_until_it_is_back_or_others() -> None:
    killed = [_sent(99.9, 1, None), _sent(101.0, 1, None), _sent(102.5, 1, None), _sent(110.0, 2, None)]
    others = [_sent(99.7, 1, None), _sent(101.0, 0, None), _sent(101.0, 2, None), _sent(107.0, 1, None)]
    found = _judged([*killed, *others, _sent(101.0, 3, 0.1)], [])
    assert (found.requests, found.failed_there, found.failed_elsewhere) == (9, 4, 4)


def test_the_longest_wait_is_that_of_those_who_came_after_the_kill() -> None:
    found = _judged([_sent(99.0, 0, 9.0), _sent(100.5, 0, 0.25), _sent(103.0, 3, 0.5), _sent(109.0, 0, 7.0)], [])
    assert found.waits_ms[0] == 500.0
    assert math.isnan(found.waits_ms[1])
