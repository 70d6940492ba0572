"""Whom does an owner lend what, who waits, and what does it want back when?"""

from __future__ import annotations

from collections.abc import Iterable

from router.core.early import Asked
from router.core.frames import Ask, Cancel, FromOwner, GiveBack, Grant, Pause, Recall, Refuse
from router.core.leases import CALM_S, Lender
from router.core.model import Replica
from tests.core.nouns import a_replica, replicas_of

KEY = "iris/blue"


class Owner:
    """A lender that is open, and what it has said."""

    def __init__(self, uids: str = "a", slots: int = 1, length: int = 100, *, is_open: bool = True) -> None:
        self.said: list[tuple[str, FromOwner]] = []
        self.lender = Lender(KEY, slots, length, lambda name, message, now: self.said.append((name, message)))
        self.lender.update(replicas_of(uids), 0.0)
        if is_open:
            self.lender.open(None, 0.0)

    def ask(self, name: str, number: int = 1, now: float = 0.0, age_s: float = 0.0, avoid: Iterable[str] = ()) -> None:
        self.lender.hear(name, Ask(KEY, number, age_s, tuple(avoid)), now)

    def heard(self) -> list[tuple[str, FromOwner]]:
        said, self.said = self.said, []
        return said

    def granted(self) -> list[tuple[str, int, str]]:
        return [(name, each.number, each.uid) for name, each in self.heard() if isinstance(each, Grant)]


def test_who_asks_first_gets_the_slot_and_the_next_when_it_comes_back() -> None:
    owner = Owner()
    owner.ask("p")
    owner.ask("q")
    assert owner.granted() == [("p", 1, "a")]
    owner.lender.hear("p", GiveBack(KEY, "a"), 1.0)
    assert owner.granted() == [("q", 1, "a")]
    assert (owner.lender.held_by("p"), owner.lender.held_by("q")) == ({}, {"a": 1})


def test_one_that_came_earlier_is_before_those_who_were_heard_earlier() -> None:
    owner = Owner()
    for number, age_s in ((1, 0.0), (2, 1.0), (3, 3.0), (4, 2.0)):
        owner.ask("p", number, 5.0, age_s)
    for now in (6.0, 7.0, 8.0):
        owner.lender.give_back("p", "a", 1, now)
    assert [number for _, number, _ in owner.granted()] == [1, 3, 4, 2]


def test_the_same_ask_counts_once() -> None:
    owner = Owner()
    owner.ask("p", 1)
    owner.ask("q", 1)
    owner.ask("q", 1)
    assert owner.lender.dispatcher.queued == 1


def test_one_who_cancels_gets_nothing() -> None:
    owner = Owner()
    owner.ask("p")
    owner.ask("q")
    owner.lender.hear("q", Cancel(KEY, 1), 0.5)
    owner.lender.hear("q", Cancel(KEY, 7), 0.5)
    owner.lender.give_back("p", "a", 1, 1.0)
    assert owner.granted() == [("p", 1, "a")]
    assert not owner.lender.knows("q")


def test_one_for_whom_there_is_no_room_is_told_how_long_it_would_have_been() -> None:
    owner = Owner(length=1)
    owner.ask("p")
    owner.lender.give_back("p", "a", 1, 2.0)
    for name in "pqr":
        owner.ask(name, 2, 2.0)
    assert owner.heard()[-1] == ("r", Refuse(0, KEY, 2, 4.0))


def test_one_that_would_avoid_all_is_refused() -> None:
    owner = Owner("ab")
    owner.ask("p", avoid="ab")
    assert owner.heard() == [("p", Refuse(0, KEY, 1, None))]
    owner.ask("p", 2, avoid="a")
    assert owner.granted() == [("p", 2, "b")]


def test_what_was_never_lent_cannot_come_back() -> None:
    owner = Owner("a", slots=2)
    owner.ask("p")
    owner.lender.give_back("p", "a", 5, 1.0)
    owner.lender.give_back("q", "z", 1, 1.0)
    assert owner.lender.dispatcher.in_flight == 0
    assert owner.lender.dispatcher.finished_total == 1


def test_how_long_a_request_takes_is_not_learnt_from_what_was_kept_for_many() -> None:
    owner = Owner("abcd", length=0)
    owner.ask("p", 0, now=0.0)
    owner.lender.give_back("p", "a", 1, 600.0)
    for number in range(5):
        owner.ask("p", number, now=601.0)
    assert owner.heard()[-1] == ("p", Refuse(0, KEY, 4, None))
    owner.lender.give_back("p", "a", 1, 603.0)  # the last slot, which nobody was to keep
    for number in range(2):
        owner.ask("p", 10 + number, now=603.0)
    assert owner.heard()[-1] == ("p", Refuse(0, KEY, 11, 0.5))


def test_nothing_is_kept_of_replicas_and_instances_that_have_no_permit_any_more() -> None:
    owner = Owner("ab", slots=2)
    for number in range(4):
        owner.ask("p", number)
    owner.ask("q", 9)
    assert owner.lender.knows("q")
    owner.lender.give_back("p", "a", 2, 1.0)
    owner.lender.cancel("q", 9, 1.0)
    assert owner.lender._lent.keys() == {"p", "q"}
    owner.lender.give_back("q", "a", 1, 1.0)
    owner.lender.give_back("p", "b", 2, 1.0)
    owner.lender.give_back("r", "a", 1, 1.0)
    owner.lender.reconcile("s", {"a": 0}, 1.0)
    assert owner.lender._lent == {}
    assert not any(owner.lender.knows(name) for name in "pqrs")


def test_one_that_lends_nothing_yet_lets_as_many_wait_as_there_are_slots_beside_its_queue() -> None:
    owner = Owner("ab", length=1, is_open=False)
    for number in range(4):
        owner.ask("p", number)
    assert owner.heard() == [("p", Refuse(0, KEY, 3, None))]
    owner.lender.open(None, 1.0)
    assert owner.granted() == [("p", 0, "a"), ("p", 1, "b")]
    owner.ask("p", 4)
    assert [type(said) for _, said in owner.heard()] == [Refuse], "the queue is as long as ever"


# -- keeping and recalling -------------------------------------------------------------------------------------


def test_as_long_as_there_are_plenty_what_is_lent_may_be_kept() -> None:
    owner = Owner("abcd", slots=2)
    for number in range(8):
        owner.ask("p", number)
    assert [each.keeps for _, each in owner.heard() if isinstance(each, Grant)] == [True] * 5 + [False] * 3


def test_when_somebody_waits_all_hear_it_once_and_nobody_keeps_anything_for_a_while() -> None:
    owner = Owner("ab", slots=1)
    owner.ask("p", 1)
    owner.ask("q", 1)
    owner.heard()
    owner.ask("r", 1, 10.0)
    owner.ask("r", 2, 10.1)
    assert owner.heard() == [("p", Recall(0, KEY)), ("q", Recall(0, KEY))]
    owner.lender.update(replicas_of("abcdefghijkl"), 10.2)
    owner.ask("p", 9, 10.3)
    assert [each.keeps for _, each in owner.heard() if isinstance(each, Grant)] == [False] * 3
    owner.ask("p", 10, 10.0 + CALM_S)
    assert [each.keeps for _, each in owner.heard() if isinstance(each, Grant)] == [True]


def test_while_somebody_waits_it_is_said_again() -> None:
    owner = Owner()
    owner.ask("p", 1, 5.0)
    owner.ask("q", 1, 5.0)
    owner.heard()
    owner.lender.tick(5.0 + CALM_S - 0.1)
    assert not owner.heard()
    owner.lender.tick(5.0 + CALM_S)
    assert ("p", Recall(0, KEY)) in owner.heard()


def test_a_lowered_limit_recalls_what_is_over_it() -> None:
    owner = Owner("a", slots=3)
    for number in range(3):
        owner.ask("p", number, 5.0)
    owner.heard()
    owner.lender.configure(1, 100, 9.0)
    assert owner.heard() == [("p", Recall(0, KEY))]
    owner.ask("q", 1, 9.0)
    owner.lender.give_back("p", "a", 2, 9.5)
    assert not owner.granted(), "there is still one in the only slot"
    owner.lender.give_back("p", "a", 1, 9.6)
    assert owner.granted() == [("q", 1, "a")]


# -- who holds what --------------------------------------------------------------------------------------------


def test_nothing_is_lent_before_it_is_opened_or_while_it_is_closed() -> None:
    owner = Owner(is_open=False)
    owner.ask("p")
    assert not owner.heard()
    owner.lender.open(None, 1.0)
    assert owner.granted() == [("p", 1, "a")]
    owner.lender.close(2.0)
    owner.lender.give_back("p", "a", 1, 2.5)
    owner.ask("p", 2, 2.5)
    assert not owner.heard()


def test_only_so_many_are_lent_as_it_was_opened_for() -> None:
    owner = Owner("ab", slots=2, is_open=False)
    owner.lender.open({"a": 1}, 0.0)
    for number in range(4):
        owner.ask("p", number)
    assert owner.granted() == [("p", 0, "a")]


def test_what_an_instance_has_by_its_own_word_is_what_counts() -> None:
    owner = Owner("ab", slots=1, is_open=False)
    owner.ask("q", 1)
    owner.lender.reconcile("p", {"a": 1, "gone": 2}, 0.0)
    owner.lender.open(None, 0.0)
    assert owner.granted() == [("q", 1, "b")]
    assert owner.lender.held_by("p") == {"a": 1, "gone": 2}
    owner.ask("q", 2)
    owner.lender.reconcile("p", {}, 1.0)
    assert owner.granted() == [("q", 2, "a")]
    assert "gone" not in owner.lender.dispatcher.in_flight_by_replica()


def test_a_slot_is_not_free_for_a_moment_while_its_holder_says_that_it_has_it() -> None:
    owner = Owner()
    owner.ask("p")
    owner.ask("q")
    owner.heard()
    owner.lender.reconcile("p", {"a": 1}, 1.0)
    assert not owner.granted()
    assert owner.lender.held_by("p") == {"a": 1}


def test_what_was_asked_before_is_void_when_an_instance_says_anew_what_it_has() -> None:
    owner = Owner()
    owner.ask("p")
    owner.ask("q")
    owner.lender.reconcile("q", {}, 1.0)
    owner.heard()
    owner.lender.give_back("p", "a", 1, 2.0)
    assert not owner.granted()


def test_a_lease_that_is_over_frees_what_was_held_and_asked() -> None:
    owner = Owner()
    owner.ask("p")
    owner.ask("p", 2)
    owner.ask("q", 1)
    owner.heard()
    owner.lender.lapse("p", 2.0)
    assert owner.granted() == [("q", 1, "a")]
    assert not owner.lender.knows("p")
    owner.lender.lapse("never heard of", 2.0)
    assert owner.lender.knows("q")


# -- replicas --------------------------------------------------------------------------------------------------


def paused(owner: Owner, uid: str, now: float = 1.0, for_s: float = 2.0) -> None:
    owner.lender.hear("p", Pause(KEY, uid, for_s), now)


def test_a_replica_that_fails_is_lent_to_nobody_for_a_while_and_called_back() -> None:
    owner = Owner("ab")
    owner.ask("q", 1)
    owner.heard()
    paused(owner, "a")
    assert owner.heard() == [("q", Recall(0, KEY, "a"))]
    owner.lender.give_back("q", "a", 1, 1.5)
    owner.ask("q", 2, 1.6)
    owner.ask("q", 3, 1.6)
    assert owner.granted() == [("q", 2, "b")]
    owner.lender.tick(2.9)
    assert not owner.granted()
    owner.lender.tick(3.0)
    assert owner.granted() == [("q", 3, "a")]


def test_at_least_half_of_the_replicas_stay() -> None:
    owner = Owner("abc")
    paused(owner, "a")
    paused(owner, "b")
    paused(owner, "unknown")
    assert [owner.lender.dispatcher.takes_requests(uid) for uid in "abc"] == [False, True, True]
    alone = Owner("a")
    paused(alone, "a")
    assert alone.lender.dispatcher.takes_requests("a")


def test_who_says_last_that_a_replica_fails_says_until_when() -> None:
    owner = Owner("ab")
    owner.lender.hear("p", Pause(KEY, "a", 5.0), 1.0)
    owner.lender.hear("q", Pause(KEY, "a", 5.0), 2.0)
    owner.lender.hear("p", Pause(KEY, "a", 1.0), 3.0)
    owner.lender.tick(6.5)
    assert not owner.lender.dispatcher.takes_requests("a")
    owner.lender.tick(7.0)
    assert owner.lender.dispatcher.takes_requests("a")


def test_pausing_ends_with_the_replica_and_when_no_other_is_left() -> None:
    owner = Owner("ab")
    paused(owner, "a")
    owner.lender.update(replicas_of("b"), 1.5)
    owner.lender.update(replicas_of("ab"), 1.6)
    assert owner.lender.dispatcher.takes_requests("a")
    paused(owner, "a", 1.7)
    left: list[Replica] = [a_replica("a"), a_replica("b", ready=False)]
    owner.ask("q", 1, 1.8)
    owner.lender.give_back("q", "b", 1, 1.8)
    owner.lender.update(left, 1.9)
    assert owner.lender.dispatcher.takes_requests("a")


def test_one_that_goes_while_it_is_left_out_is_lent_to_nobody_on_the_way() -> None:
    owner = Owner("ab")
    paused(owner, "a")
    owner.ask("q", 1)
    owner.ask("q", 2)
    assert owner.granted() == [("q", 1, "b")]
    owner.lender.update(replicas_of("b"), 2.0)
    assert not owner.granted()
    owner.lender.update(replicas_of("ab"), 2.1)
    assert owner.granted() == [("q", 2, "a")]


def test_who_waits_is_known_by_instance_with_the_moment_at_which_it_came() -> None:
    owner = Owner()
    owner.ask("p", 1)
    owner.ask("p", 2, 5.0, age_s=1.0, avoid="b")
    owner.ask("q", 9, 6.0)
    assert owner.lender.asked_by("p") == [Asked(2, 4.0, frozenset("b"))]
    assert owner.lender.asked_by("r") == []
