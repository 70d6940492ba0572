"""Costs are medians over rounds, per request, of all processes of a layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import wrk
from bench.dispatch.cost import CONNECTIONS, LAYOUTS, SLOTS, Plenty, Sample, cost_of, measured
from bench.measure import choose_cores
from bench.report import Spread


def _sample(layout: str, connections: int, requests: int, cpu_us: float, failed: int = 0) -> Sample:
    return Sample(
        layout=layout,
        connections=connections,
        requests=requests,
        seconds=2.0,
        cpu_us=cpu_us,
        p50_us=10.0,
        p99_us=100.0,
        failed=failed,
    )


def test_a_cost_is_of_its_own_layout_and_connections_over_all_rounds() -> None:
    samples = [_sample("1 x 2", 64, 100, cpu_us) for cpu_us in (5_000.0, 9_000.0, 6_000.0)]
    samples += [_sample("1 x 2", 2, 100, 1.0, 7), _sample("1 x 1", 64, 100, 1.0, 7)]
    cost = cost_of(samples, 64, "1 x 2")
    assert cost.cpu_us == Spread(median=60.0, low=50.0, high=90.0)
    assert cost.requests_per_s.median == 50.0
    assert (cost.p50_us.median, cost.p99_us.median, cost.failed) == (10.0, 100.0, 0)


def test_there_is_room_for_all(tmp_path: Path) -> None:
    Plenty(1, 2).commands(tmp_path, [8001], [7001])
    assert f'"maxConcurrentRequestsPerInstance": {SLOTS}' in (tmp_path / "endpoints.yaml").read_text()
    assert max(CONNECTIONS) < SLOTS


def test_one_alone_is_compared_with_two_in_both_ways_and_with_two_that_share_nothing() -> None:
    assert LAYOUTS == {"1 x 1": ((1, 1),), "1 x 2": ((1, 2),), "2 x 1": ((2, 1),), "2 x 1, apart": ((1, 1), (1, 1))}


@pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed")
def test_a_real_run_costs_something_everywhere_and_fails_nothing() -> None:
    found = measured(choose_cores(), rounds=1, seconds=1, done=lambda _: None)
    assert [(cost.layout, cost.connections) for cost in found] == [
        (layout, connections) for connections in CONNECTIONS for layout in LAYOUTS
    ]
    assert all(cost.cpu_us.median > 0 for cost in found)
    assert [cost.failed for cost in found] == [0] * len(found)
