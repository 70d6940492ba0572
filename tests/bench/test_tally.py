"""Every request is counted once, and a run is fine only if each one got a 2xx reply."""

from __future__ import annotations

import pytest

from bench.latency import Quantiles
from bench.tally import Report, Tally


def _report(tally: Tally, *, interrupted: bool = False) -> Report:
    return tally.report(planned_s=4.0, took_s=5.0, interrupted=interrupted)


def _busy() -> Tally:
    """20 intended: 10 sent, 3 left out. Of those sent 4 were replied, 2 failed."""
    tally = Tally(20)
    for number in range(10):
        tally.sent(number / 1e3)
    for _ in range(3):
        tally.leave_out()
    for status, latency_s in ((503, 0.001), (200, 0.1), (200, 0.3), (302, 0.2)):
        tally.replied(status, latency_s)
    tally.failed("timeout", 2.0)
    tally.failed("connection refused", 0.004)
    tally.in_flight = 4
    return tally


def test_every_request_is_counted_once() -> None:
    report = _report(_busy(), interrupted=True)
    assert (report.intended, report.sent, report.not_sent, report.not_reached) == (20, 10, 3, 7)
    assert [(status, group.count) for status, group in report.replies.items()] == [(200, 2), (302, 1), (503, 1)]
    assert [(reason, group.count) for reason, group in report.failures.items()] == [
        ("connection refused", 1),
        ("timeout", 1),
    ]
    assert report.cut_off == 10 - 4 - 2
    assert report.interrupted


def test_latency_is_told_for_each_outcome_and_for_all_replies() -> None:
    report = _report(_busy())
    assert report.replies[200].latency == Quantiles(100.0, 300.0, 300.0, 300.0)
    assert report.failures["timeout"].latency.max_ms == 2000.0
    assert report.latency == Quantiles(100.0, 300.0, 300.0, 300.0)
    assert report.lateness == Quantiles(4.0, 8.0, 9.0, 9.0)


def test_rates_are_of_the_plan_and_of_what_it_took() -> None:
    report = _report(_busy())
    assert (report.intended_per_s, report.replied_per_s, report.seconds) == (5.0, 0.8, 5.0)
    nothing = Tally(0).report(planned_s=0.0, took_s=0.0, interrupted=False)
    assert (nothing.intended_per_s, nothing.replied_per_s) == (0.0, 0.0)


def test_progress_counts_a_reply_that_is_not_2xx_as_failed_too() -> None:
    progress = _busy().progress(1.5)
    assert (progress.at_s, progress.sent, progress.in_flight, progress.not_sent) == (1.5, 10, 4, 3)
    assert (progress.replied, progress.failed) == (4, 4)


@pytest.mark.parametrize(
    ("status", "failure", "left_out", "fine"),
    [
        (200, None, 0, True),
        (204, None, 0, True),
        (299, None, 0, True),
        (300, None, 0, False),
        (199, None, 0, False),
        (503, None, 0, False),
        (200, "timeout", 0, False),
        (200, None, 1, False),
    ],
)
def test_all_is_fine_only_with_2xx_for_all(status: int, failure: str | None, left_out: int, fine: bool) -> None:
    tally = Tally(3)
    tally.sent(0.0)
    tally.replied(200, 0.1)
    tally.sent(0.0)
    tally.replied(status, 0.1)
    if failure:
        tally.sent(0.0)
        tally.failed(failure, 0.1)
    for _ in range(left_out):
        tally.leave_out()
    assert _report(tally).all_fine is fine
