"""shared.py: one deployment as an instance knows it, borrower and lender."""

from __future__ import annotations

import pytest

from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher
from router.core.frames import Ask, FromOwner, GiveBack, Grant
from router.core.ownership import owner_of, slots_within_reach
from router.core.shared import Deployments, Shared
from tests.core.nouns import a_replica, replicas_of

PLACES = ["p", "q", "r"]
KEYS = [f"iris/{number}" for number in range(20)]
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


def test_a_replica_that_starts_slowly_does_so_for_whoever_lends() -> None:
    shared = a_shared()
    shared.update(replicas_of("ab"), 4, 10, 0.0)
    shared.handicap("a", 8)
    shared.handicap("b", 8)
    shared.handicap("b", 1)
    said = lending(shared)
    shared.open(PLACES, (), 0.0)
    assert shared.lender is not None
    for number in range(4):
        shared.lender.hear("other", Ask("iris/blue", number), 0.0)
    assert [each.uid for each in said if isinstance(each, Grant)] == ["a", "b", "b", "b"]
    shared.handicap("a", 1)
    shared.lender.hear("other", Ask("iris/blue", 9), 0.0)
    assert isinstance(last := said[-1], Grant)
    assert last.uid == "a"


def test_each_word_to_the_own_lender_is_heard_after_the_one_before_it() -> None:
    shared = a_shared()
    shared.update(replicas_of("a"), 1, 10_000, 0.0)
    said: list[FromOwner] = []

    def answer(_: str, message: FromOwner, now: float) -> None:
        said.append(message)
        if isinstance(message, Grant) and message.number < 5_000:
            shared.say("me", Ask("iris/blue", message.number + 1), now)
            shared.say("me", GiveBack("iris/blue", message.uid), now)

    shared.lend(answer, 0.0)
    shared.open(PLACES, (), 0.0)
    shared.say("me", Ask("iris/blue", 1), 0.0)
    assert [each.number for each in said if isinstance(each, Grant)] == list(range(1, 5_001))


def test_a_word_that_fails_leaves_none_behind_it() -> None:
    shared = a_shared()
    shared.update(replicas_of("a"), 1, 10, 0.0)

    def fail(*_: object) -> None:
        raise ValueError("of ours")

    shared.lend(fail, 0.0)
    shared.open(PLACES, (), 0.0)
    with pytest.raises(ValueError, match="of ours"):
        shared.say("me", Ask("iris/blue", 1), 0.0)
    said = lending(shared)
    shared.open(PLACES, (), 0.0)
    shared.say("me", Ask("iris/blue", 2), 0.0)
    assert [type(each) for each in said] == [Grant]


def test_without_a_lender_what_is_said_to_it_is_dropped() -> None:
    shared = a_shared()
    shared.say("me", Ask("iris/blue", 1), 0.0)
    shared.update(replicas_of("a"), 1, 10, 0.0)
    assert lending(shared) == []


def test_deployments_are_found_by_who_owns_them() -> None:
    deployments = Deployments()
    for key in KEYS:
        deployments[key] = Shared(Borrower(key, Dispatcher(1, 1), lambda _: None, lambda *_: None))
    assert not deployments.count()
    deployments.change_owners(["p", "q"])
    for shared in deployments.values():
        deployments.find_owner(shared, "")
    by_owner = {name: [shared.borrower.key for shared in deployments.owned_by(name)] for name in "pq"}
    assert by_owner == {name: [key for key in KEYS if owner_of(key, "pq") == name] for name in "pq"}
    assert deployments.count() == {name: len(keys) for name, keys in by_owner.items()}
    for shared in list(deployments.values()):
        deployments.find_owner(shared, "me")
    assert deployments.count() == {"me": len(KEYS)}
    deployments.forget(deployments[KEYS[0]])
    assert [shared.borrower.key for shared in deployments.owned_by("me")] == KEYS[1:]
    assert KEYS[0] not in deployments


def asked_for(shared: Shared, number: int, now: float = 0.0) -> None:
    assert shared.lender is not None
    shared.lender.hear("other", Ask("iris/blue", number), now)


def uids_in(said: list[FromOwner]) -> list[str]:
    return [each.uid for each in said if isinstance(each, Grant)]


@pytest.mark.parametrize(("slots", "then"), [(1, 2), (2, 1)])
def test_neither_a_slot_that_the_new_limit_forbids_nor_one_of_a_replica_that_goes_is_lent_on_the_way(
    slots: int, then: int
) -> None:
    shared = a_shared()
    shared.update(replicas_of("a"), slots, 100, 0.0)
    said = lending(shared)
    shared.open(PLACES, (), 0.0)
    for number in range(8):
        asked_for(shared, number)
    said.clear()
    shared.update(replicas_of("b"), then, 100, 1.0)
    assert uids_in(said) == ["b"] * then


def test_nor_one_while_some_are_in_missing_hands() -> None:
    """Of each replica, the slots that are left are those of the new limit."""
    shared = a_shared()
    starting = [a_replica(uid, ready=False) for uid in UIDS]
    shared.update(starting, 6, 1_000, 0.0)
    said = lending(shared)
    shared.open(PLACES, ("q",), 0.0)
    for number in range(100):
        asked_for(shared, number)
    shared.update(replicas_of(UIDS), 1, 1_000, 1.0)
    reachable = [uid for uid in UIDS if slots_within_reach(uid, 1, PLACES, ("q",))]
    assert sorted(uids_in(said)) == sorted(reachable)


def test_one_that_is_not_open_lends_nothing_when_its_limit_falls() -> None:
    shared = a_shared()
    shared.update(replicas_of("a"), 2, 100, 0.0)
    said = lending(shared)
    asked_for(shared, 1)
    shared.update(replicas_of("a"), 1, 100, 1.0)
    assert uids_in(said) == []
