"""Which names belong to a key?

Pure. A key to which no name belongs any more is forgotten: what comes and goes for years leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Hashable, Set
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_NOBODY: frozenset[str] = frozenset()


class Index(Generic[K]):
    """Names by key. What it gives out is live: to be copied by who keeps it."""

    def __init__(self) -> None:
        self._names: dict[K, set[str]] = {}

    def __getitem__(self, key: K) -> Set[str]:
        return self._names.get(key, _NOBODY)

    def __len__(self) -> int:
        """Keys that have names."""
        return len(self._names)

    def add(self, key: K, name: str) -> None:
        self._names.setdefault(key, set()).add(name)

    def discard(self, key: K, name: str) -> None:
        names = self._names.get(key)
        if names is not None:
            names.discard(name)
            if not names:
                del self._names[key]
