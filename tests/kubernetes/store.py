"""What did the cluster's objects look like at each resourceVersion?

Pure. One growing revision for all kinds; every write is remembered with what was there before and after, so a page of a
list can be read as of its first page's revision, and a watch can begin at any that is not compacted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.kubernetes.refusals import expired

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace ("" for what has none) and name."""

FIRST_REVISION = 280


class Change(NamedTuple):
    revision: int
    plural: str
    key: Key
    before: Object | None
    after: Object | None


class Store:
    """Objects are never changed in place: a write puts a new one in."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.compacted = FIRST_REVISION
        """What is older has been forgotten."""
        self.listeners: list[Callable[[Change], None]] = []
        """Called after every write."""
        self._objects: dict[str, dict[Key, Object]] = {}
        self._changes: list[Change] = []

    def get(self, plural: str, key: Key) -> Object | None:
        return self._objects.get(plural, {}).get(key)

    def items(self, plural: str, revision: int | None = None) -> dict[Key, Object]:
        """All of one kind, in the order of namespace and name, as of `revision` or now. Raises `Refusal` 410."""
        objects = dict(self._objects.get(plural, {}))
        if revision is not None:
            for change in reversed(self.since(plural, revision)):
                if change.before is None:
                    objects.pop(change.key, None)
                else:
                    objects[change.key] = change.before
        return dict(sorted(objects.items()))

    def write(self, plural: str, key: Key, after: Object | None) -> Object:
        """Puts the object in, or takes it out (None). Returns it as it was stored, or as it last was, with the
        revision of this write."""
        self.revision += 1
        before = self.get(plural, key)
        last = before if after is None else after
        assert last is not None, f"no {plural} {key}"
        stamped = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.revision)}}
        objects = self._objects.setdefault(plural, {})
        if after is None:
            del objects[key]
        else:
            objects[key] = stamped
        change = Change(self.revision, plural, key, before, None if after is None else stamped)
        self._changes.append(change)
        for listener in self.listeners:
            listener(change)
        return stamped

    def since(self, plural: str, revision: int) -> list[Change]:
        """What happened after `revision`. Raises `Refusal` 410."""
        if revision < self.compacted:
            raise expired(revision, self.compacted)
        first = bisect_right(self._changes, revision, key=lambda change: change.revision)
        return [change for change in self._changes[first:] if change.plural == plural]

    def compact(self) -> None:
        self.compacted = self.revision
        self._changes.clear()
