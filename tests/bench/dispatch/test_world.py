"""Does the world keep time, order and count, and do instances in it behave as they do elsewhere?"""

from __future__ import annotations

import pytest

from bench.dispatch.world import World
from router.core.dispatch import NoRoom, Permit
from router.core.model import Replica

KEY = "iris/blue"


class Played:
    """A world of so many places and replicas after two seconds, and what was begun in it."""

    def __init__(self, places: int, fleet: int = 1, delay_s: float = 0.01) -> None:
        self.world = World(delay_s)
        self.world.replicas = [
            Replica(uid=f"r{number}", deployment=KEY, host="127.0.0.1", port=5001, ready=True)
            for number in range(fleet)
        ]
        self.begun: list[tuple[float, str]] = []
        self.most = 0
        for place in "pqrs"[:places]:
            self.world.start(place, [KEY])
        self.world.run(2.0)

    def request(self, place: str, service_s: float) -> None:
        node = self.world.nodes[place]

        def begin(permit: Permit) -> None:
            self.begun.append((self.world.now, place))
            self.most = max(self.most, self.world.in_flight[permit.replica.uid])
            self.world.after(service_s, lambda: end(permit))

        def end(permit: Permit) -> None:
            self.world.in_flight[permit.replica.uid] -= 1
            node.when_running(lambda: node.finish(KEY, permit))

        node.request(KEY, 1e6, begin)


def test_events_come_in_the_order_of_their_moments_and_then_as_they_were_planned() -> None:
    world = World(0.0)
    seen: list[tuple[str, float]] = []
    for name, moment in (("c", 2.0), ("a", 1.0), ("d", 2.0), ("late", 9.0)):
        world.at(moment, lambda name=name: seen.append((name, world.now)))  # type: ignore[misc]
    world.run(5.0)
    assert seen == [("a", 1.0), ("c", 2.0), ("d", 2.0)]
    assert world.now == 5.0


def test_one_alone_says_nothing_and_serves_at_once() -> None:
    played = Played(1)
    played.request("p", 1.0)
    played.request("p", 1.0)
    played.world.run(9.0)
    assert played.begun == [(2.0, "p"), (3.0, "p")]
    assert played.world.messages == 0


def test_instances_share_one_queue_and_one_limit_over_wires_that_take_time() -> None:
    played = Played(3, fleet=2)
    for place in "pqrpqr":
        played.request(place, 0.5)
    played.world.run(9.0)
    assert len(played.begun) == 6
    assert played.most == 1
    assert played.begun[-1][0] < 2.0 + 2 * 0.5 + 6 * 0.01 + 1e-9
    assert played.world.messages > 0


@pytest.mark.parametrize("listed", [True, False])
def test_what_the_killed_held_comes_back_and_nobody_waits_for_it_for_ever(listed: bool) -> None:
    played = Played(3, fleet=3)
    for place in "pqr":
        played.request(place, 1e6)
    played.world.run(2.5)
    assert len(played.begun) == 3
    played.world.kill("q", listed=listed)
    played.request("p", 1e6)
    played.world.run(9.0)
    if listed:
        played.world.delist("q")
        played.world.run(12.0)
    assert [place for _, place in played.begun[3:]] == ["p"]


def test_a_cut_link_carries_nothing_until_it_is_mended() -> None:
    played = Played(2, fleet=4)
    played.world.cut.add(frozenset("pq"))
    played.world.run(6.0)
    assert {place: node.sharing.missing for place, node in played.world.nodes.items()} == {"p": ("q",), "q": ("p",)}
    for place in "ppppqqqq":
        played.request(place, 3.0)
    assert played.most == 1
    played.world.cut.clear()
    played.world.run(9.0)
    assert not any(node.sharing.missing for node in played.world.nodes.values())


def test_one_that_is_stopped_hears_all_when_it_goes_on() -> None:
    played = Played(2)
    played.world.nodes["p"].stop()
    played.world.run(6.0)
    assert played.world.nodes["q"].sharing.missing == ("p",)
    played.world.nodes["p"].resume()
    played.world.run(8.0)
    assert not played.world.nodes["q"].sharing.missing
    played.request("p", 1.0)
    played.world.run(8.5)
    assert len(played.begun) == 1


def test_one_who_gives_up_is_never_begun_and_one_without_room_is_told() -> None:
    played = Played(1)
    node = played.world.nodes["p"]
    played.request("p", 1.0)
    ticket = node.request(KEY, 9.0, lambda permit: played.begun.append((0.0, "given up")))
    assert not isinstance(ticket, Permit)
    node.give_up(KEY, ticket)
    node.borrowers[KEY].configure(1, 0, 2.0)
    with pytest.raises(NoRoom):
        played.request("p", 1.0)
    played.world.run(9.0)
    assert played.begun == [(2.0, "p")]


def test_signs_of_life_are_counted_apart_from_what_requests_cost() -> None:
    played = Played(2)
    messages, beats = played.world.messages, played.world.beats
    played.world.run(4.0)
    assert played.world.messages == messages
    assert played.world.beats >= beats + 2 * 2 * 9, "each tells the other every 0.2 s, and hears it back"
