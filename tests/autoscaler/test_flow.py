"""flow.py: rates from counters, over long and short, even and odd looks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.flow import ENOUGH, MEMORY_S, Flow
from tests.autoscaler.nouns import seen


def noted(flow: Flow, at_s: float, arrived: int, finished: int = 0, held_s: float = 0.0, **more: Any) -> Flow:
    totals = {"arrived_total": arrived, "finished_total": finished, "held_seconds_total": held_s}
    flow.note(seen(at_s, 1, **totals, **more))
    return flow


def even(per_s: int, seconds: int, service_s: float = 0.5) -> Flow:
    flow = Flow()
    for at in range(seconds + 1):
        noted(flow, at, per_s * at, per_s * at, per_s * at * service_s)
    return flow


def test_at_first_nothing_is_known() -> None:
    flow = noted(Flow(), 0.0, 1_000)
    assert flow.service_s is None
    assert flow.arrivals_per_s(1.0) == 0.0
    assert flow.offered(1.0) is None


def test_but_how_long_those_took_that_had_finished_before() -> None:
    """An autoscaler that starts again knows it at once; how fast they come, it does not."""
    flow = noted(Flow(), 0.0, 1_000, 900, 450.0)
    assert (flow.service_s, flow.offered(1.0)) == (0.5, 0.0)
    noted(flow, 1.0, 1_010, 910, 465.0)
    assert flow.service_s == 1.0, "10 of 1.5 s each, and as if 10 of 0.5 s"


def test_before_the_first_look_nothing_is_offered() -> None:
    assert noted(Flow(), 0.0, 9, complete=False).offered(1.0) is None


def test_what_finished_says_how_long_a_slot_is_held() -> None:
    assert noted(noted(Flow(), 0.0, 100, 90, 45.0), 1.0, 200, 190, 245.0).service_s == 2.0


def test_of_the_last_minute() -> None:
    flow = even(10, 100, service_s=0.5)
    for at in range(101, 161):
        noted(flow, at, 10 * at, 10 * at, 500.0 + 20 * (at - 100))
        assert flow.service_s == pytest.approx((0.5 * (160 - at) + 2.0 * (at - 100)) / 60)
    assert flow.service_s == pytest.approx(2.0)


def test_while_none_finishes_the_last_one_known_holds() -> None:
    flow = even(10, 10)
    for at in range(11, 200):
        noted(flow, at, 100, 100, 50.0)
    assert flow.service_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("finished", "service_s"),
    [(1, 0.575), (10, 1.25), (19, 1.925), (20, 2.0), (30, 2.0)],
)
def test_few_that_finish_after_a_pause_do_not_outweigh_what_was_known(finished: int, service_s: float) -> None:
    """0.5 s each before, 2 s each now: as if the rest of 20 had been as before."""
    flow = even(10, 10)
    noted(flow, 200, 100, 100, 50.0)
    noted(flow, 201, 100 + finished, 100 + finished, 50.0 + 2.0 * finished)
    assert flow.service_s == pytest.approx(service_s)
    assert ENOUGH == 20


def test_what_was_known_is_of_when_enough_had_finished_last() -> None:
    """The few of the first pause, of 9 s each, are no part of it at the second."""
    flow = even(10, 10)
    for at_s in (200, 400):
        before_s = 50.0 if at_s == 200 else 59.0
        noted(flow, at_s, 100, at_s // 200 + 99, before_s)
        noted(flow, at_s + 1, 101, at_s // 200 + 100, before_s + 9.0)
        assert flow.service_s == pytest.approx((9.0 + 19 * 0.5) / 20)


def test_and_enough_are_20() -> None:
    """0.5 s each once, then 20 of 2 s each: these are what is known when the next one comes alone."""
    flow = even(10, 10)
    for at_s, finished in ((200, 0), (201, 20), (400, 20), (401, 21)):
        noted(flow, at_s, 100 + finished, 100 + finished, 50.0 + 2.0 * finished)
    assert flow.service_s == 2.0


def test_before_enough_have_finished_the_first_ones_are_all_that_is_known() -> None:
    flow = noted(noted(Flow(), 0.0, 0), 1.0, 2, 2, 6.0)
    assert flow.service_s == 3.0
    assert noted(flow, 2.0, 5, 4, 8.0).service_s == 2.0


# -- when none finishes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_flight", "after_s", "service_s"), [(1, 3, 3.0), (2, 2, 2.0), (5, 1, 1.0), (20, 1, 1.0)])
def test_while_none_finishes_though_several_should_have_they_last_as_long_as_that(
    in_flight: int, after_s: int, service_s: float
) -> None:
    """Of 0.5 s each: 5 in flight should give back 10 a second, 1 two. At 5 it is not yet surprising, over 5 it is."""
    flow = noted(even(10, 20), 21, 210, 210, 105.0, in_flight=in_flight)
    for later_s in range(1, 10):
        noted(flow, 21 + later_s, 210, 210, 105.0, in_flight=in_flight)
        assert flow.service_s == pytest.approx(later_s if later_s >= after_s else 0.5)


def test_exactly_several_are_not_enough() -> None:
    flow = noted(even(10, 20, service_s=0.25), 21, 210, 210, 52.5, in_flight=1)
    assert noted(flow, 22.25, 210, 210, 52.5, in_flight=1).service_s == 0.25
    assert noted(flow, 22.375, 210, 210, 52.5, in_flight=1).service_s == 1.375


def test_but_never_less_long_than_those_before() -> None:
    """Of 20 that take 10 s each, 6 should be back after 3 s."""
    flow = noted(even(10, 20, service_s=10.0), 21, 220, 200, 2_000.0, in_flight=20)
    assert noted(flow, 24, 220, 200, 2_000.0, in_flight=20).service_s == 10.0
    assert noted(flow, 33, 220, 200, 2_000.0, in_flight=20).service_s == 12.0


def test_the_first_that_finishes_ends_the_doubt() -> None:
    flow = even(10, 20)
    for at in (21, 22, 23, 24):
        noted(flow, at, 210, 205, 102.5, in_flight=5)
    assert flow.service_s == 3.0
    noted(flow, 25, 210, 206, 107.5, in_flight=4)
    assert flow.service_s == pytest.approx(107.5 / 206)
    noted(flow, 26, 210, 206, 107.5, in_flight=4)
    assert flow.service_s == 1.0, "and begins anew"


def test_where_nothing_is_in_flight_nothing_hangs() -> None:
    flow = even(10, 20)
    for at in range(21, 60):
        noted(flow, at, 200, 200, 100.0)
        assert flow.service_s == pytest.approx(0.5)
    noted(flow, 60, 201, 200, 100.0, in_flight=1)
    noted(flow, 62, 201, 200, 100.0, in_flight=1)
    assert flow.service_s == pytest.approx(0.5), "for 2 s, not 40"
    noted(flow, 63, 201, 200, 100.0, in_flight=1)
    assert flow.service_s == 3.0


@pytest.mark.parametrize("after_s", [0.1, 0.9, 30.0])
def test_those_that_came_since_the_last_look_have_not_hung_since_then(after_s: float) -> None:
    flow = noted(even(10, 20), 20.0 + after_s, 300, 200, 100.0, in_flight=90)
    assert flow.service_s == 0.5


def test_before_one_has_finished_there_is_nothing_to_doubt() -> None:
    flow = Flow()
    for at in range(100):
        assert noted(flow, at, 5, in_flight=5).service_s is None


# -- rates -------------------------------------------------------------------------------------------------------


def test_what_is_too_quick_to_measure_is_not_known() -> None:
    assert noted(even(0, 5), 6.0, 3, 3, 0.0).service_s is None


@pytest.mark.parametrize("over_s", [1.0, 3.0, 12.0, 60.0, 300.0])
def test_an_even_stream_is_as_fast_over_any_time(over_s: float) -> None:
    """Over a longer time than it remembers, too."""
    assert even(10, 200).arrivals_per_s(over_s) == 10.0
    assert even(10, 200).offered(over_s) == pytest.approx(5.0)


def test_the_last_seconds_count_and_no_others() -> None:
    flow = even(10, 20)
    for at, arrived in ((21, 230), (22, 270)):
        noted(flow, at, arrived)
    assert [flow.arrivals_per_s(over) for over in (1.0, 2.0, 4.0)] == [40.0, 35.0, 22.5]


def test_looks_at_odd_times_count_over_the_next_longer_time() -> None:
    flow = noted(noted(noted(Flow(), 0.0, 0), 0.8, 10), 1.4, 28)
    assert flow.arrivals_per_s(1.0) == 20.0
    assert flow.arrivals_per_s(0.6) == pytest.approx(30.0)


def test_a_time_that_is_not_yet_full_is_taken_as_if_it_were() -> None:
    """Ten at once, a tenth of a second after it began, are not 100 in a second."""
    assert noted(noted(Flow(), 0.0, 0), 0.1, 10).arrivals_per_s(1.0) == 10.0


def test_a_gap_between_looks_is_averaged() -> None:
    assert noted(noted(Flow(), 0.0, 0), 600.0, 60).arrivals_per_s(1.0) == pytest.approx(0.1)


def test_sums_of_tenths_of_a_second_that_come_a_hair_early_are_in_time() -> None:
    flow, at_s = Flow(), 0.0
    for tenth in range(11):
        noted(flow, at_s, tenth)
        at_s += 0.1
    assert at_s - 0.1 < 1.0
    assert noted(Flow(), 0.0, 0).arrivals_per_s(1.0) == 0.0
    assert flow.arrivals_per_s(1.0) == 10.0
    noted(flow, at_s, 31)
    assert flow.arrivals_per_s(1.0) == pytest.approx(30.0), "from the second look, not from the first"


def test_what_is_not_complete_makes_no_look() -> None:
    flow = even(10, 20)
    for at in range(21, 50):
        noted(flow, at, 200 + at, complete=False)
    assert flow.arrivals_per_s(1.0) == 10.0
    noted(flow, 50, 500, 500, 250.0)
    assert flow.arrivals_per_s(1.0) == 10.0


def test_counters_are_of_when_they_were_heard() -> None:
    """A report that is late brings more, of a longer time."""
    flow = even(10, 20)
    for at in (21, 22, 23):
        noted(flow, at, 200, heard_s=20.0)
    assert flow.arrivals_per_s(1.0) == 10.0
    noted(flow, 24, 238, heard_s=23.8)
    assert flow.arrivals_per_s(1.0) == pytest.approx(10.0)


def test_a_last_word_that_goes_with_its_router_makes_no_look_back() -> None:
    flow = even(10, 20)
    noted(flow, 21, 200, heard_s=19.2)
    noted(flow, 21, 210, heard_s=21.0)
    assert flow.arrivals_per_s(1.0) == 10.0
    assert flow.arrivals_per_s(2.0) == 10.0


@given(st.lists(st.tuples(st.floats(0.01, 100.0), st.integers(0, 1_000)), min_size=1, max_size=200), st.floats(1, 300))
def test_it_remembers_a_minute_and_not_much_more(steps: list[tuple[float, int]], over_s: float) -> None:
    flow, at_s, arrived = Flow(), 0.0, 0
    looks = [(0.0, 0)]
    noted(flow, 0.0, 0)
    for step_s, came in steps:
        at_s, arrived = at_s + step_s, arrived + came
        looks.append((at_s, arrived))
        noted(flow, at_s, arrived)
        far_enough = [look for look in looks if at_s - look[0] >= min(over_s, MEMORY_S) - 1e-6]
        before_s, before = far_enough[-1] if far_enough else looks[0]
        elapsed_s = max(min(over_s, MEMORY_S), at_s - before_s)
        assert flow.arrivals_per_s(over_s) == pytest.approx((arrived - before) / elapsed_s)
    assert len(flow._looks) <= 1 + sum(at_s - look[0] < MEMORY_S for look in looks)
