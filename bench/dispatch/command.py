"""How is the comparison of many routers run from a terminal?

I/O: the terminal, the file of `--json`; signals.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from autoscaler.chart import ChartError
from bench import wrk
from bench.dispatch import cost, faults, idle, live, picture, report, scale, sweep, view
from bench.dispatch.contenders import Contender, all_contenders
from bench.dispatch.load import LENGTHS, Load
from bench.files import chart_option, json_option, write_json
from bench.measure import choose_cores
from bench.pool import played
from bench.proxies import PeerError

FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
FILE_WIDTH = 180
"""Columns of the tables where they do not go to a terminal: nothing is cut."""
NAMES = [contender.name for contender in all_contenders()]

Say = Callable[[str, float], None]
"""What goes on, and what share of it is done."""


def _listed(parse: Callable[[str], Any], known: Sequence[object] = ()) -> Callable[..., Any]:
    def callback(_context: click.Context, _parameter: click.Parameter, text: str) -> list[Any]:
        try:
            values = [parse(part.strip()) for part in text.split(",") if part.strip()]
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a list of numbers") from None
        unknown = [str(value) for value in values if known and value not in known]
        if unknown or not values:
            raise click.BadParameter(f"{', '.join(unknown) or 'nothing'} named; known: {', '.join(map(str, known))}")
        if not known and not all(value > 0 for value in values):
            raise click.BadParameter(f"{text!r}: each must be over 0")
        return values

    return callback


def _loads(_context: click.Context, _parameter: click.Parameter, text: str) -> list[float]:
    shares: list[float] = _listed(float)(_context, _parameter, text)
    if max(shares) >= 1:
        raise click.BadParameter(f"{text!r}: each must be under 1, or the queue grows without end")
    return shares


@click.group(invoke_without_command=True)
@click.option("--contenders", callback=_listed(str, NAMES), default=",".join(NAMES), show_default=True)
@click.option("--replicas", callback=_listed(int), default="6,12,48", show_default=True, help="Of concurrency 1.")
@click.option("--load", "shares", callback=_loads, default="0.9", show_default=True, help="Of the replicas' time.")
@click.option(
    "--lengths", callback=_listed(str, list(LENGTHS)), default="exponential", show_default=True, help="Of requests."
)
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True, help="Of each run.")
@click.option("--quick", is_flag=True, help="12 replicas, 8 seconds: a look, not a result.")
@click.option("--long", "is_long", is_flag=True, help="All lengths, loads 0.7 and 0.9, 60 seconds: over an hour.")
@json_option
@chart_option
@click.pass_context
def dispatch(  # house: one parameter for each option
    context: click.Context,
    contenders: list[str],
    replicas: list[int],
    shares: list[float],
    lengths: list[str],
    seconds: int,
    quick: bool,
    is_long: bool,
    json_file: Path | None,
    chart: Path | None,
) -> None:
    """How long do requests wait behind six routers that share one queue, and behind six that do not?

    Real processes, the same arrivals and lengths for all, against one ideal queue; arrivals are uneven over instances.
    Replicas count themselves what they have at once. docs/benchmarks.md says how it is measured.

    Exit code: 0 it ran, 1 requests failed or a replica of ours had too many, 2 it could not run, 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing is left running
    if context.invoked_subcommand is not None:
        return
    if quick:
        replicas, seconds = [12], 8
    if is_long:
        lengths, shares, seconds = list(LENGTHS), [0.7, 0.9], 60
    loads = [
        Load(replicas=count, share=share, lengths=kind, requests=int(count * share * seconds / 0.1))
        for kind, count, share in product(lengths, replicas, shares)
    ]
    chosen = [each for each in all_contenders() if each.name in contenders and each.program]
    left_out = [each for each in all_contenders() if each.name in contenders and not each.program]
    courses: list[live.Course] = []
    broken: list[str] = []
    with _running() as say:
        for load, each, done in _steps(loads, chosen, say):
            try:
                courses.append(live.measured(each, load, choose_cores(), done))
            except PeerError as error:
                broken.append(str(error))
    _show(report.waits(courses, {each.name: each.title for each in chosen}), report.verdict(courses))
    _show(report.limits(courses), *(f"Left out: {each.name} ({each.install})" for each in left_out))
    _show(*(f"BROKEN: {error}" for error in broken))
    write_json(json_file, courses)
    if chart is not None and courses:
        _draw(chart, courses, {each.name: each.title for each in chosen})
    ours = [course for course in courses if course.contender.startswith(report.OURS)]
    sys.exit(FAILED if broken or any(course.failures or course.most_in_flight > 1 for course in ours) else 0)


def _steps(
    loads: Sequence[Load], chosen: Sequence[Contender], say: Say
) -> Iterator[tuple[Load, Contender, Callable[[float], None]]]:
    steps = list(product(loads, chosen))
    for number, (load, contender) in enumerate(steps):

        def done(share: float, number: int = number, title: str = contender.title, load: Load = load) -> None:
            say(f"{title}: {view.described(load)}", (number + share) / len(steps))

        done(0.0)
        yield load, contender, done


@dispatch.command()
@click.option("--kills", type=click.IntRange(1), default=8, show_default=True, help="The owner and others in turns.")
@click.option("--replicas", type=click.IntRange(2), default=12, show_default=True)
@json_option
def kill(kills: int, replicas: int, json_file: Path | None) -> None:
    """Kill -9 of the owner and of borrowers under load: what do the replicas see?

    Exit code: 0 the bound held, 1 it did not or requests of others failed, 2 it could not run, 130 interrupted.
    """
    seconds = (kills + 1) * faults.EVERY_S
    load = Load(replicas=replicas, share=0.8, requests=int(replicas * 0.8 * seconds / 0.1))
    with _running() as say:
        found = faults.measured(load, choose_cores(), kills, lambda share: say("instances are killed", share))
    _show(report.faults(found), report.bound(found))
    write_json(json_file, found)
    sys.exit(FAILED if found.beyond or found.failed_elsewhere else 0)


@dispatch.command("cost")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="The median counts.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="Of each measurement.")
@json_option
def cost_of_sharing(rounds: int, seconds: int, json_file: Path | None) -> None:
    """What does a request cost two processes that share permits, and one that is alone?"""
    if not wrk.installed():
        _give_up("The load is made by wrk, which is not installed: apt-get install wrk")
    with _running() as say:
        found = cost.measured(choose_cores(), rounds, seconds, lambda share: say("cost of sharing", share))
    _show(report.costs(found))
    write_json(json_file, found)
    sys.exit(FAILED if any(each.failed for each in found) else 0)


@dispatch.command("idle")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="The median counts.")
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Of each measurement.")
@json_option
def idle_(rounds: int, seconds: float, json_file: Path | None) -> None:
    """What do routers take that have nothing to do, alone and several of them?"""
    with _running() as say:
        found = idle.measured(choose_cores(), rounds, seconds, lambda share: say("idle routers", share))
    _show(report.idles(found))
    write_json(json_file, found)


@dispatch.command()
@click.option("--requests", type=click.IntRange(100), default=20_000, show_default=True, help="Of each run.")
@click.option("--seeds", type=click.IntRange(1), default=6, show_default=True, help="Runs of each load.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="cores", help="Processes.")
@click.option("--quick", is_flag=True, help="One seed, 2,000 requests: a look, not a result.")
@json_option
def sim(requests: int, seeds: int, jobs: int, quick: bool, json_file: Path | None) -> None:
    """The same on virtual time, with the router's real core and a link of 0.5 ms; and other policies.

    Exit code: 0 it ran, whatever came of it; 130 interrupted.
    """
    runs = sweep.loads(*((2_000, 1) if quick else (requests, seeds)))
    results = {}
    with _running() as say, closing(played(sweep.play, runs, jobs)) as numbered:
        for number, result in numbered:
            results[number] = result
            say("simulated", len(results) / len(runs))
    cells = sweep.cells_of(results[number] for number in range(len(runs)))
    _show(*view.tables(cells), view.verdict(cells))
    write_json(json_file, cells)


@dispatch.command("scale")
@click.option("--instances", type=click.IntRange(10), default=100, show_default=True, help="And deployments, each.")
@click.option("--replicas", type=click.IntRange(1), default=100, show_default=True, help="Of each deployment.")
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Of the steady part.")
@json_option
def scale_(instances: int, replicas: int, seconds: float, json_file: Path | None) -> None:
    """A hundred instances with ten thousand replicas, on virtual time: messages, CPU, and recovery."""
    size = scale.Size(instances=instances, deployments=instances, replicas=replicas)
    with _running() as say:
        say("steady", 0.0)
        steady = scale.steady(size, seconds)
        found = []
        for number, event in enumerate(scale.EVENTS, start=1):
            say(event.__name__.replace("_", " "), number / (len(scale.EVENTS) + 1))
            found.append(event(size))
    _show(view.steady(size, steady), view.recoveries(found))
    write_json(json_file, {"size": size, "steady": steady, "recoveries": found})


@contextmanager
def _running() -> Iterator[Say]:
    """A bar while it lasts; one word for each way to fail."""
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    description = TextColumn("{task.description}")
    console = Console(stderr=True)
    try:
        with Progress(*columns, description, console=console, refresh_per_second=2, transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda what, share: bar.update(task, description=what, completed=share)
    except (PeerError, wrk.LoadError) as error:
        _give_up(str(error))
    except KeyboardInterrupt:
        click.echo("Interrupted; all that was started is stopped.", err=True)
        sys.exit(INTERRUPTED)


def _draw(chart: Path, courses: Sequence[live.Course], titles: Mapping[str, str]) -> None:
    try:
        picture.draw(chart, courses, titles)
    except ChartError as error:
        _give_up(str(error))
    click.echo(f"Drawn: {chart}", err=True)


def _give_up(why: str) -> None:
    click.echo(why, err=True)
    sys.exit(UNUSABLE)


def _show(*told: RenderableType) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for each in told:
        console.print(each, soft_wrap=isinstance(each, str))
