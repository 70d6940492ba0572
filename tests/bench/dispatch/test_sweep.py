"""All loads are there, every policy gets the same requests, and what seeds say together is a mean and its error."""

from __future__ import annotations

import math

import pytest

from bench.dispatch.load import LENGTHS, Load
from bench.dispatch.play import Layout
from bench.dispatch.policies import POLICIES
from bench.dispatch.sweep import LAYOUTS, Estimate, Result, Shared, Wait, cells_of, loads, play


def _wait(p99_s: float) -> Wait:
    return Wait(p50_s=p99_s / 10, p99_s=p99_s, mean_s=p99_s / 5)


def _result(seed: int, ideal_s: float, rival_s: float, ours_s: float) -> Result:
    shared = Shared(layout=LAYOUTS[0], wait=_wait(ours_s), messages_per_request=seed, at_once=0.5, most_in_flight=seed)
    waits = {"ideal": _wait(ideal_s), "random": _wait(rival_s)}
    return Result(load=Load(replicas=6, share=0.9, seed=seed), waits=waits, shared=[shared])


def test_loads_are_all_that_was_asked_for_with_all_seeds() -> None:
    runs = loads(1_000, 3)
    kinds = {(run.lengths, run.replicas, run.share) for run in runs if run.mean_s == 0.1 and run.share >= 0.7}
    assert kinds == {(lengths, count, share) for lengths in LENGTHS for count in (6, 12, 48) for share in (0.7, 0.9)}
    assert {run.seed for run in runs} == {1, 2, 3}
    assert {run.mean_s for run in runs} == {0.1, 0.05, 0.02}
    assert len(runs) == len(set(runs)) == 3 * (18 + 2 + 3)
    assert {run.requests for run in runs} == {1_000}


def test_layouts_are_both_with_a_link_one_way_and_there_and_back() -> None:
    assert {(each.pods, each.workers, each.far_s) for each in LAYOUTS} == {
        (pods, workers, far_s) for pods, workers in ((3, 2), (6, 1)) for far_s in (0.0005, 0.00025)
    }
    assert [each.near_s for each in LAYOUTS] == pytest.approx([each.far_s / 10 for each in LAYOUTS])


def test_a_run_has_all_policies_and_all_layouts() -> None:
    result = play(Load(replicas=6, share=0.7, requests=300))
    assert list(result.waits) == list(POLICIES)
    assert [each.layout for each in result.shared] == list(LAYOUTS)
    assert all(each.wait.mean_s >= result.waits["ideal"].mean_s for each in result.shared)


def test_what_came_first_is_not_counted() -> None:
    wait = Wait.of([100.0] * 10 + [1.0] * 45 + [2.0] * 45)
    assert (wait.p50_s, wait.p99_s, wait.mean_s) == (1.0, 2.0, 1.5)


def test_an_estimate_is_a_mean_and_its_standard_error() -> None:
    assert Estimate.of([1.0, 2.0, 3.0, 4.0]) == Estimate(mean=2.5, error=pytest.approx(1.290994 / 2))
    assert math.isnan(Estimate.of([1.0]).error)
    assert math.isnan(Estimate.of([]).mean)


def test_seeds_of_one_load_become_one_cell_with_ratios_of_the_same_seed() -> None:
    cells = cells_of([_result(1, 1.0, 2.0, 1.1), _result(2, 2.0, 8.0, 2.4)])
    assert [(cell.policy, cell.layout) for cell in cells] == [("ideal", None), ("random", None), ("ours", LAYOUTS[0])]
    ideal, rival, ours = cells
    assert (ideal.p99_ms.mean, ideal.ratio.mean) == (1500.0, 1.0)
    assert rival.ratio.mean == 3.0
    assert ours.ratio.mean == pytest.approx(1.15)
    assert (ours.messages_per_request, ours.at_once, ours.most_in_flight) == (1.5, 0.5, 2)


def test_where_nobody_waits_there_is_no_ratio() -> None:
    [*_, ours] = cells_of([_result(1, 0.0, 0.0, 0.1), _result(2, 0.0, 0.0, 0.1)])
    assert math.isnan(ours.ratio.mean)
    assert ours.p99_ms.mean == 100.0


def test_a_layout_says_its_size() -> None:
    assert Layout(pods=6, workers=1).title == "6 x 1"
