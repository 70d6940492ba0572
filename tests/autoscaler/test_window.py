"""Do windows say the same as a look at everything that is in them?"""

from __future__ import annotations

import random

import pytest

from autoscaler.window import Highest, Lasting, Mean, Rate

WINDOW_S = 10.0


@pytest.fixture
def values() -> list[tuple[float, int]]:
    """Moments at odd distances, some longer than the window."""
    chance = random.Random(3)
    at_s, made = 0.0, []
    for _ in range(2_000):
        at_s += chance.choice((0.3, 1.0, 1.0, 4.0, 11.0))
        made.append((at_s, chance.randrange(50)))
    return made


def within(values: list[tuple[float, int]], index: int) -> list[int]:
    now = values[index][0]
    return [value for at, value in values[: index + 1] if now - WINDOW_S < at]


def test_the_highest_of_the_window(values: list[tuple[float, int]]) -> None:
    window = Highest(WINDOW_S)
    for index, (at_s, value) in enumerate(values):
        assert window.add(at_s, value) == max(within(values, index))


def test_the_mean_of_the_window(values: list[tuple[float, int]]) -> None:
    window = Mean(WINDOW_S)
    for index, (at_s, value) in enumerate(values):
        window.add(at_s, value)
        inside = within(values, index)
        assert window.mean == sum(inside) / len(inside)


def test_the_mean_of_nothing_is_0() -> None:
    assert Mean(WINDOW_S).mean == 0.0


def test_a_value_leaves_exactly_when_the_window_is_over() -> None:
    highest, mean = Highest(60.0), Mean(60.0)
    highest.add(0.0, 9)
    mean.add(0.0, 9)
    assert highest.add(59.9, 0) == 9
    assert highest.add(60.0, 0) == 0
    mean.add(59.9, 0)
    assert mean.mean == 4.5
    mean.add(60.0, 0)
    assert mean.mean == 0.0


def test_the_rate_of_a_counter() -> None:
    rate, told = Rate(60.0), []
    for at_s in range(180):
        rate.add(at_s, min(at_s, 120) * 5)
        told.append(rate.per_s)
    assert told[0] == 0.0
    assert told[1:121] == [5.0] * 120
    assert told[150] == 2.5
    assert told[179] == pytest.approx(5 / 60)


def test_the_rate_after_a_gap_is_over_the_gap() -> None:
    rate = Rate(60.0)
    for at_s, total in ((0.0, 0), (600.0, 60), (601.0, 60)):
        rate.add(at_s, total)
    assert rate.per_s == pytest.approx(60 / 601)


def test_a_highest_whose_window_gets_shorter_forgets_and_one_that_gets_longer_does_not_recall() -> None:
    highest = Highest(60.0)
    highest.add(0.0, 9)
    assert highest.add(30.0, 4) == 9
    highest.window_s = 20.0
    assert highest.add(31.0, 2) == 4
    highest.window_s = 60.0
    assert highest.add(32.0, 1) == 4


def test_what_lasted_is_the_highest_that_was_there_so_long_in_all(values: list[tuple[float, int]]) -> None:
    lasting, samples = Lasting(WINDOW_S, 0.3), []
    for at_s, value in values:
        lasting.add(at_s, value)
        samples.append((at_s, value))
        inside = sorted(within(samples, len(samples) - 1), reverse=True)
        for count in (1, 2, 5):
            wanted = inside[count - 1] if count <= len(inside) else 0
            assert lasting.reached_for(count * 0.3) == lasting.reached_for(count * 0.3 - 0.1) == wanted


def test_no_time_at_all_is_one_sample_and_nothing_lasted_before_there_is_one() -> None:
    lasting = Lasting(60.0, 1.0)
    assert lasting.reached_for(1.0) == 0
    lasting.add(0.0, 7)
    assert (lasting.reached_for(0.5), lasting.reached_for(1.5)) == (7, 0)
    lasting.add(1.0, 3)
    assert (lasting.reached_for(0.0), lasting.reached_for(1.5)) == (7, 3)


def test_each_sample_stands_for_a_period() -> None:
    lasting = Lasting(60.0, 5.0)
    for at_s, value in ((0.0, 3), (5.0, 8), (10.0, 8)):
        lasting.add(at_s, value)
    assert [lasting.reached_for(each) for each in (5.0, 10.0, 10.1, 15.0, 15.1)] == [8, 8, 3, 3, 0]


def test_a_sample_before_its_time_does_not_count_but_one_a_little_early_does() -> None:
    lasting = Lasting(60.0, 1.0)
    for at_s, value in ((0.0, 3), (0.1, 9), (0.89, 9), (0.9, 5), (1.7, 9), (1.8, 6)):
        lasting.add(at_s, value)
    assert [lasting.reached_for(each) for each in (1.0, 2.0, 3.0, 4.0)] == [6, 5, 3, 0]


def test_what_lasted_leaves_exactly_when_the_window_is_over() -> None:
    lasting = Lasting(60.0, 1.0)
    lasting.add(0.0, 9)
    lasting.add(59.0, 1)
    assert lasting.reached_for(1.0) == 9
    lasting.add(60.0, 1)
    assert (lasting.reached_for(1.0), lasting.reached_for(3.0)) == (1, 0)


def test_a_window_shorter_than_the_period_has_the_last_sample() -> None:
    lasting = Lasting(3.0, 5.0)
    for at_s, value in ((0.0, 9), (5.0, 4)):
        lasting.add(at_s, value)
    assert (lasting.reached_for(3.0), lasting.reached_for(6.0)) == (4, 0)
