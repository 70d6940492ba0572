"""A quantile is a latency that was measured, and as many as it says are not above it."""

from __future__ import annotations

import random

import pytest

from bench.latency import Quantiles, quantiles


def test_of_a_hundred_the_quantiles_are_their_ranks() -> None:
    seconds = [number / 1e3 for number in range(1, 101)]
    random.Random(0).shuffle(seconds)
    assert quantiles(seconds) == Quantiles(50.0, 90.0, 99.0, 100.0)


def test_of_few_the_high_ones_are_the_worst() -> None:
    assert quantiles([0.25]) == Quantiles(250.0, 250.0, 250.0, 250.0)
    assert quantiles([0.5, 0.25]) == Quantiles(250.0, 500.0, 500.0, 500.0)
    assert quantiles([0.001] * 10 + [1.0]) == Quantiles(1.0, 1.0, 1000.0, 1000.0)


@pytest.mark.parametrize("count", [1, 7, 99, 101, 1000])
def test_so_many_per_cent_are_not_above_it(count: int) -> None:
    chance = random.Random(count)
    seconds = [chance.random() for _ in range(count)]
    found = quantiles(seconds)
    assert found
    for share, value_ms in ((0.5, found.p50_ms), (0.9, found.p90_ms), (0.99, found.p99_ms)):
        assert sum(second * 1e3 <= value_ms for second in seconds) >= share * count
        assert sum(second * 1e3 < value_ms for second in seconds) < share * count


def test_nothing_has_none() -> None:
    assert quantiles([]) is None
