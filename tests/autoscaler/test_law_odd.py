"""law.py: bursts, refusals, what hangs, what is late or missing. None of it makes a number run away."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from autoscaler.observation import Observation
from autoscaler.observer import Observer
from tests.autoscaler.nouns import load, seen
from tests.autoscaler.stream import after_a_minute, law_of

# -- bursts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service_s", "wait_s", "need"),
    [
        (0.1, 0.5, 17),  # 10.2 / 0.7, and of what comes that of 0.5 s in 2.5 s
        (0.1, None, 56),  # 10.2 / 0.7, and 9.9 + (10.2 - 1) x 10 in 2.5 s
        (0.05, 0.5, 9),
        (0.05, None, 26),
        (0.01, 0.5, 2),
        (0.01, None, 2),
    ],
)
def test_a_burst_of_100_short_requests_asks_for_no_more_than_may_wait(
    service_s: float, wait_s: float | None, need: int
) -> None:
    """On one replica, beside 2 a second: what is refused by when a new one could help does not come back."""
    law = law_of()
    after_a_minute(law, 2, service_s, start_s=10.0)
    burst = {"arrived_total": 222, "finished_total": 122, "held_seconds_total": 122 * service_s}
    decision = law.decide(seen(61, in_flight=1, queued=99, queue_wait_s=wait_s, start_s=10.0, **burst))
    assert (decision.need, decision.replicas) == (need, need)


@pytest.mark.parametrize(("burst", "need"), [(2, 1), (100, 9)])
def test_nor_after_a_lull(burst: int, need: int) -> None:
    """One in 5 s, of 0.1 s each, then so many at once. None has finished since the last look, but none was there."""
    law = law_of()
    for at in range(61):
        totals = {"arrived_total": at // 5, "finished_total": at // 5, "held_seconds_total": at // 5 * 0.1}
        law.decide(seen(at, start_s=10.0, **totals))
    totals["arrived_total"] += burst
    now = {"in_flight": 1, "queued": burst - 1, "queue_wait_s": 0.5, "start_s": 10.0}
    assert law.decide(seen(60.9, **now, **totals)).need == need


def test_but_where_none_is_ready_all_of_it_waits() -> None:
    """Held for the first replica: 2 / 0.7, and 20 + 2 x 10 in 2.5 s. Else 2 x 0.5 are left."""
    needs = []
    for ready in (0, 1):
        now = {"ready": ready, "queued": 20, "queue_wait_s": 0.5, "start_s": 10.0}
        needs.append(after_a_minute(law_of(), 2, 1.0, **now).need)
    assert needs == [19, 4]


def test_what_may_wait_is_a_bound_and_no_load() -> None:
    """11 are left with two that start, and 60 may wait: 2 / 0.7 + 2 / 2.5."""
    now = {"in_flight": 1, "queued": 10, "ready": 1, "starting": (9.0, 9.0), "start_s": 10.0}
    assert after_a_minute(law_of(), 2, 1.0, wished=3, queue_wait_s=30.0, **now).need == 4


def test_two_that_wait_for_a_hundredth_of_a_second_each_need_no_other() -> None:
    """1 / 0.98 is over a whole number by less than an estimate may be."""
    law = law_of(target_utilization_percentage=98)
    decision = after_a_minute(law, 100, 0.01, in_flight=1, queued=2, start_s=10.0)
    assert "leave 2 waiting" in decision.reason
    assert decision.need == 1


# -- what hangs ------------------------------------------------------------------------------------------------------


def test_requests_that_hang_are_taken_to_last_as_long_as_they_hang() -> None:
    """20 a second of 0.1 s each, then 5 slots hang, and all that comes waits or is refused. By the time it took before,
    2 slots were enough: 3 + 1 in 2.5 s."""
    law, needs = law_of(), []
    after_a_minute(law, 20, 0.1, start_s=10.0)
    for at in range(61, 66):
        totals = {"arrived_total": 20 * at, "finished_total": 1_200, "held_seconds_total": 120.0}
        now = {"in_flight": 5, "queued": 10, "refused_total": 20 * at - 1_215, "queue_wait_s": 0.5, "start_s": 10.0}
        decision = law.decide(seen(at, 5, **now, **totals))
        needs.append(decision.need)
    assert needs == [3, 33, 66, 96, 125], "20 x 0.1, then x 1, 2, 3, 4 s"
    assert "; 20 requests/s of 4 s each leave 10 waiting" in decision.reason


def test_and_as_before_when_they_are_done() -> None:
    """Each of 5 hung for 5 s: with those of the minute before, they make the mean 0.123 s, and no longer 5 s."""
    law = law_of()
    after_a_minute(law, 20, 0.1, start_s=10.0)
    totals = {"finished_total": 1_200, "held_seconds_total": 120.0}
    for at in range(61, 66):
        law.decide(seen(at, 5, in_flight=5, queued=1, arrived_total=20 * at, start_s=10.0, **totals))
    done = {"arrived_total": 1_320, "finished_total": 1_205, "held_seconds_total": 145.0}
    decision = law.decide(seen(66, 5, in_flight=5, queued=1, start_s=10.0, **done))
    assert decision.reason.startswith("5 in flight, 1 queued; 20 requests/s of 0.123 s each need 4")


def test_long_ones_that_are_not_over_yet_do_not_hang() -> None:
    """5 of 10 s each: for up to 10 s none finishes, as it should be."""
    law = law_of()
    after_a_minute(law, 1, 10.0, wished=10, start_s=10.0)
    totals = {"finished_total": 60, "held_seconds_total": 600.0}
    for at in range(61, 70):
        decision = law.decide(seen(at, 15, in_flight=5, queued=1, arrived_total=at, start_s=10.0, **totals))
        assert "; 1 requests/s of 10 s each" in decision.reason


@pytest.mark.parametrize(
    ("starting", "present", "need"),
    [
        ((), 1, 11),  # 2 / 0.7, and 10 + (2 - 1) x 10 in 2.5 s
        ((31.0,), 2, 5),  # 3 x 10 s and a period: as long as that it may take, and 10 are left then
        ((31.1,), 2, 11),
        ((500.0,), 2, 11),
        ((500.0, 9.0), 3, 8),
    ],
)
def test_one_that_starts_for_ever_is_not_counted_on(starting: tuple[float, ...], present: int, need: int) -> None:
    now = {"in_flight": 1, "queued": 10, "ready": 1, "starting": starting, "start_s": 10.0}
    decision = after_a_minute(law_of(), 2, 1.0, wished=present, **now)
    assert (decision.need, decision.replicas) == (need, need)


def test_nor_waited_for_nor_a_reason_for_more() -> None:
    """Without a queue the rule goes as far as what there is: 4, and a fifth while it may still come."""
    for age_s, need in ((31.0, 5), (31.1, 4)):
        now = {"in_flight": 4, "ready": 4, "starting": (age_s,), "wished": 5, "start_s": 10.0}
        assert after_a_minute(law_of(), 1, 1.0, **now).need == need
    now = {"in_flight": 1, "queued": 1, "ready": 1, "wished": 3, "start_s": 10.0}
    for starting, told, replicas in (((500.0, 500.0), "", 2), ((500.0, 9.0), "the 1 that are starting", 2)):
        law = law_of(target_utilization_percentage=100)
        decision = after_a_minute(law, 1, 1.0, starting=starting, **now)
        assert decision.replicas == replicas
        assert decision.reason.partition("; the queue waits for ")[2] == told


def test_the_period_is_on_top_and_it_counts_where_no_start_was_measured() -> None:
    for period_s, start_s, told_s in ((5, 10.0, "35"), (1, None, "500")):
        now = {"in_flight": 1, "queued": 10, "ready": 1, "starting": (float(told_s),), "start_s": start_s}
        decision = after_a_minute(law_of(polling_interval=period_s), 2, 1.0, wished=2, **now)
        assert f"leave 10 waiting in {told_s} s" in decision.reason


# -- what is late or missing -----------------------------------------------------------------------------------------


def two_routers(now: int, late_from: int, late_until: int, in_flight: int) -> Observation:
    """Each sees 10 requests of 1 s in a second; the second says nothing for a while, then all at once."""
    observer = Observer(5.0)
    observer.follow((), 29, ("r1", "r2"), None, 0.0)
    for at in range(now + 1):
        word = replace(load(in_flight), arrived_total=10 * at, finished_total=10 * at, held_seconds_total=10.0 * at)
        observer.report("r1", word, at)
        if not late_from <= at < late_until:
            observer.report("r2", word, at)
    return replace(observer.observe(now), ready=29, start_s=20.0)


def test_a_router_that_is_3_s_late_makes_no_peak() -> None:
    """20 requests a second need 29. What is told of four seconds at once, over one of them, would need 72."""
    law = law_of()
    assert [law.decide(two_routers(at, 80, 83, in_flight=10)).replicas for at in range(100)] == [29] * 100


def test_and_the_rate_that_a_queue_is_judged_by_is_right_when_it_speaks_again() -> None:
    law = law_of()
    for at in range(83):
        law.decide(two_routers(at, 80, 83, in_flight=10))
    decision = law.decide(replace(two_routers(83, 80, 83, in_flight=10), queued=1))
    assert "; 20 requests/s of 1 s each need 29" in decision.reason


def test_a_router_that_was_silent_brings_all_at_once_and_makes_no_peak() -> None:
    law, decided = law_of(), []
    for at in range(200):
        told = 99 if 100 <= at < 160 else at
        totals = {"arrived_total": 10 * told, "finished_total": 10 * told, "held_seconds_total": 10.0 * told}
        now = seen(at, 15, in_flight=10, start_s=20.0, complete=told == at, **totals)
        decided.append(law.decide(now).replicas)
    assert decided == [15] * 200


def lull(since_s: int, until_s: int, figures: dict[str, Any]) -> list[Observation]:
    return [seen(at, 10, start_s=5.0, **figures) for at in range(since_s, until_s)]


def test_after_a_pause_it_starts_anew_with_what_is_there() -> None:
    """10 were needed. What was needed in the 5 minutes in which nobody looked, nobody knows: 10 stay for a window."""
    law = law_of()
    for at in range(100):
        totals = {"arrived_total": 7 * at, "finished_total": 7 * at, "held_seconds_total": 7.0 * at}
        law.decide(seen(at, 10, in_flight=7, start_s=5.0, **totals))
    decided = [law.decide(each) for each in lull(400, 462, totals)]
    assert [each.replicas for each in decided] == [10] * 60 + [5, 5]
    assert decided[0].reason == "0 in flight need 0 at 70 %; the 10 found at the start stay until 60 s have been seen"


def test_after_a_pause_the_rate_is_that_of_all_of_it() -> None:
    """2 a second before, 600 in 5 minutes: still 2, and not 600 in one."""
    law = law_of()
    after_a_minute(law, 2, 1.0, start_s=10.0)
    totals = {"arrived_total": 720, "finished_total": 700, "held_seconds_total": 700.0}
    decision = law.decide(seen(360, 1, in_flight=1, queued=19, start_s=10.0, **totals))
    assert "; 2 requests/s of 1 s each leave 29 waiting" in decision.reason


def test_requests_too_quick_to_measure_are_as_good_as_unknown() -> None:
    law = law_of()
    law.decide(seen(0, 0))
    law.decide(seen(1, 1, arrived_total=1, finished_total=1))
    assert law.decide(seen(2, 0, queued=7, arrived_total=8, finished_total=1)).replicas == 10
