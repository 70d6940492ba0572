"""How do decisions on the router's own size read in a terminal?

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from autoscaler.records import Sized
from autoscaler.self_observation import Step, sized
from autoscaler.self_replay import Redecided

STEPS: tuple[Step, ...] = ("up", "out", "down", "in", "back")
_KEPT, _ASKED = "dim", "bold"


def sizes_table(decisions: Sequence[Sized]) -> Table:
    """The oldest first; those that asked for another size stand out, also without colours."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), title="router", title_justify="left")
    for column in ("Time", "Size", "Step"):
        table.add_column(column, no_wrap=True)
    for column in ("Mean ms", "P99 ms", "CPUs"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for each in decisions:
        seen = each.seen
        known = seen.complete
        figures = (f"{seen.mean_ms:.2f}", f"{seen.p99_ms:.1f}", f"{seen.cpus_used:.2f}") if known else ("", "", "")
        moment = datetime.fromtimestamp(each.time).strftime("%m-%d %H:%M:%S")
        step = each.decision.step if each.outcome == "ask" else ""
        cells = (moment, sized(seen.size, seen.has_pods), step, *figures, _why(each))
        table.add_row(*map(Text, cells), style=_ASKED if step else _KEPT)
    return table


def steps(story: Sequence[Redecided]) -> dict[str, dict[str, int]]:
    """How many of each kind, as they were recorded, and as the replayed law takes them."""
    recorded = Counter(each.record.decision.step for each in story)
    replayed = Counter(each.decision.step for each in story)
    return {"recorded": {step: recorded[step] for step in STEPS}, "replayed": {step: replayed[step] for step in STEPS}}


def steps_table(story: Sequence[Redecided]) -> Table:
    table = Table(box=None, header_style="bold", title="router", title_justify="left")
    table.add_column("Law", no_wrap=True)
    for step in STEPS:
        table.add_column(step.capitalize(), justify="right", no_wrap=True)
    for name, counted in steps(story).items():
        table.add_row(name, *map(str, counted.values()))
    return table


def _why(each: Sized) -> str:
    """On one line that no terminal takes for commands."""
    words = f"{each.decision.reason}; refused before: {each.fault}" if each.fault else each.decision.reason
    return "".join(letter if letter.isprintable() else " " for letter in words)
