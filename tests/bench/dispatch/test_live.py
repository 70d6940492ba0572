"""A wait is what a request waited more than one that finds all idle, and the ideal queue gets the same requests."""

from __future__ import annotations

import math

import pytest

from bench.dispatch.contenders import HAProxy
from bench.dispatch.counting import Account, Overlap, Served
from bench.dispatch.live import Course, course_of, measured, spread_over
from bench.dispatch.load import Load, Request
from bench.dispatch.sending import Sent
from bench.dispatch.sweep import TAIL
from bench.measure import choose_cores

LOAD = Load(replicas=1, share=0.5, requests=3)


def _sent(intended: float, began: float, ended: float, late_s: float = 0.0) -> Sent:
    served = Served(n=0, came=intended, began=began, ended=ended)
    return Sent(intended=intended, instance=0, late_s=late_s, ended=ended, served=served)


def _failed(intended: float, why: str) -> Sent:
    return Sent(intended=intended, instance=0, late_s=0.0, ended=intended, served=None, failure=why)


def _course(*sent: Sent, accounts: tuple[Account, ...] = (Account(1, 1, []),)) -> Course:
    return course_of(HAProxy(), LOAD, 0.01, sent, accounts, 50.0)


def test_the_way_is_taken_off_and_nobody_waits_less_than_nothing() -> None:
    course = _course(_sent(100.0, 100.01, 101.0), _sent(100.5, 101.11, 102.0))
    assert course.wait.p99_s == pytest.approx(0.6)
    assert course.wait.p50_s == pytest.approx(0.0)
    assert _course(_sent(100.0, 100.001, 100.5)).wait.p99_s == 0.0
    assert course.path_ms == 10.0


def test_the_ideal_queue_gets_the_intended_moments_and_the_measured_lengths() -> None:
    course = _course(_sent(100.0, 100.3, 101.3), _sent(100.5, 101.4, 102.4))
    assert course.ideal.p99_s == pytest.approx(0.5)
    assert course.ratio == pytest.approx((0.9 - 0.01) / 0.5)


def test_where_the_ideal_has_no_wait_there_is_no_ratio() -> None:
    assert math.isnan(_course(_sent(100.0, 100.3, 101.3)).ratio)


def test_failures_are_counted_by_reason_and_are_no_waits() -> None:
    course = _course(_sent(1.0, 1.5, 2.0), _failed(1.1, "timeout"), _failed(1.2, "timeout"), _failed(1.3, "status 503"))
    assert course.failures == {"timeout": 2, "status 503": 1}
    assert course.requests == 4
    assert course.wait.p99_s == pytest.approx(0.49)


def test_the_tail_goes_from_the_shortest_wait_to_the_longest() -> None:
    course = _course(*(_sent(float(n), n + 0.01 + 0.001 * (n % 100), n + 0.5) for n in range(1_000)))
    assert len(course.tail_s) == len(course.ideal_tail_s) == len(TAIL)
    assert course.tail_s == sorted(course.tail_s)
    assert course.tail_s[TAIL.index(0.1)] == pytest.approx(0.089)
    assert set(course.ideal_tail_s) == {0.0}


def test_where_all_failed_it_is_said_and_nothing_breaks() -> None:
    course = _course(_failed(1.0, "status 503"))
    assert course.tail_s == course.ideal_tail_s == []
    assert (course.requests, course.failures) == (1, {"status 503": 1})
    assert math.isnan(course.wait.p99_s)


def test_what_replicas_counted_is_told() -> None:
    accounts = (Account(5, 1, []), Account(5, 3, [Overlap(1.0, 2.0, 3), Overlap(3.0, 4.0, 2)]))
    course = _course(_sent(1.0, 1.5, 2.0), accounts=accounts)
    assert (course.most_in_flight, course.overlaps) == (3, 2)


def test_the_senders_own_lateness_is_told() -> None:
    assert _course(*(_sent(1.0, 1.5, 2.0, late_s=0.001 * each) for each in range(100))).late_p99_ms == pytest.approx(99)


def test_two_of_six_instances_are_behind_one_of_three_routers() -> None:
    requests = [Request(0.0, instance, 1.0) for instance in range(6)]
    assert [each.instance for each in spread_over(requests, 3)] == [0, 0, 1, 1, 2, 2]
    assert spread_over(requests, 6) == requests


@pytest.mark.skipif(not HAProxy().program, reason="haproxy is not installed")
def test_a_real_run_serves_all() -> None:
    load = Load(replicas=4, share=0.5, mean_s=0.02, requests=60)
    told: list[float] = []
    course = measured(HAProxy(), load, choose_cores(), told.append)
    assert (course.requests, course.failures) == (60, {})
    assert course.wait.p99_s >= course.wait.p50_s >= 0
    assert course.most_in_flight >= 1
    assert 0 < course.path_ms < 1_000
    assert course.cpu_us > 0
    assert told[-1] == 1.0
