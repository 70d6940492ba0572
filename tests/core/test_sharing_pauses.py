"""sharing.py: who says that a replica which fails for one instance is lent to none, and what if it can't be spared?"""

from __future__ import annotations

from router.core.frames import Pause
from tests.core.sharing_net import Node, Wanted
from tests.core.sharing_scene import KEY, Scene, replicas

FOR_S = 30.0


def busy(scene: Scene, node: Node) -> set[str]:
    return {flight.uid for flight in scene.net.flights if flight.node is node}


def test_a_replica_that_the_owner_cannot_spare_is_used_where_it_fails() -> None:
    """Half of them stay. Who was lent it and gave it back would be lent it again, and wait for a tick each time."""
    scene = Scene(2, fleet=2)
    node = scene.others[0]
    scene.owner.pause(KEY, "r0", FOR_S)
    scene.moment()
    node.pause(KEY, "r1", FOR_S)
    scene.moment()
    scene.request(node)
    assert busy(scene, node) == {"r1"}


def test_it_is_lent_to_nobody_else_either_while_others_can_serve() -> None:
    scene = Scene(3, fleet=4)
    one, other = scene.others
    one.pause(KEY, "r0", FOR_S)
    scene.moment()
    for node in (one, other, scene.owner):
        scene.request(node, 2)
    assert {flight.uid for flight in scene.net.flights} == {"r1", "r2", "r3"}
    assert scene.lender.dispatcher.queued == 3


def test_what_the_owner_says_is_told_again_holds_when_the_pause_is_over_there() -> None:
    """The one for which it failed need not have thought better of it."""
    scene = Scene(2, fleet=2)
    node = scene.others[0]
    node.pause(KEY, "r0", 1.0)
    scene.seconds(2)
    scene.request(node, 2)
    assert busy(scene, node) == {"r0", "r1"}


def test_what_failed_for_one_that_was_alone_is_the_owners_to_say_when_there_is_another() -> None:
    scene = Scene(1, fleet=2)
    (node,) = scene.net.alive
    node.pause(KEY, "r0", FOR_S)
    scene.request(node, 2)
    assert busy(scene, node) == {"r1"}
    scene.boot("q")
    scene.tell()
    scene.beats(4)
    assert not scene.lender.dispatcher.takes_requests("r0")
    scene.wanted = Wanted(1, 100, replicas(1))
    scene.tell()
    scene.beats(2)
    assert "r0" in busy(scene, node)


def test_what_failed_for_one_that_is_alone_by_now_is_still_left_out() -> None:
    scene = Scene(2, fleet=2)
    node = scene.others[0]
    node.pause(KEY, "r0", FOR_S)
    scene.kill(scene.owner)
    scene.seconds(3)
    assert node.borrowers[KEY].is_alone
    scene.request(node, 2)
    assert busy(scene, node) == {"r1"}
    node.unpause(KEY, "r0")
    assert busy(scene, node) == {"r0", "r1"}


def test_one_that_stands_alone_when_the_pause_is_over_leaves_nothing_out() -> None:
    scene = Scene(2, fleet=2)
    node = scene.others[0]
    node.pause(KEY, "r0", FOR_S)
    node.borrowers[KEY].stand_alone(scene.net.now + FOR_S)
    assert node.borrowers[KEY].dispatcher.takes_requests("r0")


def test_many_failures_of_what_was_lent_before_are_told_once_and_one_of_what_was_lent_since_again() -> None:
    scene = Scene(2, slots=2, fleet=2)
    node = scene.others[0]
    borrower = node.borrowers[KEY]
    scene.owner.pause(KEY, "r0", FOR_S)
    scene.request(node, 2)
    borrower.pause("r1", scene.net.now + FOR_S, scene.net.now)
    borrower.fails_still("r1", scene.net.now)
    borrower.fails_still("r1", scene.net.now)
    ((_, told),) = node.sharing.to_owners.take_all()
    assert told == [Pause(KEY, "r1", FOR_S)]
    for _ in range(2):
        scene.finish(node)
    scene.request(node)
    assert busy(scene, node) == {"r1"}
    borrower.fails_still("r1", scene.net.now)
    borrower.fails_still("r0", scene.net.now)
    ((_, told),) = node.sharing.to_owners.take_all()
    assert [type(each) for each in told] == [Pause]
    scene.net.now += FOR_S
    borrower.fails_still("r1", scene.net.now)
    assert not node.sharing.to_owners.take_all()


def test_one_that_recovers_is_kept_again_though_some_of_it_was_in_use_all_the_time() -> None:
    """It was said to fail, and lent on. That it goes back after each request must end some day."""
    scene = Scene(2, slots=24, fleet=2)
    node = scene.others[0]
    scene.owner.pause(KEY, "r0", FOR_S)
    scene.request(node, 2)
    node.pause(KEY, "r1", 1.0)
    scene.moment()
    scene.seconds(3)
    node.unpause(KEY, "r1")
    for _ in range(3):
        scene.request(node)
        scene.finish(node)
    assert busy(scene, node) == {"r1"}
    assert scene.held(node)["r1"] > scene.flights(node)


def test_failures_are_told_again_though_some_of_it_was_in_use_all_the_time() -> None:
    """The owner, which could not spare it, may be able to by now."""
    scene = Scene(2, slots=4, fleet=2)
    node = scene.others[0]
    scene.owner.pause(KEY, "r0", 1.0)
    scene.request(node, 2)
    node.pause(KEY, "r1", FOR_S)
    scene.moment()
    scene.seconds(2)
    scene.request(node, 6)
    assert scene.lender.dispatcher.takes_requests("r1")
    node.borrowers[KEY].fails_still("r1", scene.net.now)
    node.flush()
    scene.moment()
    assert not scene.lender.dispatcher.takes_requests("r1")
