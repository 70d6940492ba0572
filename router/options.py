"""How are the options of `scoregate` spelled?

I/O: none. What the commands of the router and of the autoscaler have in common, so that an option is the same
wherever it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from router.core.rules import NAMESPACE_RULE, OBJECT_NAME_RULE, is_namespace, is_object_name
from router.platforms import ClusterSettings

Command = TypeVar("Command", bound=Callable[..., Any])

_VAULT = ClusterSettings().vault


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """An option that `SCOREGATE_<NAME>` in the environment sets too."""
    first = names[0].partition("/")[0]
    variable = "SCOREGATE_" + first.removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, **{"show_default": True, **settings})


def state_dir(help: str) -> Callable[[Command], Command]:
    folder = click.Path(path_type=Path, file_okay=False)
    return option("--state-dir", type=folder, default=Path(".scoregate"), help=help)


as_json = option("--json", "as_json", is_flag=True, help="Print JSON.")


def in_cluster(command: Command) -> Command:
    """The options of a process that follows a cluster: `namespaces`, `namespace`, `adopt_v1`, `vault`."""
    options = [
        option(
            "--namespaces",
            multiple=True,
            callback=_namespaces,
            show_default="all",
            metavar="A,B",
            help="Kubernetes: the namespaces whose endpoints are served.",
        ),
        option(
            "--namespace",
            callback=_namespace,
            show_default="this process's own",
            metavar="NAME",
            help="Kubernetes: the namespace where routers run, and autoscalers elect who leads.",
        ),
        option(
            "--adopt-v1/--no-adopt-v1",
            default=True,
            help="Kubernetes: serve Azure ML's v1 workloads without a resource for each.",
        ),
        option(
            "--vault",
            default=_VAULT,
            callback=_object_name,
            metavar="NAME",
            help="Kubernetes: the Secret, where routers run, that holds this installation's own keys.",
        ),
    ]
    for each in reversed(options):
        command = each(command)
    return command


def cluster_settings(
    platform: str, namespaces: tuple[str, ...], namespace: str | None, adopt_v1: bool, vault: str, pod: str = ""
) -> ClusterSettings:
    """Of these options. Raises UsageError where they say nothing to the platform."""
    if platform != "kubernetes":
        given = {
            "--namespaces": bool(namespaces),
            "--namespace": namespace is not None,
            "--no-adopt-v1": not adopt_v1,
            "--vault": vault != _VAULT,
            "--pod": bool(pod),
        }
        for name in (name for name, is_given in given.items() if is_given):
            raise click.UsageError(f"{name} is for --platform kubernetes; the platform is {platform}.")
    return ClusterSettings(namespaces=namespaces, home=namespace, adopt_v1=adopt_v1, vault=vault, pod=pod)


def _namespaces(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """`a, b` to its names, each once; the option may be repeated, too."""
    return tuple(dict.fromkeys(_checked(name.strip()) for name in ",".join(given).split(",") if name.strip()))


def _namespace(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    return _checked(given) if given else None


def _object_name(_: click.Context, __: click.Parameter, given: str) -> str:
    if not is_object_name(given):
        raise click.BadParameter(f"{given!r}, but it {OBJECT_NAME_RULE}.")
    return given


def _checked(name: str) -> str:
    if not is_namespace(name):
        raise click.BadParameter(f"{name!r}, but it {NAMESPACE_RULE}.")
    return name
