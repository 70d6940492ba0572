"""sharing.py: what becomes of a deployment that is served no more."""

from __future__ import annotations

import pytest

from router.core import early
from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher
from tests.core.sharing_net import Node, Wanted
from tests.core.sharing_scene import KEY, Scene

FREE = frozenset[str]()


def test_one_that_is_served_no_more_is_forgotten_unless_another_took_its_place() -> None:
    scene = Scene(2)
    sharing, borrower = scene.owner.sharing, scene.owner.borrowers[KEY]
    sharing.remove(Borrower(KEY, Dispatcher(1, 1), lambda _: None, lambda *_: None), 0.0)
    assert sum(sharing.owned_by().values()) == 1
    sharing.remove(borrower, 0.0)
    assert not sharing.owned_by()


def test_what_a_removed_deployment_kept_goes_back() -> None:
    scene = Scene(2, fleet=12)
    scene.seconds(2)
    node, lender = scene.others[0], scene.lender
    scene.request(node)
    scene.finish(node)
    assert sum(scene.held(node).values()) == 1
    node.sharing.remove(node.borrowers[KEY], scene.net.now)
    scene.beats(1)
    assert not lender.held_by(node.name)


@pytest.mark.parametrize("how", ["removed", "without a limit"])
def test_what_others_use_is_counted_by_an_owner_that_lends_it_again(how: str) -> None:
    """They have heard nothing of it."""
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(node)
    if how == "removed":
        owner.sharing.remove(owner.borrowers.pop(KEY), scene.net.now)
    else:
        owner.take_in(KEY, Wanted(0, 100, scene.wanted.replicas))
    scene.beats(1)
    owner.take_in(KEY, scene.wanted)
    scene.request(owner)
    assert scene.flights(owner) == 0
    scene.finish(node)
    assert scene.flights(owner) == 1
    assert scene.most == 1


def test_what_came_back_while_the_owner_did_not_lend_it_is_free_when_it_does_again() -> None:
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(node)
    owner.sharing.remove(owner.borrowers.pop(KEY), scene.net.now)
    scene.finish(node)
    owner.take_in(KEY, scene.wanted)
    scene.request(owner)
    assert scene.flights(owner) == 1


# -- who waits while the owner does not lend it ------------------------------------------------------------------


def take_away(scene: Scene) -> Node:
    """The owner serves it no more, and nobody else has heard so."""
    owner = scene.owner
    owner.sharing.remove(owner.borrowers.pop(KEY), scene.net.now)
    return owner


def test_who_waits_keeps_its_place_when_the_owner_removes_it_and_makes_it_again() -> None:
    scene = Scene(3)
    one, other = scene.others
    tickets = [scene.request(node)[0] for node in (one, other, one, other)]
    owner = take_away(scene)
    scene.beats(2)
    owner.take_in(KEY, scene.wanted)
    tickets += scene.request(one)
    for _ in tickets:
        assert scene.net.flights
        scene.finish()
    assert scene.order == tickets
    assert scene.most == 1


def test_who_gave_up_meanwhile_gets_nothing() -> None:
    scene = Scene(2)
    node = scene.others[0]
    scene.request(node)
    (ticket,) = scene.request(node)
    assert ticket is not None
    owner = take_away(scene)
    node.give_up(ticket, expired=True)
    scene.beats(1)
    owner.take_in(KEY, scene.wanted)
    scene.finish(node)
    assert scene.lender.held_by(node.name) == {}
    assert not scene.lender.knows(node.name)


@pytest.mark.parametrize("backwards", [False, True])
def test_an_owner_that_hears_of_it_last_serves_in_the_order_in_which_requests_came(backwards: bool) -> None:
    scene = Scene(3)
    owner, nodes = take_away(scene), [node for node in scene.net.alive if node.borrowers]
    if backwards:
        nodes.reverse()
    tickets = [scene.request(node)[0] for node in (*nodes, *nodes)]
    owner.take_in(KEY, scene.wanted)
    scene.moment()
    for _ in tickets:
        scene.finish()
    assert scene.order == tickets


def test_however_long_the_owner_knows_nothing_of_it_who_waits_is_served_when_it_does() -> None:
    scene = Scene(2)
    node = scene.others[0]
    owner = take_away(scene)
    for _ in range(6_000):
        ticket = node.request(KEY, FREE)
        assert ticket is not None
        node.give_up(ticket, expired=True)
    scene.request(node)
    owner.take_in(KEY, scene.wanted)
    scene.moment()
    assert scene.flights(node) == 1


def test_who_finds_no_room_to_wait_for_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "MAX_ASKS", 2)
    scene = Scene(2)
    node = scene.others[0]
    take_away(scene)
    tickets = scene.request(node, 3)
    assert list(node.waiting) == tickets[:2]


def test_nothing_is_kept_of_one_that_is_gone_for_all() -> None:
    scene = Scene(2, fleet=12)
    scene.seconds(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(node, 2)
    scene.finish(node)
    take_away(scene)
    scene.finish(node)
    node.sharing.remove(node.borrowers.pop(KEY), scene.net.now)
    scene.beats(1)
    caller = owner.sharing._callers.get(node.name)
    assert caller is not None
    assert caller.early.take(KEY) == ({}, [])
    assert not caller.early._held


@pytest.mark.parametrize("how", ["removed", "without a limit"])
def test_what_is_granted_to_one_that_shares_it_no_more_comes_back(how: str) -> None:
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(owner)
    (ticket,) = scene.request(node)
    assert ticket is not None
    scene.net.finish(scene.net.flights[0])  # the grant is on its way
    if how == "removed":
        node.give_up(ticket, expired=True)
        node.remove(KEY)
    else:
        node.take_in(KEY, Wanted(0, 100, scene.wanted.replicas))
    scene.moment()
    scene.request(owner)
    assert scene.flights(owner) == 1


def test_an_owner_keeps_nothing_of_what_others_had_before_there_was_no_limit_any_more() -> None:
    """It heard of that first, and kept it for the case that it lends again."""
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(node, 2)
    for each in (owner, node):
        each.take_in(KEY, Wanted(0, 100, scene.wanted.replicas))
        scene.moment()
    assert scene.flights(node) == 2
    assert owner.sharing._callers._callers[node.name].early.take(KEY) == ({}, [])
