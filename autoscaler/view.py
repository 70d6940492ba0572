"""How do decisions, and what laws would have made of a load, read in a terminal?

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from autoscaler.records import Decided
from autoscaler.replay import Summary

_KEPT = "dim"
_ASKED = "bold"


def decisions_table(key: str, decisions: Sequence[Decided]) -> Table:
    """The oldest first; those that asked for another number stand out, also without colours: `3 -> 5`."""
    days = {_local(decided).date() for decided in decisions}
    shared = f", {days.pop()}" if len(days) == 1 else ""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), title=f"{key}{shared}", title_justify="left")
    table.add_column("\nTime", no_wrap=True)
    for column in ("In\nflight", "\nQueued", "\nReady", "Start-\ning", "\nNeed", "Repli-\ncas"):
        table.add_column(column, justify="right", no_wrap=True)  # narrow heads: 80 columns are to have room for why
    table.add_column("\nWhy", overflow="fold")
    for decided in decisions:
        seen, decision = decided.seen, decided.decision
        asked = decided.outcome == "ask"
        moved = asked and decision.replicas != seen.wished
        replicas = f"{seen.wished} -> {decision.replicas}" if moved else str(decision.replicas)
        figures = (seen.in_flight, seen.queued, seen.ready, len(seen.starting), decision.need, replicas)
        moment = _local(decided).strftime("%H:%M:%S" if shared else "%Y-%m-%d %H:%M:%S")
        cells = (moment, *map(str, figures), why(decided))
        table.add_row(*map(Text, cells), style=_ASKED if asked else _KEPT)
    return table


def why(decided: Decided) -> str:
    """The law's reason, and what came between it and the replicas; on one line that no terminal takes for commands."""
    words = [decided.decision.reason]
    if decided.outcome == "conflict":
        words.append("left alone, for something else scales it")
    if decided.fault:
        words.append(f"refused before: {decided.fault}")
    if decided.seen.trouble is not None and decided.seen.trouble.reason not in decided.decision.reason:
        words.append(decided.seen.trouble.reason)
    return "".join(letter if letter.isprintable() else " " for letter in "; ".join(words))


def summaries_table(key: str, summaries: Mapping[str, Summary]) -> Table:
    """One row for what was recorded and for each law, by name."""
    table = Table(box=None, header_style="bold", title=key, title_justify="left")
    table.add_column("Law", no_wrap=True)
    for column in ("Replica-hours", "Changes", "Lowest", "Highest", "Short of need"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, each in summaries.items():
        share = each.short_s / each.total_s if each.total_s else 0.0
        short = f"{each.short_s:.0f} s ({share:.1%})"
        figures = (f"{each.replica_hours:.2f}", each.changes, each.lowest, each.highest, short)
        table.add_row(name, *map(str, figures))
    return table


def _local(decided: Decided) -> datetime:
    return datetime.fromtimestamp(decided.time)
