"""Requests arrive at the rate that was asked for, in order, within the time, and the same for the same seed."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise

import pytest

from bench.arrivals import Line, along, constant, on_off, poisson, ramp, sawtooth, spike, step

Made = Callable[[int | None], list[float]]
SHAPES: dict[str, Made] = {
    "step": lambda seed: step(20, 200, 30, 100, seed),
    "ramp": lambda seed: ramp(20, 200, 30, 40, 100, seed),
    "spike": lambda seed: spike(20, 200, 30, 10, 100, seed),
    "on_off": lambda seed: on_off(100, 10, 15, 100, seed),
    "sawtooth": lambda seed: sawtooth(20, 200, 20, 100, seed),
}
EXPECTED = {"step": 14_600, "ramp": 11_000, "spike": 3_800, "on_off": 4_000, "sawtooth": 11_000}


def count(moments: list[float], from_s: float, to_s: float) -> int:
    return sum(from_s <= moment < to_s for moment in moments)


def test_constant_is_at_even_gaps_from_the_start() -> None:
    assert constant(4, 1) == [0.0, 0.25, 0.5, 0.75]
    assert len(constant(0.5, 3)) == 2


@pytest.mark.parametrize(
    ("rate", "seconds", "requests"), [(1.1, 50, 55), (2.2, 25, 55), (0.1, 30, 3), (3.3, 100, 330), (0, 5, 0)]
)
def test_no_rounding_adds_or_loses_a_request(rate: float, seconds: float, requests: int) -> None:
    moments = constant(rate, seconds)
    assert len(moments) == requests
    assert all(moment < seconds for moment in moments)


def test_poisson_has_its_rate_and_gaps_that_vary_as_they_should() -> None:
    moments = poisson(100, 200, seed=1)
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    gaps = [after - before for before, after in pairwise(moments)]
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.median(gaps) == pytest.approx(0.01 * 0.693, rel=0.05)


@pytest.mark.parametrize("name", SHAPES)
def test_a_seed_gives_the_same_moments_and_another_seed_others(name: str) -> None:
    made = SHAPES[name]
    assert made(1) == made(1) != made(2)
    assert poisson(10, 10, 1) == poisson(10, 10, 1) != poisson(10, 10, 2)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_moments_are_in_order_within_the_time_and_as_many_as_expected(name: str, seed: int | None) -> None:
    moments = SHAPES[name](seed)
    assert moments == sorted(moments)
    assert moments[0] >= 0.0
    assert moments[-1] < 100.0
    tolerance = 1 if seed is None else 4 * EXPECTED[name] ** 0.5
    assert len(moments) == pytest.approx(EXPECTED[name], abs=tolerance)


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("step", {(0, 30): 600, (30, 31): 200, (99, 100): 200}),
        ("ramp", {(0, 30): 600, (30, 50): 1300, (50, 70): 3100, (70, 100): 6000}),
        ("spike", {(0, 30): 600, (30, 40): 2000, (40, 100): 1200}),
        ("on_off", {(0, 10): 1000, (10, 25): 0, (25, 35): 1000, (35, 50): 0, (75, 85): 1000, (85, 100): 0}),
        ("sawtooth", {(0, 10): 650, (10, 20): 1550, (20, 30): 650, (90, 100): 1550}),
    ],
)
def test_the_rate_goes_as_the_name_says(name: str, spans: dict[tuple[float, float], int]) -> None:
    moments = SHAPES[name](None)
    assert {span: count(moments, *span) for span in spans} == pytest.approx(spans, abs=2)


def test_what_is_after_the_time_is_cut_also_within_a_slope() -> None:
    slope = [Line(10, 0, 100)]
    assert along(slope, 5, None) == [moment for moment in along(slope, 10, None) if moment < 5]
    assert len(along(slope, 5, None)) == 125
    assert ramp(10, 20, 5, 10, 5, None) == constant(10, 5)


def test_a_slope_may_end_or_begin_at_nothing() -> None:
    falling = along([Line(10, 100, 0)], 10, None)
    rising = along([Line(10, 0, 100)], 10, None)
    assert len(falling) == len(rising) == 500
    assert [10 - moment for moment in reversed(falling[1:])] == pytest.approx(rising[1:])


def test_rounding_at_the_foot_of_a_long_slope_does_no_harm() -> None:
    line = Line(12958.417726003709, 8475.863032002955, 0.0)
    assert line.passes(line.expected - 2e-9) == pytest.approx(line.seconds)


def test_marks_of_a_line_that_ends_early_go_on_in_the_next() -> None:
    assert along([Line(0.5, 1, 1), Line(2, 0, 0), Line(10, 1, 1)], 5, None) == pytest.approx([0.0, 3.0, 4.0])
