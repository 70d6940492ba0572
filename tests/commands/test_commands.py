"""commands/: all of them are the router's, and have the options that say which router is meant."""

from __future__ import annotations

import click
import pytest

from router import cli
from router.commands import COMMANDS

WHICH = {"--state-dir", "--admin-url", "--admin-key-file", "--json"}
SINGLE = [
    each
    for command in COMMANDS
    for each in (command.commands.values() if isinstance(command, click.Group) else [command])
]


def test_each_is_a_command_of_scoregate_by_its_name() -> None:
    assert {str(command.name): command for command in COMMANDS}.items() <= cli.main.commands.items()


@pytest.mark.parametrize("command", SINGLE, ids=lambda command: command.name)
def test_each_says_which_router_it_asks(command: click.Command) -> None:
    options = {option.opts[0] for option in command.params if isinstance(option, click.Option)}
    assert options >= WHICH
