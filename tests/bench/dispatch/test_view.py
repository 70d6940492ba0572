"""Tables say what was simulated, with its error; where the ideal has no wait, they say the difference."""

from __future__ import annotations

from msgspec.structs import replace
from rich.console import Console, RenderableType

from bench.dispatch import view
from bench.dispatch.load import Load
from bench.dispatch.scale import Recovery, Size, Steady
from bench.dispatch.sweep import LAYOUTS, Cell, Estimate

LOAD = Load(replicas=12, share=0.9)
NAN = float("nan")


def _cell(policy: str, p99_ms: float, ratio: float, layout: int | None = None, load: Load = LOAD) -> Cell:
    return Cell(
        load=load,
        policy=policy,
        layout=None if layout is None else LAYOUTS[layout],
        p50_ms=Estimate(mean=p99_ms / 10, error=0.1),
        p99_ms=Estimate(mean=p99_ms, error=1.5),
        ratio=Estimate(mean=ratio, error=0.02),
        messages_per_request=2.5,
        at_once=0.07,
        most_in_flight=1,
    )


def _cells(load: Load = LOAD, ideal_ms: float = 200.0, ours: float = 1.05) -> list[Cell]:
    rivals = [_cell("ideal", ideal_ms, 1.0, load=load), _cell("random", 10 * ideal_ms + 5, 10.0, load=load)]
    return [*rivals, *(_cell("ours", ours * ideal_ms + 1, ours, each, load) for each in range(len(LAYOUTS)))]


def _printed(told: RenderableType) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(told)
    return " ".join(capture.get().split())


def test_ours_is_a_column_for_each_layout_and_rivals_one_each() -> None:
    waits, costs, rivals = map(_printed, view.tables(_cells()))
    assert "3 x 2, 0.5 ms 6 x 1, 0.5 ms 3 x 2, 0.25 ms 6 x 1, 0.25 ms" in waits
    assert "exponential 100 ms, 12 replicas, load 0.9 20.0, 200.0 ±1.5 1.05 ±0.02 1.05 ±0.02" in waits
    assert "2.50; 7% 2.50; 7%" in costs
    assert "20.0, 200.0 10.00 ±0.02" in rivals


def test_where_the_ideal_hardly_waits_the_difference_is_told() -> None:
    waits, _, rivals = map(_printed, view.tables(_cells(ideal_ms=0.0)))
    assert "+1.0 ms" in waits
    assert "+5.0 ms" in rivals


def test_one_seed_has_no_error_to_tell() -> None:
    cells = [
        replace(cell, ratio=Estimate(mean=1.05, error=NAN), p99_ms=Estimate(mean=200.0, error=NAN)) for cell in _cells()
    ]
    assert "±" not in _printed(next(view.tables(cells)))


def test_the_aim_is_at_its_load_its_length_and_its_link_alone() -> None:
    assert "held in 2 of 2; worst 1.05 ±0.02 (exponential 100 ms, 12 replicas, load 0.9" in view.verdict(_cells())
    assert "held in 0 of 2; worst 1.20" in view.verdict(_cells(ours=1.2))
    for load in (replace(LOAD, share=0.7), replace(LOAD, mean_s=0.02)):
        assert "not shown" in view.verdict(_cells(load))


def test_a_large_installation_is_told() -> None:
    found = Steady(
        requests=1_000,
        messages_per_request=2.5,
        bytes_per_request=80.0,
        frames_per_request=3.0,
        beats_per_instance_s=990.0,
        at_once=0.25,
        p50_ms=1.0,
        p99_ms=20.0,
        cpu_us_per_request=50.0,
        busiest_us_per_request=40.0,
        busiest_share=0.125,
        busiest_owns=3,
        most_in_flight=1,
    )
    printed = _printed(view.steady(Size(), found))
    assert "100 instances, 100 deployments of 100 replicas, load 0.8" in printed
    assert "messages for a request 2.50" in printed
    assert "CPU of the busiest (3 owned), for each request of theirs 40 µs" in printed
    assert "12.5% of a core" in printed


def test_a_recovery_is_told() -> None:
    found = Recovery(
        event="kill",
        requests=100,
        lost=3,
        lent_again_s=0.0234,
        normal_s=0.5,
        worst_ms=300.0,
        p99_before_ms=20.0,
        most_in_flight=2,
        over_s=0.1,
        views=1_234,
    )
    assert "kill 0.023 0.5 20.0 300 2 0.10 3 1,234" in _printed(view.recoveries([found]))
    assert "kill 0.5 20.0" in _printed(view.recoveries([replace(found, lent_again_s=None)]))
