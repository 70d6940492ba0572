"""What do `scoregate traffic`, `scale` and `drain` do?

I/O: the terminal, a router's administration.
"""

from __future__ import annotations

import click

from router.administrator import Administrator, calls
from router.administrator.shapes import DeploymentView, EndpointView
from router.commands import spelling
from router.commands.access import add_row, administers, print_json, table_of
from router.commands.spelling import shown
from router.options import option
from router.tables import print_table


@click.command()
@click.argument("endpoint")
@click.argument("shares", nargs=-1, metavar="[DEPLOYMENT=PERCENT]...", callback=spelling.traffic)
@option(
    "--if-version", metavar="VERSION", help="Only if nobody has changed it since --json showed this trafficVersion."
)
@administers
def traffic(
    administrator: Administrator, endpoint: str, shares: dict[str, int], if_version: str | None, as_json: bool
) -> None:
    """Show or set which deployments of ENDPOINT get the requests.

    As in `scoregate traffic iris blue=90 green=10`; a deployment that is not named gets none. The percents sum to 100,
    or to 0: then only requests that name a deployment are served.
    """
    if if_version is not None and not shares:
        raise click.UsageError("--if-version goes with a change.")
    asked = calls.set_traffic(endpoint, shares, if_version) if shares else calls.endpoint(endpoint)
    view = administrator.ask(asked)
    if as_json:
        print_json(view)
    else:
        _print_traffic(view)


def _print_traffic(view: EndpointView) -> None:
    table = table_of("Deployment", "Traffic", right=("Traffic",))
    for name in view.deployments:
        add_row(table, name, f"{view.traffic.get(name, 0)}%")
    print_table(table)


@click.command()
@click.argument("deployment", metavar="ENDPOINT/DEPLOYMENT", callback=spelling.deployment)
@click.argument("replicas", required=False, type=click.IntRange(min=0))
@option(
    "--for",
    "for_s",
    callback=spelling.hold,
    default="1h",
    metavar="1h",
    help="How long: seconds, minutes, hours, days.",
)
@option("--release", is_flag=True, help="Let the load set the number again.")
@administers
def scale(
    administrator: Administrator,
    deployment: tuple[str, str],
    replicas: int | None,
    for_s: int,
    release: bool,
    as_json: bool,
) -> None:
    """Set the number of replicas by hand, for a while.

    Within the deployment's bounds; afterwards the load sets it again. Without REPLICAS, show what is set.
    """
    if release and replicas is not None:
        raise click.UsageError("Give a number of replicas, or --release.")
    if replicas is not None:
        call = calls.scale(*deployment, replicas, for_s)
    elif release:
        call = calls.release(*deployment)
    else:
        call = calls.deployment(*deployment)
    view = administrator.ask(call)
    if as_json:
        print_json(view)
    else:
        click.echo(f"{view.endpoint}/{view.name}: {_held(view)}.")


def _held(view: DeploymentView) -> str:
    if view.hold is None:
        return "no number of replicas is set by hand"
    number = "1 replica" if view.hold.replicas == 1 else f"{view.hold.replicas} replicas"
    return f"{number} until {shown(view.hold.until)}; then the load sets the number again"


@click.command()
@click.argument("replica")
@option("--undo", is_flag=True, help="Let it take requests again.")
@administers
def drain(administrator: Administrator, replica: str, undo: bool, as_json: bool) -> None:
    """Let REPLICA finish what it has, and take nothing new.

    REPLICA is its uid, as `scoregate replicas` shows it. It keeps its place, and nothing is started instead: drain the
    only one that is ready, and requests are refused. It is the first to go when the number falls; --undo takes it back.
    """
    drained = administrator.ask(calls.undo_drain(replica) if undo else calls.drain(replica))
    if as_json:
        print_json(drained)
    else:
        click.echo(f"{replica} takes {'nothing new' if drained.drained else 'requests again'}.")
