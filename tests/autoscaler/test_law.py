"""law.py: how many replicas each moment asks for, and the reason in words.

What is kept of it: test_law_keeps.py; bursts, and what hangs or is late: test_law_odd.py.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.law import backlog_left
from autoscaler.rivals.azureml import AzureMLV2
from router.core.model import ScaleSettings
from tests.autoscaler.nouns import seen
from tests.autoscaler.stream import Stream, after_a_minute, law_of

# -- steady load ---------------------------------------------------------------------------------------------


def rule(busy: int, percent: int, concurrency: int) -> int:
    return ceil(Fraction(busy * 100, percent * concurrency))


@given(st.integers(0, 10_000), st.integers(1, 100), st.integers(1, 300))
def test_without_a_queue_it_is_the_documented_rule_exactly(busy: int, percent: int, concurrency: int) -> None:
    need = rule(busy, percent, concurrency)
    law = law_of(concurrency, target_utilization_percentage=percent, max_instances=2_000_000)
    decision = law.decide(seen(0, need, in_flight=busy))
    assert (decision.replicas, decision.need) == (need, need)


@given(st.integers(0, 300), st.integers(1, 100), st.integers(1, 40), st.sampled_from([1, 3, 7, 10]))
def test_and_stays_so_through_all_windows(busy: int, percent: int, concurrency: int, in_a_second: int) -> None:
    """What is kept is worked out from arrivals, in fractions: they must not ask for one more."""
    need = rule(busy, percent, concurrency)
    law = law_of(concurrency, target_utilization_percentage=percent)
    for at in range(70):
        came = busy * in_a_second * at
        totals = {"arrived_total": came, "finished_total": came, "held_seconds_total": came / in_a_second}
        assert law.decide(seen(at, need, in_flight=busy, start_s=20.0, **totals)).replicas == need


@pytest.mark.parametrize(("busy", "replicas"), [(7, 10), (14, 20), (21, 30), (8, 12), (200, 286), (0, 0)])
def test_for_example_at_70_percent(busy: int, replicas: int) -> None:
    assert law_of().decide(seen(0, 0, in_flight=busy)).replicas == replicas


@pytest.mark.parametrize(("concurrency", "replicas"), [(1, 286), (4, 72)])
def test_the_documented_sizing(concurrency: int, replicas: int) -> None:
    """20 requests a second of 10 s each at 70 %."""
    stream = Stream(law_of(concurrency), replicas, service_s=10.0, concurrency=concurrency).run(120, 20)
    assert stream.history[60:] == [replicas] * 60


def test_it_gets_there_from_nothing_known() -> None:
    stream = Stream(law_of(), 1, service_s=10.0).run(10, 20)
    assert stream.history[:4] == [29, 58, 86, 115], "20 more each second: none has finished"
    assert stream.history[-1] >= 286
    assert stream.run(290, 20).history[-100:] == [286] * 100


def test_and_in_one_jump_where_it_is_known_how_long_they_take() -> None:
    before = Stream(law_of(), 58, service_s=10.0).run(100, 4)
    assert before.history[-1] == 58
    after = before.run(200, 20).history[100:]
    assert after[0] < 286 <= after[1], "the second second has the first queue"
    assert after[-100:] == [286] * 100


# -- up ------------------------------------------------------------------------------------------------------


def test_the_period_is_the_polling_interval() -> None:
    assert law_of(polling_interval=5).period_s == 5.0


def test_up_at_once_also_between_two_looks() -> None:
    law = law_of()
    assert law.decide(seen(10.0, 10, in_flight=7)).replicas == 10
    assert law.decide(seen(10.05, 10, in_flight=10, queued=4)).replicas == 20


def test_while_none_has_finished_all_that_is_known_counts() -> None:
    law = law_of()
    law.decide(seen(0, 1, refused_total=90))
    decision = law.decide(seen(1, 3, in_flight=3, queued=4, refused_total=95))
    assert decision.replicas == 18
    assert decision.reason == "3 in flight, 4 queued, 5 refused, and none has finished yet: all at once need 18"
    assert law.decide(seen(2, 18, in_flight=3, queued=4, refused_total=95)).need == 10, "each is counted once"


def test_what_was_refused_before_it_began_is_no_load() -> None:
    assert law_of().decide(seen(0, 1, in_flight=1, refused_total=90)).need == 2


def test_a_queue_asks_by_arrivals_and_for_what_will_be_left() -> None:
    """2 / 0.7 slots for what comes, and in 10 s 10 queued + (2 - 1) x 10 to be drained within 2.5 s more."""
    decision = after_a_minute(law_of(), 2, 1.0, in_flight=1, queued=10, start_s=10.0)
    assert (decision.replicas, decision.need) == (11, 11)
    assert decision.reason == (
        "1 in flight, 10 queued; 2 requests/s of 1 s each leave 20 waiting in 10 s, when a new replica helps: 11"
    )


@pytest.mark.parametrize(
    ("ready", "service_s", "start_s", "need"),
    [
        (1, 1.0, 30.0, 9),  # 2 / 0.7, and 10 + 30 in 7.5 s
        (6, 4.0, 10.0, 27),  # 8 / 0.7, and 40 + 20 in 4 s
        (1, 1.0, 0.0, 13),  # 2 / 0.7, and 10 in 1 s
    ],
)
def test_the_rest_is_drained_in_a_quarter_of_a_start_or_while_one_is_served(
    ready: int, service_s: float, start_s: float, need: int
) -> None:
    now = {"in_flight": ready, "queued": 10, "wished": ready, "start_s": start_s}
    assert after_a_minute(law_of(), 2, service_s, **now).need == need


def test_a_refusal_is_a_sign_to_look_at_arrivals_too() -> None:
    decision = after_a_minute(law_of(), 20, 0.5, in_flight=7, refused_total=1, wished=7, start_s=10.0)
    assert decision.need == 27, "10 / 0.7, and 3 x 10 in 2.5 s"


def test_arrivals_are_looked_at_over_a_tenth_of_a_start() -> None:
    """2 a second, and 8 in the last one: 8 by one second, 4 by three."""
    by_start = {}
    for start_s in (10.0, 30.0):
        law = law_of()
        after_a_minute(law, 2, 1.0, start_s=start_s)
        totals = {"arrived_total": 128, "finished_total": 122, "held_seconds_total": 122.0}
        by_start[start_s] = law.decide(seen(61, 1, in_flight=1, queued=6, start_s=start_s, **totals)).reason
    assert "; 8 requests/s of 1 s" in by_start[10.0]
    assert "; 4 requests/s of 1 s" in by_start[30.0]


def test_what_is_in_flight_of_a_queue_is_no_load_to_come() -> None:
    """None comes any more: of 90, 50 will be done in 10 s; the 40 that are left are to be drained within 2.5 s."""
    for queued, need in ((90, 16), (50, 0)):
        law = law_of()
        after_a_minute(law, 1, 1.0, wished=5, start_s=10.0)
        totals = {"arrived_total": 60, "finished_total": 60, "held_seconds_total": 60.0}
        law.decide(seen(75, 5, start_s=10.0, **totals))
        decision = law.decide(seen(76, 5, in_flight=5, queued=queued, start_s=10.0, **totals))
        assert (decision.need, decision.replicas) == (need, max(need, 5)), "those that are busy stay"


@pytest.mark.parametrize(
    ("per_s", "in_flight", "there", "need"),
    [
        (7, 40, {"ready": 40}, 40),
        (7, 40, {"ready": 30, "starting": (1.0,) * 5}, 35),
        (70, 80, {"ready": 40}, 100),
        (7, 3, {"ready": 40}, 5),
        (1, 3, {"ready": 40}, 5),
    ],
)
def test_the_rest_of_a_queue_that_is_served_asks_for_no_more_than_there_is(
    per_s: int, in_flight: int, there: dict[str, Any], need: int
) -> None:
    """The documented rule, but no more than what is there, or would have served them as they came: per_s / 0.7."""
    by_rule, by_arrivals = rule(in_flight, 70, 1), per_s * 10 // 7
    decision = after_a_minute(law_of(), per_s, 1.0, in_flight=in_flight, wished=40, start_s=10.0, **there)
    assert decision.need == need
    told = f"{in_flight} in flight need {by_rule} at 70 %"
    if by_rule > need:
        told += f", but no more than {by_arrivals} by their arrivals: {need}"
    assert decision.reason.startswith(told)


# -- what starts is capacity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starting", "replicas"), [((), 11), ((9.0,), 8), ((9.0, 9.0), 4), ((9.0,) * 3, 4), ((2.0,) * 3, 9)]
)
def test_what_starts_is_capacity_from_when_it_joins(starting: tuple[float, ...], replicas: int) -> None:
    now = {"in_flight": 1, "queued": 10, "ready": 1, "starting": starting, "start_s": 10.0}
    decision = after_a_minute(law_of(), 2, 1.0, wished=1 + len(starting), **now)
    assert decision.replicas == replicas
    drains = "the queue drains before a new replica could help, in 10 s" in decision.reason
    assert drains == (starting == (9.0,) * 3)


@pytest.mark.parametrize(("starting", "need"), [((), 7), ((9.0,), 3), ((9.0,) * 3, 3)])
def test_each_replica_has_as_many_slots_as_it_holds_requests(starting: tuple[float, ...], need: int) -> None:
    """6 / 0.7, and 20 + (6 - 4) x 10 in 2.5 s, over 4; with one more from the first second on, 22 - 2 x 9 are left;
    with three, none, and 6 / 0.7 over 4 are enough."""
    now = {"in_flight": 4, "queued": 20, "ready": 1, "starting": starting, "start_s": 10.0}
    assert after_a_minute(law_of(concurrency=4), 6, 1.0, wished=1 + len(starting), **now).need == need


def test_a_queue_that_drains_sooner_than_a_replica_starts_asks_for_nothing() -> None:
    now = {"in_flight": 4, "queued": 20, "wished": 4, "start_s": 10.0}
    decision = after_a_minute(law_of(), 2, 1.0, **now)
    assert (decision.need, decision.replicas) == (3, 4), "2 / 0.7 are needed, and 4 are busy"
    assert decision.reason == (
        "4 in flight, 20 queued; 2 requests/s of 1 s each need 3: the queue drains before a new replica could help, "
        "in 10 s; 4 may be busy"
    )
    assert after_a_minute(law_of(), 2, 1.0, **{**now, "queued": 21}).need == 4, "1 is left: 2 / 0.7 + 1 / 2.5"


@pytest.mark.parametrize(("service_s", "need"), [(1.003, 10), (1.01, 11)])
def test_and_by_an_estimate_a_little_over_a_whole_number_for_no_more(service_s: float, need: int) -> None:
    """7 x 1.003 / 0.7 is 10.03."""
    now = {"in_flight": 7, "queued": 1, "wished": 20, "start_s": 10.0}
    assert after_a_minute(law_of(), 7, service_s, **now).need == need


def test_what_starts_is_not_given_up_while_requests_wait_for_it() -> None:
    """1 is needed at 100 %, and 5 start."""
    now = {"in_flight": 1, "queued": 3, "ready": 1, "starting": (9.0,) * 5, "start_s": 10.0}
    law = law_of(target_utilization_percentage=100)
    decision = after_a_minute(law, 1, 1.0, wished=6, **now)
    assert (decision.need, decision.replicas) == (1, 6)
    assert decision.reason.endswith("; the queue waits for the 5 that are starting")
    for other in ({"queued": 0}, {"ready": 6, "starting": ()}):
        law = law_of(target_utilization_percentage=100)
        assert after_a_minute(law, 1, 1.0, wished=6, **{**now, **other}).replicas == 3, "half of 6"


@pytest.mark.parametrize(("starting", "start_s"), [((), None), ((4.0,), None), ((25.0, 1.0), 12.0), ((3.0,), 12.0)])
def test_a_start_takes_as_long_as_measured_or_as_the_oldest_has_taken(
    starting: tuple[float, ...], start_s: float | None
) -> None:
    now = {"in_flight": 1, "queued": 99, "ready": 1, "starting": starting, "start_s": start_s}
    reason = after_a_minute(law_of(), 2, 1.0, wished=1 + len(starting), **now).reason
    expected_s = {None: 10, 12.0: 25 if starting == (25.0, 1.0) else 12}[start_s]
    assert f"waiting in {expected_s} s," in reason


def test_a_step_with_a_cold_start_asks_once_and_is_settled_when_the_queue_is_gone() -> None:
    """4 -> 20 a second of 1 s each: 29 are enough then. Azure ML's counts what piles up in the meantime, more each
    second, and keeps it for its whole window: 229 at most, and 29 after 73 s. Ours: 91, and 29 after 22 s."""
    ours, theirs = (
        Stream(law, 6, start_s=10.0).run(100, 4).run(100, 20).history[100:]
        for law in (law_of(), AzureMLV2(ScaleSettings(max_instances=100_000), 1))
    )
    assert ours == [91] * 21 + [45] + [29] * 78
    assert all(before < after for before, after in pairwise(theirs[:11]))
    assert theirs[10:] == [229] * 60 + [216, 175, 105] + [29] * 27
    assert (sum(ours), sum(theirs)) == (4_218, 16_209), "replica-seconds of the 100 s"


# -- from and to nothing ---------------------------------------------------------------------------------------


def test_the_first_request_asks_for_one() -> None:
    law = law_of()
    assert [law.decide(seen(at, 0)).replicas for at in range(5)] == [0] * 5
    decision = law.decide(seen(5, 0, queued=1))
    assert (decision.replicas, decision.reason) == (1, "0 in flight, 1 queued: the first replica can take it")


@pytest.mark.parametrize(("queued", "refused", "need"), [(4, 0, 1), (3, 1, 1), (0, 1, 1), (5, 0, 2), (3, 2, 2)])
def test_one_is_enough_for_what_it_can_hold(queued: int, refused: int, need: int) -> None:
    law = law_of(concurrency=4)
    law.decide(seen(0, 0))
    assert law.decide(seen(1, 0, queued=queued, refused_total=refused)).need == need


@pytest.mark.parametrize(("now", "need"), [({"ready": 0, "in_flight": 3}, 6), ({"ready": 1, "in_flight": 0}, 2)])
def test_that_is_so_only_where_there_is_none(now: dict[str, int], need: int) -> None:
    """3 are finished by replicas that leave."""
    assert law_of().decide(seen(0, 1, queued=1, **now)).need == need


def test_a_long_idle_time_forgets_nothing_and_wants_one_at_least() -> None:
    law = law_of(concurrency=100)
    after_a_minute(law, 10, 0.001, start_s=1.0)
    totals = {"arrived_total": 600, "finished_total": 600, "held_seconds_total": 0.6}
    for at in range(61, 200):
        law.decide(seen(at, 0, start_s=1.0, **totals))
    assert law.decide(seen(200, 0, queued=101, start_s=1.0, **totals)).replicas == 1


# -- whatever comes ---------------------------------------------------------------------------------------------


LOADS = st.builds(
    dict,
    in_flight=st.integers(0, 50),
    queued=st.integers(0, 50),
    ready=st.integers(1, 20),
    starting=st.lists(st.floats(0, 100), max_size=5).map(lambda ages: tuple(sorted(ages, reverse=True))),
    start_s=st.none() | st.floats(0, 200),
    complete=st.booleans(),
)


@given(st.lists(LOADS, min_size=1, max_size=40), st.integers(0, 5), st.integers(0, 30), st.integers(1, 8))
def test_bounds_hold_and_what_is_in_flight_keeps_its_replicas(
    loads: list[dict[str, Any]], least: int, more: int, concurrency: int
) -> None:
    law, wished, came = law_of(concurrency, min_instances=least, max_instances=least + more or 1), least, 0
    for at, each in enumerate(loads):
        came += each["in_flight"] + each["queued"]
        totals = {"arrived_total": came, "finished_total": came // 2, "held_seconds_total": came * 0.7}
        decision = law.decide(seen(at, wished, **each, **totals))
        assert least <= decision.replicas <= max(1, least + more)
        assert decision.replicas >= min(-(-each["in_flight"] // concurrency), wished, least + more)
        assert decision.reason
        wished = decision.replicas


@given(LOADS, st.booleans(), st.integers(0, 20), st.integers(1, 8), st.integers(1, 100))
def test_more_to_do_never_needs_fewer(
    load: dict[str, Any], waits: bool, plus: int, concurrency: int, percent: int
) -> None:
    """More in flight where none waits, or more that wait where some do."""
    load = {**load, "queued": 1 + load["queued"] if waits else 0}
    name = "queued" if waits else "in_flight"
    few, many = (
        after_a_minute(law_of(concurrency, target_utilization_percentage=percent), 3, 0.5, **each).need
        for each in (load, {**load, name: load[name] + plus})
    )
    assert few <= many


# -- what is left of a backlog -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "inflow", "slots", "joins_s", "left"),
    [
        (0.0, 1.0, 2, (), 0.0),
        (5.0, 2.0, 2, (), 5.0),
        (5.0, 4.0, 2, (), 25.0),
        (5.0, 0.0, 2, (), 0.0),
        (5.0, 4.0, 2, (4.0,), 13.0),  # 5 + 4 x 2, and no less nor more from there
        (5.0, 4.0, 2, (4.0, 4.0), 1.0),
        (5.0, 4.0, 2, (4.0, 7.0), 7.0),
        (0.0, 6.0, 0, (0.0, 5.0), 30.0),
        (1.0, 2.0, 5, (5.0,), 0.0),
        (3.0, 0.0, 0, (10.0,), 3.0),
    ],
)
def test_what_is_left_in_10_s_where_each_that_joins_has_2_slots(
    work: float, inflow: float, slots: int, joins_s: tuple[float, ...], left: float
) -> None:
    assert backlog_left(work, inflow, slots, joins_s, 2, 10.0) == left


def test_idle_slots_do_not_work_ahead() -> None:
    """A replica joins and takes what has come by then, no more: the work is never below nothing."""
    assert backlog_left(0.0, 1.0, 9, (4.0,), -9, 10.0) == 6.0
