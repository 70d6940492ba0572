"""law.py: what of an earlier need is kept, for how long, and the reason in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from autoscaler.law import ScoregateLaw
from tests.autoscaler.nouns import seen
from tests.autoscaler.stream import Stream, law_of


def counts(law: ScoregateLaw, loads: Iterable[int], **figures: Any) -> list[int]:
    """What it decides each second, while it has what it asked for, and so much is in flight."""
    decided = [0]
    for at, in_flight in enumerate(loads):
        decided.append(law.decide(seen(at, decided[-1], in_flight=in_flight, **figures)).replicas)
    return decided[1:]


def test_what_was_asked_for_is_kept_for_one_start_time() -> None:
    assert counts(law_of(), [7] + [0] * 9, start_s=5.0) == [10] * 5 + [5, 2, 1, 0, 0]


def test_or_for_one_period_where_starts_are_quicker() -> None:
    law = law_of(polling_interval=5)
    law.decide(seen(0, 0, in_flight=7, start_s=1.0))
    assert law.decide(seen(4.9, 10, start_s=1.0)).replicas == 10
    assert law.decide(seen(5.0, 10, start_s=1.0)).replicas == 5


def test_and_the_reason_says_so() -> None:
    law = law_of()
    law.decide(seen(0, 0, in_flight=7, start_s=5.0))
    assert law.decide(seen(1, 10, start_s=5.0)).reason == (
        "0 in flight need 0 at 70 %; 10 were needed less than 5 s ago, as long as a start takes"
    )


@pytest.mark.parametrize("start_s", [15.0, 40.0])
def test_where_starts_are_slow_the_highest_need_of_the_window_is_kept(start_s: float) -> None:
    assert counts(law_of(), [7] + [0] * 63, start_s=start_s) == [10] * 60 + [5, 2, 1, 0]


@pytest.mark.parametrize("at_s", [1.0, 14.0])
def test_and_the_reason_names_it(at_s: float) -> None:
    law = law_of()
    assert law.decide(seen(0, 0, in_flight=7, start_s=15.0)).reason == "7 in flight need 10 at 70 %"
    assert law.decide(seen(at_s, 10, start_s=15.0)).reason == (
        "0 in flight need 0 at 70 %; 10 were needed in the last 60 s"
    )


def test_what_was_needed_is_by_arrivals_over_as_long_as_one_takes() -> None:
    """20 at once, of 10 s each, are 2 a second: 29 replicas for a while, and not the 286 of 20 in each second."""
    law, decided = law_of(), []
    for at in range(100):
        came = 40 if at >= 60 else 20
        totals = {"arrived_total": came, "finished_total": at // 3, "held_seconds_total": at // 3 * 10.0}
        decided.append(law.decide(seen(at, decided[-1] if decided else 0, start_s=20.0, **totals)).replicas)
    assert decided[75] == max(decided) == 29


def test_and_how_long_it_was_needed() -> None:
    """30 s / (2 x 5 s) of it pay for the window."""
    law = law_of(scale_down_window=30.0, scale_down_starts=2.0)
    counts(law, [7] * 3 + [0] * 5, start_s=5.0)
    assert law.decide(seen(8, 10, start_s=5.0)).reason == (
        "0 in flight need 0 at 70 %; 10 were needed for 3 s or more of the last 30 s"
    )


@pytest.mark.parametrize(("starts", "enough_s"), [(4.0, 3), (12.0, 1), (2.0, 6)])
def test_else_what_was_needed_for_its_share_of_the_window(starts: float, enough_s: int) -> None:
    """5 s to start x 4: each second of a peak pays for 20 s, so 3 s of it for the window. Of a shorter one the last
    second is kept for one start time."""
    for peak_s in (enough_s - 1, enough_s):
        decided = counts(law_of(scale_down_starts=starts), [7] * peak_s + [0] * 70, start_s=5.0)
        kept_s = 60 if peak_s == enough_s else (peak_s + 4 if peak_s else 0)
        assert decided[: kept_s + 1] == [10] * kept_s + [5 if peak_s else 0]


def test_each_look_stands_for_a_polling_interval() -> None:
    """One of 5 s pays for the window."""
    law = law_of(polling_interval=5)
    law.decide(seen(0, 0, in_flight=7, start_s=5.0))
    assert [law.decide(seen(at, 10, start_s=5.0)).replicas for at in range(5, 65, 5)] == [10] * 11 + [5]


@pytest.mark.parametrize(("held_s", "replicas"), [(1.0, 10), (1.003, 10), (1.006, 11)])
def test_an_estimate_a_little_over_a_whole_number_keeps_no_more(held_s: float, replicas: int) -> None:
    """7 x 1.003 / 0.7 is 10.03."""
    law = law_of()
    for at in range(70):
        totals = {"arrived_total": 7 * at, "finished_total": 7 * at, "held_seconds_total": 7 * at * held_s}
        decision = law.decide(seen(at, 10, in_flight=7, start_s=20.0, **totals))
    assert decision.replicas == replicas


def test_where_replicas_start_at_once_hardly_anything_is_kept() -> None:
    assert counts(law_of(), [7] * 30 + [0] * 4, start_s=0.0) == [10] * 30 + [5, 2, 1, 0]


def test_the_window_is_the_declared_one() -> None:
    decided = counts(law_of(scale_down_window=30.0), [7] + [0] * 33, start_s=20.0)
    assert decided == [10] * 30 + [5, 2, 1, 0]


def test_looks_that_a_queue_brings_forward_make_no_peak_longer() -> None:
    """All of it is one second: kept for one start time after the last of them."""
    law, looks = law_of(), [tenth / 10 for tenth in range(10)]
    for at_s in looks:
        law.decide(seen(at_s, 0, in_flight=7, start_s=5.0))
    assert law.decide(seen(5.8, 10, start_s=5.0)).replicas == 10
    assert law.decide(seen(5.9, 10, start_s=5.0)).replicas == 5


def test_noise_around_a_whole_number_does_not_flap() -> None:
    decided = counts(law_of(), [7, 8, 7, 6, 7, 8, 7, 7] * 20, start_s=20.0)
    assert decided[1:] == [12] * 159


def test_a_queue_that_piled_up_is_not_kept() -> None:
    """What comes is: 29 serve 20 a second for a second each. The 10 s before they started are made up for by 62 more,
    which go when that is done, and with them what they would have been kept for: 60 s with a plain highest need."""
    history = Stream(law_of(), 6, start_s=10.0).run(100, 4).run(60, 20).history[100:]
    assert (max(history), history.index(29)) == (91, 22)
    assert history[22:] == [29] * 38


def test_to_nothing_when_idle() -> None:
    history = Stream(law_of(), 6).run(100, 4).run(80, 0).history[100:]
    assert history[:50] == [6] * 50
    assert history[70:] == [0] * 10


# -- while something is not known ------------------------------------------------------------------------------


def unreported(law: ScoregateLaw, since_s: int, until_s: int, wished: int, start_s: float) -> None:
    """A router says nothing, and the others nothing of a load."""
    for at in range(since_s, until_s):
        assert law.decide(seen(at, wished, start_s=start_s, complete=False)).replicas == wished


def test_after_a_long_silence_what_was_there_is_kept_for_a_window_and_not_let_go_at_once() -> None:
    """10 were needed 100 s ago, nobody knows what since, and it comes back in a lull."""
    law = law_of()
    assert counts(law, [7] * 100, start_s=20.0) == [10] * 100
    unreported(law, 100, 200, 10, 20.0)
    decided = [10]
    for at in range(200, 264):
        decided.append(law.decide(seen(at, decided[-1], start_s=20.0)).replicas)
    assert decided[1:] == [10] * 59 + [5, 2, 1, 0, 0]


def test_what_was_there_in_a_short_silence_counts_as_asked_for() -> None:
    """Too short to pay for the window with starts of 5 s: kept for one start."""
    law = law_of()
    law.decide(seen(0, 0, start_s=5.0))
    unreported(law, 1, 3, 10, 5.0)
    assert [law.decide(seen(at, 10, start_s=5.0)).replicas for at in range(3, 9)] == [10] * 4 + [5, 5]


def test_one_that_reports_all_is_not_kept_for_what_is_there() -> None:
    law = law_of()
    law.decide(seen(0, 0, start_s=20.0))
    assert [law.decide(seen(at, 10, start_s=20.0)).replicas for at in range(1, 4)] == [5] * 3


def test_silence_does_not_hide_a_need_that_is_known() -> None:
    law = law_of()
    law.decide(seen(0, 0))
    decision = law.decide(seen(1, 4, in_flight=7, complete=False))
    assert (decision.replicas, decision.need) == (10, 10)
    decision = law.decide(seen(2, 4, in_flight=1, complete=False))
    assert (decision.replicas, decision.need) == (10, 2), "what is there is kept, and is no need of this moment"
