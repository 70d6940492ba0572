"""tables.py: a table in a pipe, on a wide terminal and on one that is too narrow for its figures."""

from __future__ import annotations

import pytest
from rich.table import Table

from router.tables import print_table


@pytest.fixture
def table() -> Table:
    table = Table(box=None)
    table.add_column("Name", no_wrap=True)
    table.add_column("Reason")
    table.add_row("a-name-of-26-letters-or-more", "many words that may go on in another line " * 5)
    return table


@pytest.mark.parametrize(
    ("columns", "is_terminal", "folds"), [(60, False, False), (60, True, True), (400, True, False), (20, True, True)]
)
def test_a_terminal_folds_what_may_be_folded_and_nothing_is_ever_cut(
    table: Table,
    columns: int,
    is_terminal: bool,
    folds: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(table)
    header, *rows = capsys.readouterr().out.splitlines()
    assert "Name" in header
    assert "a-name-of-26-letters-or-more" in rows[0]
    assert "…" not in "".join(rows)
    assert (len(rows) > 1) is folds
