"""How is the benchmark run from a terminal, and how does it show what came of it?

I/O: the terminal, the file of `--json`; signals.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from bench import report, wrk
from bench.compare import Outcome, compare
from bench.dispatch.command import dispatch
from bench.files import json_option, write_json
from bench.measure import Plan
from bench.peers import all_peers
from bench.proxies import PeerError

RAN, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
FILE_WIDTH = 180
"""Columns of the table where it does not go to a terminal: nothing is cut."""
NAMES = [peer.name for peer in all_peers()]


def _names(_context: click.Context, _option: click.Parameter, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise click.BadParameter(f"{', '.join(unknown) or 'nothing'} named; known: {', '.join(NAMES)}")
    return names


def _counts(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers") from None
    if min(counts) < 1:
        raise click.BadParameter(f"{text!r}: each must be at least 1")
    return counts


@click.group(invoke_without_command=True)
@click.option("--peers", callback=_names, default=",".join(NAMES), show_default=True, help="Proxies to compare.")
@click.option("--connections", callback=_counts, default="1,64", show_default=True, help="Kept-alive connections.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="The median counts.")
@click.option("--seconds", type=click.IntRange(1), default=5, show_default=True, help="Of each measurement.")
@click.option("--quick", is_flag=True, help="One round of 2 seconds: a look, not a result.")
@json_option
@click.pass_context
def main(  # house: one parameter for each option
    context: click.Context,
    peers: list[str],
    connections: tuple[int, ...],
    rounds: int,
    seconds: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """What does a request cost in Scoregate, and what in HAProxy, nginx, Envoy and a stock Python proxy?

    All stand before the same replica, on the same core, and get the same load: POSTs of 1 KB over kept-alive
    connections. Proxies that are not installed are left out.

    Exit code: 0 it ran, 1 a proxy failed requests or broke down, 2 it could not run.
    """
    if context.invoked_subcommand is not None:
        return
    if not wrk.installed():
        _give_up("The load is made by wrk, which is not installed: apt-get install wrk")
    chosen = [peer for peer in all_peers() if peer.name in peers]
    if not any(peer.program for peer in chosen):
        _give_up(f"None of {', '.join(peers)} is installed: nothing to compare")
    plan = Plan(connections, 1, 2) if quick else Plan(connections, rounds, seconds)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing is left running
    try:
        outcome = compare(chosen, plan, Console(stderr=True))
    except PeerError as error:
        _give_up(str(error))
    except KeyboardInterrupt:
        click.echo("Interrupted; all that was started is stopped.", err=True)
        sys.exit(INTERRUPTED)
    _show(outcome)
    write_json(json_file, outcome)
    sys.exit(FAILED if outcome.failed else RAN)


def _give_up(why: str) -> NoReturn:
    click.echo(why, err=True)
    sys.exit(UNUSABLE)


def _show(outcome: Outcome) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    machine, cores, plan = outcome.machine, outcome.cores, outcome.plan
    where = f"proxies on core {cores.proxy}, load and replica on core {cores.load}"
    if cores.proxy == cores.load:
        where = "only one core: proxies, load and replica share it, and hinder each other"
    console.print(f"{machine['cpu']}, Linux {machine['kernel']}; {where}")
    console.print(f"{plan.rounds} x {plan.seconds} s each, interleaved: median (lowest..highest)\n")
    for connections in plan.connections:
        console.print(report.table(outcome.rows, connections, outcome.titles))
    for verdict in outcome.verdicts:
        console.print(report.sentence(verdict))
    for name, install in outcome.left_out.items():
        console.print(f"Left out: {name} ({install})")
    for name, seen in outcome.broken.items():
        console.print(f"BROKEN: {name}: {seen}", markup=False)
    console.print("Versions: " + "; ".join(outcome.versions.values()), markup=False)


main.add_command(dispatch)

if __name__ == "__main__":
    main()
