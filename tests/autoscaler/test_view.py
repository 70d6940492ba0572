"""view.py: a reader sees what was decided and why, and where the number changed."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Literal

import pytest
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from autoscaler.records import Decided
from autoscaler.replay import Summary
from autoscaler.view import decisions_table, summaries_table, why
from router.core.model import Trouble
from tests.autoscaler.nouns import KEY, decision, seen


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def printed(table: Table, *, colours: bool = False, width: int = 160) -> list[str]:
    out = io.StringIO()
    colour_system: Literal["standard"] | None = "standard" if colours else None
    Console(file=out, width=width, force_terminal=colours, color_system=colour_system, _environ={}).print(table)
    return out.getvalue().splitlines()


CALM = Decided(time=0.0, seen=seen(0.0, 2, in_flight=1), decision=decision(2, "as it was"))
GROWS = Decided(
    time=1.0,
    seen=seen(1.0, 2, in_flight=2, queued=3, starting=(0.5,)),
    decision=decision(5, "for 5"),
    outcome="ask",
)


def test_each_decision_is_a_row_with_its_figures() -> None:
    title, _, _, calm, grows = printed(decisions_table(KEY, [CALM, GROWS]))
    assert title.strip() == "iris/blue, 1970-01-01"
    assert calm.split() == ["00:00:00", "1", "0", "2", "0", "2", "2", "as", "it", "was"]
    assert grows.split() == ["00:00:01", "2", "3", "2", "1", "5", "2", "->", "5", "for", "5"]


def test_a_change_stands_out() -> None:
    *_, calm, grows = printed(decisions_table(KEY, [CALM, GROWS]), colours=True)
    assert "\x1b[2m" in calm
    assert "\x1b[1m" in grows


def test_only_what_was_asked_for_is_a_change() -> None:
    """Until the platform shows what it was asked for, the next decisions only keep it."""
    kept = replace(GROWS, outcome="keep")
    *_, row = printed(decisions_table(KEY, [CALM, kept]))
    assert row.split()[6:] == ["5", "for", "5"]
    *_, styled = printed(decisions_table(KEY, [CALM, kept]), colours=True)
    assert "\x1b[2m" in styled


def test_one_asked_back_to_what_there_is_stands_out_without_an_arrow() -> None:
    back = replace(CALM, outcome="ask")
    *_, row = printed(decisions_table(KEY, [back]))
    assert "->" not in row
    *_, styled = printed(decisions_table(KEY, [back]), colours=True)
    assert "\x1b[1m" in styled


def test_80_columns_have_room_for_the_reason() -> None:
    far = replace(
        GROWS, seen=replace(GROWS.seen, wished=100), decision=decision(90, "twenty-five letters long, so it is")
    )
    text = "\n".join(printed(decisions_table(KEY, [far]), width=80))
    assert "twenty-five letters long" in text
    assert all(word in text for word in ("100 -> 90", "flight", "Queued", "Ready", "Need"))


def test_decisions_of_several_days_say_which() -> None:
    later = Decided(time=86_400.0, seen=CALM.seen, decision=CALM.decision)
    title, _, _, first, second = printed(decisions_table(KEY, [CALM, later]))
    assert title.strip() == KEY
    assert first.split()[:2] == ["1970-01-01", "00:00:00"]
    assert second.split()[:2] == ["1970-01-02", "00:00:00"]


def test_why_says_what_came_between() -> None:
    trouble = Trouble(deployment=KEY, kind="conflict", reason="an HPA\nscales \x1b[31mit")
    told = why(Decided(time=0, seen=seen(trouble=trouble), decision=decision(2), outcome="conflict", fault="quota"))
    assert told == "so it is; left alone, for something else scales it; refused before: quota; an HPA scales  [31mit"
    assert why(CALM) == "as it was"
    said = Decided(time=0, seen=seen(trouble=trouble), decision=decision(2, f"because {trouble.reason}"))
    assert why(said).count("HPA") == 1


def test_markup_in_a_reason_is_only_text() -> None:
    odd = Decided(time=0.0, seen=seen(), decision=decision(1, "[red]is[/red] [bold"))
    assert "[red]is[/red] [bold" in printed(decisions_table(KEY, [odd]))[-1]


def test_summaries_are_rows() -> None:
    summary = Summary(replica_hours=1.234, changes=7, highest=9, lowest=2, short_s=30.4, total_s=3600.0)
    nothing = Summary(0.0, 0, 0, 0, 0.0, 0.0)
    lines = printed(summaries_table(KEY, {"recorded": summary, "hpa": nothing}))
    assert lines[2].split() == ["recorded", "1.23", "7", "2", "9", "30", "s", "(0.8%)"]
    assert lines[3].split() == ["hpa", "0.00", "0", "0", "0", "0", "s", "(0.0%)"]
