"""Results come together by scenario and cold start, and are counted rightly."""

from __future__ import annotations

from bench.sim.frontier import Point
from bench.sim.panels import Score, panels_of, scores_of
from bench.sim.sweep import OURS
from tests.bench.sim.results import RESULTS, result


def test_one_panel_for_each_scenario_and_cold_start_in_order() -> None:
    panels = panels_of([*RESULTS, result("hpa", 0.3, 1.0, cold_start_s=0.0)])
    assert [panel.title for panel in panels] == ["step, cold start 10 s", "step, cold start 0 s"]
    assert list(panels[0].shipped) == [OURS, "hpa", "kpa"]
    assert panels[0].shipped["hpa"].late_share == 0.2
    assert panels[0].points["hpa"] == [Point(0.2, 11.0, "70 %"), Point(0.1, 10.0, "90 %")]
    assert len(panels[1].points) == 1


def test_every_point_of_every_rival_is_judged() -> None:
    (panel,) = panels_of(RESULTS)
    assert [(law, point.label, verdict.standing, verdict.strictly) for law, point, verdict in panel.verdicts()] == [
        ("hpa", "70 %", "beaten", True),
        ("hpa", "90 %", "equalled", False),
        ("kpa", "70 %", "open", False),
        ("kpa", "30 %", "open", False),
        ("kpa", "50 %", "beaten", False),
    ]
    assert scores_of([panel, panel]) == {
        "hpa": Score(points=4, beaten=2, strictly=2, equalled=2),
        "kpa": Score(points=6, beaten=2, strictly=0, equalled=0),
    }
    assert scores_of([panel])["kpa"].open == 2


def test_without_ours_or_without_rivals_nothing_is_judged() -> None:
    rivals, ours = RESULTS[3:], RESULTS[:3]
    assert scores_of(panels_of(rivals)) == scores_of(panels_of(ours)) == {}


def test_curves_are_all_points_of_a_rival_and_the_best_of_ours() -> None:
    curves = panels_of(RESULTS)[0].curves()
    assert curves[OURS] == [Point(0.02, 14.0, ""), Point(0.10, 10.0, "70 %")]
    assert curves["kpa"] == [Point(0.05, 12.5, "70 %"), Point(0.01, 20.0, ""), Point(0.10, 11.0, "")]
