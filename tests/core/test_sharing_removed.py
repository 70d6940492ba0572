"""sharing.py: what becomes of a deployment that is served no more."""

from __future__ import annotations

import pytest

from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher
from tests.core.sharing_net import Wanted
from tests.core.sharing_scene import KEY, Scene


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
