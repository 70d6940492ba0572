"""What does somebody see of a run of the load generator, while it goes on and at its end?

I/O: writes to the consoles it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from bench.latency import Quantiles
from bench.tally import Group, Progress, Report

LINE_EVERY_S = 1.0
EARLY_S = 0.1
"""Timers may fire so much too early."""


class Meter:
    """A line of text from each progress, with the rate since the one before."""

    def __init__(self) -> None:
        self._before = (0.0, 0)

    def line(self, now: Progress) -> str:
        before_s, sent = self._before
        rate = (now.sent - sent) / (now.at_s - before_s) if now.at_s > before_s else 0.0
        self._before = (now.at_s, now.sent)
        counts = f"{now.sent:,} sent, {now.in_flight:,} in flight, {now.failed:,} failed"
        return f"{rate:,.0f}/s, {counts}" + (f", {now.not_sent:,} NOT SENT" if now.not_sent else "")


@contextmanager
def progress_on(console: Console, seconds: float) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, else a line a second."""
    meter = Meter()
    if not console.is_terminal:
        yield _lines(console, meter, seconds)
        return
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("connecting", total=seconds)

        def redraw(now: Progress) -> None:
            description = f"{now.at_s:.0f} of {seconds:.0f} s: {meter.line(now)}"
            bar.update(task, completed=min(now.at_s, seconds), description=description, refresh=True)

        yield redraw


def _lines(console: Console, meter: Meter, seconds: float) -> Callable[[Progress], None]:
    due_s = LINE_EVERY_S

    def write(now: Progress) -> None:
        nonlocal due_s
        if now.at_s > due_s - EARLY_S:
            due_s = round(now.at_s) + LINE_EVERY_S
            console.print(f"{now.at_s:.0f} of {seconds:.0f} s: {meter.line(now)}", markup=False, soft_wrap=True)

    return write


def table(report: Report) -> Table:
    drawn = Table(title="Latency in ms, from the intended send time", title_justify="left")
    drawn.add_column("outcome")
    for heading in ("requests", "share", "p50", "p90", "p99", "max"):
        drawn.add_column(heading, justify="right")
    for status, group in report.replies.items():
        drawn.add_row(f"status {status}", *_cells(group, report))
    for reason, group in report.failures.items():
        drawn.add_row(Text(reason), *_cells(group, report))
    if len(report.replies) > 1 and report.latency:
        replied = sum(group.count for group in report.replies.values())
        drawn.add_row("all replies", *_cells(Group(replied, report.latency), report))
    for what, count in (
        ("not sent: too many in flight", report.not_sent),
        ("cut off in flight", report.cut_off),
        ("not reached", report.not_reached),
    ):
        if count:
            drawn.add_row(what, f"{count:,}", _share(count, report))
    if report.lateness:
        drawn.add_section()
        drawn.add_row("sent; left late by", f"{report.sent:,}", _share(report.sent, report), *_ms(report.lateness))
    return drawn


def sentence(report: Report) -> str:
    rates = f"{report.replied_per_s:,.1f} replies/s; {report.intended_per_s:,.1f} requests/s were intended"
    return f"{'Interrupted after' if report.interrupted else 'Took'} {report.seconds:.1f} s: {rates}"


def _cells(group: Group, report: Report) -> list[str]:
    return [f"{group.count:,}", _share(group.count, report), *_ms(group.latency)]


def _share(count: int, report: Report) -> str:
    return f"{count / report.intended:.1%}"


def _ms(of: Quantiles) -> list[str]:
    return [f"{figure:,.1f}" for figure in (of.p50_ms, of.p90_ms, of.p99_ms, of.max_ms)]
