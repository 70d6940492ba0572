"""crew.py: whatever happens to workers, and whenever, the crew's four invariants hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.workers.crew import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    RAN_WELL_S,
    SILENT_S,
    STARTS_WITHIN_S,
    Crew,
    Step,
)

MOST = 4


class Watch:
    """A crew whose steps are followed at once, and a clock."""

    def __init__(self, wish: int = 1, most: int = MOST) -> None:
        self.crew = Crew(wish, most)
        self.now = 100.0

    def look(self) -> list[Step]:
        steps = list(self.crew.steps(self.now))
        for step in steps:
            if step.what == "start":
                self.crew.started(step.index, self.now)
        return steps

    def work(self) -> list[Step]:
        """Look, and hear every worker."""
        steps = self.look()
        for index in self.crew.living:
            self.crew.heard(index, self.now, ready=True)
        return steps

    def pass_time(self, seconds: float, *, heard: bool = True) -> list[Step]:
        steps = []
        until = self.now + seconds
        while self.now < until:
            self.now += 0.1
            steps += self.work() if heard else self.look()
        return steps


def test_a_worker_that_ran_well_is_replaced_at_once() -> None:
    watch = Watch(wish=2)
    assert watch.work() == [Step("start", 0), Step("start", 1)]
    watch.pass_time(RAN_WELL_S + 1)
    watch.crew.ended(0, watch.now, by_itself=False)
    assert watch.look() == [Step("start", 0)]


def test_one_that_dies_right_after_its_start_is_waited_for_twice_as_long_each_time() -> None:
    watch = Watch()
    watch.work()
    expected, pauses = FIRST_PAUSE_S, []
    for _ in range(8):
        watch.crew.ended(0, watch.now, by_itself=True)
        began = watch.now
        while not watch.crew.living:
            watch.pass_time(0.1)
        pauses.append(watch.now - began)
    for pause in pauses:
        assert pause == pytest.approx(expected, abs=0.21)
        expected = min(LONGEST_PAUSE_S, 2 * expected)
    watch.pass_time(RAN_WELL_S + 1)
    watch.crew.ended(0, watch.now, by_itself=False)
    assert watch.look() == [Step("start", 0)], "it ran well: the pauses begin anew"


def test_who_is_silent_is_killed_once_and_who_starts_has_more_time() -> None:
    watch = Watch(wish=2)
    watch.look()
    assert watch.pass_time(STARTS_WITHIN_S - 1, heard=False) == []
    watch.crew.heard(0, watch.now, ready=False)
    assert watch.pass_time(2, heard=False) == [Step("kill", 1)], "it never said a word"
    assert watch.pass_time(SILENT_S, heard=False) == [Step("kill", 0)]
    assert watch.pass_time(60, heard=False) == [], "its end may take a while"


def test_a_parent_that_could_not_look_kills_nobody_for_it() -> None:
    watch = Watch(wish=2)
    watch.work()
    watch.now += 3_600
    assert watch.look() == []
    assert watch.pass_time(SILENT_S + 0.5, heard=False) == [Step("kill", 0), Step("kill", 1)]


def test_a_first_worker_that_ends_by_itself_before_any_was_ready_ends_all() -> None:
    watch = Watch(wish=2)
    watch.look()
    watch.crew.heard(0, watch.now, ready=False)
    watch.crew.ended(1, watch.now, by_itself=True)
    assert watch.crew.has_failed
    assert watch.pass_time(120, heard=False) == [Step("kill", 0)]


def test_one_that_a_signal_ended_says_nothing_of_the_others() -> None:
    watch = Watch()
    watch.look()
    watch.crew.ended(0, watch.now, by_itself=False)
    assert not watch.crew.has_failed
    assert Step("start", 0) in watch.pass_time(1)


def test_fewer_leave_from_the_top_and_their_places_are_filled_again_after_they_ended() -> None:
    watch = Watch(wish=3)
    watch.work()
    assert watch.crew.wish(1) == 1
    assert watch.work() == [Step("leave", 1), Step("leave", 2)]
    assert watch.pass_time(300) == [], "they may finish what they have"
    watch.crew.wish(3)
    assert watch.work() == []
    watch.crew.ended(2, watch.now, by_itself=True)
    assert watch.work() == [Step("start", 2)]


def test_a_wish_is_kept_within_bounds() -> None:
    crew = Crew(2, 3)
    assert [crew.wish(number) for number in (0, 1, 3, 99)] == [1, 1, 3, 3]


def test_who_stops_starts_nobody() -> None:
    watch = Watch(wish=2)
    watch.work()
    watch.crew.stop()
    watch.crew.ended(0, watch.now, by_itself=True)
    assert watch.pass_time(100) == []
    assert watch.crew.living == [1]
    assert not watch.crew.has_failed


class Machine(RuleBasedStateMachine):
    """Any order of events. What happens to a worker is the machine's choice; what is done about it, the crew's."""

    @initialize(wish=st.integers(1, MOST))
    def begin(self, wish: int) -> None:
        self.watch = Watch(wish)
        self.vacant_since = dict.fromkeys(range(MOST), self.watch.now)
        self.silent_since: dict[int, float] = {}
        self.first_failed = self.was_ready = False

    @rule(seconds=st.floats(0.1, 40.0), heard=st.booleans())
    def time_passes(self, seconds: float, heard: bool) -> None:
        until = self.watch.now + seconds
        while self.watch.now < until:
            self.watch.now += 0.5
            for index in self.watch.crew.living if heard else ():
                self.hear(index)
            self.look()

    def look(self) -> None:
        for step in self.watch.look():
            if step.what == "start":
                assert step.index in self.vacant_since, "1"
                assert step.index < self.watch.crew.wished, "1"
                assert not self.first_failed, "4"
                del self.vacant_since[step.index]
                self.silent_since[step.index] = self.watch.now
            elif step.what == "kill":
                assert self.watch.now - self.silent_since[step.index] > SILENT_S, "3"
            else:
                assert step.index >= self.watch.crew.wished

    def hear(self, index: int) -> None:
        self.watch.crew.heard(index, self.watch.now, ready=False)
        self.silent_since[index] = self.watch.now

    @precondition(lambda self: self.watch.crew.living)
    @rule(data=st.data())
    def one_is_ready(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(self.watch.crew.living))
        self.watch.crew.heard(index, self.watch.now, ready=True)
        self.silent_since[index] = self.watch.now
        self.was_ready = True

    @precondition(lambda self: self.watch.crew.living)
    @rule(data=st.data(), by_itself=st.booleans())
    def one_ends(self, data: st.DataObject, by_itself: bool) -> None:
        index = data.draw(st.sampled_from(self.watch.crew.living))
        self.first_failed |= by_itself and not self.was_ready and not self.watch.crew.is_stopping
        self.watch.crew.ended(index, self.watch.now, by_itself=by_itself)
        self.vacant_since[index] = self.watch.now

    @rule(wish=st.integers(-1, MOST + 2))
    def another_number_is_wished(self, wish: int) -> None:
        self.watch.crew.wish(wish)
        for index in self.vacant_since:  # from now on it may be below the wish
            self.vacant_since[index] = self.watch.now

    @rule()
    def all_shall_stop(self) -> None:
        self.watch.crew.stop()

    @invariant()
    def places_are_filled_in_time(self) -> None:
        if self.watch.crew.is_stopping:
            return
        for index, since in self.vacant_since.items():
            if index < self.watch.crew.wished:
                assert self.watch.now - since <= LONGEST_PAUSE_S + 1.0, "2"

    @invariant()
    def a_failure_at_the_start_is_known(self) -> None:
        assert self.watch.crew.has_failed == self.first_failed, "4"


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestMachine = Machine.TestCase
