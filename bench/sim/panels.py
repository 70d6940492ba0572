"""How did the laws do on one scenario at one cold start, each with each of its settings?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from bench.sim.frontier import Point, Verdict, judge, pareto
from bench.sim.sweep import DEFAULT, OURS, Result
from bench.sim.world import Outcome


class Panel(Struct, frozen=True, kw_only=True):
    scenario: str
    cold_start_s: float
    shipped: dict[str, Outcome]
    """By law, with the settings that it ships with."""
    points: dict[str, list[Point]]
    """By law, in the order of its settings."""

    @property
    def title(self) -> str:
        return f"{self.scenario}, cold start {self.cold_start_s:g} s"

    def verdicts(self) -> list[tuple[str, Point, Verdict]]:
        """Of every rival's every point; none where ours did not run."""
        ours = self.points.get(OURS, [])
        rivals = ((law, point) for law, points in self.points.items() if law != OURS for point in points)
        return [(law, point, judge(ours, point)) for law, point in rivals if ours]

    def curves(self) -> dict[str, list[Point]]:
        """To draw: a rival's as its knob goes, with what it ships with named; of ours what is best."""
        shipped = DEFAULT.label
        named = {
            law: [point if point.label == shipped else point._replace(label="") for point in points]
            for law, points in self.points.items()
        }
        return {law: pareto(points) if law == OURS else points for law, points in named.items()}


class Score(Struct, frozen=True, kw_only=True):
    """Of how many of a rival's points what is said."""

    points: int
    beaten: int
    strictly: int
    equalled: int

    @property
    def open(self) -> int:
        return self.points - self.beaten - self.equalled


def panels_of(results: Iterable[Result]) -> list[Panel]:
    """In the order of the results; a setting that is there twice, as what ships, counts once."""
    found: dict[tuple[str, float], Panel] = {}
    for result in results:
        run, outcome = result.run, result.outcome
        key = run.scenario, run.cold_start_s
        panel = found.setdefault(key, Panel(scenario=key[0], cold_start_s=key[1], shipped={}, points={}))
        if run.knobs == DEFAULT:
            panel.shipped[run.law] = outcome
        point = Point(outcome.late_share, outcome.replica_hours, run.knobs.label)
        panel.points.setdefault(run.law, []).append(point)
    return list(found.values())


def scores_of(panels: Sequence[Panel]) -> dict[str, Score]:
    """By rival."""
    scores: dict[str, Score] = {}
    for panel in panels:
        for law, _, verdict in panel.verdicts():
            before = scores.get(law, Score(points=0, beaten=0, strictly=0, equalled=0))
            scores[law] = Score(
                points=before.points + 1,
                beaten=before.beaten + (verdict.standing == "beaten"),
                strictly=before.strictly + verdict.strictly,
                equalled=before.equalled + (verdict.standing == "equalled"),
            )
    return scores
