"""counters.py: what is counted is in every figure, and stays with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.core.tally import Memory
from router.counters import COUNTERS, REQUESTS, Counters, Histogram
from router.ledger import FileLedger, Totals


def test_a_value_counts_in_the_bucket_that_it_is_at_most_and_in_all_above() -> None:
    histogram = Histogram((0.1, 1.0), [0] * 3, [0])
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.add(value)
    histogram.add_zero()
    assert dict(zip(histogram.bounds, histogram.cumulative(), strict=True)) == {"0.1": 3, "1.0": 4, "+Inf": 5}
    assert histogram.sum == pytest.approx(7.65)


def test_a_request_that_is_over_is_in_every_figure_of_its_deployment() -> None:
    counters = Counters(Memory(), "iris", "blue")
    counters.conclude(200, 0.02, 0.0003, 0.0, 10, 20)
    counters.conclude(503, 0.7, 0.0002, 0.6, 1, 0)
    assert counters.requests == {200: 1, 503: 1}
    assert (counters.request_bytes, counters.reply_bytes) == (11, 20)
    for histogram, total in ((counters.latency, 0.72), (counters.overhead, 0.0005), (counters.queue_wait, 0.6)):
        assert histogram.cumulative()[-1] == 2
        assert histogram.sum == pytest.approx(total)
    assert counters.queue_wait.cumulative()[0] == 1, "one did not wait"


def test_who_takes_a_place_counts_on_where_the_last_one_ended(tmp_path: Path) -> None:
    for number in (1, 2):
        counters = Counters(FileLedger(tmp_path, "0"), "iris", "blue")
        counters.conclude(200, 0.1, 0.001, 0.0, 1, 1)
        counters.note_troubles(3, 4, 5)
        assert (counters.refused, counters.retried, counters.asked) == (3 * number, 4 * number, 5 * number)
        assert counters.request_bytes == counters.latency.cumulative()[-1] == number
    assert Totals(tmp_path).read(REQUESTS) == {("iris", "blue", "200"): [2.0]}
    counters.forget()
    assert Totals(tmp_path).read(REQUESTS) == Totals(tmp_path).read(COUNTERS) == {}


def test_a_request_that_ends_after_its_deployment_is_gone_counts_nowhere(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path, "0")
    gone = Counters(ledger, "iris", "blue")
    gone.forget()
    other = Counters(ledger, "wine", "blue")
    gone.conclude(200, 0.02, 0.0003, 0.1, 10, 20)
    gone.note_troubles(1, 2, 3)
    assert (other.latency.cumulative()[-1], other.request_bytes, other.asked) == (0, 0, 0)
    assert Totals(tmp_path).read(REQUESTS) == {}
    assert list(Totals(tmp_path).read(COUNTERS)) == [("wine", "blue")]
