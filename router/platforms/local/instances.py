"""Which router processes live on this machine, and how is that followed?

I/O: the state directory, /proc. Asked many times a second: files are read only when one was written or removed; that a
process has ended is seen by itself, for it may have died without a word.
"""

from __future__ import annotations

from router.core.model import Instance
from router.platforms.local.state import RouterPlace, StateDirectory


class LivingInstances:
    """Of one state directory."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._version: frozenset[tuple[str, int]] = frozenset()
        self._places: list[RouterPlace] = []

    def look(self) -> tuple[Instance, ...]:
        """By their ids."""
        version = self._state.routers_version()
        if version != self._version:
            self._version, self._places = version, self._state.routers()
        living = (_instance(place) for place in self._places if place.lives)
        return tuple(sorted(living, key=lambda each: each.id))


def _instance(place: RouterPlace) -> Instance:
    return Instance(id=place.id, admin=place.admin, peer=place.peer, socket=place.socket)
