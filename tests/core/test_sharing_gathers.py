"""sharing.py: which changes of who is there are told at once, and which wait to be told together?"""

from __future__ import annotations

import pytest

from router.core.frames import View
from router.core.ownership import owner_of
from tests.core.sharing_net import Node, Wanted
from tests.core.sharing_scene import KEY, Scene


def sees(node: Node) -> set[str]:
    """Whom it has told that it works with, itself included."""
    return {name.removesuffix("~") for name in node.sharing._members}


def names(*nodes: Node) -> set[str]:
    return {node.name for node in nodes}


def connect(scene: Scene, *nodes: Node) -> None:
    """Each of them with every other, without a tick."""
    for one, other in scene.net.can_call():
        if one in nodes and other in nodes and other.place not in one.calls:
            scene.net.call(one, other)
    scene.moment()


def test_one_who_comes_and_is_the_last_to_come_is_told_at_once() -> None:
    scene = Scene(2)
    new = scene.boot("r")
    scene.tell()
    connect(scene, *scene.net.alive)
    assert all(sees(node) == names(*scene.net.alive) for node in scene.net.alive)
    assert all(node.sharing.is_settled for node in (*scene.net.alive, new))


def test_one_who_comes_waits_for_others_that_are_listed_but_no_longer_than_to_the_next_tick() -> None:
    scene = Scene(2)
    old = scene.net.alive
    new = scene.boot("r")
    scene.boot("s")
    scene.tell()
    connect(scene, *old, new)
    assert all(sees(node) == names(*old) for node in old)
    for node in (*old, new):
        node.tick()
    scene.moment()
    assert all(sees(node) == names(*old, new) for node in old)


def test_the_first_one_who_comes_is_told_at_once_whoever_else_is_listed() -> None:
    """Who was alone goes on after one round, and not a tick later."""
    scene = Scene(1)
    (old,) = scene.net.alive
    new = scene.boot("q")
    scene.boot("r")
    scene.tell()
    connect(scene, old, new)
    assert sees(old) == names(old, new)
    assert old.sharing.is_settled
    assert not old.sharing.is_alone


def test_one_who_is_heard_and_waits_to_be_told_of_is_waited_for_before_anything_is_lent() -> None:
    scene = Scene(2)
    old = scene.net.alive
    new = scene.boot("r")
    scene.boot("s")
    scene.tell()
    connect(scene, *old, new)
    (one,) = [node for node in old if node.name not in new.sharing._up]
    for node in old:
        node.sharing._begin_anew(scene.net.now)
        node.flush()
    scene.moment()
    assert sees(one) == names(*old)
    assert not one.sharing.is_settled, "the new one has not said that it hears this one"
    new.tick()
    scene.moment()
    assert one.sharing.is_settled


def test_those_who_meet_at_once_change_their_view_once_for_it_and_once_as_they_may_own() -> None:
    scene = Scene(1)
    for place in "qrs":
        scene.boot(place)
    scene.tell()
    before = [node.sharing._callers.own_change for node in scene.net.alive]
    connect(scene, *scene.net.alive)
    assert all(node.sharing.is_settled for node in scene.net.alive)
    changes = [node.sharing._callers.own_change - last for node, last in zip(scene.net.alive, before, strict=True)]
    assert max(changes) <= 5, changes


def test_one_who_is_left_over_is_alone_once_the_others_are_listed_no_more() -> None:
    scene = Scene(2)
    left, gone = scene.net.alive
    scene.kill(gone, listed=True)
    scene.seconds(3)
    assert sees(left) == names(left)
    assert not left.sharing.is_alone
    del scene.net.nodes[gone.place]
    scene.tell()
    assert left.sharing.is_alone


@pytest.mark.parametrize("count", [1, 2])
def test_those_who_are_killed_at_once_are_replaced_at_once(count: int) -> None:
    """Without a tick: by the first news, and those that came before it was answered, by the answers."""
    scene = Scene(4)
    gone = [scene.owner, *scene.others][:count]
    for node in gone:
        scene.kill(node, listed=True)
    scene.moment()
    left = scene.net.alive
    assert all(sees(node) == names(*left) for node in left)
    assert scene.owner in left
    assert scene.owner.sharing.is_settled


def test_one_of_those_killed_at_once_may_have_been_at_work() -> None:
    """It is known as long as its lease lasts, and gives no answer."""
    scene = Scene(4, slots=2)
    owner, (one, other, _) = scene.owner, scene.others
    scene.request(other)
    for node in (one, other):
        scene.kill(node, listed=True)
    scene.moment()
    assert sees(owner) == names(*scene.net.alive)
    assert owner.sharing.is_settled


def test_a_second_one_who_goes_is_told_once_the_first_news_is_answered() -> None:
    scene = Scene(4)
    first, second, *left = scene.net.alive
    for node in (first, second):
        scene.kill(node, listed=True)
    one = left[0]
    for wire, at in scene.net.ready():  # the end of its connections, and no word of anybody else
        if at is one and {wire.caller, wire.called} & {first, second}:
            while wire.under_way[at]:
                scene.net.deliver(wire, at)
    assert sees(one) == names(second, *left)
    views = [
        message
        for wire in one.calls.values()
        for _, message in wire.under_way[wire.called]
        if isinstance(message, View)
    ]
    assert len(views) == 1
    scene.moment()
    assert sees(one) == names(*left)


def test_what_is_shared_again_while_its_owner_is_gone_and_that_was_not_told_is_owned_by_another_one_at_once() -> None:
    scene = Scene(4, slots=0)
    owner = next(node for node in scene.net.alive if node.name == owner_of(KEY, names(*scene.net.alive)))
    first, *left = [node for node in scene.net.alive if node is not owner]
    one = left[0]
    for node in (first, owner):
        scene.kill(node, listed=True)
        for wire, at in scene.net.ready():
            if at is one and node in (wire.caller, wire.called):
                while wire.under_way[at]:
                    scene.net.deliver(wire, at)
    assert sees(one) == names(owner, *left)
    scene.wanted = Wanted(1, 100, scene.wanted.replicas)
    scene.tell(one)
    assert sees(one) == names(*left)
    assert not one.borrowers[KEY].is_alone
    scene.tell()
    scene.moment()
    for node in left:
        scene.request(node)
    assert len(scene.net.flights) == 1
