"""index.py: who is added is found, and a key without names is gone."""

from __future__ import annotations

from router.platforms.kubernetes.picture.index import Index


def test_names_come_and_go_and_leave_nothing_behind() -> None:
    index: Index[tuple[str, str]] = Index()
    assert (set(index["a", "b"]), len(index)) == (set(), 0), "to ask leaves nothing behind either"
    for name in ("one", "two", "two"):
        index.add(("a", "b"), name)
    index.add(("c", "d"), "one")
    assert (index["a", "b"], index["c", "d"], len(index)) == ({"one", "two"}, {"one"}, 2)
    index.discard(("a", "b"), "two")
    index.discard(("a", "b"), "three")
    index.discard(("e", "f"), "one")
    assert (index["a", "b"], len(index)) == ({"one"}, 2)
    index.discard(("a", "b"), "one")
    assert (index["a", "b"], len(index)) == (set(), 1)
