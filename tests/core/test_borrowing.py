"""What does an instance do with what it may use, what does it say to the owner, and when is it over?"""

from __future__ import annotations

import pytest

from router.core.borrowing import TRIM_S, Borrower, Lease
from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.frames import Ask, Cancel, GiveBack, Grant, Pause, Recall, Refuse, ToOwner
from tests.core.nouns import a_replica, replicas_of

KEY = "iris/blue"
LATER = 1e6


class Borrowing:
    """A borrower of somebody's, what it said, and who was woken or refused."""

    def __init__(self, uids: str = "ab", *, until: float = LATER, length: int = 100) -> None:
        self.said: list[ToOwner] = []
        self.woken: list[Ticket] = []
        self.refused: list[tuple[Ticket, float | None]] = []
        self.borrower = Borrower(
            KEY, Dispatcher(1, length), self.woken.append, lambda ticket, wait_s: self.refused.append((ticket, wait_s))
        )
        self.borrower.update(replicas_of(uids), 0.0)
        self.lease = Lease(until)
        self.move()

    def move(self, now: float = 0.0) -> dict[str, int]:
        """To an owner."""
        reported = self.borrower.report(now)
        self.borrower.borrow_from(lambda message, now: self.said.append(message), self.lease, now)
        return reported

    def heard(self) -> list[ToOwner]:
        said, self.said = list(self.said), []
        return said

    def wait(self, now: float = 0.0, *avoid: str) -> Ticket:
        got = self.borrower.acquire(now, LATER, frozenset(avoid))
        assert isinstance(got, Ticket)
        return got

    def grant(self, number: int, uid: str = "a", *, keeps: bool = False, now: float = 0.0) -> None:
        self.borrower.hear(Grant(0, KEY, number, uid, keeps), now)


def permit_of(ticket: Ticket) -> Permit:
    assert ticket.permit is not None
    return ticket.permit


def test_one_that_is_alone_asks_nobody() -> None:
    borrowing = Borrowing()
    borrowing.borrower.stand_alone(0.0)
    got = borrowing.borrower.acquire(0.0, LATER)
    assert isinstance(got, Permit)
    assert borrowing.borrower.release(got, 1.0) is None
    borrowing.borrower.tick(2.0)
    assert not borrowing.heard()
    assert borrowing.borrower.is_alone


def test_a_request_that_finds_nothing_asks_and_is_woken_by_the_grant() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait(1.0, "b")
    assert borrowing.heard() == [Ask(KEY, 1, 0.0, ("b",))]
    borrowing.grant(1, now=2.0)
    assert borrowing.woken == [ticket]
    assert (permit_of(ticket).replica.uid, permit_of(ticket).waited_s) == ("a", 1.0)
    assert borrowing.borrower.held == {"a": 1}
    assert borrowing.borrower.asked_total == 1


def test_what_may_not_be_kept_goes_back_after_use() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait()
    borrowing.grant(1)
    borrowing.heard()
    assert borrowing.borrower.release(permit_of(ticket), 1.0) is None
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    assert not borrowing.borrower.held


def test_what_may_be_kept_serves_the_next_one_without_a_word() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait()
    borrowing.grant(1, keeps=True)
    borrowing.heard()
    borrowing.borrower.release(permit_of(ticket), 1.0)
    assert isinstance(borrowing.borrower.acquire(1.5, LATER), Permit)
    assert not borrowing.heard()


def test_one_that_is_served_by_what_another_left_takes_its_ask_back() -> None:
    borrowing = Borrowing()
    first = borrowing.wait()
    borrowing.grant(1, keeps=True)
    second = borrowing.wait()
    borrowing.heard()
    assert borrowing.borrower.release(permit_of(first), 1.0) is second
    assert borrowing.heard() == [Cancel(KEY, 2)]


def test_whoever_waited_longest_gets_what_comes_and_the_others_keep_what_was_asked() -> None:
    borrowing = Borrowing()
    first, second = borrowing.wait(0.0), borrowing.wait(0.1)
    borrowing.heard()
    borrowing.grant(2, now=1.0)
    assert borrowing.woken == [first]
    assert not borrowing.heard(), "the first one's ask is the second one's now"
    borrowing.grant(1, "b", now=2.0)
    assert borrowing.woken == [first, second]


def test_a_grant_that_nobody_needs_any_more_goes_back() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait()
    borrowing.borrower.abandon(ticket, 0.5)
    borrowing.grant(1)
    assert borrowing.heard()[1:] == [Cancel(KEY, 1), GiveBack(KEY, "a")]
    assert not borrowing.borrower.held


def test_a_grant_that_is_of_no_use_goes_back_and_is_asked_for_again_at_the_next_tick() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait(0.0, "a")
    borrowing.heard()
    borrowing.grant(1, "a", now=1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    borrowing.borrower.tick(1.5)
    assert borrowing.heard() == [Ask(KEY, 2, 1.5, ("a",))]
    borrowing.grant(2, "b", now=2.0)
    assert borrowing.woken == [ticket]


def test_it_is_asked_for_again_as_soon_as_there_is_news_of_replicas() -> None:
    borrowing = Borrowing()
    borrowing.wait()
    borrowing.grant(1, "z")
    assert borrowing.heard() == [Ask(KEY, 1), GiveBack(KEY, "z")]
    borrowing.borrower.update(replicas_of("abz"), 0.1)
    assert borrowing.heard() == [Ask(KEY, 2, 0.1)]


def test_one_that_gives_up_before_that_is_not_asked_for_again() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait(0.0, "a")
    borrowing.grant(1, "a", now=1.0)
    borrowing.borrower.expire(ticket, 1.2)
    borrowing.heard()
    borrowing.borrower.tick(1.5)
    assert not borrowing.heard()


def test_a_permit_for_a_replica_that_is_not_known_here_goes_back() -> None:
    borrowing = Borrowing()
    borrowing.wait()
    borrowing.heard()
    borrowing.grant(1, "unknown", keeps=True)
    assert borrowing.heard() == [GiveBack(KEY, "unknown")]


def test_one_that_is_refused_hears_how_long_it_would_have_been() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait()
    borrowing.borrower.hear(Refuse(0, KEY, 1, 2.5), 1.0)
    borrowing.borrower.hear(Refuse(0, KEY, 1, 2.5), 1.0)
    assert borrowing.refused == [(ticket, 2.5)]
    assert borrowing.borrower.dispatcher.queued == 0
    assert borrowing.borrower.dispatcher.refused_total == 1


def test_one_that_is_refused_before_it_waits_has_no_room() -> None:
    borrowing = Borrowing()
    borrower = borrowing.borrower

    def refuses(message: ToOwner, now: float) -> None:
        if isinstance(message, Ask):
            borrower.hear(Refuse(0, KEY, message.number), now)

    borrower.borrow_from(refuses, borrowing.lease, 0.0)
    with pytest.raises(NoRoom):
        borrower.acquire(1.0, LATER)


def test_one_that_is_refused_at_once_hears_the_owners_word_how_long_it_would_have_been() -> None:
    borrowing = Borrowing()
    borrowing.borrower.borrow_from(
        lambda message, now: (
            borrowing.borrower.hear(Refuse(0, KEY, message.number, 7.0), now) if isinstance(message, Ask) else None
        ),
        borrowing.lease,
        0.0,
    )
    with pytest.raises(NoRoom) as refused:
        borrowing.borrower.acquire(0.0, LATER)
    assert refused.value.wait_s == 7.0


def test_one_that_is_granted_before_it_waits_has_its_permit_at_once() -> None:
    borrowing = Borrowing()
    borrower = borrowing.borrower

    def grants(message: ToOwner, now: float) -> None:
        if isinstance(message, Ask):
            borrower.hear(Grant(0, KEY, message.number, "b", False), now)

    borrower.borrow_from(grants, borrowing.lease, 0.0)
    got = borrower.acquire(1.0, LATER)
    assert isinstance(got, Permit)
    assert got.replica.uid == "b"


def test_one_that_gives_up_after_it_was_served_leaves_its_slot_to_the_owner() -> None:
    borrowing = Borrowing()
    ticket = borrowing.wait()
    borrowing.grant(1)
    borrowing.heard()
    borrowing.borrower.abandon(ticket, 1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    assert borrowing.borrower.dispatcher.in_flight == 0


# -- recalled, trimmed, over -------------------------------------------------------------------------------------


def keeping(borrowing: Borrowing, now: float = 0.0) -> None:
    """It keeps a slot of `a`."""
    ticket = borrowing.wait(now)
    borrowing.grant(1, keeps=True, now=now)
    borrowing.borrower.release(permit_of(ticket), now)
    borrowing.heard()


def test_what_is_recalled_goes_back_and_nothing_is_kept_after() -> None:
    borrowing = Borrowing()
    keeping(borrowing)
    borrowing.borrower.hear(Recall(0, KEY), 1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    assert not borrowing.borrower.keeps


def test_what_is_recalled_of_one_replica_goes_back_and_the_rest_may_stay() -> None:
    borrowing = Borrowing()
    keeping(borrowing)
    borrowing.borrower.hear(Recall(0, KEY, "b"), 1.0)
    assert not borrowing.heard()
    borrowing.borrower.hear(Recall(0, KEY, "a"), 1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    assert borrowing.borrower.keeps


def test_what_is_used_of_a_replica_that_is_recalled_goes_back_after_use_and_the_rest_may_stay() -> None:
    borrowing = Borrowing()
    tickets = [borrowing.wait() for _ in range(2)]
    borrowing.grant(1, "a", keeps=True)
    borrowing.grant(2, "b", keeps=True)
    borrowing.borrower.hear(Recall(0, KEY, "a"), 1.0)
    borrowing.heard()
    for ticket in tickets:
        borrowing.borrower.release(permit_of(ticket), 1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    assert borrowing.borrower.held == {"b": 1}
    again = borrowing.wait(2.0, "b")
    borrowing.grant(3, "a", keeps=True, now=2.0)
    borrowing.heard()
    borrowing.borrower.release(permit_of(again), 2.0)
    assert not borrowing.heard(), "it is lent again"


def test_one_that_stops_soon_keeps_nothing() -> None:
    borrowing = Borrowing()
    borrowing.borrower.never_keeps = True
    ticket = borrowing.wait()
    borrowing.grant(1, keeps=True)
    borrowing.heard()
    borrowing.borrower.release(permit_of(ticket), 1.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]


def test_what_was_not_needed_for_two_looks_goes_back() -> None:
    borrowing = Borrowing()
    keeping(borrowing, 0.5)
    borrowing.borrower.tick(TRIM_S)
    borrowing.borrower.tick(TRIM_S + 0.5)
    assert not borrowing.heard()
    borrowing.borrower.tick(2 * TRIM_S)
    assert not borrowing.heard()
    borrowing.borrower.tick(3 * TRIM_S)
    assert borrowing.heard() == [GiveBack(KEY, "a")]


def test_nothing_is_begun_with_what_is_kept_when_the_lease_is_over() -> None:
    borrowing = Borrowing(until=5.0)
    keeping(borrowing)
    assert isinstance(borrowing.borrower.acquire(5.0, LATER), Ticket)
    assert borrowing.heard() == [GiveBack(KEY, "a"), Ask(KEY, 2)]


@pytest.mark.parametrize("change", ["update", "resume"])
def test_nor_when_a_replica_takes_requests_again(change: str) -> None:
    borrowing = Borrowing("a", until=5.0)
    keeping(borrowing)
    borrower = borrowing.borrower
    borrower.dispatcher.pause("a")
    ticket = borrowing.wait(1.0)
    if change == "update":
        borrower.dispatcher.update([a_replica("a", ready=False)], 1.0)
        borrower.dispatcher.resume("a", 1.0)
        served = borrower.update(replicas_of("a"), 5.0)
    else:
        served = borrower.resume("a", 5.0)
    assert served == []
    assert ticket.permit is None
    assert not borrower.held


def test_a_grant_that_was_long_on_its_way_goes_back_and_is_asked_for_again() -> None:
    borrowing = Borrowing(until=5.0)
    ticket = borrowing.wait()
    borrowing.heard()
    borrowing.grant(1, now=5.0)
    assert ticket.permit is None
    assert borrowing.heard() == [GiveBack(KEY, "a")]
    borrowing.lease.until = LATER
    borrowing.borrower.tick(5.1)
    assert borrowing.heard() == [Ask(KEY, 2, 5.1)]


def test_what_is_used_when_the_lease_is_over_goes_back_after_use() -> None:
    borrowing = Borrowing(until=5.0)
    ticket = borrowing.wait()
    borrowing.grant(1, keeps=True)
    borrowing.heard()
    borrowing.borrower.release(permit_of(ticket), 6.0)
    assert borrowing.heard() == [GiveBack(KEY, "a")]


# -- who owns it -------------------------------------------------------------------------------------------------


def test_a_new_owner_hears_what_is_used_and_is_asked_for_all_who_wait_with_their_age() -> None:
    borrowing = Borrowing("abc")
    used, kept = borrowing.wait(0.0), borrowing.wait(0.0)
    borrowing.grant(1, "a", keeps=True)
    borrowing.grant(2, "b", keeps=True)
    borrowing.borrower.release(permit_of(kept), 1.0)
    waiting = borrowing.wait(1.0, "b")
    borrowing.heard()
    assert borrowing.move(3.0) == {"a": 1}
    assert borrowing.heard() == [Ask(KEY, 4, 2.0, ("b",))]
    borrowing.grant(3, "c", now=3.5)  # of the last owner; Sharing passes it over by its epoch
    assert permit_of(used).replica.uid == "a"
    assert waiting.permit is not None


def test_one_that_becomes_alone_serves_all_who_wait_from_all_slots() -> None:
    borrowing = Borrowing("ab")
    tickets = [borrowing.wait() for _ in "abc"]
    borrowing.borrower.stand_alone(1.0)
    assert borrowing.woken == tickets[:2]
    assert borrowing.borrower.report(1.0) == {"a": 1, "b": 1}


def test_one_that_becomes_alone_lets_no_more_wait_than_its_queue_has_room_for() -> None:
    borrowing = Borrowing(length=1)
    borrowing.borrower.stand_alone(0.0)
    got = [borrowing.borrower.acquire(0.0, LATER) for _ in range(3)]
    assert [type(each) for each in got] == [Permit, Permit, Ticket]
    with pytest.raises(NoRoom):
        borrowing.borrower.acquire(0.0, LATER)


def test_a_replica_that_fails_is_said_to_the_owner_and_to_the_next_one() -> None:
    borrowing = Borrowing()
    keeping(borrowing)
    borrowing.borrower.pause("a", 9.0, 1.0)
    assert borrowing.heard() == [Pause(KEY, "a", 8.0), GiveBack(KEY, "a")]
    borrowing.move(5.0)
    assert borrowing.heard() == [Pause(KEY, "a", 4.0)]
    borrowing.borrower.tick(9.0)
    borrowing.move(9.5)
    assert not borrowing.heard()
    borrowing.borrower.pause("b", 20.0, 10.0)
    borrowing.borrower.resume("b", 11.0)
    borrowing.heard()
    borrowing.move(12.0)
    assert not borrowing.heard()
