"""rate_limit.py: its invariants, on a clock of the test's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import RateLimit
from router.core.rate_limit import MAX_WAIT_S, Bucket

RATES = st.floats(0.01, 1_000.0)
BURSTS = st.integers(1, 50)
GAPS = st.lists(st.floats(0.0, 5.0), max_size=200)


def bucket(rate: float, burst: int | None = None) -> Bucket:
    return Bucket(RateLimit(requests_per_second=rate, burst=burst))


def taken(one: Bucket, now_s: float, attempts: int) -> int:
    return sum(one.take(now_s) == 0.0 for _ in range(attempts))


@pytest.mark.parametrize(
    ("rate", "burst", "at_once"), [(5.0, None, 5), (5.2, None, 6), (0.1, None, 1), (5.0, 1, 1), (0.1, 7, 7)]
)
def test_after_a_rest_so_many_are_taken_at_once(rate: float, burst: int | None, at_once: int) -> None:
    one = bucket(rate, burst)
    assert taken(one, 1_000.0, 20) == at_once
    assert taken(one, 1_000_000.0, 20) == at_once, "a long rest fills it, and no more"


def test_tokens_come_back_one_after_another_evenly() -> None:
    one = bucket(2.0, 1)
    assert one.take(0.0) == 0.0
    assert one.take(0.0) == 0.5
    assert one.take(0.25) == 0.25
    assert one.take(0.5) == 0.0
    assert one.take(0.5) == 0.5


@given(RATES, BURSTS, GAPS)
def test_in_any_time_no_more_than_the_burst_and_the_rate(rate: float, burst: int, gaps: list[float]) -> None:
    one, now_s, times = bucket(rate, burst), 0.0, []
    for gap in gaps:
        now_s += gap
        if one.take(now_s) == 0.0:
            times.append(now_s)
    for first, start in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= burst + (end - start) * rate + 1e-6


@given(RATES, BURSTS, st.integers(0, 60))
def test_who_waits_as_long_as_was_said_is_taken(rate: float, burst: int, attempts: int) -> None:
    one, now_s = bucket(rate, burst), 5.0
    taken(one, now_s, attempts)
    for _ in range(20):
        wait_s = one.take(now_s)
        if wait_s:
            assert one.take(now_s + wait_s * 0.99) > 0.0, "not sooner"
            now_s += wait_s
            assert one.take(now_s) == 0.0


def test_refused_requests_cost_nothing_however_fast_they_come() -> None:
    one, other = bucket(0.001, 1), bucket(0.001, 1)
    assert one.take(0.0) == other.take(0.0) == 0.0
    for step in range(100_000):
        assert one.take(step * 1e-9) > 0.0
    assert one.take(999.0) == other.take(999.0) > 0.0
    assert one.take(1_000.0) == 0.0


def test_a_clock_that_goes_back_fills_nothing_and_takes_nothing_away() -> None:
    one = bucket(1.0, 2)
    assert taken(one, 100.0, 5) == 2
    assert one.take(50.0) == 1.0
    assert one.take(100.5) == 0.5
    assert one.take(101.0) == 0.0
    assert taken(one, 101.0, 5) == 0
    other = bucket(1.0, 2)
    assert other.take(100.0) == other.take(50.0) == 0.0
    assert other.take(100.0) == 1.0


@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e-9])
def test_the_wait_that_is_told_has_an_end(rate: float) -> None:
    one = bucket(rate)
    assert one.take(0.0) == 0.0
    assert one.take(1.0) == MAX_WAIT_S
    assert math.isfinite(one.take(1e9))
