"""sharing.py: one that comes while others can't reach each other, and reaches both sides."""

from __future__ import annotations

from router.core.circle import SILENT_S
from tests.core.sharing_scene import Scene


def test_one_that_reaches_both_sides_leaves_the_slots_of_those_alone_with_whom_it_does_not_work() -> None:
    scene = Scene(3, fleet=8, queue_length=100)
    p, q, r = scene.net.running
    scene.cut([p], [q, r])
    scene.seconds(4)
    s = scene.boot("s")
    scene.tell()
    for _ in range(3):
        scene.connect()
        scene.moment()
        for node in (p, q, r, s):
            scene.request(node, 4)
        scene.beats()
    scene.seconds(4)
    assert s.sharing._group == {p.name, s.name}
    assert s.sharing.missing == ("q", "r")
    assert q.sharing.missing == ("p", "s")
    assert scene.most == 1
    assert len(scene.net.flights) == 8, "all slots are somebody's"


def test_two_that_started_alone_lend_nothing_of_each_others_when_they_meet() -> None:
    """Each was there for longer than it takes to agree; for the other one, that time begins now."""
    scene = Scene(3)
    p, q, r = scene.net.running
    scene.cut([p, q], [r])
    for node in (p, q):
        scene.kill(node, listed=True)
    p, q = scene.boot("p"), scene.boot("q")
    scene.cut([p], [q, r])
    scene.tell()
    scene.seconds(4)
    for node in (p, q, r):
        node.request("iris/blue", frozenset())
    scene.net.cut.clear()
    scene.beats(1)
    assert scene.most == 1
    scene.seconds(5)
    assert len(scene.net.flights) == 1
    assert scene.most == 1


def test_a_new_one_that_has_only_just_met_one_that_hangs_leaves_it_its_slots() -> None:
    scene = Scene(1, fleet=12)
    old = scene.net.alive[0]
    new = scene.boot("q")
    scene.tell(new)
    scene.connect()
    old.is_hung = True
    scene.seconds(SILENT_S + 0.4)
    assert new.sharing.missing == (old.place,)
    scene.request(new, 12)
    assert 0 < len(scene.net.flights) < 12
