"""Which arrivals do the options of `python -m bench.load` ask for?

I/O: reads the trace. Everything that can't be used is a usage error with the option, its value and the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from bench import arrivals
from bench.trace import TraceError, read_trace, replay

MOST = 10_000_000
"""Requests of one run: each is remembered, for exact quantiles."""

USES = {
    "constant": ("rate", "seconds"),
    "poisson": ("rate", "seconds", "seed"),
    "step": ("rate", "high_rate", "at_s", "seconds", "seed", "even"),
    "ramp": ("rate", "high_rate", "at_s", "for_s", "seconds", "seed", "even"),
    "spike": ("rate", "high_rate", "at_s", "for_s", "seconds", "seed", "even"),
    "onoff": ("rate", "on_s", "off_s", "seconds", "seed", "even"),
    "sawtooth": ("rate", "high_rate", "period_s", "seconds", "seed", "even"),
    "trace": ("trace", "speed", "limit_s"),
}
KINDS = [kind for kind in USES if kind != "trace"]
NEEDS = (
    "How they come. step wants --high-rate and --at-s; ramp and spike want --high-rate, --at-s and --for-s; "
    "onoff wants --on-s and --off-s; sawtooth wants --high-rate and --period-s."
)
OPTIONS = {option for used in USES.values() for option in used}


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    settings: dict[str, Any]
    """The options that made it."""
    moments_s: list[float]
    seconds: float


class Number(click.FloatRange):
    """A number above 0, or at least 0; a finite one: click's own range takes `nan` and `inf`."""

    def __init__(self, *, above: bool = True) -> None:
        super().__init__(min=0.0, min_open=above)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def arrival_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that `choose` reads."""
    positive, not_negative = Number(), Number(above=False)
    for option in reversed((
        click.option("--arrivals", type=click.Choice(KINDS), default="poisson", show_default=True, help=NEEDS),
        click.option("--rate", type=not_negative, default=10.0, show_default=True,
                     help="Requests per second: all the time; before the step or ramp; around the spike; while on; "
                     "at the foot of a tooth."),
        click.option("--high-rate", type=not_negative, help="After the step or ramp; in the spike; at a tooth's tip."),
        click.option("--seconds", type=positive, default=10.0, show_default=True, help="How long requests arrive."),
        click.option("--at-s", type=not_negative, help="When the step, ramp or spike begins."),
        click.option("--for-s", type=positive, help="How long the ramp or spike lasts."),
        click.option("--on-s", type=positive, help="How long it is on, again and again."),
        click.option("--off-s", type=positive, help="How long it is off in between."),
        click.option("--period-s", type=positive, help="How long a tooth is."),
        click.option("--even", is_flag=True, help="At even gaps. By default gaps are random, as those of many users."),
        click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same random gaps."),
        click.option("--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="Replay the arrivals of a CSV with a column TIMESTAMP, as the Azure LLM inference traces."),
        click.option("--speed", type=positive, default=1.0, show_default=True,
                     help="Play the trace so many times as fast."),
        click.option("--limit-s", type=positive, help="Stop the trace after so many seconds of playing."),
    )):  # fmt: skip
        command = option(command)
    return command


def choose(options: Mapping[str, Any]) -> Chosen:
    """Of the options of the command that runs. Raises click.UsageError."""
    kind = "trace" if options["trace"] else options["arrivals"]
    given = {option for option in (*OPTIONS, "arrivals") if _is_given(option)}
    if kind == "trace" and "arrivals" in given:
        raise click.UsageError(f"--arrivals {options['arrivals']}: a trace has its own arrivals; leave out one of both")
    for option in sorted(given - set(USES[kind]) - {"arrivals"}):
        raise click.UsageError(f"{_flag(option)} {options[option]}: {kind} arrivals have no such setting")
    for option in USES[kind]:
        if options[option] is None and option != "limit_s":
            raise click.UsageError(f"{_flag(option)} is missing: {kind} arrivals need it")
    moments_s = _replayed(options) if kind == "trace" else _made(kind, options)
    if not moments_s:
        raise click.UsageError(f"--rate {options['rate']:g}, --seconds {options['seconds']:g}: no request arrives")
    settings = {option: options[option] for option in USES[kind] if options[option] is not None}
    seconds = moments_s[-1] if kind == "trace" else options["seconds"]
    return Chosen(kind=kind, settings=settings, moments_s=moments_s, seconds=seconds)


def _is_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _replayed(options: Mapping[str, Any]) -> list[float]:
    file: Path = options["trace"]
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            trace = read_trace(lines, str(file))
    except (TraceError, OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--trace {file}: {error}") from None
    return replay(trace, options["speed"], math.inf if options["limit_s"] is None else options["limit_s"])


def _made(kind: str, options: Mapping[str, Any]) -> list[float]:
    rate, high, seconds = options["rate"], options["high_rate"], options["seconds"]
    if max(rate, high or 0.0) * seconds > MOST:
        raise click.UsageError(f"--seconds {seconds:g}: at such rates more than {MOST:,} requests; that is the limit")
    at_s = options["at_s"]
    if at_s is not None and at_s >= seconds:
        raise click.UsageError(f"--at-s {at_s:g}: it begins before the end, --seconds {seconds:g}")
    seed = None if options["even"] else options["seed"]
    match kind:
        case "constant":
            return arrivals.constant(rate, seconds)
        case "poisson":
            return arrivals.poisson(rate, seconds, options["seed"])
        case "step":
            return arrivals.step(rate, high, at_s, seconds, seed)
        case "ramp":
            return arrivals.ramp(rate, high, at_s, options["for_s"], seconds, seed)
        case "spike":
            return arrivals.spike(rate, high, at_s, options["for_s"], seconds, seed)
        case "onoff":
            return arrivals.on_off(rate, options["on_s"], options["off_s"], seconds, seed)
    return arrivals.sawtooth(rate, high, options["period_s"], seconds, seed)
