"""observer.py: several routers as one, replicas and how long they take, through all comings and goings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autoscaler.observer import Observer
from router.core.model import Load, Replica, Trouble
from tests.autoscaler.nouns import KEY, load, replicas

VALID_S = 5.0


def told(in_flight: int = 0, queued: int = 0, **totals: Any) -> Load:
    return replace(load(in_flight, queued), **{f"{name}_total": value for name, value in totals.items()})


def observer_of(*instances: str, there: Sequence[Replica] = (), wished: int | None = None) -> Observer:
    observer = Observer(VALID_S)
    observer.follow(there, wished, instances, None, 0.0)
    return observer


def follow(observer: Observer, there: Sequence[Replica], now: float, instances: Sequence[str] = ("r1",)) -> None:
    observer.follow(there, None, instances, None, now)


# -- routers -----------------------------------------------------------------------------------------------------


def test_the_last_words_of_all_routers_add_up() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(9, 9), 0.0)
    observer.report("r1", told(3, 1), 1.0)
    observer.report("r2", told(4, 2), 1.5)
    seen = observer.observe(2.0)
    assert (seen.at_s, seen.in_flight, seen.queued, seen.complete, seen.heard_s) == (2.0, 7, 3, True, 1.25)


@pytest.mark.parametrize(("last_words_s", "heard_s"), [((3.0,), 3.0), ((4.0, 1.0), 2.5), ((4.0, 4.0, 1.0), 3.0)])
def test_counters_are_of_the_mean_of_when_routers_spoke(last_words_s: Sequence[float], heard_s: float) -> None:
    """By the newest, one that is late would bring the requests of 4 s in 1 s; by the oldest, none for 3 s."""
    observer = observer_of("r1", "r2", "r3")
    for number, at_s in enumerate(last_words_s, 1):
        observer.report(f"r{number}", told(), 0.5)
        observer.report(f"r{number}", told(), at_s)
    assert observer.observe(4.5).heard_s == heard_s


def test_who_takes_no_requests_counts_as_long_as_it_speaks_and_may_be_silent() -> None:
    """One that drains still has requests; one whose machine is gone may be listed for ever."""
    observer = Observer(VALID_S)
    observer.follow((), None, ["r1", "r2"], None, 0.0, frozenset(["r2"]))
    observer.report("r1", told(3), 1.0)
    assert observer.observe(1.0).complete
    observer.report("r2", told(4, 1), 0.5)
    seen = observer.observe(1.0)
    assert (seen.in_flight, seen.queued, seen.complete, seen.heard_s) == (7, 1, True, 0.75)
    observer.report("r1", told(3), 0.5 + VALID_S + 0.1)
    seen = observer.observe(0.5 + VALID_S + 0.1)
    assert (seen.in_flight, seen.complete, seen.heard_s) == (3, True, 0.5 + VALID_S + 0.1)
    observer.follow((), None, ["r1", "r2"], None, 6.0)
    assert not observer.observe(0.5 + VALID_S + 0.1).complete
    observer.follow((), None, ["r2"], None, 6.0, frozenset(["r2"]))
    assert not observer.observe(6.0).complete, "nobody who takes requests has spoken"


def test_one_that_leaves_is_not_heard_any_more() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(), 2.0)
    observer.report("r2", told(), 4.0)
    follow(observer, (), 4.0, ["r1"])
    assert observer.observe(4.0).heard_s == 2.0


def test_counters_grow_by_what_each_router_counted_since_its_first_word() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(arrived=1_000, finished=900, held_seconds=90.5, refused=10), 0.0)
    observer.report("r2", told(arrived=50), 0.0)
    at_first = observer.observe(0.0)
    assert (at_first.arrived_total, at_first.refused_total) == (0, 0)
    assert (at_first.finished_total, at_first.held_seconds_total) == (900, 90.5), "how long they take is worth knowing"
    observer.report("r1", told(arrived=1_007, finished=906, held_seconds=93.0, refused=12), 1.0)
    observer.report("r2", told(arrived=53, finished=2, held_seconds=0.25, refused=1), 1.0)
    seen = observer.observe(1.0)
    assert (seen.arrived_total, seen.finished_total, seen.refused_total) == (10, 908, 3)
    assert seen.held_seconds_total == pytest.approx(93.25)


def test_one_that_comes_back_does_not_tell_its_whole_life_again() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(finished=100, held_seconds=10.0), 0.0)
    observer.report("r2", told(finished=100_000, held_seconds=10_000.0), 0.0)
    follow(observer, (), 1.0, ["r1"])
    follow(observer, (), 2.0, ["r1", "r2"])
    observer.report("r2", told(finished=100_005, held_seconds=10_010.0), 2.0)
    seen = observer.observe(2.0)
    assert (seen.finished_total, seen.held_seconds_total) == (100, 10.0)


def test_a_router_that_starts_again_counts_from_0() -> None:
    observer = observer_of("r1")
    for arrived, total in ((100, 0), (130, 30), (4, 34), (9, 39)):
        observer.report("r1", told(arrived=arrived), 0.0)
        assert observer.observe(0.0).arrived_total == total


@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 50), st.booleans()), max_size=50))
def test_counters_never_fall(reports: list[tuple[str, int, bool]]) -> None:
    observer, counts, last, grown = observer_of("r1", "r2"), {"r1": 500, "r2": 7}, 0, 0
    for instance, count in counts.items():
        observer.report(instance, told(arrived=count), 0.0)
    for instance, more, again in reports:
        again = again and more < counts[instance]
        counts[instance] = more if again else counts[instance] + more
        grown += more
        observer.report(instance, told(arrived=counts[instance]), 0.0)
        total = observer.observe(0.0).arrived_total
        assert total == grown >= last
        last = total


def test_a_silent_router_is_missing_and_its_last_word_too_old() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(3, 1, arrived=5), 0.0)
    observer.report("r2", told(4, 2), 3.0)
    assert observer.observe(5.0).complete
    late = observer.observe(5.1)
    assert (late.in_flight, late.queued, late.complete) == (4, 2, False)
    observer.report("r1", told(1, 0, arrived=25), 6.0)
    back = observer.observe(6.0)
    assert (back.in_flight, back.arrived_total, back.complete) == (5, 20, True)


def test_a_router_that_never_spoke_is_missing() -> None:
    observer = observer_of("r1", "r2")
    observer.report("r1", told(3), 0.0)
    assert not observer.observe(0.0).complete


def test_no_router_is_no_report() -> None:
    seen = observer_of().observe(0.0)
    assert (seen.complete, seen.heard_s) == (False, None)


def test_a_router_that_leaves_takes_its_word_with_it_but_not_what_it_counted() -> None:
    observer = observer_of("r1", "r2")
    for arrived in (0, 20):
        observer.report("r1", told(3, 1, arrived=arrived), 0.0)
        observer.report("r2", told(4, 2, arrived=arrived), 1.0)
    follow(observer, (), 1.0, ["r1"])
    seen = observer.observe(1.0)
    assert (seen.in_flight, seen.queued, seen.arrived_total, seen.complete) == (3, 1, 40, True)
    follow(observer, (), 2.0, ["r1", "r2"])
    assert not observer.observe(2.0).complete
    observer.report("r2", told(arrived=300), 2.0)
    assert observer.observe(2.0).arrived_total == 40, "what it counted meanwhile came when nobody looked"


# -- replicas ----------------------------------------------------------------------------------------------------


def test_replicas_are_ready_starting_or_leaving() -> None:
    there = (*replicas("a", "b"), *replicas("c", ready=False), *replicas("d", leaving=True))
    observer = observer_of("r1", there=(*there, *replicas("f", ready=False, leaving=True)))
    seen = observer.observe(4.0)
    assert (seen.ready, seen.starting, seen.leaving) == (2, (4.0,), 2)


@pytest.mark.parametrize(("wished", "seen"), [(None, 3), (7, 7), (0, 0)])
def test_the_wish_is_the_platform_s_or_what_stays(wished: int | None, seen: int) -> None:
    there = (*replicas("a", "b"), *replicas("c", ready=False), *replicas("d", leaving=True))
    assert observer_of("r1", there=there, wished=wished).observe(0.0).wished == seen


def test_starting_ones_are_told_with_their_ages_oldest_first() -> None:
    observer = observer_of("r1")
    follow(observer, replicas("b", ready=False), 1.0)
    follow(observer, replicas("c", "b", "a", ready=False), 4.0)
    assert observer.observe(10.0).starting == (9.0, 6.0, 6.0)


def test_one_that_was_ready_and_fell_ill_is_not_starting() -> None:
    """Its age is no start time, and nobody knows when it is back."""
    observer = observer_of("r1", there=replicas("old"))
    follow(observer, replicas("old", "new", ready=False), 10_000.0)
    assert observer.observe(10_003.0).starting == (3.0,)
    follow(observer, replicas("old", "new"), 10_004.0)
    follow(observer, replicas("old", "new", ready=False), 10_100.0)
    assert observer.observe(10_100.0).starting == ()
    assert observer.observe(10_100.0).start_s == 4.0


# -- start time ----------------------------------------------------------------------------------------------------


def starts(observer: Observer, seconds: Sequence[float], now: float = 100.0) -> float | None:
    """One replica after another starts, each in so many."""
    for number, start_s in enumerate(seconds):
        uid = f"{now}-{number}"
        follow(observer, (*replicas("old"), *replicas(uid, ready=False)), now)
        now += start_s
        follow(observer, (*replicas("old"), *replicas(uid)), now)
    return observer.observe(now).start_s


def test_a_start_is_measured_from_the_first_snapshot_to_the_first_that_has_it_ready() -> None:
    observer = observer_of("r1", there=replicas("old"))
    follow(observer, (*replicas("old"), *replicas("a", ready=False)), 3.0)
    follow(observer, (*replicas("old"), *replicas("a", ready=False)), 8.0)
    assert observer.observe(8.0).start_s is None
    follow(observer, replicas("old", "a"), 10.5)
    follow(observer, replicas("old", "a"), 50.0)
    assert observer.observe(50.0).start_s == 7.5


@pytest.mark.parametrize(
    ("seconds", "measured"),
    [([4.0], 4.0), ([4.0, 8.0], 6.0), ([4.0, 300.0, 5.0], 5.0), ([300.0, 300.0, 300.0, 4.0, 5.0, 6.0, 7.0], 6.0)],
)
def test_the_median_of_the_last_five_counts(seconds: list[float], measured: float) -> None:
    assert starts(observer_of("r1", there=replicas("old")), seconds) == pytest.approx(measured)


def test_those_that_were_ready_at_first_are_not_measured() -> None:
    assert observer_of("r1", there=replicas("a", "b")).observe(0.0).start_s is None


def test_nor_at_the_first_after_there_were_none() -> None:
    observer = observer_of("r1")
    follow(observer, replicas("a"), 100.0)
    assert observer.observe(100.0).start_s is None


def test_nor_one_that_is_ready_when_it_is_first_seen_beside_others() -> None:
    """How long that took nobody saw: it is not 0."""
    observer = observer_of("r1", there=replicas("a"))
    follow(observer, replicas("a", "b"), 100.0)
    follow(observer, replicas("a", "b"), 101.0)
    follow(observer, replicas("a", "b", ready=False), 200.0)
    follow(observer, replicas("a", "b"), 300.0)
    assert observer.observe(300.0).start_s is None


def test_but_those_that_started_then_are_from_then_on() -> None:
    observer = observer_of("r1", there=replicas("a", ready=False))
    follow(observer, replicas("a"), 6.0)
    assert observer.observe(6.0).start_s == 6.0


def test_a_recovery_is_no_start() -> None:
    observer = observer_of("r1", there=replicas("a"))
    for ready, now in ((False, 500.0), (True, 600.0)):
        follow(observer, replicas("a", ready=ready), now)
    assert observer.observe(600.0).start_s is None


def test_one_that_leaves_before_it_was_ready_is_not_measured() -> None:
    observer = observer_of("r1", there=replicas("old"))
    follow(observer, (*replicas("old"), *replicas("a", ready=False)), 1.0)
    follow(observer, (*replicas("old"), *replicas("a", leaving=True)), 3.0)
    assert observer.observe(3.0).start_s is None


def test_a_uid_that_comes_back_starts_anew() -> None:
    observer = observer_of("r1", there=replicas("old"))
    follow(observer, (*replicas("old"), *replicas("a", ready=False)), 0.0)
    follow(observer, replicas("old", "a"), 2.0)
    follow(observer, replicas("old"), 100.0)
    follow(observer, (*replicas("old"), *replicas("a", ready=False)), 200.0)
    assert observer.observe(201.0).starting == (1.0,)
    follow(observer, replicas("old", "a"), 206.0)
    assert observer.observe(206.0).start_s == 4.0, "of 2 and 6"


def test_trouble_is_told_while_it_lasts() -> None:
    trouble = Trouble(deployment=KEY, kind="placement", reason="no room")
    observer = observer_of("r1")
    observer.follow((), None, ["r1"], trouble, 1.0)
    assert observer.observe(1.0).trouble == trouble
    follow(observer, (), 2.0)
    assert observer.observe(2.0).trouble is None
