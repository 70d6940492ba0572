"""What is printed says what was measured, and whether the aims and bounds held."""

from __future__ import annotations

from rich.console import Console, RenderableType

from bench.dispatch import report
from bench.dispatch.cost import Cost
from bench.dispatch.faults import Faults, Kill
from bench.dispatch.idle import Idle
from bench.dispatch.live import Course
from bench.dispatch.load import Load
from bench.dispatch.sweep import Wait
from bench.report import Spread

LOAD = Load(replicas=12, share=0.9)
TITLES = {"scoregate-6x1": "Ours", "haproxy": "Theirs"}


def _course(contender: str, ideal_s: float, p99_s: float, most: int = 1) -> Course:
    return Course(
        contender=contender,
        load=LOAD,
        requests=100,
        failures={"timeout": 2},
        path_ms=0.5,
        late_p99_ms=4.0,
        wait=Wait(p50_s=p99_s / 2, p99_s=p99_s, mean_s=p99_s / 3),
        ideal=Wait(p50_s=ideal_s / 2, p99_s=ideal_s, mean_s=ideal_s / 3),
        most_in_flight=most,
        overlaps=most - 1,
        cpu_us=123.4,
        tail_s=[],
        ideal_tail_s=[],
    )


def _printed(told: RenderableType) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(told)
    return " ".join(capture.get().split())


def test_each_course_is_a_row() -> None:
    printed = _printed(report.waits([_course("haproxy", 0.2, 0.5, 6)], TITLES))
    assert (
        "exponential 100 ms, 12 replicas, load 0.9 Theirs 100.0, 200.0 250.0, 500.0 2.50 6 5 2 0.50 4.0 123" in printed
    )


def test_where_an_ideal_queue_waits_next_to_nothing_the_difference_is_told_and_the_aim_is_not_asked() -> None:
    tiny = [_course("scoregate-6x1", 0.0049, 0.0123), _course("scoregate-6x1", float("nan"), float("nan"))]
    printed = _printed(report.waits(tiny, TITLES))
    assert " +7.4 ms 1 " in printed
    assert " +nan ms 1 " in printed
    assert "not shown" in report.verdict(tiny)
    assert "held in 1 of 1; worst 1.25" in report.verdict([*tiny, _course("scoregate-6x1", 0.2, 0.25)])


def test_the_aim_is_ours_alone_and_the_worst_is_named() -> None:
    held = [_course("scoregate-6x1", 0.2, 0.25), _course("haproxy", 0.2, 2.0)]
    assert "held in 1 of 1; worst 1.25" in report.verdict(held)
    missed = [*held, _course("scoregate-3x2", 0.2, 0.3)]
    assert "held in 1 of 2; worst 1.50 (exponential 100 ms, 12 replicas, load 0.9, scoregate-3x2)" in report.verdict(
        missed
    )
    assert "not shown" in report.verdict(held[1:])


def test_a_limit_of_ours_that_was_broken_is_told() -> None:
    assert "no replica ever had more than one" in report.limits([_course("haproxy", 1.0, 1.0, 6)])
    assert "BROKEN in 1 runs" in report.limits([_course("scoregate-6x1", 1.0, 1.0, 2)])


def _faults(beyond: int, overlaps_s: list[float]) -> Faults:
    kills = [
        Kill(at=1.0, instance=0, was_owner=True, back_at=2.0),
        Kill(at=9.0, instance=1, was_owner=False, back_at=10.0),
    ]
    return Faults(
        load=LOAD,
        kills=kills,
        requests=1_000,
        failed_there=5,
        failed_elsewhere=0,
        most_in_flight=2,
        overlaps_s=overlaps_s,
        lasted_s=[0.25] * len(overlaps_s),
        beyond=beyond,
        waits_ms=[120.4, 80.0],
    )


def test_kills_are_told_with_what_came_of_them() -> None:
    printed = _printed(report.faults(_faults(0, [])))
    assert "1,000 requests" in printed
    assert "1: the owner 120 2: a borrower 80" in printed


def test_the_bound_is_held_or_broken() -> None:
    held = report.bound(_faults(0, [0.02]))
    assert "HELD; 1 overlaps, most at once 2, the last began 20 ms after a kill, the longest lasted 250 ms" in held
    assert "Failed: 5 of the killed instances, 0 of others" in held
    assert "BROKEN 3 times" in report.bound(_faults(3, [5.0]))
    assert "0 overlaps" in report.bound(_faults(0, []))


def test_what_is_idle_is_told_of_all_and_of_each() -> None:
    percent = Spread(median=2.4, low=2.1, high=3.0)
    printed = _printed(report.idles([Idle(layout="6 x 1", workers=6, core_percent=percent)]))
    assert "6 x 1 2.40 (2.10..3.00) 0.40" in printed


def test_costs_are_ratios_to_one_that_is_alone() -> None:
    def cost(layout: str, connections: int, cpu_us: float) -> Cost:
        one = Spread(median=10.0, low=9.0, high=11.0)
        of = Spread(median=cpu_us, low=cpu_us, high=cpu_us)
        return Cost(
            layout=layout, connections=connections, cpu_us=of, requests_per_s=one, p50_us=one, p99_us=one, failed=0
        )

    costs = [cost("1 x 1", 2, 100.0), cost("1 x 2", 2, 110.0), cost("1 x 1", 64, 50.0), cost("1 x 2", 64, 60.0)]
    printed = _printed(report.costs(costs))
    assert "1 x 2 2 110.0 1.10 10 (9..11)" in printed
    assert "1 x 2 64 60.0 1.20" in printed
