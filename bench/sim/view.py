"""How does what the simulator found read in a terminal, and how does somebody see that it goes on?

I/O: the progress bar writes to the console it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from bench.sim.frontier import Point, Verdict
from bench.sim.panels import Panel, Score, scores_of
from bench.sim.sweep import DEFAULT

LINES = 10
"""Of progress, where there is no terminal."""


@contextmanager
def progress_on(console: Console, runs: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _lines(console, runs)
        return
    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), "runs,", TimeRemainingColumn(), "left")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=runs)
        yield lambda: bar.advance(task)


def _lines(console: Console, runs: int) -> Callable[[], None]:
    done = 0

    def write() -> None:
        nonlocal done
        done += 1
        if done * LINES // runs > (done - 1) * LINES // runs:
            console.print(f"{done} of {runs} runs", highlight=False)

    return write


def table(panel: Panel) -> Table:
    """Each law as it ships."""
    drawn = Table(title=panel.title, title_justify="left", box=None, header_style="bold")
    drawn.add_column("law at " + DEFAULT.label)
    for heading in ("late", "p99 wait s", "replica-hours", "changes"):
        drawn.add_column(heading, justify="right")
    for law, outcome in panel.shipped.items():
        cells = (f"{outcome.late_share:.2%}", f"{outcome.p99_wait_s:.2f}", f"{outcome.replica_hours:.2f}")
        drawn.add_row(law, *cells, str(outcome.changes))
    return drawn


def standings(panel: Panel) -> Iterator[str]:
    """A line for each rival's point that is not beaten, and one that counts the others."""
    verdicts = panel.verdicts()
    beaten = sum(verdict.standing == "beaten" for _, _, verdict in verdicts)
    yield f"{panel.title}: beaten {beaten} of {len(verdicts)}"
    for law, point, verdict in verdicts:
        if verdict.standing != "beaten":
            yield f"  {law} at {_told(point)}: {_answer(point, verdict)}"


def _told(point: Point) -> str:
    return f"{point.label} ({point.late_share:.3%} late, {point.replica_hours:.2f} h)"


def _answer(theirs: Point, verdict: Verdict) -> str:
    ours = verdict.nearest
    if verdict.standing == "equalled":
        return f"equalled by {ours.label}"
    if ours.late_share > theirs.late_share:
        return f"NOT BEATEN: ours is later with every setting, least at {_told(ours)}"
    more = ours.replica_hours / theirs.replica_hours - 1
    return f"NOT BEATEN: ours is no later at {_told(ours)}, {more:.1%} more replica-hours"


def overview(panels: Sequence[Panel]) -> Table:
    """How many points are beaten, of how many, in each panel."""
    cold_starts_s = list(dict.fromkeys(panel.cold_start_s for panel in panels))
    drawn = Table(title="Points that ours beats, by cold start", title_justify="left", box=None, header_style="bold")
    drawn.add_column("scenario")
    for cold_start_s in cold_starts_s:
        drawn.add_column(f"{cold_start_s:g} s", justify="right")
    scores = {(panel.scenario, panel.cold_start_s): scores_of([panel]).values() for panel in panels}
    for scenario in dict.fromkeys(panel.scenario for panel in panels):
        cells = [scores[scenario, cold_start_s] for cold_start_s in cold_starts_s]
        told = (f"{sum(each.beaten for each in cell)} of {sum(each.points for each in cell)}" for cell in cells)
        drawn.add_row(scenario, *told)
    return drawn


def scoreboard(scores: Mapping[str, Score]) -> Table:
    drawn = Table(title="Points of the rivals that ours beats", title_justify="left", box=None, header_style="bold")
    drawn.add_column("rival")
    for heading in ("points", "beaten", "on both axes", "equalled", "not beaten"):
        drawn.add_column(heading, justify="right")
    for law, score in scores.items():
        figures = (score.points, score.beaten, score.strictly, score.equalled, score.open)
        drawn.add_row(law, *map(str, figures))
    return drawn


def total(scores: Mapping[str, Score]) -> str:
    beaten, points = (sum(getattr(score, name) for score in scores.values()) for name in ("beaten", "points"))
    return f"Beaten {beaten} of {points}." + (
        "" if beaten == points else f" The aim does not hold for {points - beaten}."
    )
