"""Which replicas are left out and for how long, against the invariants of health.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.core.health import CONSECUTIVE_FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, SLOW_START, OutlierDetector

UIDS = ("a", "b", "c", "d", "e")
uids = st.sampled_from(UIDS)


class HealthMachine(RuleBasedStateMachine):
    """A detector beside a model: who is there, who is out, how often each failed since it last served."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = OutlierDetector()
        self.now = 0.0
        self.present = set(UIDS)
        self.out: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        self.pauses: dict[str, int] = {}

    @rule(uid=uids, refused=st.booleans())
    def fail(self, uid: str, refused: bool) -> None:
        if uid not in self.present:
            return
        ready = len(self.present) - len(self.out)
        until = self.detector.failed(uid, self.now, ready, refused=refused)
        if uid in self.out:
            assert until is None
            return
        self.failures[uid] = self.failures.get(uid, 0) + 1
        may_go = 2 * (len(self.out) + 1) <= len(self.present)
        if until is None:
            assert not may_go or (not refused and self.failures[uid] < CONSECUTIVE_FAILURES)
            return
        assert may_go, "more than half would be out"
        assert refused or self.failures[uid] >= CONSECUTIVE_FAILURES
        count = self.pauses.get(uid, 0)
        assert until - self.now == pytest.approx(min(FIRST_PAUSE_S * 2**count, LONGEST_PAUSE_S))
        self.pauses[uid] = count + 1
        self.out[uid] = until

    @rule(uid=uids)
    def succeed(self, uid: str) -> None:
        self.detector.succeeded(uid)
        if uid not in self.out:
            self.failures.pop(uid, None)
            self.pauses.pop(uid, None)

    @rule()
    def the_next_pause_ends(self) -> None:
        if self.out:
            uid, self.now = min(self.out.items(), key=lambda item: item[1])
            del self.out[uid]
            self.failures[uid] = CONSECUTIVE_FAILURES - 1
            self.detector.readmit(uid)

    @rule(uid=uids)
    def leave(self, uid: str) -> None:
        if 2 * len(self.out.keys() - {uid}) <= len(self.present - {uid}):
            self.present.discard(uid)
            self.detector.keep(set(self.present))
            for known in (self.out, self.failures, self.pauses):
                known.pop(uid, None)

    @rule(uid=uids)
    def come(self, uid: str) -> None:
        self.present.add(uid)

    @invariant()
    def never_more_than_half_are_out(self) -> None:
        assert 2 * len(self.out) <= len(self.present)


TestOutlierDetector = HealthMachine.TestCase
TestOutlierDetector.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def leave_out(detector: OutlierDetector, uid: str, now: float = 0.0) -> float:
    until = detector.failed(uid, now, 10, refused=True)
    assert until is not None
    return until - now


def test_a_single_failure_is_not_enough_and_several_in_a_row_are() -> None:
    detector = OutlierDetector()
    assert [detector.failed("a", 0.0, 2) for _ in range(CONSECUTIVE_FAILURES - 1)] == [None] * (
        CONSECUTIVE_FAILURES - 1
    )
    assert detector.failed("a", 3.0, 2) == 3.0 + FIRST_PAUSE_S


def test_a_refused_connection_needs_no_second_opinion() -> None:
    assert OutlierDetector().failed("a", 0.0, 2, refused=True) == FIRST_PAUSE_S


def test_a_reply_between_failures_starts_the_count_again() -> None:
    detector = OutlierDetector()
    for _ in range(3):
        for _ in range(CONSECUTIVE_FAILURES - 1):
            assert detector.failed("a", 0.0, 2) is None
        detector.succeeded("a")


@pytest.mark.parametrize(("ready", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (100, 50)])
def test_never_more_than_half_are_out(ready: int, most: int) -> None:
    detector = OutlierDetector()
    out = 0
    for number in range(ready):
        out += detector.failed(f"r{number}", 0.0, ready - out, refused=True) is not None
    assert out == most


@given(st.integers(1, 2_000))
def test_a_pause_never_outlasts_the_longest(count: int) -> None:
    detector = OutlierDetector()
    pause = 0.0
    for _ in range(count):
        longer = leave_out(detector, "a")
        assert pause <= longer <= LONGEST_PAUSE_S
        pause = longer
        detector.readmit("a")


def test_a_replica_that_comes_back_and_fails_once_is_left_out_again_for_longer() -> None:
    detector = OutlierDetector()
    first = leave_out(detector, "a")
    detector.readmit("a")
    assert detector.failed("a", 5.0, 2) == 5.0 + 2 * first


def test_a_replica_that_serves_again_is_forgiven() -> None:
    detector = OutlierDetector()
    for _ in range(5):
        leave_out(detector, "a")
        detector.readmit("a")
    detector.succeeded("a")
    assert detector.failed("a", 0.0, 2) is None
    assert leave_out(detector, "a") == FIRST_PAUSE_S


def test_a_late_reply_does_not_end_a_pause() -> None:
    detector = OutlierDetector()
    leave_out(detector, "a")
    detector.succeeded("a")
    assert detector.failed("a", 0.5, 1, refused=True) is None


def test_one_that_left_is_forgotten() -> None:
    detector = OutlierDetector()
    leave_out(detector, "a")
    detector.keep({"b"})
    assert leave_out(detector, "a") == FIRST_PAUSE_S
    detector.keep(set())
    detector.readmit("a")
    assert detector.failed("a", 0.0, 2) is None


def test_slow_start_ends_at_the_full_share_and_stays_there() -> None:
    handicaps = [step.handicap for step in SLOW_START]
    assert handicaps == sorted(handicaps, reverse=True)
    assert handicaps[-1] == 1
    assert [step.for_s is None for step in SLOW_START] == [False] * (len(SLOW_START) - 1) + [True]
