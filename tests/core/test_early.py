"""early.py: what is said of a deployment that is not lent is summed up until it is."""

from __future__ import annotations

import pytest

from router.core import early as module
from router.core.early import Asked, Early
from router.core.frames import Ask, Cancel, GiveBack, Pause, Refuse

KEY, OTHER = "iris/blue", "wine/blue"
NONE = frozenset[str]()


def is_empty(early: Early) -> bool:
    return not early._held and not early._asks


def test_who_asked_is_known_with_the_moment_at_which_it_came_until_it_is_taken() -> None:
    early = Early()
    assert early.hear(Ask(KEY, 1, 2.0, ("a",)), 10.0) is None
    assert early.hear(Ask(OTHER, 7), 11.0) is None
    assert early.hear(Ask(KEY, 2), 12.0) is None
    assert early.take(KEY) == ({}, [Asked(1, 8.0, frozenset("a")), Asked(2, 12.0, NONE)])
    assert early.take(KEY) == ({}, [])
    assert early.take(OTHER) == ({}, [Asked(7, 11.0, NONE)])
    assert is_empty(early)


def test_who_gives_up_or_gives_back_leaves_nothing() -> None:
    early = Early()
    early.keep(KEY, {"a": 3, "b": 1}, [Asked(1, 5.0, NONE), Asked(2, 6.0, NONE)])
    for message in (Cancel(KEY, 1), GiveBack(KEY, "a", 2), GiveBack(KEY, "b")):
        assert early.hear(message, 7.0) is None
    assert early.take(KEY) == ({"a": 1}, [Asked(2, 6.0, NONE)])
    early.keep(KEY, {"a": 1}, [Asked(3, 8.0, NONE)])
    early.hear(Cancel(KEY, 3), 9.0)
    early.hear(GiveBack(KEY, "a"), 9.0)
    assert is_empty(early)


def test_what_was_never_said_cannot_be_taken_back() -> None:
    early = Early()
    for message in (Cancel(KEY, 1), GiveBack(KEY, "a"), Pause(KEY, "a", 5.0)):
        assert early.hear(message, 1.0) is None
    assert is_empty(early)
    early.keep(KEY, {"a": 1}, [Asked(1, 5.0, NONE)])
    early.hear(Cancel(KEY, 9), 6.0)
    early.hear(GiveBack(KEY, "z", 5), 6.0)
    early.hear(GiveBack(KEY, "a", 5), 6.0)
    assert early.take(KEY) == ({}, [Asked(1, 5.0, NONE)])


def test_what_is_kept_is_instead_of_what_was() -> None:
    early = Early()
    early.hear(Ask(KEY, 1), 1.0)
    early.keep(KEY, {"a": 2}, [])
    early.keep(KEY, {}, [Asked(2, 5.0, NONE)])
    assert early.take(KEY) == ({}, [Asked(2, 5.0, NONE)])
    early.keep(KEY, {}, [])
    assert is_empty(early)


def test_who_finds_no_room_to_wait_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ASKS", 2)
    early = Early()
    assert [early.hear(Ask(KEY, number), 1.0) for number in (1, 2, 3)] == [None, None, Refuse(0, KEY, 3)]
    assert early.hear(Ask(OTHER, 4), 1.0) is None
    early.hear(Cancel(KEY, 1), 2.0)
    assert early.hear(Ask(KEY, 5), 3.0) is None
    assert [asked.number for asked in early.take(KEY)[1]] == [2, 5]
