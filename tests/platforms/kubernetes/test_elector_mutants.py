"""Would the election notice if a candidate broke one of its invariants?

Each mutant breaks one invariant, and must fall to the check of that very invariant, with all others looking away.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from router.platforms.kubernetes.leading.elector import LEASE_S, RENEW_S, Ask, Elector, Lease, LeaseSpec
from tests.platforms.kubernetes.election import (
    ALL,
    CUT_OFF,
    DELETED,
    FAST_AND_SLOW,
    LOST_ANSWER,
    Fault,
    World,
    clocks,
    schedules,
    seeds,
)


class DeadlineAsLongAsTheLease(Elector):
    def leads(self, now: float) -> bool:
        return not self._leaves and self._not_before <= now < self._renewed_at + LEASE_S


class LeadsUntilItHears(Elector):
    def leads(self, now: float) -> bool:
        return not self._leaves and self._not_before <= now and self._renewed_at > float("-inf")


class CountsFromTheAnswer(Elector):
    def told(self, lease: Lease, now: float) -> None:
        before = self._renewed_at
        super().told(lease, now)
        if self._renewed_at > before:
            self._renewed_at = now
            self.due_s = now + RENEW_S


class WritesBlindly(Elector):
    def _onto(self, read: Lease, spec: LeaseSpec) -> Lease:
        lease = super()._onto(read, spec)
        return Lease(metadata={**lease.metadata, "resourceVersion": None}, spec=spec)


class ForgetsWhichLeaseItWas(Elector):
    """Without the uid, a write from a version of a Lease that was deleted makes it anew."""

    def _onto(self, read: Lease, spec: LeaseSpec) -> Lease:
        lease = super()._onto(read, spec)
        del lease.metadata["uid"]
        return lease


class LeadsByANewLeaseAtOnce(Elector):
    def told(self, lease: Lease, now: float) -> None:
        super().told(lease, now)
        self._not_before = float("-inf")


class SparesOthersTheWaitItHadToMake(Elector):
    def _parting(self, present: LeaseSpec, now: float, calendar: datetime) -> LeaseSpec:
        return super()._parting(present, float("inf"), calendar)


class BelievesTheCalendar(Elector):
    def ask(self, now: float, calendar: datetime) -> Ask:
        if self._is_fresh and self._lease is not None and self._lease.spec.renew_time:
            renewed = datetime.fromisoformat(self._lease.spec.renew_time)
            if abs((calendar - renewed).total_seconds()) > LEASE_S:
                self._seen_at = float("-inf")
        return super().ask(now, calendar)


class WaitsFromTheFirstRecordItSaw(Elector):
    def _adopt(self, lease: Lease, now: float) -> None:
        seen_at = self._seen_at
        super()._adopt(lease, now)
        if seen_at and lease.holder:
            self._seen_at = seen_at


class LeadsOnBesideAnother(Elector):
    def told(self, lease: Lease, now: float) -> None:
        before = self._renewed_at
        super().told(lease, now)
        self._renewed_at = max(before, self._renewed_at)


class NeverTakesOver(Elector):
    def _free_at(self, lease: Lease) -> float:
        return float("inf") if lease.holder else super()._free_at(lease)


class WaitsTooLong(Elector):
    def _free_at(self, lease: Lease) -> float:
        return super()._free_at(lease) + (LEASE_S if lease.holder else 0.0)


class GivesUp(Elector):
    def failed(self, now: float, retry_after_s: float | None = None) -> None:
        super().failed(now, retry_after_s)
        if self._failures > 3:
            self.due_s = now + 1_000.0


class RenewsTooRarely(Elector):
    def told(self, lease: Lease, now: float) -> None:
        super().told(lease, now)
        self.due_s += 2 * RENEW_S if self._is_ours else 0.0


class NeverMakesALease(Elector):
    def absent(self, now: float) -> None:
        super().absent(now)
        self._is_fresh = False
        self.due_s = now + RENEW_S


class LeadsWhileItLeaves(Elector):
    def leads(self, now: float) -> bool:
        leaves, self._leaves = self._leaves, False
        leads = super().leads(now)
        self._leaves = leaves
        return leads


MUTANTS = [
    (1, DeadlineAsLongAsTheLease),
    (1, LeadsUntilItHears),
    (1, CountsFromTheAnswer),
    (1, WritesBlindly),
    (1, LeadsByANewLeaseAtOnce),
    (1, SparesOthersTheWaitItHadToMake),
    (1, BelievesTheCalendar),
    (1, WaitsFromTheFirstRecordItSaw),
    (2, WritesBlindly),
    (2, ForgetsWhichLeaseItWas),
    (3, LeadsOnBesideAnother),
    (4, NeverTakesOver),
    (4, WaitsTooLong),
    (4, GivesUp),
    (4, RenewsTooRarely),
    (4, NeverMakesALease),
    (5, LeadsWhileItLeaves),
]
SCENARIO_OF = {
    CountsFromTheAnswer: LOST_ANSWER,
    DeadlineAsLongAsTheLease: CUT_OFF,
    SparesOthersTheWaitItHadToMake: DELETED,
}
"""Where chance alone would take long to find it."""
SEARCH = settings(
    max_examples=2_000,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("number", "mutant"), MUTANTS, ids=[f"{number}-{mutant.__name__}" for number, mutant in MUTANTS]
)
def test_each_invariant_kills_the_mutants_that_break_it(number: int, mutant: type[Elector]) -> None:
    def election(faults: list[Fault], rates: list[float], seed: int) -> None:
        World(faults, rates, seed, elector=mutant, checked=frozenset((number,))).run()

    def elections() -> None:
        if mutant in SCENARIO_OF:
            for seed in range(200):
                election(SCENARIO_OF[mutant], FAST_AND_SLOW, seed)
        else:
            SEARCH(given(schedules, clocks, seeds)(election))()

    with pytest.raises(AssertionError, match=f"invariant {number}"):
        elections()


def test_every_invariant_has_a_mutant() -> None:
    assert {number for number, _ in MUTANTS} == ALL
