"""guards.py: each guard alone, their order, and what they say."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.guards import Guards
from router.core.model import ScaleSettings, Trouble
from tests.autoscaler.nouns import KEY, seen

LATER_S = 90.0


def guards_of(concurrency: int = 1, *, wished: int = 0, until_s: float = LATER_S, **scale: Any) -> Guards:
    """They began at 0 with so many, and have looked every 15 s since then: that is no pause yet."""
    guards = Guards(ScaleSettings(**{"min_instances": 0, "max_instances": 100_000, **scale}), concurrency)
    for at in range(0, ceil(until_s), 15):
        guards.apply(wished, "", seen(at, wished))
    return guards


def trouble(kind: Any) -> Trouble:
    return Trouble(deployment=KEY, kind=kind, reason="no room")


def test_what_nothing_is_wrong_with_passes_as_it_is() -> None:
    assert guards_of().apply(7, "so it is", seen(LATER_S, 7)) == (7, "so it is")


# -- what is not known -----------------------------------------------------------------------------------------


def test_reports_that_are_missing_bring_nothing_down() -> None:
    now = seen(LATER_S, 9, complete=False)
    assert guards_of().apply(5, "why", now) == (9, "why; not every router has reported lately: 9 stay")


@pytest.mark.parametrize("complete", [True, False])
def test_but_up_by_what_is_known(complete: bool) -> None:
    assert guards_of().apply(12, "why", seen(LATER_S, 9, complete=complete)) == (12, "why")


def test_a_start_begins_at_the_present_count_and_keeps_it_for_a_full_window() -> None:
    guards = guards_of(wished=9, until_s=59.9)
    assert guards.apply(5, "why", seen(59.9, 9)) == (9, "why; the 9 found at the start stay until 60 s have been seen")
    assert guards.apply(12, "why", seen(59.9, 9)) == (12, "why")
    assert guards.apply(5, "why", seen(60.0, 9)) == (5, "why")


def test_the_present_count_is_what_is_wished_for_ready_or_not() -> None:
    guards = Guards(ScaleSettings(max_instances=20), 1)
    assert guards.apply(1, "", seen(0.0, 9, ready=2, starting=(3.0,)))[0] == 9
    assert guards.apply(1, "", seen(1.0, 9, ready=2, starting=(4.0,)))[0] == 9


def test_it_is_kept_also_where_the_wish_falls_meanwhile() -> None:
    guards = Guards(ScaleSettings(max_instances=20), 1)
    guards.apply(1, "", seen(0.0, 9, ready=2))
    assert guards.apply(1, "", seen(1.0, 4))[0] == 9


def test_the_window_is_the_declared_one_and_begins_with_the_first_look() -> None:
    guards = Guards(ScaleSettings(min_instances=0, max_instances=20, scale_down_window=5.0), 1)
    decided = [guards.apply(8, "", seen(at, 9))[0] for at in (100.0, 104.9, 105.0)]
    assert decided == [9, 9, 8]


def test_what_came_after_the_start_may_go_within_the_window() -> None:
    assert guards_of(wished=4, until_s=30.0).apply(6, "", seen(30.0, 10))[0] == 6


@pytest.mark.parametrize(
    ("interval", "window_s", "longest_s"),
    [(1, 60.0, 15.0), (5, 60.0, 25.0), (1, 300.0, 75.0), (1, 4.0, 5.0), (20, 60.0, 100.0)],
)
def test_after_a_pause_it_is_as_at_the_start(interval: int, window_s: float, longest_s: float) -> None:
    """Five looks, or a quarter of the window, are not made up for: the present count stays for a window again."""
    settings = ScaleSettings(max_instances=20, polling_interval=interval, scale_down_window=window_s)
    for pause_s in (longest_s, longest_s + 0.1):
        guards, at_s = Guards(settings, 1), 0.0
        for _ in range(5):
            guards.apply(4, "", seen(at_s, 4))
            at_s += longest_s
        assert guards.apply(6, "", seen(at_s, 6)) == (6, ""), "the first window is over"
        at_s += pause_s
        told = f"; the 8 found at the start stay until {window_s:.0f} s have been seen" if pause_s > longest_s else ""
        assert guards.apply(7, "why", seen(at_s, 8)) == (8 if told else 7, f"why{told}")


def test_and_that_for_a_full_window() -> None:
    guards = guards_of(wished=9)
    decided = [guards.apply(8, "", seen(1_000.0 + at, 9))[0] for at in range(62)]
    assert decided == [9] * 60 + [8] * 2


def test_looks_at_something_else_s_number_are_looks() -> None:
    """While something else scales it, it is watched: that is no pause, and nothing is found at its end."""
    guards = guards_of(wished=9)
    for at in range(90, 200, 10):
        guards.apply(4, "", seen(at, 9, trouble=trouble("conflict")))
    assert guards.apply(8, "why", seen(205.0, 9)) == (8, "why")


# -- what can't be placed, what is not ours ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["start", "placement"])
def test_no_more_is_asked_for_while_what_was_asked_for_can_not_run(kind: str) -> None:
    now = seen(LATER_S, 9, trouble=trouble(kind))
    assert guards_of().apply(96, "why", now) == (9, "why; no more than the present 9 while they can't run: no room")
    assert guards_of().apply(6, "why", now) == (6, "why")


def test_but_one_tries_where_there_is_none() -> None:
    assert guards_of().apply(5, "", seen(LATER_S, 0, trouble=trouble("start")))[0] == 1
    assert guards_of().apply(0, "why", seen(LATER_S, 0, trouble=trouble("start"))) == (0, "why")


def test_nor_for_requests_that_finish_on_replicas_that_leave() -> None:
    now = seen(LATER_S, 3, in_flight=5, leaving=2, trouble=trouble("placement"))
    assert guards_of().apply(8, "", now)[0] == 3


def test_nor_for_what_was_there_at_the_start() -> None:
    now = seen(10.0, 3, trouble=trouble("placement"))
    assert guards_of(wished=9, until_s=10.0).apply(2, "", now)[0] == 3


def test_what_something_else_scales_is_left_alone_whatever_the_bounds() -> None:
    now = seen(LATER_S, 9, trouble=trouble("conflict"), complete=False)
    for wanted in (0, 20):
        assert guards_of(max_instances=5).apply(wanted, "why", now) == (9, "left alone at 9: no room")


# -- steps and bounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wished", "least"), [(20, 10), (9, 4), (2, 1), (1, 0), (0, 0)])
def test_a_step_down_leaves_half(wished: int, least: int) -> None:
    replicas, why = guards_of().apply(0, "why", seen(LATER_S, wished))
    assert replicas == least
    assert why == ("why" if not least else f"why; at most half of {wished} go at once")


@pytest.mark.parametrize(("wished", "most"), [(0, 1_000), (1, 1_000), (20, 20_000)])
def test_a_step_up_is_a_thousandfold_at_most(wished: int, most: int) -> None:
    assert guards_of().apply(most + 1, "why", seen(LATER_S, wished)) == (
        most,
        "why; at most 1000 times as many at once",
    )
    assert guards_of().apply(most, "why", seen(LATER_S, wished)) == (most, "why")


@pytest.mark.parametrize(("concurrency", "least"), [(3, 6), (4, 5), (5, 4), (20, 4)])
def test_what_is_in_flight_keeps_its_replicas(concurrency: int, least: int) -> None:
    replicas, why = guards_of(concurrency).apply(0, "why", seen(LATER_S, 8, in_flight=17))
    assert replicas == least
    assert why == ("why; at most half of 8 go at once" if least == 4 else f"why; {least} may be busy")


def test_but_asks_for_none_beside_those_it_leaves_on() -> None:
    """After a step down from 6: a new replica would take none of the requests that finish on the 3 that go."""
    now = seen(LATER_S, 3, in_flight=6, leaving=3)
    assert guards_of().apply(0, "why", now) == (3, "why; 3 may be busy")
    assert guards_of().apply(5, "why", now) == (5, "why")


@pytest.mark.parametrize("now", [{}, {"complete": False}, {"in_flight": 9}, {"trouble": trouble("start")}])
def test_bounds_hold_over_everything(now: dict[str, Any]) -> None:
    guards = guards_of(wished=9, min_instances=2, max_instances=5)
    assert guards.apply(9, "why", seen(LATER_S, 9, **now)) == (5, "why; maxInstances is 5")
    assert guards.apply(0, "why", seen(LATER_S, 2)) == (2, "why; at most half of 2 go at once; minInstances is 2")
    assert guards.apply(0, "why", seen(LATER_S, 1)) == (2, "why; minInstances is 2")
    low = guards_of(min_instances=4, max_instances=5)
    assert low.apply(0, "", seen(LATER_S, 0, **now))[0] in (4, 5)


def test_a_fixed_number_by_its_bounds() -> None:
    guards = guards_of(wished=9, until_s=1.0, min_instances=3, max_instances=3)
    assert [guards.apply(wanted, "", seen(1.0, wished))[0] for wanted, wished in ((0, 9), (3, 3), (9, 1))] == [3] * 3


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.integers(0, 200),
            st.integers(0, 300),
            st.booleans(),
            st.sampled_from([None, "start", "placement"]),
        ),
        min_size=1,
    )
)
def test_together(looks: list[tuple[int, int, int, bool, str | None]]) -> None:
    guards = Guards(ScaleSettings(min_instances=1, max_instances=100), 2)
    for at, (wanted, wished, in_flight, complete, kind) in enumerate(looks):
        now = seen(at, wished, in_flight=in_flight, complete=complete, trouble=trouble(kind) if kind else None)
        replicas, why = guards.apply(wanted, "why", now)
        assert 1 <= replicas <= 100
        assert replicas >= min(100, wished // 2)
        assert replicas >= min(100, wished) or complete
        assert replicas <= max(1, wished) or not kind
        assert replicas >= min(100, -(-in_flight // 2), wished)
        assert replicas <= max(1, wished, wanted, looks[0][1])
        assert (replicas == wanted) or "; " in why
