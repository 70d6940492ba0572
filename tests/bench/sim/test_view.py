"""What is printed says what was found, and what was not."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from bench.sim import view
from bench.sim.panels import Score, panels_of, scores_of
from tests.bench.sim.results import RESULTS, result


def words(drawn: Table) -> list[list[str]]:
    file = io.StringIO()
    Console(file=file, width=200).print(drawn)
    return [line.split() for line in file.getvalue().splitlines()]


def test_the_table_has_a_line_for_each_law_as_it_ships() -> None:
    lines = words(view.table(panels_of(RESULTS)[0]))
    assert lines[0] == ["step,", "cold", "start", "10", "s"]
    assert lines[2:] == [
        ["scoregate", "10.00%", "1.25", "10.00", "12"],
        ["hpa", "20.00%", "1.25", "11.00", "12"],
        ["kpa", "5.00%", "1.25", "12.50", "12"],
    ]


def test_what_is_not_beaten_is_told_with_the_nearest_of_ours() -> None:
    assert list(view.standings(panels_of(RESULTS)[0])) == [
        "step, cold start 10 s: beaten 2 of 5",
        "  hpa at 90 % (10.000% late, 10.00 h): equalled by 70 %",
        "  kpa at 70 % (5.000% late, 12.50 h): NOT BEATEN: ours is no later at 30 %, 3 s (2.000% late, 14.00 h), "
        "12.0% more replica-hours",
        "  kpa at 30 % (1.000% late, 20.00 h): NOT BEATEN: ours is later with every setting, least at 30 %, 3 s "
        "(2.000% late, 14.00 h)",
    ]


def test_the_scoreboard_and_its_sum() -> None:
    scores = scores_of(panels_of(RESULTS))
    assert words(view.scoreboard(scores))[2:] == [["hpa", "2", "1", "1", "1", "0"], ["kpa", "3", "1", "0", "0", "2"]]
    assert view.total(scores) == "Beaten 2 of 5. The aim does not hold for 3."
    assert view.total({"hpa": Score(points=5, beaten=5, strictly=1, equalled=0)}) == "Beaten 5 of 5."


def test_the_overview_counts_each_scenario_at_each_cold_start() -> None:
    at_once = [result("scoregate", 0.1, 1.0, cold_start_s=0.0), result("hpa", 0.1, 2.0, cold_start_s=0.0)]
    lines = words(view.overview(panels_of([*RESULTS, *at_once])))
    assert lines[-2:] == [["scenario", "10", "s", "0", "s"], ["step", "2", "of", "5", "1", "of", "1"]]


def test_progress_is_ten_lines_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with view.progress_on(Console(file=file), 40) as done:
        for _ in range(40):
            done()
    assert file.getvalue().splitlines() == [f"{count} of 40 runs" for count in range(4, 41, 4)]


def test_progress_is_a_bar_on_a_terminal() -> None:
    file = io.StringIO()
    with view.progress_on(Console(file=file, force_terminal=True, width=80), 4) as done:
        for _ in range(4):
            done()
    assert "4/4" in file.getvalue()
