"""Do instances share slots rightly: all courses of events by the machine, and each rule by a scene?"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from router.core.circle import LEASE_S, SILENT_S
from router.core.frames import Grant, Recall
from router.core.ownership import owner_of
from router.core.sharing import Sharing
from tests.core.sharing_machine import SharingMachine
from tests.core.sharing_net import Wanted
from tests.core.sharing_scene import KEY, Scene, replicas

TestSharing = SharingMachine.TestCase
TestSharing.settings = settings(
    max_examples=int(os.environ.get("SHARING_EXAMPLES", "60")),
    derandomize="SHARING_EXAMPLES" not in os.environ,  # a soak looks for what is new, a suite says the same each time
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes; a soak may
    suppress_health_check=list(HealthCheck),
)


# -- one limit, one queue ------------------------------------------------------------------------------------


def test_one_that_is_alone_has_all_slots_and_asks_nobody() -> None:
    scene = Scene(1, slots=2, fleet=2)
    (node,) = scene.net.alive
    assert node.sharing.is_alone
    assert scene.request(node, 5).count(None) == 4
    assert scene.flights(node) == 4
    assert node.borrowers[KEY].is_alone


def test_two_have_the_slots_of_one_together() -> None:
    scene = Scene(2, slots=2, fleet=2)
    for node in scene.net.alive:
        scene.request(node, 3)
    assert len(scene.net.flights) == 4
    assert scene.most == 2
    assert sum(len(node.waiting) for node in scene.net.alive) == 2


def test_first_come_first_served_over_all_instances() -> None:
    scene = Scene(3)
    nodes = scene.net.alive
    scene.request(nodes[0])
    tickets = [scene.request(nodes[at])[0] for at in (2, 1, 0, 1, 2, 0)]
    for _ in tickets:
        scene.finish()
    assert [ticket for ticket in scene.order if ticket in tickets] == tickets


def test_what_is_kept_goes_to_whoever_waits() -> None:
    scene = Scene(2, fleet=8)
    scene.seconds(2)
    node = scene.others[0]
    scene.request(node, 2)
    scene.finish(node)
    assert sum(scene.held(node).values()) == 2, "one is kept"
    scene.request(scene.owner, 7)
    assert sum(scene.held(node).values()) == 1
    assert scene.flights(scene.owner) == 7


def test_a_slot_that_comes_free_goes_to_who_waits_elsewhere_first() -> None:
    scene = Scene(2, fleet=8)
    scene.seconds(2)
    node = scene.others[0]
    scene.request(node, 8)
    (first,) = scene.request(scene.owner)
    (second,) = scene.request(node)
    scene.finish(node)
    scene.finish(node)
    assert scene.order[-2:] == [first, second]


def test_who_waited_before_ownership_moved_keeps_its_place() -> None:
    scene = Scene(3)
    scene.request(scene.owner)
    tickets = [scene.request(node)[0] for node in (*scene.others, *reversed(scene.others))]
    scene.owner.drain()
    scene.seconds(3)
    for _ in tickets:
        scene.finish()
    assert [ticket for ticket in scene.order if ticket in tickets] == tickets


def test_one_that_the_owners_queue_has_no_room_for_is_refused() -> None:
    scene = Scene(2, queue_length=1)
    scene.request(scene.owner, 2)
    (ticket,) = scene.request(scene.others[0])
    assert ticket is not None
    assert not scene.others[0].waiting
    assert scene.request(scene.owner) == [None]
    assert scene.flights(scene.owner) == 1


def test_without_a_limit_nothing_is_shared_and_with_one_again_all_is_counted() -> None:
    scene = Scene(2, slots=0)
    for node in scene.net.alive:
        scene.request(node, 3)
    assert len(scene.net.flights) == 6
    scene.wanted = Wanted(2, 100, scene.wanted.replicas)
    scene.tell()
    scene.seconds(1)
    assert scene.lender.dispatcher.in_flight == 6
    for node in scene.net.alive:
        scene.request(node)
    for _ in range(4):
        scene.finish()
    assert len(scene.net.flights) == 2, "two began when the fifth and sixth had ended"
    scene.wanted = Wanted(0, 100, scene.wanted.replicas)
    scene.tell()
    assert not any(node.waiting for node in scene.net.alive)


def test_what_ended_while_there_was_no_limit_is_not_counted_by_an_owner_that_never_heard_of_it() -> None:
    scene = Scene(2)
    node = scene.others[0]
    scene.request(node)
    for slots in (0, 1):
        scene.wanted = Wanted(slots, 100, scene.wanted.replicas)
        scene.tell(node)
        if not slots:
            scene.finish(node)
    scene.moment()
    assert not scene.lender.held_by(node.name)
    scene.request(scene.owner)
    assert scene.flights(scene.owner) == 1


def test_a_deployment_that_the_owner_does_not_know_yet_is_asked_for_all_the_same() -> None:
    scene = Scene(2)
    names, owner = [node.name for node in scene.net.alive], scene.owner.name
    owned = next(key for key in map("late/{}".format, range(99)) if owner_of(key, names) == owner)
    wanted = Wanted(1, 100, replicas(1, owned))
    scene.others[0].take_in(owned, wanted)
    scene.others[0].request(owned, frozenset())
    scene.moment()
    assert scene.others[0].waiting
    scene.owner.take_in(owned, wanted)
    scene.moment()
    assert not scene.others[0].waiting
    assert len(scene.net.flights) == 1


# -- views ---------------------------------------------------------------------------------------------------


def test_all_name_the_same_owner_and_only_it_lends() -> None:
    scene = Scene(4)
    assert all(node.sharing.owned_by() == {scene.owner.name: 1} for node in scene.net.alive)
    assert [node.sharing._deployments[KEY].lender is not None for node in scene.others] == [False] * 3
    assert all(peer.agrees and peer.is_up for node in scene.net.alive for peer in node.sharing.peers(scene.net.now))


def test_a_new_owner_lends_nothing_before_it_has_heard_what_others_hold() -> None:
    scene = Scene(2)
    scene.request(scene.others[0])
    names = [node.name for node in scene.net.alive]
    scene.numbers = next(n for n in range(99) if owner_of(KEY, [*names, f"r{n + 1}"]) == f"r{n + 1}")
    node = scene.boot("r")
    scene.tell()
    scene.connect()
    for wire, at in scene.net.ready():
        if at is node and wire.caller is node:
            scene.net.deliver(wire, at)
    node.request(KEY, frozenset())
    assert scene.owner_named_by(node) == node.name
    assert scene.flights(node) == 0
    scene.beats(3)
    assert scene.owner is node
    assert scene.most == 1
    assert scene.lender.dispatcher.in_flight == 1


def test_a_grant_of_another_view_is_void() -> None:
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    wire = node.calls[owner.place]
    node.request(KEY, frozenset())
    while wire.under_way[owner]:
        scene.net.deliver(wire, owner)
    assert any(isinstance(message, Grant) for _, message in wire.under_way[node])
    owner.sharing._begin_anew(scene.net.now)
    owner.flush()
    node.sharing._begin_anew(scene.net.now)
    node.flush()
    while wire.under_way[node]:
        scene.net.deliver(wire, node)
    assert scene.flights(node) == 0
    scene.beats(3)
    assert scene.flights(node) == 1
    assert scene.lender.held_by(node.name) == scene.held(node) == {"r0": 1}


def test_one_that_drains_owns_nothing_keeps_nothing_and_still_serves() -> None:
    scene = Scene(2, fleet=8)
    scene.seconds(2)
    owner = scene.owner
    scene.request(owner, 2)
    owner.drain()
    scene.beats(2)
    assert scene.owner is not owner
    scene.finish(owner)
    assert sum(scene.held(owner).values()) == 1
    scene.request(owner)
    assert scene.flights(owner) == 2


def test_where_all_drain_one_of_them_owns_it() -> None:
    scene = Scene(2)
    for node in scene.net.alive:
        node.drain()
    scene.beats(2)
    assert scene.request(scene.others[0]) is not None
    assert len(scene.net.flights) == 1


# -- failures --------------------------------------------------------------------------------------------------


def test_what_a_killed_one_held_is_free_when_its_lease_is_over_and_not_before() -> None:
    scene = Scene(3)
    gone = scene.others[0]
    scene.request(gone)
    scene.request(scene.owner)
    scene.kill(gone)
    scene.seconds(LEASE_S - 0.4)
    assert not scene.net.flights
    scene.seconds(0.8)
    assert scene.flights(scene.owner) == 1
    assert scene.lender.dispatcher.in_flight == 1


def test_after_the_owner_is_killed_the_next_one_counts_what_others_hold() -> None:
    scene = Scene(3)
    gone, holder = scene.owner, scene.others[0]
    scene.request(holder)
    scene.kill(gone)
    scene.beats(1)
    for node in scene.net.alive:
        scene.request(node)
    scene.seconds(3)
    assert scene.most == 1
    assert scene.lender.held_by(holder.name) == {"r0": 1}
    scene.finish(holder)
    assert len(scene.net.flights) == 1


def test_two_sides_of_a_partition_use_no_slot_twice_and_together_all() -> None:
    scene = Scene(3, fleet=12)
    one, *rest = scene.net.alive
    scene.cut([one], rest)
    scene.seconds(LEASE_S)
    for node in scene.net.alive:
        scene.request(node, 12)
    scene.beats(2)
    assert scene.most == 1
    assert len(scene.net.flights) == 12
    assert one.sharing.missing == tuple(sorted(node.place for node in rest))
    scene.net.cut.clear()
    scene.seconds(3)
    assert scene.lender.dispatcher.in_flight == 12
    assert not any(node.sharing.missing for node in scene.net.alive)


def test_one_broken_pair_stops_nobody() -> None:
    """Two hear each other no more, a third one hears both: it works with one of them, the other with its own slots."""
    scene = Scene(3, fleet=12)
    (one, other), third = scene.others, scene.owner
    scene.cut([one], [other])
    scene.seconds(SILENT_S + LEASE_S + 1.0)
    for node in 12 * scene.net.alive:
        scene.request(node)
    scene.seconds(1)
    assert scene.most == 1
    assert len(scene.net.flights) == 12, "all slots are of use"
    apart = [node for node in scene.net.alive if len(node.sharing.missing) == 2]
    assert len(apart) == 1
    assert apart[0] is not third
    assert all(node.place in flight_places(scene) for node in scene.net.alive)
    scene.net.cut.clear()
    scene.seconds(3)
    assert not any(node.sharing.missing for node in scene.net.alive)
    assert scene.lender.dispatcher.in_flight == 12


def flight_places(scene: Scene) -> set[str]:
    return {flight.node.place for flight in scene.net.flights}


def test_what_was_kept_is_not_taken_along_to_the_other_side() -> None:
    scene = Scene(2, fleet=12)
    scene.seconds(2)
    owner, node = scene.owner, scene.others[0]
    scene.request(node, 5)
    for _ in range(5):
        scene.finish(node)
    assert sum(scene.held(node).values()) == 5
    scene.cut([owner], [node])
    scene.seconds(SILENT_S + 0.3)
    assert not scene.held(node)


def test_one_that_hung_begins_nothing_with_a_grant_that_came_meanwhile() -> None:
    scene = Scene(2)
    node = scene.others[0]
    node.request(KEY, frozenset())
    scene.net.deliver(*scene.net.ready()[0])
    node.is_hung = True
    scene.seconds(LEASE_S + 1)
    scene.request(scene.owner)
    assert scene.flights(scene.owner) == 1
    node.resume()
    scene.net.deliver_all()
    assert scene.most == 1
    scene.seconds(3)
    assert scene.flights(node) == 0
    assert len(node.waiting) == 1


def test_an_owner_that_hung_lends_nothing_before_it_has_heard_the_others() -> None:
    scene = Scene(2, fleet=1)
    owner, node = scene.owner, scene.others[0]
    scene.wanted = Wanted(1, 100, ())
    scene.tell()
    owner.request(KEY, frozenset())
    owner.is_hung = True
    scene.seconds(LEASE_S + 2)
    scene.wanted = Wanted(1, 100, replicas(1))
    scene.tell(node)
    node.request(KEY, frozenset())
    scene.net.flights.clear()
    owner.is_hung = False
    owner.take_in(KEY, scene.wanted)  # before its tick
    assert scene.flights(owner) == 0


def test_one_that_was_heard_late_only_one_way_says_anew_what_it_holds_and_wants() -> None:
    scene = Scene(2)
    owner, node = scene.owner, scene.others[0]
    wire = node.calls[owner.place]
    scene.request(owner)
    scene.request(node)
    for _ in range(14):
        scene.net.now = round(scene.net.now + 0.2, 3)
        for each in scene.net.running:
            each.tick()
        epoch = owner.sharing._callers.get(node.name).epoch  # type: ignore[union-attr]
        owner.sharing.to_borrowers.post(node.name, Recall(epoch, KEY))
        owner.flush()
        for each, at in scene.net.ready():
            while each.under_way[at] and not (each is wire and at is owner):
                scene.net.deliver(each, at)
    scene.seconds(3)
    scene.finish(owner)
    assert scene.flights(node) == 1


def test_messages_of_instances_that_are_not_there_change_nothing() -> None:
    sharing = Sharing("p", lambda: None)
    sharing.tick(0.0)
    sharing.from_owner("q", Grant(0, KEY, 1, "r0", False), 0.0)
    sharing.from_caller("q", Recall(0, KEY), 0.0)
    assert not sharing.to_owners.take_all()
    assert not sharing.to_borrowers.take_all()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_place_that_is_listed_and_dead_keeps_its_slots_until_it_is_listed_no_more(count: int) -> None:
    scene = Scene(count, fleet=6)
    gone = scene.others[0]
    scene.kill(gone, listed=True)
    scene.seconds(3)
    for node in scene.net.alive:
        scene.request(node, 6)
    assert len(scene.net.flights) < 6
    del scene.net.nodes[gone.place]
    scene.tell()
    scene.seconds(1)
    assert len(scene.net.flights) == 6
    assert scene.most == 1
