"""Who watches sees the rate of now and all that went wrong; the table leaves nothing out."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from bench.load_view import progress_on, sentence, table
from bench.tally import Progress, Report, Tally


def _console(**settings: Any) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=120, highlight=False, **settings), written


def _at(at_s: float, sent: int, *, failed: int = 0, not_sent: int = 0) -> Progress:
    return Progress(at_s=at_s, sent=sent, in_flight=7, replied=sent - 7, failed=failed, not_sent=not_sent)


def _shown(report: Report) -> str:
    console, written = _console()
    console.print(table(report))
    return written.getvalue()


def test_elsewhere_than_on_a_terminal_it_is_a_line_a_second_with_the_rate_since_the_last() -> None:
    console, written = _console()
    with progress_on(console, 30.0) as on_progress:
        for at_s, sent in ((0.5, 50), (0.999, 100), (1.5, 150), (2.02, 300), (2.5, 400)):
            on_progress(_at(at_s, sent))
        on_progress(_at(4.02, 2300, failed=3, not_sent=12))
    assert written.getvalue().splitlines() == [
        "1 of 30 s: 100/s, 100 sent, 7 in flight, 0 failed",
        "2 of 30 s: 196/s, 300 sent, 7 in flight, 0 failed",
        "4 of 30 s: 1,000/s, 2,300 sent, 7 in flight, 3 failed, 12 NOT SENT",
    ]


def test_on_a_terminal_it_is_a_bar_that_goes_away() -> None:
    console, written = _console(force_terminal=True)
    with progress_on(console, 30.0) as on_progress:
        on_progress(_at(15.0, 1500))
        drawn = written.getvalue()
    assert "━" in drawn
    assert "15 of 30 s: 100/s, 1,500 sent, 7 in flight, 0 failed" in drawn
    assert written.getvalue().endswith("\r\x1b[1A\x1b[2K")  # up to its line, and the line is wiped


def _tally() -> Tally:
    tally = Tally(2000)
    for _ in range(1000):
        tally.sent(0.0015)
        tally.replied(200, 0.0125)
    return tally


def test_the_table_shows_each_outcome_with_its_share_and_latency() -> None:
    tally = _tally()
    for _ in range(300):
        tally.sent(0.002)
    tally.replied(503, 0.5)
    tally.failed("cannot connect: [red]", 1.25)
    tally.leave_out()
    lines = _shown(tally.report(planned_s=20.0, took_s=10.0, interrupted=True)).splitlines()
    rows = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["status 200", "1,000", "50.0%", "12.5", "12.5", "12.5", "12.5"],
        ["status 503", "1", "0.1%", "500.0", "500.0", "500.0", "500.0"],
        ["cannot connect: [red]", "1", "0.1%", "1,250.0", "1,250.0", "1,250.0", "1,250.0"],
        ["all replies", "1,001", "50.0%", "12.5", "12.5", "12.5", "500.0"],
        ["not sent: too many in flight", "1", "0.1%", "", "", "", ""],
        ["cut off in flight", "298", "14.9%", "", "", "", ""],
        ["not reached", "699", "34.9%", "", "", "", ""],
        ["sent; left late by", "1,300", "65.0%", "1.5", "2.0", "2.0", "2.0"],
    ]


def test_what_did_not_happen_is_not_shown() -> None:
    shown = _shown(_tally().report(planned_s=20.0, took_s=10.0, interrupted=False))
    assert not [word for word in ("not sent", "cut off", "all replies") if word in shown]
    assert "late" not in _shown(Tally(1).report(planned_s=1.0, took_s=0.1, interrupted=True))


def test_the_sentence_tells_rates_and_whether_it_was_interrupted() -> None:
    report = _tally().report(planned_s=20.0, took_s=10.0, interrupted=False)
    assert sentence(report) == "Took 10.0 s: 100.0 replies/s; 100.0 requests/s were intended"
    report = _tally().report(planned_s=10.0, took_s=4.0, interrupted=True)
    assert sentence(report) == "Interrupted after 4.0 s: 250.0 replies/s; 200.0 requests/s were intended"
