"""Which router does a command administer, and how is its word shown?

I/O: the terminal, a state directory, HTTP to the router's internal port.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from router.administrator import Administrator
from router.administrator.place import find
from router.options import as_json as json_option
from router.options import option, state_dir

KEY_VARIABLE = "SCOREGATE_ADMIN_KEY"
"""No option: what is on a command line, others on the machine can see."""

_OPTIONS = (
    state_dir("Of the router: says where its internal port is, and holds its admin key."),
    option(
        "--admin-url", metavar="URL", help=f"The internal port, where it is elsewhere; {KEY_VARIABLE} holds its key."
    ),
    option("--admin-key-file", type=click.Path(path_type=Path, dir_okay=False), help=f"Instead of {KEY_VARIABLE}."),
    json_option,
)


def administers(command: Callable[..., None]) -> Callable[..., None]:
    """A command that begins with an Administrator, and has the options that say whose; `as_json` goes on to it."""

    @wraps(command)
    def opened(
        *,
        state_dir: Path,
        admin_url: str | None,
        admin_key_file: Path | None,
        **own: Any,
    ) -> None:
        key = os.environ.get(KEY_VARIABLE) or None
        place = find(state_dir, url=admin_url, key=key, key_file=admin_key_file)
        with Administrator(place) as administrator:
            command(administrator, **own)

    for each in reversed(_OPTIONS):
        opened = each(opened)
    return opened


yes = option("--yes", "-y", is_flag=True, help="Do not ask whether that is meant.")


def confirm(question: str, yes: bool) -> None:
    """Goes on if a person says so. Where there is none to ask, only --yes does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: say --yes if that is meant.")
    click.confirm(question, abort=True, err=True)


def print_json(said: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(said), indent=2))


def table_of(*columns: str, right: tuple[str, ...] = (), folded: tuple[str, ...] = ()) -> Table:
    """`right`: those that hold figures; `folded`: those that may go on in another line."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column not in folded)
    return table


def add_row(table: Table, *cells: str) -> None:
    """As it is: nothing in it is markup."""
    table.add_row(*map(Text, cells))
