"""shared.py: one deployment as an instance knows it, borrower and lender."""

from __future__ import annotations

from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher
from router.core.frames import Ask, FromOwner, Grant
from router.core.ownership import slots_within_reach
from router.core.shared import Shared
from tests.core.nouns import replicas_of

PLACES = ["p", "q", "r"]
UIDS = [f"r{number}" for number in range(30)]


def a_shared() -> Shared:
    return Shared(Borrower("iris/blue", Dispatcher(1, 10), lambda _: None, lambda *_: None))


def lending(shared: Shared) -> list[FromOwner]:
    """What its lender says, from now on."""
    said: list[FromOwner] = []
    shared.lend(lambda name, message, now: said.append(message), 0.0)
    return said


def granted(shared: Shared, asks: int) -> int:
    said = lending(shared)
    shared.open(PLACES, ("q",), 0.0)
    assert shared.lender is not None
    for number in range(asks):
        shared.lender.hear("other", Ask("iris/blue", number), 0.0)
    return sum(isinstance(message, Grant) for message in said)


def test_it_is_said_when_there_is_something_to_share_or_no_more() -> None:
    shared = a_shared()
    assert not shared.update(replicas_of(UIDS), 0, 10, 0.0)
    assert shared.update(replicas_of(UIDS), 1, 10, 0.0)
    assert not shared.update(replicas_of(UIDS), 2, 10, 0.0)
    assert shared.update(replicas_of(UIDS), 0, 10, 0.0)


def test_an_owner_lends_what_the_platform_says_there_is_but_for_what_is_in_missing_hands() -> None:
    shared = a_shared()
    shared.update(replicas_of(UIDS), 1, 100, 0.0)
    reachable = sum(slots_within_reach(uid, 1, PLACES, ("q",)) for uid in UIDS)
    assert 0 < reachable < 30
    assert granted(shared, 30) == reachable


def test_what_the_platform_says_later_reaches_the_lender() -> None:
    shared = a_shared()
    shared.update((), 1, 100, 0.0)
    said = lending(shared)
    shared.open(PLACES, (), 0.0)
    assert shared.lender is not None
    shared.lender.hear("other", Ask("iris/blue", 1), 0.0)
    assert said == []
    shared.update(replicas_of(["r1"]), 1, 100, 1.0)
    assert [type(message) for message in said] == [Grant]


def test_who_is_not_the_owner_opens_nothing() -> None:
    shared = a_shared()
    shared.open(PLACES, (), 0.0)
    assert shared.lender is None
    shared.tick(0.0)


def test_one_that_drains_keeps_nothing() -> None:
    shared = a_shared()
    shared.borrower.keeps = True
    shared.drain(0.0)
    assert shared.borrower.never_keeps
    assert not shared.borrower.keeps
