"""Does a rival aim for the deployment's target, within its bounds?"""

from __future__ import annotations

import pytest

from autoscaler.rivals.knob import Knob
from tests.autoscaler.rivals.seen import settings


@pytest.mark.parametrize(
    ("percent", "concurrency", "load", "replicas"),
    [(70, 1, 200, 286), (70, 1, 0, 0), (70, 10, 70, 10), (70, 10, 71, 11), (100, 1, 5, 5), (50, 2, 4.1, 5)],
)
def test_replicas_are_the_load_over_what_each_should_have_rounded_up(
    percent: int, concurrency: int, load: float, replicas: int
) -> None:
    assert Knob(settings(percent=percent), concurrency, to_zero=True).replicas_for(load) == replicas


def test_no_load_that_fills_whole_replicas_exactly_asks_for_one_more() -> None:
    for percent in range(1, 101):
        knob = Knob(settings(percent=percent), 100, to_zero=True)
        assert [knob.replicas_for(knob.target * many) for many in range(200)] == list(range(200))


def test_bounds_hold() -> None:
    knob = Knob(settings(least=2, most=5), 1, to_zero=True)
    assert [knob.within(replicas) for replicas in (0, 2, 4, 9)] == [2, 2, 4, 5]


@pytest.mark.parametrize(("to_zero", "least"), [(True, 0), (False, 1)])
def test_only_one_that_can_goes_to_none(to_zero: bool, least: int) -> None:
    assert Knob(settings(least=0), 1, to_zero=to_zero).within(0) == least
