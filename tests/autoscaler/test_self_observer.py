"""self_observer.py: what processes say of their work is added up over a window, and nothing is taken for granted."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.self_observer import SelfObserver, quantile_s
from router.core.model import Routing

BUCKETS = {"0.001": 0, "0.01": 0, "+Inf": 0}


def routing(routed: int = 0, seconds: float = 0.0, cpu: float = 0.0, **buckets: int) -> Routing:
    counts = {"0.001": routed, "0.01": routed, "+Inf": routed}
    named = {"fast": "0.001", "slow": "0.01", "all": "+Inf"}
    return Routing(
        routed_total=routed,
        route_seconds_total=seconds,
        route_buckets=counts | {named[name]: count for name, count in buckets.items()},
        cpu_seconds_total=cpu,
        cpus=2.0,
        most_workers=4,
    )


def observer(**said: list[tuple[float, Routing]]) -> SelfObserver:
    made = SelfObserver(window_s=60, valid_s=15)
    for instance, words in said.items():
        for at_s, word in words:
            made.report(instance, word, at_s)
    return made


def test_it_adds_up_the_growth_of_all() -> None:
    made = observer(
        a=[(0, routing(1000, 10.0, 5.0)), (60, routing(1300, 10.3, 35.0))],
        b=[(2, routing(0, 0.0, 1.0)), (62, routing(100, 0.5, 16.0, fast=50))],
    )
    found = made.figures(["a", "b"], 62)
    assert found is not None
    assert found.requests == 400
    assert found.mean_ms == pytest.approx(2.0)
    assert found.cpus_used == pytest.approx(0.75)
    assert found.p99_ms == pytest.approx(1 + 9 * (396 - 350) / 50)


def test_the_window_moves_on() -> None:
    made = observer(a=[(at_s, routing(at_s * at_s, 0.0, 0.0)) for at_s in range(0, 200, 10)])
    found = made.figures(["a"], 190)
    assert found is not None
    assert found.requests == 190**2 - 130**2


@pytest.mark.parametrize(
    ("present", "at_s"),
    [(["a", "new"], 60), (["a", "b"], 60), (["a"], 76), ([], 60)],
    ids=["one that has said nothing", "one that began later", "one that has fallen silent", "nobody"],
)
def test_it_says_nothing_of_a_part(present: list[str], at_s: float) -> None:
    made = observer(a=[(0, routing()), (60, routing())], b=[(10, routing()), (60, routing())])
    assert made.figures(present, at_s) is None
    assert observer(a=[(0, routing()), (60, routing())]).figures(["a"], 60) is not None


@pytest.mark.parametrize(
    "after", [routing(50, 5.0, 5.0), routing(500, 0.1, 5.0), routing(500, 5.0, 0.1)], ids=["routed", "seconds", "cpu"]
)
def test_a_process_that_began_anew_is_another(after: Routing) -> None:
    made = observer(a=[(0, routing(100, 1.0, 1.0)), (50, after), (60, after)])
    assert made.figures(["a"], 60) is None
    made.report("a", after, 110)
    assert made.figures(["a"], 110) is not None


def test_who_has_left_does_not_count_and_is_forgotten() -> None:
    made = observer(a=[(0, routing()), (60, routing(5))], b=[(0, routing()), (60, routing(7))])
    found = made.figures(["a"], 60)
    assert found is not None
    assert found.requests == 5
    assert made.figures(["a", "b"], 60) is None


def test_after_a_change_everything_is_seen_anew() -> None:
    made = observer(a=[(0, routing()), (60, routing())])
    made.restart()
    made.report("a", routing(), 61)
    assert made.figures(["a"], 61) is None


def test_without_requests_there_is_no_time_to_route() -> None:
    found = observer(a=[(0, routing(cpu=1)), (60, routing(cpu=4))]).figures(["a"], 60)
    assert found == (0, 0.0, 0.0, 0.05)


@pytest.mark.parametrize(
    ("buckets", "value"),
    [
        ({}, 0.0),
        (BUCKETS, 0.0),
        ({"0.001": 100, "0.01": 100, "+Inf": 100}, 0.00099),
        ({"0.001": 98, "0.01": 100, "+Inf": 100}, 0.0055),
        ({"0.001": 0, "0.01": 0, "+Inf": 100}, 0.01),
        ({"+Inf": 100}, 0.0),
    ],
)
def test_the_hundredth_is_estimated_as_prometheus_does(buckets: dict[str, int], value: float) -> None:
    assert quantile_s(buckets, 0.99) == pytest.approx(value)


@given(st.lists(st.integers(0, 10**6), max_size=12), st.floats(0.01, 1))
def test_it_is_a_number_whatever_was_counted(counts: list[int], quantile: float) -> None:
    bounds = [str(0.001 * 2**power) for power in range(len(counts) - 1)] + ["+Inf"] * bool(counts)
    value = quantile_s(dict(zip(bounds, counts, strict=True)), quantile)
    assert value not in (inf, nan)
    assert value >= 0


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 5), st.floats(0, 60)), min_size=1, max_size=6), st.data())
def test_it_makes_no_difference_over_which_processes_the_work_is_spread(grown: Any, data: st.DataObject) -> None:
    apart = SelfObserver(60, 15)
    for number, (routed, seconds, cpu) in enumerate(grown):
        before = data.draw(st.integers(0, 1000))
        apart.report(str(number), routing(before, float(before), float(before)), 0)
        apart.report(str(number), routing(before + routed, before + seconds, before + cpu), 60)
    together = observer(
        a=[(0, routing()), (60, routing(sum(g[0] for g in grown), sum(g[1] for g in grown), sum(g[2] for g in grown)))]
    )
    one, many = together.figures(["a"], 60), apart.figures([str(number) for number in range(len(grown))], 60)
    assert one is not None
    assert many is not None
    assert many == pytest.approx(one, abs=1e-6)
