"""Which commands does `scoregate` have?

I/O: the terminal. Each command is thin: it reads its options, calls the part that does the work, and shows what comes
back.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import click
import uvloop
import yaml
from rich.console import Console

from router import __version__
from router.administrator.calls import AdministrationError
from router.commands import COMMANDS
from router.commands.status import status
from router.config import ConfigError, Limits, PlainHttp, RouterConfig, networks
from router.core.declare import effective_settings
from router.core.model import Endpoint
from router.options import Command, cluster_settings, in_cluster, option, state_dir
from router.options import as_json as json_option
from router.platforms import PLATFORMS, ClusterSettings, PlatformError
from router.platforms.endpoints_file import load_manifest
from router.platforms.local.state import StateDirectory
from router.post import only
from router.up import up as run_up
from router.workers.parent import run as run_workers
from router.workers.worker import log_to_stderr, serve

_ADDED = "scoregate.commands"
_GROUPS = {
    "Commands that run things": ("up", "router", "autoscaler"),
    "Commands for declarations": ("check", "import"),
    "Commands that show things": ("status", "endpoints", "replicas", "explain", "decisions", "replay"),
    "Commands that administer": ("key", "token", "revoke", "signing-keys", "traffic", "scale", "drain", "log-level"),
}
_console = Console()
_ROUTER_END_S = 10.0
"""For what a router does once its last request is over or cut."""


class Failing(click.Group):
    """Shows what went wrong as one message, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (PlatformError, ConfigError, AdministrationError) as error:
            raise click.ClickException(str(error)) from None


class Scoregate(Failing):
    """The router's commands, and those that other parts of Scoregate add: entry points of the group
    `scoregate.commands`. Of these only what is asked for is loaded."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *entry_points(group=_ADDED).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        for added in entry_points(group=_ADDED, name=cmd_name) if command is None else ():
            try:
                loaded: click.Command = added.load()
            except ImportError as error:
                raise click.ClickException(f"The command {cmd_name} can't be loaded: {error}") from None
            return loaded
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In groups; what is in none of them comes last."""
        grouped = {name for names in _GROUPS.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in grouped]
        for title, names in {**_GROUPS, "More commands": others}.items():
            known = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, each.get_short_help_str(100)) for name, each in known if each is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


_state_dir = state_dir("Where keys, logs and what runs are kept.")
_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


_TIMES_MS = {
    "connect_timeout_ms": "Time for a connection to a replica; beyond it another replica, or 502.",
    "replica_idle_ms": "Life of an idle connection to a replica.",
    "drain_grace_ms": "After SIGTERM: how long new connections are still taken.",
    "drain_timeout_ms": "After that: how long requests in flight may take; then they are cut.",
}


def _whole(setting: str, default: object, words: str) -> Callable[[Command], Command]:
    return option("--" + setting.replace("_", "-"), type=int, default=default, help=words)


def _https(defaults: dict[str, Any]) -> list[Callable[[Command], Command]]:
    return [
        option(
            "--tls-dir",
            type=click.Path(path_type=Path, file_okay=False),
            show_default="no HTTPS",
            help="Serve HTTPS with the certificate here: cert.pem and key.pem, or tls.crt and tls.key.",
        ),
        option("--tls-port", type=click.IntRange(0, 65535), default=defaults["tls_port"], help="Port of HTTPS."),
        option(
            "--client-ca",
            type=click.Path(path_type=Path, dir_okay=False),
            show_default="none",
            help="HTTPS: clients must show a certificate that one of these (PEM) signed.",
        ),
        option(
            "--plain-http",
            type=click.Choice(get_args(PlainHttp)),
            default=defaults["plain_http"],
            help="Where HTTPS is served, what plain HTTP is answered: 403, or 308 to HTTPS.",
        ),
        option(
            "--allow-insecure-connections",
            is_flag=True,
            help="Score over plain HTTP, on any address: for where something in front ends TLS.",
        ),
    ]


def _between_instances(defaults: dict[str, Any]) -> list[Callable[[Command], Command]]:
    return [
        option(
            "--peer-port",
            type=click.IntRange(0, 65535),
            default=defaults["peer_port"],
            help="Port for other instances and the autoscaler, over TLS; 0 picks one.",
        ),
        option("--peer-host", default=defaults["peer_host"], help="Address of that port."),
    ]


def _workers(defaults: dict[str, Any]) -> list[Callable[[Command], Command]]:
    return [
        option("--workers", type=int, default=defaults["workers"], help="Processes that share the ports."),
        option(
            "--max-workers",
            type=int,
            default=defaults["max_workers"],
            help="So many may become of them when the router scales itself; 0: no more than --workers.",
        ),
    ]


_proxy_protocol = option(
    "--proxy-protocol",
    is_flag=True,
    help="Connections begin with a PROXY header (version 1 or 2), from a trusted proxy; others are closed.",
)


def _serving(command: Command) -> Command:
    """The options of a router process."""
    defaults = {setting.name: setting.default for setting in fields(RouterConfig) if setting.default is not MISSING}
    options = [
        option("--host", default=defaults["host"], help="Address to listen on."),
        option("--port", type=click.IntRange(0, 65535), default=defaults["port"], help="Scoring port; 0 picks one."),
        *_https(defaults),
        option(
            "--admin-port",
            type=click.IntRange(0, 65535),
            default=defaults["admin_port"],
            help="Internal port: health, metrics, load; 0 picks one.",
        ),
        option("--admin-host", default=defaults["admin_host"], help="Address of the internal port."),
        *_between_instances(defaults),
        *_workers(defaults),
        _state_dir,
        option(
            "--access-log",
            default=defaults["access_log"],
            metavar="FILE",
            help="JSON lines: a file, `off`, or `-` for standard output (of `up`: access.log in the state directory).",
        ),
        option(
            "--trusted-proxies",
            default="",
            show_default="none",
            metavar="A,B",
            help="Networks whose X-Forwarded-* and Forwarded are believed, as in 10.0.0.0/8.",
        ),
        _proxy_protocol,
        *(_whole(name, defaults[name], words) for name, words in _TIMES_MS.items()),
        *(_whole(limit.name, limit.default, limit.metadata["help"]) for limit in fields(Limits)),
    ]
    for each in reversed(options):
        command = each(command)
    return command


@click.group(cls=Scoregate, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="scoregate")
def main() -> None:
    """Scoregate routes scoring requests to the replicas of your models.

    \b
    Start here:  scoregate up FILE              run models and router on this machine
                 scoregate check FILE           is this endpoints file, or this manifest, right?
                 scoregate status               what runs, and how busy is it?
                 scoregate explain NAME         why does a deployment have so many replicas?
                 scoregate endpoints            what is served, and what opens it?
                 scoregate key show NAME        the keys of an endpoint
                 scoregate token NAME           a token for it
                 scoregate traffic NAME         which deployments get its requests?
                 scoregate import azureml FILE  what azureml-fe was told, as endpoints for a cluster
    """


@main.command()
@_file
@_serving
def up(file: Path, **options: Any) -> None:
    """Run the endpoints in FILE on this machine.

    Starts a supervisor, the replicas, the router and the autoscaler; Ctrl-C stops all of it.
    """
    if options["access_log"] == "-":
        options["access_log"] = str(StateDirectory(options["state_dir"]).logs.with_name("access.log"))
    config = _config(platform="local", **options)  # a wrong option is told here, not in the router's log
    argv = [sys.executable, "-m", "router", "router", "--platform", "local"]
    argv += _spelled(options)
    scaling = [sys.executable, "-m", "autoscaler", "run", "--platform", "local", "--state-dir", str(config.state_dir)]
    grace_s = (config.drain_grace_ms + config.drain_timeout_ms) / 1000 + _ROUTER_END_S
    sys.exit(asyncio.run(run_up(file, config.state_dir, argv, grace_s, scaling, _console)))


def _spelled(options: dict[str, Any]) -> list[str]:
    """As on a command line."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return words


@main.command()
@option(
    "--platform",
    type=click.Choice(PLATFORMS),
    default="local",
    help="Where endpoints and replicas come from.",
)
@option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Static: the endpoints file.")
@in_cluster
@option(
    "--pod",
    default="",
    show_default="the host's name",
    metavar="NAME",
    help="Kubernetes: this process's own Pod, where routers run.",
)
@_serving
def router(
    namespaces: tuple[str, ...], namespace: str | None, adopt_v1: bool, vault: str, pod: str, **options: Any
) -> None:
    """Run a router.

    `local` follows the replicas that `scoregate up` runs with the same --state-dir; `static` serves the fixed
    addresses of an endpoints file, and probes them; `kubernetes` serves the InferenceEndpoints of a cluster: the one
    that it runs in, or that of KUBECONFIG.
    """
    log_to_stderr()
    config = _config(**options)
    cluster = cluster_settings(config.platform, namespaces, namespace, adopt_v1, vault, pod)
    _route(config, cluster)


def _route(config: RouterConfig, cluster: ClusterSettings) -> None:
    if config.most_workers > 1:
        sys.exit(run_workers(config, cluster))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config, cluster, only()))


def _config(**options: Any) -> RouterConfig:
    limits = Limits(**{limit.name: options.pop(limit.name) for limit in fields(Limits)})
    options["trusted_proxies"] = networks(options["trusted_proxies"])
    return RouterConfig(**options, limits=limits)


@main.command()
@_file
@_state_dir
@json_option
def check(file: Path, state_dir: Path, as_json: bool) -> None:
    """Validate FILE and print the settings in effect.

    FILE is an endpoints file, or a manifest for a cluster: whatever is no InferenceEndpoint in it is passed over.
    Every default is filled in.
    """
    endpoints, others = load_manifest(file)
    if others:
        click.echo(f"Passed over: {', '.join(others)}.", err=True)
    settings = [effective_settings(endpoint) for endpoint in endpoints]
    if as_json:
        click.echo(json.dumps(settings, indent=2))
        return
    click.echo(yaml.safe_dump_all(settings, sort_keys=False), nl=False)
    deployments = sum(len(endpoint.deployments) for endpoint in endpoints)
    click.echo(f"{file} is valid: {_count(len(endpoints), 'endpoint')}, {_count(deployments, 'deployment')}.", err=True)
    if (snapshot := StateDirectory(state_dir).read_snapshot()) is not None:
        click.echo(f"Against what runs in {state_dir}: {_difference(snapshot.endpoints, endpoints)}.", err=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _difference(running: tuple[Endpoint, ...], declared: tuple[Endpoint, ...]) -> str:
    before = {endpoint.name: effective_settings(endpoint) for endpoint in running}
    after = {endpoint.name: effective_settings(endpoint) for endpoint in declared}
    changes = [f"adds {name}" for name in after.keys() - before.keys()]
    changes += [f"removes {name}" for name in before.keys() - after.keys()]
    changes += [f"changes {name}" for name in after.keys() & before.keys() if after[name] != before[name]]
    return ", ".join(sorted(changes)) or "no difference"


for _command in (status, *COMMANDS):
    main.add_command(_command)
