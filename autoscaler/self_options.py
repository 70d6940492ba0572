"""How is it spelled under what the router's own size is decided?

I/O: none. Options of `scoregate autoscaler run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan
from typing import Any

import click

from autoscaler.self_observation import SelfScaling
from autoscaler.self_replay import Thresholds
from router.core.rules import OBJECT_NAME_RULE, is_object_name
from router.options import Command, option
from router.platforms import ClusterSettings
from router.platforms.kubernetes.objects import MAX_WORKERS

Decorator = Callable[[Any], Any]

_DEFAULTS = SelfScaling()
_DEPLOYMENT = ClusterSettings().router_deployment
_MOST_PODS = 100
_MOST_MS = 60_000


def self_scaling_options(command: Command) -> Command:
    """`self_scaling`, `router_deployment`, `min_routers`, `max_routers`, `max_router_workers`, `route_mean_ms` and
    `route_p99_ms`."""
    for each in (*_thresholds(), *_bounds()):
        command = each(command)
    switch = click.Choice(["on", "off"])
    return option(
        "--self-scaling",
        type=switch,
        default="on",
        help="Whether the number of router processes follows their own load.",
    )(command)


def _bounds() -> Iterator[Decorator]:
    """The last one first, as decorators stand."""
    workers, pods = click.IntRange(1, MAX_WORKERS), click.IntRange(1, _MOST_PODS)
    yield option(
        "--max-router-workers",
        type=workers,
        default=_DEFAULTS.max_workers,
        help="Kubernetes: workers of one router Pod. On one machine, --max-workers of the router.",
    )
    yield option("--max-routers", type=pods, default=_DEFAULTS.max_pods, help="Kubernetes: the most router Pods.")
    yield option(
        "--min-routers",
        type=pods,
        default=_DEFAULTS.min_pods,
        help="Kubernetes: the fewest router Pods; three where there are three to begin with.",
    )
    yield option(
        "--router-deployment",
        default=_DEPLOYMENT,
        callback=_object_name,
        metavar="NAME",
        help="Kubernetes: the Deployment of the routers.",
    )


def _thresholds() -> Iterator[Decorator]:
    kind = click.FloatRange(min=0, max=_MOST_MS, min_open=True)
    yield option(
        "--route-p99-ms",
        type=kind,
        default=_DEFAULTS.p99_ms,
        callback=_number,
        help="Or over this for one in a hundred.",
    )
    yield option(
        "--route-mean-ms",
        type=kind,
        default=_DEFAULTS.mean_ms,
        callback=_number,
        help="A router whose own time with a request is over this on average is too small.",
    )


def _object_name(_: click.Context, __: click.Parameter, given: str) -> str:
    """It becomes part of a path."""
    if not is_object_name(given):
        raise click.BadParameter(f"{given!r}, but it {OBJECT_NAME_RULE}.")
    return given


def _number(_: click.Context, __: click.Parameter, given: float) -> float:
    """click takes `nan` to be in every range."""
    if isnan(given):
        raise click.BadParameter("nan is no number of milliseconds.")
    return given


def self_scaling_of(given: dict[str, Any]) -> SelfScaling | None:
    """Of those options; None where it is off. Raises UsageError."""
    if given["min_routers"] > given["max_routers"]:
        raise click.UsageError(
            f"--min-routers is {given['min_routers']}; it must be at most --max-routers, {given['max_routers']}."
        )
    if given["self_scaling"] == "off":
        return None
    return SelfScaling(
        mean_ms=given["route_mean_ms"],
        p99_ms=given["route_p99_ms"],
        min_pods=given["min_routers"],
        max_pods=given["max_routers"],
        max_workers=given["max_router_workers"],
    )


def thresholds_of(given: dict[str, Any]) -> Thresholds:
    """Takes them out of what was `given` to `scoregate replay`."""
    return Thresholds(given.pop("mean_ms"), given.pop("p99_ms"))
