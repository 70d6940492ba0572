"""elector.py: of all candidates for a Lease at most one leads, and one does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings

from router.platforms.kubernetes.leading import elector as subject
from router.platforms.kubernetes.leading.elector import Ask, Elector, Lease, LeaseSpec
from tests.platforms.kubernetes.election import FAST_AND_SLOW, SCENARIOS, Fault, World, clocks, schedules, seeds

NOON = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)


@settings(max_examples=300, deadline=None)
@given(schedules, clocks, seeds)
def test_the_invariants_hold_whatever_happens(faults: list[Fault], rates: list[float], seed: int) -> None:
    World(faults, rates, seed).run()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_invariants_hold_where_they_are_tried_hardest(scenario: str) -> None:
    for seed in range(50):
        World(SCENARIOS[scenario], FAST_AND_SLOW, seed).run()


@pytest.mark.parametrize("seed", range(20))
def test_a_lease_that_is_there_is_taken_over_within_ten_seconds_of_a_kill(seed: int) -> None:
    world = World([Fault(20.0, "kill", 60.0)], [1.0, 1.0], seed)
    world.run()
    assert subject.LEASE_S - subject.RENEW_S < world.hand_over_s(20.0) < subject.LEASE_S + 2.0


@pytest.mark.parametrize("seed", range(20))
def test_who_leaves_lets_another_lead_at_its_next_look(seed: int) -> None:
    world = World([Fault(20.0, "leave", 60.0)], [1.0, 1.0], seed)
    world.run()
    assert world.hand_over_s(20.0) < subject.RENEW_S + 0.2


def test_a_leader_goes_on_for_as_long_as_nothing_happens() -> None:
    world = World([], [1.0, 1.0, 1.0], 1)
    world.ends_s = 600.0
    world.run()
    assert len(world.led) == 1


# -- step by step ----------------------------------------------------------------------------------------------


def an_elector(identity: str = "me") -> Elector:
    return Elector("models", "autoscaler", identity, lambda: 0.0)


def stored(version: int, spec: LeaseSpec, **metadata: object) -> Lease:
    return Lease(metadata={"name": "autoscaler", "uid": "u", "resourceVersion": str(version), **metadata}, spec=spec)


def held_by(holder: str, version: int = 7, duration_s: int | None = 6, mark: str = "theirs") -> Lease:
    spec = LeaseSpec(
        holder_identity=holder,
        lease_duration_seconds=duration_s,
        renew_time=mark,
        acquire_time=mark,
        lease_transitions=3,
    )
    return stored(version, spec)


RELEASED = held_by("", duration_s=1)


def written(ask: Ask) -> LeaseSpec:
    assert ask.lease is not None
    return ask.lease.spec


def leading(at: float = 0.0, version: int = 8) -> Elector:
    """Since `at`, when it sent what was answered 0.1 s later."""
    elector = an_elector()
    assert elector.ask(at, NOON) == Ask("GET")
    elector.told(RELEASED, at)
    elector.told(stored(version, written(elector.ask(at, NOON))), at + 0.1)
    assert elector.leads(at + 0.1)
    return elector


def renewal(elector: Elector, now: float) -> Ask:
    ask = elector.ask(now, NOON + timedelta(seconds=now))
    assert ask.method == "PUT"
    return ask


def test_it_reads_first_and_replaces_what_was_released() -> None:
    elector = an_elector()
    assert elector.ask(0.0, NOON) == Ask("GET")
    elector.told(RELEASED, 0.1)
    assert elector.due_s == 0.1
    ask = elector.ask(0.1, NOON)
    assert (ask.method, written(ask)) == (
        "PUT",
        LeaseSpec(
            holder_identity="me",
            lease_duration_seconds=6,
            acquire_time="2026-11-21T12:00:00.250000Z",
            renew_time="2026-11-21T12:00:00.250000Z",
            lease_transitions=4,
        ),
    )


def test_what_is_written_is_what_kubernetes_reads() -> None:
    ask = an_elector_that_found_none().ask(0.0, datetime(2026, 11, 21, 14, tzinfo=timezone(timedelta(hours=2))))
    assert msgspec.to_builtins(ask.lease) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "models", "name": "autoscaler"},
        "spec": {
            "holderIdentity": "me",
            "leaseDurationSeconds": 6,
            "acquireTime": "2026-11-21T12:00:00.000000Z",
            "renewTime": "2026-11-21T12:00:00.000000Z",
            "leaseTransitions": 1,
        },
    }


def an_elector_that_found_none() -> Elector:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.absent(0.0)
    return elector


def test_who_makes_the_lease_leads_only_after_any_leader_by_a_deleted_one_must_have_stopped() -> None:
    elector = an_elector_that_found_none()
    ask = elector.ask(0.0, NOON)
    assert ask.method == "POST"
    elector.told(stored(1, written(ask)), 0.2)
    assert elector.turns_at(0.2) == 0.2 + subject.LEASE_S
    for version, now in enumerate((1.5, 3.0, 4.5, 6.0), 2):
        assert not elector.leads(now)
        elector.told(stored(version, written(renewal(elector, now))), now)
    assert (elector.leads(6.19), elector.leads(6.2)) == (False, True)


def test_who_leaves_before_it_may_lead_spares_nobody_the_wait() -> None:
    elector = an_elector_that_found_none()
    elector.told(stored(1, written(elector.ask(0.0, NOON))), 0.2)
    elector.leave(1.0)
    assert written(elector.ask(1.0, NOON)).lease_duration_seconds == subject.LEASE_S


def test_the_lead_counts_from_before_the_renewal_was_sent() -> None:
    elector = leading(at=10.0)
    assert elector.leads(10.0 + subject.DEADLINE_S - 0.001)
    assert not elector.leads(10.0 + subject.DEADLINE_S)
    assert elector.turns_at(11.0) == 10.0 + subject.DEADLINE_S
    assert elector.turns_at(14.0) is None


def test_a_renewal_keeps_what_is_not_its_own() -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.told(stored(7, RELEASED.spec, labels={"a": "b"}, managedFields=[{}]), 0.0)
    lease = elector.ask(0.0, NOON).lease
    assert lease is not None
    assert lease.metadata == {"name": "autoscaler", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}}


def test_a_renewal_keeps_since_when_it_leads() -> None:
    elector = leading()
    assert elector.due_s == 1.5
    spec = written(renewal(elector, 1.5))
    assert (spec.acquire_time, spec.renew_time, spec.lease_transitions) == (
        "2026-11-21T12:00:00.250000Z",
        "2026-11-21T12:00:01.750000Z",
        4,
    )


def test_who_waits_looks_now_and_then_and_takes_over_at_the_very_end_of_the_lease() -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.told(held_by("other"), 0.1)
    for _ in range(3):
        now = elector.due_s
        assert elector.ask(now, NOON) == Ask("GET")
        elector.told(held_by("other"), now)
    assert elector.due_s == 0.1 + subject.LEASE_S
    assert elector.ask(elector.due_s - 0.01, NOON).method == "GET"
    elector.told(held_by("other"), elector.due_s - 0.01)
    ask = renewal(elector, elector.due_s)
    assert ask.lease is not None
    assert ask.lease.version == "7"


@pytest.mark.parametrize(
    ("duration_s", "wait_s"),
    [(None, subject.LEASE_S), (3, subject.LEASE_S), (15, 15)],
    ids=["none said", "a shorter one", "a longer one"],
)
def test_the_wait_is_as_long_as_the_record_says_and_never_shorter_than_ours(
    duration_s: int | None, wait_s: float
) -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.told(held_by("other", duration_s=duration_s), 0.0)
    elector.ask(1.0, NOON)
    elector.told(held_by("other", duration_s=duration_s), wait_s - 0.01)
    assert elector.ask(wait_s - 0.01, NOON).method == "GET"
    elector.told(held_by("other", duration_s=duration_s), wait_s)
    assert elector.ask(wait_s, NOON).method == "PUT"


def test_a_record_without_a_holder_that_no_leader_left_so_is_waited_for() -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.told(held_by("", duration_s=6), 0.0)
    assert elector.ask(1.0, NOON) == Ask("GET")


def test_every_change_of_the_record_starts_the_wait_anew() -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.told(held_by("other", version=7), 0.0)
    elector.ask(5.0, NOON)
    elector.told(held_by("other", version=8), 5.0)
    assert elector.ask(6.5, NOON) == Ask("GET")


def test_a_lost_answer_is_read_again_and_counts_from_its_own_sending() -> None:
    elector = leading()
    lost = renewal(elector, 1.5)
    elector.failed(3.0)
    assert elector.due_s == 3.0 + subject.RETRY_S
    assert elector.ask(3.1, NOON) == Ask("GET")
    elector.told(stored(9, written(lost)), 3.2)
    assert elector.leads(1.5 + subject.DEADLINE_S - 0.01)
    assert not elector.leads(1.5 + subject.DEADLINE_S)


def test_of_several_lost_writes_the_one_that_made_the_record_counts() -> None:
    elector = leading()
    specs = []
    for now in (1.5, 3.0):
        specs.append(written(renewal(elector, now)))
        elector.failed(now + 0.5)
        elector.ask(now + 0.6, NOON)
        elector.told(stored(8, written_by(elector)), now + 0.7)
    elector.ask(3.8, NOON)
    elector.failed(3.9)
    elector.ask(3.9, NOON)
    elector.told(stored(9, specs[0]), 3.95)
    assert (elector.leads(5.49), elector.leads(5.5)) == (True, False)


def written_by(elector: Elector) -> LeaseSpec:
    assert elector._lease is not None
    return elector._lease.spec


def test_a_record_of_ours_that_somebody_relabelled_renews_nothing() -> None:
    elector = leading()
    renewal(elector, 3.0)
    elector.failed(3.1)  # 409: the labels came first
    elector.ask(3.2, NOON)
    elector.told(stored(9, written_by(elector), labels={"a": "b"}), 3.3)
    assert elector.leads(3.3)
    assert not elector.leads(subject.DEADLINE_S)
    ask = renewal(elector, 3.3)
    assert ask.lease is not None
    assert ask.lease.metadata["labels"] == {"a": "b"}


def test_a_record_in_our_name_that_we_did_not_write_is_another_s() -> None:
    elector = leading()
    elector.ask(1.5, NOON)
    elector.told(held_by("me", version=9, mark="2026-11-21T12:00:09.000000Z"), 1.6)
    assert not elector.leads(1.6)
    assert elector.ask(2.0, NOON) == Ask("GET")


def test_who_finds_another_holder_steps_down_at_once() -> None:
    elector = leading()
    renewal(elector, 1.5)
    elector.failed(1.6)
    elector.ask(1.7, NOON)
    elector.told(held_by("other", version=9), 1.8)
    assert (elector.leads(1.8), elector.turns_at(1.8), elector.holder) == (False, None, "other")


def test_no_two_writes_share_a_time_when_the_calendar_is_set_back() -> None:
    elector = leading()
    first = written(elector.ask(1.5, NOON - timedelta(days=1))).renew_time
    elector.failed(1.6)
    elector.ask(1.7, NOON)
    elector.told(stored(8, written_by(elector)), 1.8)
    second = written(elector.ask(1.8, NOON - timedelta(days=1))).renew_time
    assert (first, second) == ("2026-11-21T12:00:00.250001Z", "2026-11-21T12:00:00.250002Z")


def test_failures_are_asked_about_less_and_less_often_but_as_often_as_a_renewal() -> None:
    elector = leading()
    delays = []
    for _ in range(6):
        elector.ask(100.0, NOON)
        elector.failed(100.0)
        delays.append(round(elector.due_s - 100.0, 3))
    assert delays == [0.1, 0.2, 0.4, 0.8, subject.RENEW_S, subject.RENEW_S]
    elector.told(held_by("other", version=9), 100.0)
    elector.failed(100.0, retry_after_s=30.0)
    assert elector.due_s == 100.0 + subject.RENEW_S


def test_reads_that_succeed_do_not_hide_that_the_write_fails_each_time() -> None:
    elector = leading()
    delays = []
    for _ in range(5):
        renewal(elector, 100.0)
        elector.failed(100.0)
        delays.append(round(elector.due_s - 100.0, 3))
        elector.ask(100.0, NOON)
        elector.told(stored(8, written_by(elector)), 100.0)
    assert delays == [0.1, 0.2, 0.4, 0.8, subject.RENEW_S]


def test_chance_shortens_what_is_waited_by_a_fifth_at_most() -> None:
    elector = Elector("models", "autoscaler", "me", lambda: 0.99999)
    elector.ask(0.0, NOON)
    elector.told(held_by("other"), 0.0)
    assert elector.due_s == pytest.approx(0.8 * subject.RENEW_S, abs=0.001)


def test_who_leaves_says_so_and_has_left_once_it_was_heard() -> None:
    elector = leading()
    elector.leave(1.0)
    assert (elector.leads(1.0), elector.turns_at(1.0), elector.has_left, elector.due_s) == (False, None, False, 1.0)
    spec = written(elector.ask(1.0, NOON))
    assert (spec.holder_identity, spec.lease_duration_seconds, spec.lease_transitions) == ("", 1, 4)
    assert not elector.has_left
    elector.told(stored(9, spec), 1.1)
    assert elector.has_left


def test_who_leaves_in_the_middle_of_a_renewal_looks_what_became_of_it() -> None:
    elector = leading()
    given_up = renewal(elector, 1.5)
    elector.leave(1.6)
    assert elector.ask(1.6, NOON) == Ask("GET")
    elector.told(stored(9, written(given_up)), 1.7)
    assert (elector.leads(1.7), elector.due_s, elector.has_left) == (False, 1.7, False)
    ask = elector.ask(1.7, NOON)
    assert ask.lease is not None
    assert (ask.lease.version, ask.lease.holder) == ("9", "")


@pytest.mark.parametrize("lease", [held_by("other", version=9), None], ids=["another's", "deleted"])
def test_who_leaves_has_left_when_the_lease_is_not_its_own(lease: Lease | None) -> None:
    elector = leading()
    renewal(elector, 1.5)
    elector.leave(1.6)
    elector.ask(1.6, NOON)
    assert not elector.has_left
    if lease is None:
        elector.absent(1.7)
    else:
        elector.told(lease, 1.7)
    assert elector.has_left


def test_who_never_asked_for_the_lead_has_left_at_once() -> None:
    elector = an_elector()
    elector.ask(0.0, NOON)
    elector.leave(0.1)
    assert elector.has_left


def test_a_leader_whose_lease_was_deleted_leads_until_its_time_is_over_and_asks_for_it_anew() -> None:
    elector = leading()
    renewal(elector, 1.5)
    elector.failed(1.6)
    elector.ask(1.7, NOON)
    elector.absent(1.8)
    assert (elector.leads(1.8), elector.leads(subject.DEADLINE_S)) == (True, False)
    assert elector.ask(1.8, NOON).method == "POST"


def test_writes_that_never_get_through_are_not_kept_for_ever() -> None:
    elector = leading()
    for _ in range(100):
        renewal(elector, 1.5)
        elector.failed(1.5)
        elector.ask(1.5, NOON)
        elector.told(stored(8, written_by(elector)), 1.5)
    assert len(elector._open) == 16
