"""sharing.py: who finds room to wait, however short the queue and however many wait?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.core.sharing_net import Wanted
from tests.core.sharing_scene import KEY, Scene, replicas

FREE = frozenset[str]()


@pytest.mark.parametrize("length", [0, 1])
def test_who_comes_together_finds_all_free_slots_however_short_the_queue(length: int) -> None:
    scene = Scene(2, fleet=6, queue_length=length)
    node = scene.others[0]
    for _ in range(6):
        node.request(KEY, FREE)
    scene.moment()
    assert scene.flights(node) == 6
    refused = [scene.request(node)[0] for _ in range(2)]
    assert len(node.waiting) == length
    assert sum(ticket in node.waiting for ticket in refused) == length


def test_no_more_wait_for_the_owners_word_than_could_get_a_slot_or_wait_for_one() -> None:
    scene = Scene(2, fleet=3, queue_length=2)
    node = scene.others[0]
    for _ in range(9):
        node.request(KEY, FREE)
    assert len(node.waiting) == 5


def test_while_instances_agree_anew_nobody_is_refused_who_would_find_a_slot_after_it() -> None:
    scene = Scene(2, fleet=3, queue_length=0)
    for node in scene.net.running:
        node.sharing._begin_anew(scene.net.now)
    for _ in range(3):
        scene.owner.request(KEY, FREE)
    assert scene.flights(scene.owner) == 0
    scene.beats()
    assert scene.flights(scene.owner) == 3


def test_who_is_not_shared_with_anybody_has_the_queue_of_one() -> None:
    scene = Scene(1, fleet=2, queue_length=1)
    (node,) = scene.net.running
    scene.request(node, 5)
    assert (scene.flights(node), len(node.waiting)) == (2, 1)


def test_a_replica_that_is_of_no_use_to_any_of_many_who_wait_goes_round_them_once() -> None:
    """The owner's own requests know better than what it lends: that it is not ready is news there first."""
    scene = Scene(2, fleet=4, queue_length=1_000)
    owner, node = scene.owner, scene.others[0]
    scene.request(node, 4)
    third = scene.net.flights[2].uid
    known = [replica if replica.uid != third else replace(replica, ready=False) for replica in scene.wanted.replicas]
    owner.borrowers[KEY].update(known, scene.net.now)
    scene.request(owner, 500)
    scene.net.finish(next(flight for flight in scene.net.flights if flight.uid == third))
    scene.moment()
    assert len(owner.waiting) == 500
    assert scene.lender.held_by(owner.name) == {}
    owner.borrowers[KEY].update(scene.wanted.replicas, scene.net.now)
    scene.beats(2)
    assert len(owner.waiting) == 499


def test_what_is_kept_and_was_not_needed_goes_back_also_of_a_replica_that_is_used() -> None:
    scene = Scene(2, slots=16)
    scene.seconds(2)
    node = scene.others[0]
    scene.request(node, 8)
    for _ in range(8):
        scene.finish(node)
    assert scene.held(node) == {"r0": 8}
    for _ in range(20):
        scene.request(node, 3)
        for _ in range(3):
            scene.finish(node)
        scene.beats()
    assert scene.held(node) == {"r0": 3}


def test_one_that_was_granted_a_replica_which_it_does_not_know_asks_again_as_soon_as_it_does() -> None:
    scene = Scene(2, fleet=0)
    node = scene.others[0]
    scene.request(node)
    scene.wanted = Wanted(1, 100, replicas(1))
    scene.tell(scene.owner)
    scene.moment()
    assert scene.flights(node) == 0
    scene.tell(node)
    scene.moment()
    assert scene.flights(node) == 1
