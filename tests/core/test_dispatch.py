"""Who gets which replica: the invariants as a machine's, and each rule by an example."""

from __future__ import annotations

import pytest
from hypothesis import settings

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from tests.core.dispatch_machine import DispatchMachine
from tests.core.nouns import a_replica, replicas_of

TestDispatcher = DispatchMachine.TestCase
TestDispatcher.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

PATIENCE_S = 10.0


def dispatcher_of(uids: str, slots: int = 1, length: int = 100) -> Dispatcher:
    dispatcher = Dispatcher(slots, length)
    dispatcher.update(replicas_of(uids), 0.0)
    return dispatcher


def permit_of(dispatcher: Dispatcher, now: float = 0.0, *avoid: str) -> Permit:
    got = dispatcher.acquire(now, now + PATIENCE_S, frozenset(avoid))
    assert isinstance(got, Permit)
    return got


def ticket_of(dispatcher: Dispatcher, now: float = 0.0, *avoid: str, patience_s: float = PATIENCE_S) -> Ticket:
    got = dispatcher.acquire(now, now + patience_s, frozenset(avoid))
    assert isinstance(got, Ticket)
    return got


def test_a_free_slot_is_granted_at_once() -> None:
    permit = permit_of(dispatcher_of("a"), 3.0)
    assert (permit.replica.uid, permit.granted_at, permit.waited_s) == ("a", 3.0, 0.0)


def test_a_released_slot_goes_to_the_oldest_ticket_in_the_same_call() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    tickets = [ticket_of(dispatcher, now) for now in (1.0, 2.0, 3.0)]
    for now, ticket in zip((5.0, 6.0, 7.0), tickets, strict=True):
        assert dispatcher.release(permit, now) is ticket
        assert ticket.permit is not None
        permit = ticket.permit
        assert permit.waited_s == now - ticket.came_at
        assert dispatcher.in_flight == 1
    assert dispatcher.release(permit, 9.0) is None
    assert (dispatcher.in_flight, dispatcher.queued, dispatcher.busy) == (0, 0, 0)


def test_the_least_loaded_replica_is_chosen() -> None:
    dispatcher = dispatcher_of("abc", slots=3)
    permits = [permit_of(dispatcher) for _ in range(6)]
    assert dispatcher.in_flight_by_replica() == {"a": 2, "b": 2, "c": 2}
    for permit in permits:
        if permit.replica.uid == "b":
            dispatcher.release(permit, 1.0)
    assert [permit_of(dispatcher).replica.uid for _ in range(2)] == ["b", "b"]


def test_of_equally_loaded_replicas_the_longest_unused_is_chosen() -> None:
    dispatcher = dispatcher_of("abc")
    permits = {permit.replica.uid: permit for permit in (permit_of(dispatcher) for _ in range(3))}
    for now, uid in enumerate("bca"):
        dispatcher.release(permits[uid], float(now))
    assert "".join(permit_of(dispatcher).replica.uid for _ in range(3)) == "bca"


def test_no_slots_means_no_limit() -> None:
    dispatcher = dispatcher_of("ab", slots=0)
    for _ in range(1_000):
        permit_of(dispatcher)
    assert dispatcher.in_flight_by_replica() == {"a": 500, "b": 500}


def test_the_queue_is_bounded() -> None:
    dispatcher = dispatcher_of("a", length=2)
    permit_of(dispatcher)
    for _ in range(2):
        ticket_of(dispatcher)
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S)
    assert (dispatcher.queued, dispatcher.refused_total) == (2, 1)


def test_a_permit_goes_back_only_once() -> None:
    dispatcher = dispatcher_of("a", slots=2)
    first, _ = permit_of(dispatcher), permit_of(dispatcher)
    dispatcher.release(first, 1.0)
    with pytest.raises(ValueError, match="replica a was released before"):
        dispatcher.release(first, 1.0)
    assert dispatcher.in_flight == 1


def test_requests_over_a_lowered_limit_finish_and_nobody_new_comes_in() -> None:
    dispatcher = dispatcher_of("a", slots=3)
    permits = [permit_of(dispatcher) for _ in range(3)]
    assert dispatcher.configure(1, 100, 1.0) == []
    ticket = ticket_of(dispatcher, 1.0)
    assert [dispatcher.release(permit, 2.0) for permit in permits] == [None, None, ticket]
    assert dispatcher.in_flight_by_replica() == {"a": 1}


def test_a_raised_limit_serves_the_queue_in_order() -> None:
    dispatcher = dispatcher_of("a")
    permit_of(dispatcher)
    tickets = [ticket_of(dispatcher) for _ in range(3)]
    assert dispatcher.configure(3, 100, 1.0) == tickets[:2]
    assert dispatcher.configure(0, 100, 2.0) == tickets[2:]


def test_a_lowered_queue_length_sends_nobody_away() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    tickets = [ticket_of(dispatcher) for _ in range(3)]
    assert dispatcher.configure(1, 0, 1.0) == []
    assert dispatcher.queued == 3
    with pytest.raises(NoRoom):
        dispatcher.acquire(1.0, PATIENCE_S)
    assert dispatcher.release(permit, 2.0) is tickets[0]


def test_one_that_avoids_all_that_take_requests_is_refused_at_once() -> None:
    dispatcher = dispatcher_of("a")
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S, frozenset("a"))
    dispatcher.update([a_replica("a"), a_replica("b", ready=False)], 0.0)
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S, frozenset("a"))
    assert (dispatcher.queued, dispatcher.refused_total) == (0, 0)


def test_one_that_avoids_a_replica_waits_for_another_and_is_overtaken_meanwhile() -> None:
    dispatcher = dispatcher_of("ab")
    permits = {permit.replica.uid: permit for permit in (permit_of(dispatcher), permit_of(dispatcher))}
    picky, easy = ticket_of(dispatcher, 1.0, "a"), ticket_of(dispatcher, 2.0)
    assert dispatcher.release(permits["a"], 3.0) is easy
    assert dispatcher.release(permits["b"], 4.0) is picky


def test_a_newcomer_takes_what_those_who_wait_avoid() -> None:
    dispatcher = dispatcher_of("ab")
    permits = {permit.replica.uid: permit for permit in (permit_of(dispatcher), permit_of(dispatcher))}
    ticket_of(dispatcher, 1.0, "a")
    assert dispatcher.release(permits["a"], 2.0) is None
    assert permit_of(dispatcher, 3.0).replica.uid == "a"


def test_nobody_is_served_at_or_after_their_deadline() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    late, patient = ticket_of(dispatcher, patience_s=1.0), ticket_of(dispatcher, patience_s=2.0)
    assert dispatcher.release(permit, 1.0) is patient
    dispatcher.expire(late)
    assert (dispatcher.queued, dispatcher.refused_total) == (0, 1)


def test_what_was_handed_to_one_who_gives_up_goes_to_the_next() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    first, second = ticket_of(dispatcher), ticket_of(dispatcher)
    assert dispatcher.release(permit, 1.0) is first
    assert dispatcher.abandon(first, 1.0) is second
    assert first.permit is None
    assert dispatcher.in_flight == 1


@pytest.mark.parametrize("leaves", ["absent", "declared"])
def test_a_leaving_replica_drains_and_is_forgotten(leaves: str) -> None:
    dispatcher = dispatcher_of("a", slots=2)
    permits = [permit_of(dispatcher), permit_of(dispatcher)]
    dispatcher.update([] if leaves == "absent" else [a_replica("a", leaving=True)], 1.0)
    assert (dispatcher.total, dispatcher.ready, dispatcher.in_flight_by_replica()) == (0, 0, {"a": 2})
    assert isinstance(dispatcher.acquire(1.0, PATIENCE_S), Ticket)
    assert [dispatcher.release(permit, 2.0) for permit in permits] == [None, None]
    assert dispatcher.in_flight_by_replica() == {}


def test_a_replica_of_which_nothing_new_is_said_keeps_its_turn() -> None:
    dispatcher = dispatcher_of("abc")
    dispatcher.release(permit_of(dispatcher), 1.0)
    dispatcher.update(replicas_of("abc"), 2.0)
    dispatcher.update([*replicas_of("ab"), a_replica("c", ready=False)], 3.0)
    assert [permit_of(dispatcher, 4.0).replica.uid for _ in "ab"] == ["b", "a"]


def test_one_that_returns_under_its_uid_still_counts_what_it_holds() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    dispatcher.update([], 1.0)
    dispatcher.update(replicas_of("a"), 2.0)
    ticket = ticket_of(dispatcher, 2.0)
    assert dispatcher.release(permit, 3.0) is ticket
    assert dispatcher.in_flight_by_replica() == {"a": 1}


def test_a_paused_replica_gets_nothing_new_until_it_resumes() -> None:
    dispatcher = dispatcher_of("a", slots=2)
    permit = permit_of(dispatcher)
    dispatcher.pause("a")
    ticket = ticket_of(dispatcher, 1.0)
    assert dispatcher.release(permit, 2.0) is None
    assert dispatcher.resume("a", 3.0) == [ticket]


def test_a_handicap_changes_who_is_preferred_and_never_who_has_room() -> None:
    dispatcher = dispatcher_of("ab", slots=4)
    dispatcher.handicap("a", 8)
    assert "".join(permit_of(dispatcher).replica.uid for _ in range(8)) in ("abbbbaaa", "babbbaaa")


def test_unknown_replicas_change_nothing() -> None:
    dispatcher = dispatcher_of("a")
    dispatcher.handicap("z", 8)
    dispatcher.pause("z")
    assert dispatcher.resume("z", 1.0) == []
    assert dispatcher.in_flight_by_replica() == {"a": 0}


def test_the_estimated_wait_is_the_queue_over_the_rate_at_which_slots_come_back() -> None:
    dispatcher = dispatcher_of("ab")
    assert dispatcher.estimated_wait_s() is None
    dispatcher.release(permit_of(dispatcher, 0.0), 2.0)
    assert dispatcher.estimated_wait_s() is None  # nobody is served: the next one gets a slot at once
    for _ in range(2):
        permit_of(dispatcher, 2.0)
    for _ in range(4):
        ticket_of(dispatcher, 2.0)
    assert dispatcher.estimated_wait_s() == pytest.approx(5 * 2.0 / 2)


def counters(dispatcher: Dispatcher) -> tuple[int, int, float, int]:
    """Arrived, finished, seconds held, refused."""
    return (
        dispatcher.arrived_total,
        dispatcher.finished_total,
        dispatcher.held_s_total,
        dispatcher.refused_total,
    )


def test_the_counters_grow_by_what_happens_and_by_nothing_else() -> None:
    dispatcher = dispatcher_of("a", length=1)
    assert counters(dispatcher) == (0, 0, 0.0, 0)
    first = permit_of(dispatcher, 1.0)
    second = ticket_of(dispatcher, 2.0)
    assert counters(dispatcher) == (2, 0, 0.0, 0)
    with pytest.raises(NoRoom):
        dispatcher.acquire(2.0, PATIENCE_S)
    assert counters(dispatcher) == (3, 0, 0.0, 1)
    dispatcher.release(first, 4.0)
    assert counters(dispatcher) == (3, 1, 3.0, 1), "held from 1 to 4; the next slot has just begun"
    assert second.permit is not None
    dispatcher.release(second.permit, 4.5)
    assert counters(dispatcher) == (3, 2, 3.5, 1)
    dispatcher.update([], 5.0)
    dispatcher.update(replicas_of("b"), 6.0)
    assert counters(dispatcher) == (3, 2, 3.5, 1), "replicas come and go"


def test_one_who_gives_up_has_arrived_and_never_finishes() -> None:
    dispatcher = dispatcher_of("a")
    permit_of(dispatcher)
    leaver, late = ticket_of(dispatcher), ticket_of(dispatcher)
    dispatcher.abandon(leaver, 2.0)
    assert counters(dispatcher) == (3, 0, 0.0, 0)
    dispatcher.expire(late)
    assert counters(dispatcher) == (3, 0, 0.0, 1)


def test_a_slot_that_was_handed_over_and_is_abandoned_comes_back_and_counts() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    leaver = ticket_of(dispatcher)
    dispatcher.release(permit, 1.0)
    dispatcher.abandon(leaver, 3.0)
    assert counters(dispatcher) == (2, 2, 3.0, 0)


def test_a_slot_that_does_not_come_back_twice_does_not_count_twice() -> None:
    dispatcher = dispatcher_of("a")
    permit = permit_of(dispatcher)
    dispatcher.release(permit, 1.0)
    with pytest.raises(ValueError, match="released before"):
        dispatcher.release(permit, 2.0)
    assert counters(dispatcher) == (1, 1, 1.0, 0)


def test_one_that_avoids_all_there_is_has_arrived_and_lacked_no_room() -> None:
    dispatcher = dispatcher_of("a")
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S, frozenset("a"))
    assert counters(dispatcher) == (1, 0, 0.0, 0)


# -- slots that several instances share --------------------------------------------------------------------------


def test_only_allotted_slots_are_given_out_and_more_serve_who_waits() -> None:
    dispatcher = dispatcher_of("ab", slots=2)
    dispatcher.allot_all({"a": 1}, 0.0)
    assert dispatcher.capacity == 1
    permit_of(dispatcher)
    tickets = [ticket_of(dispatcher) for _ in "xyz"]
    assert dispatcher.allot("b", 1, 1.0) == tickets[:1]
    assert dispatcher.allot_all(None, 2.0) == tickets[1:]
    assert dispatcher.in_flight_by_replica() == {"a": 2, "b": 2}
    assert dispatcher.capacity == 4


def test_slots_that_are_taken_away_are_not_given_out_again_when_they_come_back() -> None:
    dispatcher = dispatcher_of("a", slots=2)
    dispatcher.allot_all({"a": 2}, 0.0)
    permits = [permit_of(dispatcher) for _ in range(2)]
    dispatcher.allot("a", 1, 1.0)
    ticket = ticket_of(dispatcher, 1.0)
    assert dispatcher.release(permits[0], 2.0) is None
    assert dispatcher.release(permits[1], 3.0) is ticket
    dispatcher.allot("a", 0, 4.0)
    assert ticket.permit is not None
    assert dispatcher.release(ticket.permit, 4.0) is None
    assert isinstance(dispatcher.acquire(5.0, PATIENCE_S), Ticket)


def test_slots_may_be_allotted_of_a_replica_that_is_not_known_yet() -> None:
    dispatcher = dispatcher_of("a")
    dispatcher.allot_all({}, 0.0)
    ticket = ticket_of(dispatcher)
    assert dispatcher.allot("b", 1, 1.0) == []
    assert dispatcher.update(replicas_of("ab"), 2.0) == [ticket]
    assert dispatcher.in_flight_at("b") == 1
    assert dispatcher.in_flight_at("z") == 0


def test_a_slot_that_somebody_has_already_counts_also_over_the_limit_and_of_one_that_is_gone() -> None:
    dispatcher = dispatcher_of("a")
    permits = [dispatcher.adopt("a", 0.0), dispatcher.adopt("a", 0.0), dispatcher.adopt("gone", 0.0)]
    assert dispatcher.in_flight_by_replica() == {"a": 2, "gone": 1}
    assert (dispatcher.total, dispatcher.takes_requests("gone")) == (1, False)
    ticket = ticket_of(dispatcher)
    assert dispatcher.release(permits[2], 1.0) is None
    assert dispatcher.release(permits[0], 1.0) is None
    assert dispatcher.release(permits[1], 2.0) is ticket
    assert dispatcher.in_flight_by_replica() == {"a": 1}


def test_one_that_was_adopted_before_it_was_known_becomes_a_replica_with_that_in_flight() -> None:
    dispatcher = dispatcher_of("")
    permit = dispatcher.adopt("a", 0.0)
    dispatcher.update(replicas_of("a"), 1.0)
    ticket = ticket_of(dispatcher, 1.0)
    assert dispatcher.release(permit, 2.0) is ticket


def test_where_others_may_give_slots_as_many_wait_for_them_beside_the_queue() -> None:
    dispatcher = dispatcher_of("ab", length=1)
    dispatcher.allot_all({}, 0.0)
    dispatcher.expects_slots = True
    for _ in range(3):
        ticket_of(dispatcher)
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S)
    dispatcher.expects_slots = False
    with pytest.raises(NoRoom):
        dispatcher.acquire(0.0, PATIENCE_S)


def test_one_that_came_earlier_is_before_those_who_came_later_and_behind_its_equals() -> None:
    dispatcher = dispatcher_of("a")
    permit_of(dispatcher)
    tickets = {}
    for name, came_at in (("fifth", 5.0), ("third", 3.0), ("fourth", 4.0), ("third too", 3.0), ("now", None)):
        tickets[name] = dispatcher.acquire(6.0, PATIENCE_S, came_at=came_at)
    assert dispatcher.waiting() == [tickets[name] for name in ("third", "third too", "fourth", "fifth", "now")]
    assert all(dispatcher.has_ticket(ticket) for ticket in dispatcher.waiting())
