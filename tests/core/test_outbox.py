"""Does everything that is posted go to whom it was meant for, in order and once?"""

from __future__ import annotations

from router.core.frames import Beat
from router.core.outbox import Outbox


def outbox_to(*names: str) -> tuple[Outbox, list[int]]:
    posted: list[int] = []
    outbox = Outbox(lambda: posted.append(1))
    for name in names:
        outbox.open(name)
    return outbox, posted


def test_what_is_posted_waits_in_order_until_it_is_taken_once() -> None:
    outbox, posted = outbox_to("a", "b")
    for number, name in enumerate("aba"):
        outbox.post(name, Beat(number))
    assert len(posted) == 3
    assert outbox.take_all() == [("a", [Beat(0), Beat(2)]), ("b", [Beat(1)])]
    assert outbox.take_all() == []


def test_where_there_is_no_wire_nothing_is_kept() -> None:
    outbox, posted = outbox_to("a")
    outbox.post("b", Beat(1))
    assert not posted
    outbox.open("b")
    assert outbox.take_all() == []


def test_a_new_wire_begins_with_nothing_of_what_the_old_one_was_to_carry() -> None:
    outbox, _ = outbox_to("a")
    outbox.post("a", Beat(1))
    outbox.open("a")
    outbox.post("a", Beat(2))
    assert outbox.take_all() == [("a", [Beat(2)])]


def test_one_that_is_closed_gets_nothing_more() -> None:
    outbox, _ = outbox_to("a", "b")
    outbox.post("a", Beat(1))
    outbox.close("a")
    outbox.close("never opened")
    outbox.post("a", Beat(2))
    outbox.post_all(Beat(3))
    assert outbox.take_all() == [("b", [Beat(3)])]


def test_what_is_taken_is_the_takers() -> None:
    outbox, _ = outbox_to("a")
    outbox.post("a", Beat(1))
    ((_, taken),) = outbox.take_all()
    outbox.post("a", Beat(2))
    assert taken == [Beat(1)]
