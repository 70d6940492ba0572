"""The runs are all that there should be, and a run elsewhere is the run here."""

from __future__ import annotations

import pytest

from autoscaler.laws import LAWS
from bench.sim.scenarios import SCENARIOS, SEED
from bench.sim.sweep import ALWAYS, BOUNDS, DEFAULT, OURS, RIVAL_PERCENTS, Knobs, Run, knobs_of, play, play_all, runs_of
from bench.sim.world import World


def test_knobs_set_what_they_name_and_nothing_else() -> None:
    assert DEFAULT.settings() == BOUNDS
    assert (BOUNDS.min_instances, BOUNDS.max_instances, BOUNDS.target_utilization_percentage) == (1, 200, 70)
    turned = Knobs(30, 900.0, ALWAYS).settings()
    assert (turned.target_utilization_percentage, turned.scale_down_window, turned.scale_down_starts) == (
        30,
        900.0,
        ALWAYS,
    )
    assert (turned.min_instances, turned.max_instances) == (1, 200)
    assert [Knobs(30).label, Knobs(30, 3.0).label, Knobs(30, 3.0, ALWAYS).label] == [
        "30 %",
        "30 %, 3 s",
        "30 %, 3 s always",
    ]


def test_a_rival_turns_its_one_knob_and_ours_percentage_and_hold() -> None:
    assert knobs_of("hpa", quick=False) == knobs_of("hpa", quick=True) == [Knobs(each) for each in RIVAL_PERCENTS]
    ours = knobs_of(OURS, quick=False)
    assert len(ours) == len(set(ours)) == 1 + 8 * 5 * 2
    assert {each.percent for each in ours} == set(range(30, 101, 10))
    assert {each.window_s for each in ours} == {None, 3.0, 20.0, 60.0, 300.0, 900.0}
    assert len(knobs_of(OURS, quick=True)) < len(ours) / 3
    for law in LAWS:
        assert DEFAULT in knobs_of(law, quick=False)
        assert DEFAULT in knobs_of(law, quick=True)


def test_runs_are_all_scenarios_at_all_cold_starts_under_all_laws() -> None:
    runs = runs_of(["step", "trace"], [0.0, 10.0, 30.0], ["hpa", "kpa"], quick=False, seed=3)
    assert len(runs) == len(set(runs)) == 2 * 3 * 2 * 5
    assert {run.seed for run in runs} == {3}
    assert (runs[0].scenario, runs[0].cold_start_s, runs[0].law) == ("step", 0.0, "hpa")
    assert (runs[-1].scenario, runs[-1].cold_start_s, runs[-1].law) == ("trace", 30.0, "kpa")


@pytest.mark.parametrize("law", LAWS)
def test_a_run_is_played_with_its_law_settings_seed_and_cold_start(law: str) -> None:
    run = Run(scenario="flapping", cold_start_s=30.0, law=law, knobs=Knobs(50), seed=SEED + 1)
    world = World(SCENARIOS["flapping"](SEED + 1), LAWS[law](Knobs(50).settings(), 1), cold_start_s=30.0)
    assert play(run).outcome == world.run()
    assert play(run).run == run


def test_runs_in_other_processes_come_back_in_order_and_the_same() -> None:
    runs = runs_of(["flapping", "spike"], [0.0, 2.0], ["hpa"], quick=True, seed=SEED)
    done: list[None] = []
    results = play_all(runs, 2, lambda: done.append(None))
    assert [result.run for result in results] == runs
    assert len(done) == len(runs)
    assert results[7] == play(runs[7])
