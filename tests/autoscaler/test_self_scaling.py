"""self_scaling.py: up, then out, when it is slow for lack of CPU; down, then in, when it idles for long; never both."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.self_observation import SelfScaling, SizeSeen
from autoscaler.self_scaling import (
    COMEBACK,
    ENOUGH_REQUESTS,
    FORGET_S,
    IDLE_FOR_S,
    LONGEST_GAP_S,
    LOOK_S,
    ROOM_WITHIN_S,
    SLOW_FOR_S,
    TRY_AGAIN_S,
    SelfScalingLaw,
)
from router.platforms.sizing import RouterSize
from tests.autoscaler.self_scaled import Installation, seen, size

SLOW = {"mean_ms": 4.0, "p99_ms": 10.0, "cpus_used": 2.7}
IDLE = {"cpus_used": 0.3}
LOOKS_A_DAY = 8640
HA = SelfScaling(min_pods=3)

Shown = Callable[[float], SizeSeen]


def steps(law: SelfScalingLaw, shown: Shown, until_s: float, since_s: float = 0.0) -> list[tuple[float, str]]:
    """When each step is asked for, while what is shown stays as it is."""
    asked = []
    at_s = since_s
    while at_s <= until_s:
        decision = law.decide(shown(at_s))
        if decision.step != "stay":
            asked.append((at_s, decision.step))
        at_s += LOOK_S
    return asked


# -- too slow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("figures", [SLOW, {**SLOW, "mean_ms": 1.0, "p99_ms": 15.1}])
def test_what_is_slow_for_long_enough_goes_up_by_one_worker(figures: dict[str, float]) -> None:
    law = SelfScalingLaw(HA)
    decisions = [law.decide(seen(at_s, **figures)) for at_s in (0, 10, 20, 30)]
    assert [each.step for each in decisions] == ["stay", "stay", "stay", "up"]
    assert decisions[-1].size == size(2, 3)
    assert "over 3 ms or p99 15 ms" in decisions[-1].reason


def test_a_moment_that_is_fast_begins_the_time_anew() -> None:
    law = SelfScalingLaw(HA)
    shown = [(0, SLOW), (10, SLOW), (20, {}), (30, SLOW), (40, SLOW), (50, SLOW), (60, SLOW)]
    assert [law.decide(seen(at_s, **figures)).step for at_s, figures in shown] == ["stay"] * 6 + ["up"]


def test_where_a_pod_has_all_that_it_may_have_it_goes_out() -> None:
    law = SelfScalingLaw(HA)
    full = size(4, 3)
    slow = {"mean_ms": 4.0, "p99_ms": 10.0, "cpus_used": 11.0}
    assert steps(law, lambda at_s: seen(at_s, full, **slow), SLOW_FOR_S) == [(SLOW_FOR_S, "out")]
    assert law.decide(seen(SLOW_FOR_S + LOOK_S, full, **slow)).size == size(4, 4)


@pytest.mark.parametrize(("has_pods", "pods"), [(False, 1), (True, 10)])
def test_where_nothing_more_may_be_it_says_so(has_pods: bool, pods: int) -> None:
    law = SelfScalingLaw(SelfScaling())
    full = size(4, pods)
    shown = {"mean_ms": 4.0, "cpus_used": 0.9 * full.processes, "has_pods": has_pods}
    assert steps(law, lambda at_s: seen(at_s, full, **shown), 300) == []
    assert "it has all that it may have" in law.decide(seen(310, full, **shown)).reason


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"cpus_used": 0.59}, "slow, but not for lack of CPU"),
        ({"requests": ENOUGH_REQUESTS - 1}, "would use"),
        ({"complete": False}, "not every process has told of a whole 60 s"),
        ({"present": 2}, "a change is under way: 2 of 3"),
        ({"present": 4}, "a change is under way: 4 of 3"),
        ({"is_settled": False}, "a change is under way"),
        ({"conflict": "an HPA scales it"}, "left alone: an HPA scales it"),
        ({"mean_ms": 3.0, "p99_ms": 15.0}, "would use"),
    ],
)
def test_nothing_moves_by_what_says_too_little(figures: dict[str, object], why: str) -> None:
    law = SelfScalingLaw(HA)
    of = size(2, 3) if why == "would use" else size()
    shown = {**SLOW, "cpus_used": 0.9 * of.processes, **figures}
    assert steps(law, lambda at_s: seen(at_s, of, **shown), 300) == []
    assert why in law.decide(seen(310, of, **shown)).reason


def test_a_process_with_half_a_cpu_is_busy_with_a_tenth() -> None:
    law = SelfScalingLaw(HA)
    shown = {**SLOW, "cpus_used": 3 * 0.11, "cpus_each": 0.5}
    assert steps(law, lambda at_s: seen(at_s, **shown), SLOW_FOR_S) == [(SLOW_FOR_S, "up")]


def test_what_was_unknown_for_a_moment_is_slow_anew() -> None:
    law = SelfScalingLaw(HA)
    for at_s in (0.0, 10.0, 20.0):
        law.decide(seen(at_s, **SLOW))
    law.decide(seen(30.0, **{**SLOW, "complete": False}))
    assert steps(law, lambda at_s: seen(at_s, **SLOW), 100, since_s=40) == [
        (40 + SLOW_FOR_S, "up"),
        *((at_s, "up") for at_s in (80.0, 90.0, 100.0)),
    ]


def test_another_size_is_slow_anew() -> None:
    law = SelfScalingLaw(HA)
    for at_s in (0.0, 10.0, 20.0):
        law.decide(seen(at_s, **SLOW))
    by_hand = size(1, 4)
    assert [law.decide(seen(at_s, by_hand, **SLOW)).step for at_s in (30.0, 60.0)] == ["stay", "up"]


def test_after_a_long_pause_it_is_slow_anew() -> None:
    law = SelfScalingLaw(HA)
    for at_s in (0.0, 10.0, 20.0):
        law.decide(seen(at_s, **SLOW))
    assert law.decide(seen(20 + LONGEST_GAP_S + 1, **SLOW)).step == "stay"


# -- idle -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "step", "smaller"), [(size(2, 4), "down", size(1, 4)), (size(1, 4), "in", size(1, 3))])
def test_what_idles_for_long_goes_down_and_then_in(of: RouterSize, step: str, smaller: RouterSize) -> None:
    law = SelfScalingLaw(HA)
    decided = law.decide(seen(0.0, of, **IDLE))
    assert (decided.step, "as it may be" in decided.reason) == ("stay", False)
    asked = steps(law, lambda at_s: seen(at_s, of, **IDLE), IDLE_FOR_S, since_s=LOOK_S)
    assert asked == [(IDLE_FOR_S, step)]
    assert law.decide(seen(IDLE_FOR_S + LOOK_S, of, **IDLE)).size == smaller


def test_not_where_the_smaller_size_would_be_busy() -> None:
    law = SelfScalingLaw(HA)
    four = size(1, 4)
    assert steps(law, lambda at_s: seen(at_s, four, cpus_used=3 * 0.36), 2 * IDLE_FOR_S) == []
    assert "3 would use 36%, over 35%" in law.decide(seen(2 * IDLE_FOR_S + LOOK_S, four, cpus_used=3 * 0.36)).reason


@pytest.mark.parametrize("busy", [{"cpus_used": 3.0}, {"cpus_used": 0.3, "mean_ms": 4.0}], ids=["busy", "slow"])
def test_one_busy_moment_begins_the_time_anew(busy: dict[str, float]) -> None:
    law = SelfScalingLaw(HA)
    four = size(1, 4)
    busy_at_s = IDLE_FOR_S - LOOK_S
    asked = steps(law, lambda at_s: seen(at_s, four, **(busy if at_s == busy_at_s else IDLE)), busy_at_s + IDLE_FOR_S)
    assert asked == []


@pytest.mark.parametrize(("began", "fewest"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_never_under_three_pods_where_there_were_three(began: int, fewest: int) -> None:
    installation = Installation(size(2, began), SelfScaling())
    installation.run(1500, lambda look: 0.01)
    assert installation.size == size(1, fewest)
    assert "as small as it may be" in installation.story[-1].decision.reason


def test_never_under_what_was_set() -> None:
    installation = Installation(size(1, 6), SelfScaling(min_pods=5))
    installation.run(1500, lambda look: 0.01)
    assert installation.size == size(1, 5)


def test_a_size_that_was_too_slow_is_gone_back_to_for_half_the_work_only() -> None:
    """Slow at little CPU, as beside a noisy neighbour: its CPU alone would send it back again and again."""
    law = SelfScalingLaw(HA)
    work = 0.7
    assert steps(law, lambda at_s: seen(at_s, mean_ms=4.0, cpus_used=work), SLOW_FOR_S) == [(SLOW_FOR_S, "up")]
    larger = size(2, 3)
    begun = SLOW_FOR_S + LOOK_S
    assert (
        steps(law, lambda at_s: seen(at_s, larger, cpus_used=COMEBACK * work + 0.01), begun + 3 * IDLE_FOR_S, begun)
        == []
    )
    assert (
        "were too slow with 0.7 CPUs of work"
        in law.decide(seen(begun + 3 * IDLE_FOR_S + LOOK_S, larger, cpus_used=0.5)).reason
    )
    quiet = begun + 3 * IDLE_FOR_S + 2 * LOOK_S
    found = steps(law, lambda at_s: seen(at_s, larger, cpus_used=COMEBACK * work), quiet + IDLE_FOR_S, quiet)
    assert found == [(quiet + IDLE_FOR_S, "down")]


def test_that_is_forgotten_after_a_day() -> None:
    law = SelfScalingLaw(HA)
    steps(law, lambda at_s: seen(at_s, mean_ms=4.0, cpus_used=0.7), SLOW_FOR_S)
    late = SLOW_FOR_S + FORGET_S
    assert steps(law, lambda at_s: seen(at_s, size(2, 3), cpus_used=0.5), late + IDLE_FOR_S, late) == [
        (late + IDLE_FOR_S, "down")
    ]


# -- no room ----------------------------------------------------------------------------------------------------------


def test_what_has_no_room_is_taken_back_and_not_tried_again_for_a_while() -> None:
    installation = Installation(size(1, 3), SelfScaling(max_workers=1), room=3)
    installation.run(int(TRY_AGAIN_S / LOOK_S), lambda look: 2.9)
    assert installation.steps == ["out", "back"]
    assert installation.size == size(1, 3)
    out, back = (each for each in installation.story if each.decision.step != "stay")
    assert ROOM_WITHIN_S <= back.seen.at_s - out.seen.at_s <= ROOM_WITHIN_S + 2 * LOOK_S
    assert "no room for 300 s: Insufficient cpu; not tried again for 60 min" in back.decision.reason
    installation.run(200, lambda look: 2.9)
    assert installation.steps == ["out", "back", "out", "back"]


def test_where_there_is_no_room_for_larger_pods_there_may_be_for_one_more() -> None:
    installation = Installation(size(1, 3), SelfScaling(max_workers=2), room=4)
    installation.run(400, lambda look: 2.9)
    assert installation.steps == ["up", "back", "out"]
    assert installation.size == size(1, 4)


def test_a_step_that_came_off_is_not_taken_back_when_a_node_fails_later() -> None:
    law = SelfScalingLaw(HA)
    steps(law, lambda at_s: seen(at_s, **SLOW), SLOW_FOR_S)
    larger = size(2, 3)
    law.decide(seen(40.0, larger))
    lost = {"is_settled": False, "no_room": "1 node is gone", "present": 4}
    assert steps(law, lambda at_s: seen(at_s, larger, **lost), 1000, since_s=50) == []
    assert law.decide(seen(1010, larger, **lost)).reason == "there is no room: 1 node is gone"


# -- as a whole -------------------------------------------------------------------------------------------------------


def test_up_to_the_bound_and_then_out_and_all_the_way_back() -> None:
    installation = Installation(size(1, 3), SelfScaling(max_workers=2, min_pods=3))
    installation.run(300, lambda look: 7.2)
    assert installation.steps == ["up", "out", "out"]
    assert installation.size == size(2, 5)
    installation.run(600, lambda look: 0.2)
    assert installation.steps == ["up", "out", "out", "down", "in", "in"]
    assert installation.size == size(1, 3)


WORK = st.floats(0.0, 60.0)
START = st.builds(size, st.integers(1, 4), st.integers(1, 8))


@settings(max_examples=60, deadline=None)
@given(START, WORK, st.booleans(), st.integers(1, 40), st.integers(0, 6))
def test_under_one_load_it_goes_one_way_and_comes_to_rest(
    start: RouterSize, work: float, has_pods: bool, room: int, settles_after: int
) -> None:
    start = start if has_pods else size(start.workers, 1)
    installation = Installation(
        start, SelfScaling(), has_pods=has_pods, room=max(room, start.processes), settles_after=settles_after
    )
    installation.run(LOOKS_A_DAY // 2, lambda look: work)
    asked = installation.steps
    tried_in_vain = {"back"} & set(asked)
    assert not ({"up", "out"} & set(asked) and {"down", "in"} & set(asked))
    assert tried_in_vain or len(asked) <= 2 * 10 + 4
    if not tried_in_vain:
        assert set(each.decision.step for each in installation.story[-LOOKS_A_DAY // 4 :]) == {"stay"}
    _keeps_its_bounds(installation, start, has_pods)


@settings(max_examples=60, deadline=None)
@given(
    START,
    st.lists(st.tuples(st.integers(1, 200), WORK, st.floats(0, 1)), min_size=1, max_size=12),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_whatever_comes_it_keeps_its_bounds_and_steps_one_at_a_time(
    start: RouterSize, load: list[tuple[int, float, float]], room: int, chance: Random
) -> None:
    installation = Installation(start, SelfScaling(max_pods=8), room=max(room, start.processes))
    for looks, work, share in load:
        installation.run(looks, lambda look, work=work: work, lambda look, share=share: chance.random() < share)
    _keeps_its_bounds(installation, start, True)


def _keeps_its_bounds(installation: Installation, start: RouterSize, has_pods: bool) -> None:
    settled_s = 0.0
    for before, after in pairwise(installation.story):
        seen, decision = before
        step, of = decision.step, decision.size
        assert 1 <= of.workers <= max(4, start.workers)
        assert min(3, start.pods) <= of.pods <= max(10, start.pods)
        assert has_pods or of.pods == 1
        assert abs(of.workers - seen.size.workers) + abs(of.pods - seen.size.pods) == (step != "stay")
        if step in ("up", "out", "down", "in"):
            assert seen.complete
            assert seen.is_settled
            least_s = SLOW_FOR_S if step in ("up", "out") else IDLE_FOR_S
            assert seen.at_s - settled_s >= least_s
        if step == "back":
            assert seen.no_room
        if of != seen.size or not seen.complete:
            settled_s = after.seen.at_s
