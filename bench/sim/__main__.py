"""How is the simulator run from a terminal, and how does it show what came of it?

I/O: the terminal, the files of `--json` and `--chart`; signals.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from autoscaler.chart import ChartError, draw_frontier
from autoscaler.laws import LAWS
from bench.files import chart_option, json_option, write_json
from bench.sim import view
from bench.sim.panels import Panel, panels_of, scores_of
from bench.sim.scenarios import COLD_STARTS_S, SCENARIOS, SEED
from bench.sim.sweep import Result, play_all, runs_of

UNUSABLE, INTERRUPTED = 2, 130
FILE_WIDTH = 120
"""Columns of the tables where they do not go to a terminal: nothing is cut."""
QUICK_COLD_STARTS_S = (10.0,)

Parse = Callable[[click.Context, click.Parameter, str], Any]


def _names(known: Sequence[str]) -> Parse:
    def parse(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise click.BadParameter(f"{', '.join(unknown) or 'nothing'} named; known: {', '.join(known)}")
        return names

    return parse


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        seconds = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of seconds") from None
    if not all(0 <= each < math.inf for each in seconds):
        raise click.BadParameter(f"{text!r}: each must be at least 0 and finite")
    return seconds


@click.command()
@click.option("--scenarios", callback=_names(list(SCENARIOS)), default=",".join(SCENARIOS), show_default=True)
@click.option("--cold-starts", callback=_seconds, help="In seconds.  [default: 0,2,10,30,120; with --quick 10]")
@click.option("--laws", callback=_names(list(LAWS)), default=",".join(LAWS), show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="cores", help="Processes.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of all that is left to chance.")
@click.option("--quick", is_flag=True, help="One cold start and fewer of our settings: a look, not a result.")
@json_option
@chart_option
def main(  # house: one parameter for each option
    scenarios: list[str],
    cold_starts: tuple[float, ...] | None,
    laws: list[str],
    jobs: int,
    seed: int,
    quick: bool,
    json_file: Path | None,
    chart: Path | None,
) -> None:
    """Which autoscaler's law gives the shortest waits for the fewest replicas?

    Plays every scenario at every cold start under every law, with every setting of its knobs, on virtual time.
    docs/simulation.md says what is simulated and how to read what is printed.

    Exit code: 0 it ran, whatever came of it; 2 unusable arguments; 130 interrupted.
    """
    cold_starts_s = cold_starts or (QUICK_COLD_STARTS_S if quick else COLD_STARTS_S)
    runs = runs_of(scenarios, cold_starts_s, laws, quick=quick, seed=seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing is left running
    try:
        with view.progress_on(Console(stderr=True), len(runs)) as done:
            results = play_all(runs, jobs, done)
        panels = panels_of(results)
        _show(panels)
        write_json(json_file, _told(results, panels))
        if chart:
            _draw(chart, panels)
    except KeyboardInterrupt:
        click.echo("Interrupted; nothing is left running.", err=True)
        sys.exit(INTERRUPTED)


def _show(panels: Sequence[Panel]) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for panel in panels:
        console.print(view.table(panel), "")
    scores = scores_of(panels)
    if not scores:
        console.print("No frontier: that wants ours and a rival.")
        return
    for panel in panels:
        for line in view.standings(panel):
            console.print(line, soft_wrap=True)
    console.print("", view.overview(panels), "", view.scoreboard(scores), "", view.total(scores), sep="\n")


def _told(results: Sequence[Result], panels: Sequence[Panel]) -> dict[str, Any]:
    verdicts = [
        {
            "scenario": panel.scenario,
            "cold_start_s": panel.cold_start_s,
            "rival": law,
            **point._asdict(),
            **verdict._asdict(),
            "nearest": verdict.nearest._asdict(),
        }
        for panel in panels
        for law, point, verdict in panel.verdicts()
    ]
    runs = [
        {
            **msgspec.structs.asdict(result.run),
            "knobs": result.run.knobs._asdict(),
            **msgspec.structs.asdict(result.outcome),
        }
        for result in results
    ]
    return {"runs": runs, "verdicts": verdicts, "scores": scores_of(panels)}


def _draw(file: Path, panels: Sequence[Panel]) -> None:
    """One file for each cold start: `frontier-10s.svg`; the file as it is named where there is but one."""
    cold_starts_s = list(dict.fromkeys(panel.cold_start_s for panel in panels))
    for cold_start_s in cold_starts_s:
        path = file if len(cold_starts_s) == 1 else file.with_stem(f"{file.stem}-{cold_start_s:g}s")
        curves = {panel.scenario: panel.curves() for panel in panels if panel.cold_start_s == cold_start_s}
        try:
            draw_frontier(path, curves, f"Late requests and replica-hours, cold start {cold_start_s:g} s")
        except ChartError as error:
            click.echo(str(error), err=True)
            sys.exit(UNUSABLE)
        click.echo(f"Drawn: {path}", err=True)


if __name__ == "__main__":
    main()
