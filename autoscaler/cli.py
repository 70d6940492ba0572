"""Which commands does the autoscaler add to `scoregate`?

I/O: the terminal, signals. Each command is thin, as those of the router are.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import signal
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from autoscaler.chart import FORMATS, ChartError, Series, draw_timeline
from autoscaler.feed import Feed
from autoscaler.journal import ROUTER, BadLine, Journal, JournalError, journal_of, journals, older, read
from autoscaler.laws import LAWS
from autoscaler.loop import Autoscaler
from autoscaler.records import Decided, Record, Sized, SizeTerms, Terms
from autoscaler.replay import Moment, Point, looks, measured_start_s, moments, recorded, summarise
from autoscaler.replay import replay as replayed
from autoscaler.scaled import LAW
from autoscaler.self_feed import SelfFeed
from autoscaler.self_loop import SelfScaler
from autoscaler.self_observation import SelfScaling
from autoscaler.self_options import self_scaling_of, self_scaling_options, thresholds_of
from autoscaler.self_replay import Redecided, Thresholds, redecided
from autoscaler.self_view import sizes_table, steps, steps_table
from autoscaler.view import decisions_table, summaries_table
from router.core.model import ScaleSettings
from router.options import as_json as json_option
from router.options import cluster_settings, in_cluster, option, state_dir
from router.platforms import ClusterSettings, PlatformError, open_platform
from router.platforms.identity import OwnIdentity
from router.platforms.local.race import first
from router.tables import print_table

_RECORDED = "recorded"
_LONGEST_S = 10**9
KEEP_UP_PAUSE_S = 5.0

log = logging.getLogger("scoregate.autoscaler")


_state_dir = state_dir("Where decisions are kept, and what runs is known.")


class _Seconds(click.FloatRange):
    """click takes `nan` to be in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail("nan is no number of seconds.", param, ctx)
        return seconds


@contextmanager
def _failing() -> Iterator[None]:
    """What went wrong is one message, with exit code 1."""
    try:
        yield
    except (JournalError, ChartError, PlatformError, OSError) as error:
        raise click.ClickException(str(error)) from None


@click.group()
def autoscaler() -> None:
    """Scale deployments with their load.

    `scoregate up` runs an autoscaler, too; this one runs alone, beside routers that run already.
    """


@autoscaler.command()
@option(
    "--platform",
    type=click.Choice(["local", "kubernetes"]),
    default="local",
    help="Where replicas are counted and asked for.",
)
@in_cluster
@self_scaling_options
@_state_dir
def run(
    platform: str,
    namespaces: tuple[str, ...],
    namespace: str | None,
    adopt_v1: bool,
    vault: str,
    state_dir: Path,
    **given: Any,
) -> None:
    """Run one autoscaler process, until SIGTERM or SIGINT.

    Of several with the same --state-dir, or in a cluster the same --namespace, one scales; the others observe, and
    take over when it goes.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    cluster = cluster_settings(platform, namespaces, namespace, adopt_v1, vault)
    cluster = cluster._replace(router_deployment=given["router_deployment"])
    with _failing():
        asyncio.run(_scale_until_stopped(platform, state_dir, cluster, self_scaling_of(given)))


async def _scale_until_stopped(
    platform: str, state_dir: Path, cluster: ClusterSettings, own_size: SelfScaling | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    journal = Journal(journals(state_dir))
    try:
        async with open_platform(platform, file=None, state_dir=state_dir, cluster=cluster, scaling=True) as opened:
            own = OwnIdentity(lambda: opened.administration.vault)
            scaling = Autoscaler(opened, partial(Feed, identify=own.client), journal)
            runs = [scaling.run(), _keep_up(own), _until(stop)]
            if own_size is not None:
                words = SelfFeed(own.client)
                runs.append(SelfScaler(opened, lambda: scaling.leads, words, journal, own_size).run())
            await first(*runs)
    finally:
        journal.close()


async def _keep_up(own: OwnIdentity) -> None:
    """Never ends by itself: without it, routers are asked as before."""
    while True:
        try:
            await own.run()
        except Exception:
            log.exception("can't follow who belongs to the installation; trying again")
        await asyncio.sleep(KEEP_UP_PAUSE_S)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


@click.command()
@click.argument("deployment")
@option("--last", type=click.IntRange(min=1), default=20, help="So many decisions.")
@_state_dir
@json_option
def explain(deployment: str, last: int, state_dir: Path, as_json: bool) -> None:
    """Say why DEPLOYMENT has so many replicas.

    Shows its last decisions, and what each was made of. DEPLOYMENT is `blue`, or `iris/blue` where several endpoints
    have a `blue`; `router` is the router itself.
    """
    with _failing():
        key, file = journal_of(journals(state_dir), deployment)
        decisions: deque[Decided] = deque(maxlen=last)
        sizes: deque[Sized] = deque(maxlen=last)
        left_out: list[str] = []
        for part in (older(file), file):
            for record in read(part) if part.exists() else ():
                if isinstance(record, BadLine):
                    left_out.append(record.complaint)
                elif isinstance(record, Decided):
                    decisions.append(record)
                elif isinstance(record, Sized):
                    sizes.append(record)
    if left_out:
        more = f" (and {len(left_out) - 1} more)" if left_out[1:] else ""
        click.echo(f"Left out: {left_out[0]}{more}", err=True)
    if as_json:
        of = {"deployment": key, "decisions": [*decisions, *sizes]}
        click.echo(json.dumps(msgspec.to_builtins(of), indent=2))
    elif key == ROUTER:
        print_table(sizes_table(list(sizes)))
    else:
        print_table(decisions_table(key, decisions))


def _chart_file(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix not in FORMATS:
        raise click.BadParameter(f"{path} must end with {' or '.join(FORMATS)}.")
    return path


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("--law", "names", type=click.Choice(sorted(LAWS)), multiple=True, default=[LAW], help="May be repeated.")
@option("--target", type=click.IntRange(1, 100), help="targetUtilizationPercentage, instead of the recorded one.")
@option("--min", type=click.IntRange(min=0), help="minInstances, instead of the recorded one.")
@option("--max", type=click.IntRange(min=1), help="maxInstances, instead of the recorded one.")
@option("--window", type=_Seconds(min=0, max=_LONGEST_S, min_open=True), help="scaleDownWindow in seconds, likewise.")
@option(
    "--cold-start", type=_Seconds(min=0, max=_LONGEST_S), help="Seconds a replica takes to start, instead of measured."
)
@option("--mean-ms", type=_Seconds(min=0, min_open=True), help="Of the router itself: --route-mean-ms, likewise.")
@option("--p99-ms", type=_Seconds(min=0, min_open=True), help="Of the router itself: --route-p99-ms, likewise.")
@option(
    "--chart", type=click.Path(path_type=Path, dir_okay=False), callback=_chart_file, help="Draw it: a .svg or .png."
)
@json_option
def replay(
    file: Path, names: tuple[str, ...], cold_start: float | None, chart: Path | None, as_json: bool, **given: Any
) -> None:
    """Replay the load in FILE through a law.

    Shows what would have happened under other settings, or under the rules of another autoscaler. FILE is a
    deployment's journal, STATE_DIR/decisions/ENDPOINT.DEPLOYMENT.jsonl. The load stays what was recorded, whatever the
    law does about it. Of router.jsonl it shows which steps the law of the router's own size would have taken.
    """
    thresholds = thresholds_of(given)
    with _failing():
        if _is_of_router(file):
            if any(each is not None for each in (cold_start, chart, *given.values())):
                raise click.UsageError(f"{file} is of the router itself: --mean-ms, --p99-ms and --json are for it.")
            return _show_steps(_steps_again(file, thresholds), as_json)
        if thresholds != Thresholds():
            raise click.UsageError(f"{file} is of a deployment: --mean-ms and --p99-ms are for the router itself.")
        terms, story = _load(file)
        settings = _settings(terms.settings, given)
        start_s = cold_start if cold_start is not None else measured_start_s(story) or 0.0
        runs = {_RECORDED: recorded(story)}
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            for name in dict.fromkeys(names):
                law = LAWS[name](settings, terms.concurrency)
                total = looks(story, law.period_s)
                runs[name] = list(progress.track(replayed(story, law, start_s), total, description=name))
        if chart is not None:
            draw_timeline(chart, _series(runs), f"{terms.deployment}: the recorded load, replayed")
    summaries = {name: summarise(points) for name, points in runs.items()}
    if as_json:
        click.echo(json.dumps({name: each._asdict() for name, each in summaries.items()}, indent=2))
    else:
        print_table(summaries_table(terms.deployment, summaries))
        click.echo(f"\n{_caption(settings, start_s, cold_start is None)}")
    if chart is not None:
        click.echo(f"Drawn: {chart}", err=True)


def _is_of_router(file: Path) -> bool:
    return isinstance(next(read(file), None), SizeTerms)


def _steps_again(file: Path, thresholds: Thresholds) -> list[Redecided]:
    """Raises JournalError."""
    try:
        return list(redecided(_records(file), thresholds))
    except ValueError as error:
        raise JournalError(f"{file}: {error}") from None


def _show_steps(story: list[Redecided], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(steps(story), indent=2))
    else:
        print_table(steps_table(story))
        click.echo("\nOpen loop: at each moment the size is the one that was recorded.")


def _records(file: Path) -> Iterator[Record]:
    """Raises JournalError."""
    for record in read(file):
        if isinstance(record, BadLine):
            raise JournalError(record.complaint)
        yield record


def _load(file: Path) -> tuple[Terms, list[Moment]]:
    """The last terms, and what was recorded. Raises JournalError."""
    records = [record for record in _records(file) if isinstance(record, Terms | Decided)]
    try:
        story = moments(records)
    except ValueError as error:
        raise JournalError(f"{file}: {error}") from None
    if not story:
        raise JournalError(f"{file} holds no decision: there is nothing to replay")
    return next(record for record in reversed(records) if isinstance(record, Terms)), story


def _settings(recorded: ScaleSettings, given: dict[str, Any]) -> ScaleSettings:
    options = {
        "target": "target_utilization_percentage",
        "min": "min_instances",
        "max": "max_instances",
        "window": "scale_down_window",
    }
    changes = {options[name]: value for name, value in given.items() if value is not None}
    settings = msgspec.structs.replace(recorded, **changes)
    if settings.min_instances > settings.max_instances:
        raise click.UsageError(
            f"minInstances would be {settings.min_instances}; it must be at most maxInstances, which is "
            f"{settings.max_instances}: give --min or --max."
        )
    if settings.scale_down_window < settings.polling_interval:
        raise click.UsageError(
            f"scaleDownWindow would be {settings.scale_down_window:g}; it must be at least pollingInterval, which is "
            f"{settings.polling_interval}: give --window."
        )
    return settings


def _caption(settings: ScaleSettings, start_s: float, measured: bool) -> str:
    return (
        f"Target {settings.target_utilization_percentage} %, {settings.min_instances} to {settings.max_instances} "
        f"replicas, window {settings.scale_down_window:g} s; a replica starts in {start_s:g} s"
        f"{', as measured' if measured and start_s else ''}.\n"
        "Short of need: more requests than ready replicas can hold.\n"
        "Open loop: the load is what was recorded, also where a law would have shortened or lengthened a queue."
    )


def _series(runs: dict[str, list[Point]]) -> list[Series]:
    points = runs[_RECORDED]
    times_s = [point.at_s for point in points]
    demand = Series("in flight + queued", "requests", times_s, [point.demand for point in points])
    replicas = (
        Series(name, "replicas", [point.at_s for point in points], [point.replicas for point in points])
        for name, points in runs.items()
    )
    return [demand, *replicas]
