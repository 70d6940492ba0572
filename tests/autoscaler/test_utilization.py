"""utilization.py: how busy deployments are, over all routers that are there."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.utilization import Utilization
from router.core.model import Instance, Load
from tests.autoscaler.nouns import load

ONE, TWO = Instance(id="one", admin="http://1"), Instance(id="two", admin="http://2")


def of(in_flight: int, queued: int, total: int, concurrency: int = 1, name: str = "blue") -> Load:
    return replace(load(in_flight, queued, name), total=total, concurrency=concurrency)


def test_requests_add_up_over_routers_and_replicas_are_counted_once() -> None:
    seen = Utilization()
    seen.report("one", [of(2, 1, 4), of(0, 0, 2, name="green")])
    seen.report("two", [of(1, 0, 4), of(3, 0, 2, concurrency=2, name="green")])
    assert seen.ratios() == {"iris/blue": 1.0, "iris/green": 0.75}


def test_the_last_word_of_a_router_counts() -> None:
    seen = Utilization()
    seen.report("one", [of(4, 4, 4)])
    seen.report("one", [of(1, 0, 4)])
    assert seen.ratios() == {"iris/blue": 0.25}


def test_a_router_that_left_does_not_count() -> None:
    seen = Utilization()
    seen.report("one", [of(4, 0, 4)])
    seen.report("two", [of(1, 0, 4)])
    seen.follow([TWO])
    assert seen.ratios() == {"iris/blue": 0.25}
    seen.follow([ONE])
    assert seen.ratios() == {}


@pytest.mark.parametrize("empty", [of(3, 3, 0), of(3, 0, 4, concurrency=0)])
def test_without_replicas_or_a_limit_there_is_no_ratio(empty: Load) -> None:
    seen = Utilization()
    seen.report("one", [empty])
    assert seen.ratios() == {}
