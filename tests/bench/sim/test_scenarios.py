"""Every scenario is well formed and has the load that its name says."""

from __future__ import annotations

from statistics import mean

import pytest

from bench.sim.scenarios import COLD_STARTS_S, SCENARIOS, SEED, Scenario, exponential, pareto

MADE = {name: made(SEED) for name, made in SCENARIOS.items()}


def rate(name: str, from_s: float, to_s: float) -> float:
    return sum(from_s <= moment < to_s for moment in MADE[name].arrivals) / (to_s - from_s)


def test_all_that_was_asked_for_is_there() -> None:
    assert COLD_STARTS_S == (0.0, 2.0, 10.0, 30.0, 120.0)
    names = ["step", "ramp", "spike", "sawtooth", "day", "on-off", "heavy-tailed", "flapping", "trace"]
    assert list(SCENARIOS) == names


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_come_in_order_within_the_time_and_each_takes_some(name: str) -> None:
    made = MADE[name]
    assert made.arrivals == sorted(made.arrivals)
    assert made.arrivals[0] >= 0
    assert made.arrivals[-1] < made.seconds
    assert len(made.services_s) == len(made.arrivals) > 5_000
    assert min(made.services_s) > 0
    assert made.initial >= 1


@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - {"trace"}))
def test_a_seed_is_the_same_load_and_another_seed_another(name: str) -> None:
    def told(made: Scenario) -> tuple[object, ...]:
        return made.arrivals, made.services_s, made.initial, made.seed

    assert told(SCENARIOS[name](SEED)) == told(MADE[name]) != told(SCENARIOS[name](SEED + 1))


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("step", {(0, 600): 4, (600, 1800): 24}),
        ("ramp", {(0, 300): 2, (300, 1200): 16, (1200, 1800): 30}),
        ("spike", {(0, 600): 4, (600, 620): 60, (620, 1400): 4, (1400, 1420): 60, (1420, 1800): 4}),
        ("day", {(0, 120): 1.3, (1740, 1860): 11.3, (600, 1200): 7.5}),
        ("on-off", {(0, 120): 16, (120, 300): 0, (300, 420): 16, (3420, 3600): 0}),
        ("heavy-tailed", {(0, 3600): 8}),
        ("flapping", {(0, 1800): 8}),
    ],
)
def test_the_rate_goes_as_the_name_says(name: str, spans: dict[tuple[float, float], float]) -> None:
    for (from_s, to_s), per_s in spans.items():
        chance = 4 * (per_s / (to_s - from_s)) ** 0.5
        assert rate(name, from_s, to_s) == pytest.approx(per_s, abs=chance), (from_s, to_s)


def test_the_sawtooth_is_as_long_as_the_window_of_60_s() -> None:
    def folded(from_s: float, to_s: float) -> float:
        return mean(rate("sawtooth", start + from_s, start + to_s) for start in range(0, 1800, 60))

    assert folded(0, 15) == pytest.approx(2 + 22 / 8, rel=0.1)
    assert folded(45, 60) == pytest.approx(2 + 22 * 7 / 8, rel=0.1)


def test_it_begins_with_the_replicas_that_its_first_moment_needs() -> None:
    initial = {name: made.initial for name, made in MADE.items()}
    assert (initial["step"], initial["ramp"], initial["on-off"], initial["heavy-tailed"]) == (3, 2, 12, 6)
    assert (initial["day"], initial["trace"]) == (1, 1)


def test_requests_take_their_mean_and_the_heavy_tail_is_heavy() -> None:
    light, heavy = exponential(0.5, 200_000, 1), pareto(0.5, 1.5, 200_000, 1)
    assert mean(light) == pytest.approx(0.5, rel=0.02)
    assert mean(heavy) == pytest.approx(0.5, rel=0.1)
    assert min(heavy) == pytest.approx(0.5 / 3, rel=0.01)
    over_10 = [sum(each > 5 for each in lengths) / len(lengths) for lengths in (light, heavy)]
    assert over_10[0] < 0.0002
    assert over_10[1] == pytest.approx((0.5 / 3 / 5) ** 1.5, rel=0.1)
    assert MADE["heavy-tailed"].services_s == pareto(0.5, 1.5, len(MADE["heavy-tailed"].arrivals), SEED + 1)


def test_replicas_fall_ill_and_die_in_one_scenario_only() -> None:
    flapping = MADE["flapping"]
    assert (flapping.flaps[0], len(flapping.flaps), len(flapping.deaths)) == ((60.0, 5.0), 87, 3)
    assert [name for name, made in MADE.items() if made.flaps or made.deaths] == ["flapping"]


def test_the_trace_is_azures_whole_hour() -> None:
    trace = MADE["trace"]
    assert (len(trace.arrivals), trace.seconds) == (8819, 3600.0)
    assert (trace.arrivals[0], trace.arrivals[1]) == (0.0, pytest.approx(0.052))
    assert trace.arrivals[-1] == pytest.approx(3435.948016)
    assert list(trace.services_s[:2]) == pytest.approx([0.1 + 10 * 0.02, 0.1 + 8 * 0.02])
