"""What do `scoregate endpoints`, `replicas`, `decisions` and `log-level` do?

I/O: the terminal, a router's administration.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast, get_args

import click
import msgspec

from router.administrator import Administrator, calls
from router.administrator.shapes import Level, ReplicaView
from router.commands.access import add_row, administers, print_json, table_of
from router.commands.spelling import deployment, shown, some
from router.options import option
from router.tables import print_table


@click.command()
@administers
def endpoints(administrator: Administrator, as_json: bool) -> None:
    """List the endpoints, what opens them, and their traffic."""
    views = administrator.ask(calls.endpoints())
    if as_json:
        print_json(views)
        return
    table = table_of("Endpoint", "Opened by", "Traffic", "Path", folded=("Traffic",))
    for view in views:
        modes = ", ".join([view.auth_mode, *view.also_accepts])
        shares = " ".join(f"{name}={percent}" for name, percent in view.traffic.items())
        add_row(table, view.name, modes, shares, view.scoring_path)
    print_table(table)


@click.command()
@click.argument("of", metavar="[ENDPOINT[/DEPLOYMENT]]", required=False, callback=some)
@administers
def replicas(administrator: Administrator, of: tuple[str | None, str | None], as_json: bool) -> None:
    """List replicas, and how busy they are.

    All of them, or those of an endpoint or a deployment.
    """
    found = [
        (f"{endpoint}/{name}", replica)
        for endpoint, name in _deployments(administrator, *of)
        for replica in administrator.ask(calls.replicas(endpoint, name))
    ]
    if as_json:
        print_json([{"deployment": key, **msgspec.to_builtins(replica)} for key, replica in found])
        return
    table = table_of("Deployment", "Replica", "Address", "State", "In flight", right=("In flight",))
    for key, replica in found:
        host = f"[{replica.host}]" if ":" in replica.host else replica.host
        add_row(table, key, replica.uid, f"{host}:{replica.port}", _state(replica), str(replica.in_flight))
    print_table(table)


def _deployments(administrator: Administrator, endpoint: str | None, name: str | None) -> list[tuple[str, str]]:
    if endpoint is not None and name is not None:
        return [(endpoint, name)]
    views = [administrator.ask(calls.endpoint(endpoint))] if endpoint else administrator.ask(calls.endpoints())
    return [(view.name, deployment) for view in views for deployment in view.deployments]


def _state(replica: ReplicaView) -> str:
    if replica.leaving:
        return "leaving"
    return "ready" if replica.ready else "not ready"


@click.command()
@click.argument("key", metavar="ENDPOINT/DEPLOYMENT", callback=deployment)
@option("--last", type=click.IntRange(1, 1_000), default=20, help="How many decisions.")
@administers
def decisions(administrator: Administrator, key: tuple[str, str], last: int, as_json: bool) -> None:
    """Show what the autoscaler decided last for a deployment.

    Wherever it runs; on its own machine, `scoregate explain` says more.
    """
    told = administrator.ask(calls.decisions(*key, last))
    if as_json:
        print_json(told)
        return
    if not told:
        click.echo(f"Nothing is decided on {'/'.join(key)}: it has no scaleSettings, or no autoscaler runs.", err=True)
        return
    table = table_of("Time", "Replicas", "Reason", right=("Replicas",), folded=("Reason",))
    for each in told:
        add_row(table, *_decision(each))
    print_table(table)


class _Made(msgspec.Struct, frozen=True):
    replicas: int
    reason: str


class _Decided(msgspec.Struct, frozen=True):
    """As far as it is shown."""

    time: float
    decision: _Made


def _decision(told: Any) -> tuple[str, str, str]:
    try:
        decided = msgspec.convert(told, _Decided)
        time = shown(datetime.fromtimestamp(decided.time, UTC))
    except (msgspec.ValidationError, ValueError, OverflowError, OSError):  # of another version, perhaps
        return "", "", msgspec.json.encode(told).decode()
    return time, str(decided.decision.replicas), decided.decision.reason


@click.command()
@click.argument("level", required=False, type=click.Choice(get_args(Level), case_sensitive=False))
@administers
def log_level(administrator: Administrator, level: str | None, as_json: bool) -> None:
    """Show or set how much one router process logs.

    Until it ends. The access log is not meant.
    """
    call = calls.log_level() if level is None else calls.set_log_level(cast(Level, level))
    said = administrator.ask(call)
    if as_json:
        print_json(said)
    else:
        click.echo(said.level)
