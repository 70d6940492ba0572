"""self_view.py: what a person reads of the router's own size."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from autoscaler.records import Sized
from autoscaler.self_observation import SizeDecision
from autoscaler.self_replay import Redecided
from autoscaler.self_view import sizes_table, steps, steps_table
from tests.autoscaler.self_scaled import seen, size

UP = Sized(time=0, seen=seen(), decision=SizeDecision(size=size(2), step="up", reason="too slow"), outcome="ask")
STAY = Sized(
    time=10,
    seen=seen(complete=False),
    decision=SizeDecision(size=size(), step="stay", reason="nothing\x1b[31m"),
    fault="no right",
)


def text(table: Table) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(table)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_decision_shows_its_step_its_figures_and_why() -> None:
    shown = text(sizes_table([UP, STAY])).splitlines()
    assert shown[2].split()[2:] == ["3", "x", "1", "worker", "up", "1.00", "4.0", "1.50", "too", "slow"]
    assert shown[3].split()[2:] == ["3", "x", "1", "worker", "nothing", "[31m;", "refused", "before:", "no", "right"]


def test_what_was_not_known_is_not_shown_and_no_terminal_takes_orders() -> None:
    shown = text(sizes_table([STAY]))
    assert "\x1b" not in shown
    assert "1.00" not in shown


def test_steps_are_counted_side_by_side() -> None:
    story = [Redecided(UP, STAY.decision), Redecided(STAY, STAY.decision)]
    counted = steps(story)
    assert counted["recorded"] == {"up": 1, "out": 0, "down": 0, "in": 0, "back": 0}
    assert counted["replayed"] == {"up": 0, "out": 0, "down": 0, "in": 0, "back": 0}
    rows = [line.split() for line in text(steps_table(story)).splitlines()]
    assert ["recorded", "1", "0", "0", "0", "0"] in rows
    assert ["replayed", "0", "0", "0", "0", "0"] in rows
