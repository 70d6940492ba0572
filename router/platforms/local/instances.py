"""Which router processes live on this machine, and how is that followed?

I/O: the state directory, processes. Asked several times a second: files are read only when one was written or removed;
that a process has ended is seen by itself, for it may have died without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.core.model import Instance
from router.platforms.local.running import Process
from router.platforms.local.state import RouterPlace, StateDirectory


class LivingInstances:
    """Of one state directory."""

    def __init__(self, state: StateDirectory, ended: Callable[[], None] | None = None) -> None:
        """`ended`: to be called as soon as one has, where the system tells of it; then looks need a running event loop,
        and `close` at the end."""
        self._state = state
        self._ended = ended
        self._version: frozenset[tuple[str, int]] = frozenset()
        self._listed: list[tuple[Process, Instance]] = []
        self._living: tuple[Instance, ...] = ()

    def look(self) -> tuple[Instance, ...]:
        """By their ids. The same object as long as nothing happens."""
        version = self._state.routers_version()
        if version != self._version:
            places = sorted(self._state.routers(), key=lambda each: each.id)
            listed = [(Process(place.pid, place.started), _instance(place)) for place in places]
            self.close()
            self._version, self._listed = version, listed
            self._listen()
        living = tuple(instance for process, instance in self._listed if process.runs)
        if living != self._living:
            self._living = living
        return self._living

    def close(self) -> None:
        """Nobody is told any more."""
        for process, _ in self._listed:
            self._forget(process)

    # -- inside --------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for process, _ in self._listed:
            if self._ended is not None and process.descriptor is not None:
                asyncio.get_running_loop().add_reader(process.descriptor, self._end, process, self._ended)

    def _end(self, process: Process, ended: Callable[[], None]) -> None:
        self._forget(process)
        ended()

    def _forget(self, process: Process) -> None:
        if self._ended is not None and process.descriptor is not None:
            asyncio.get_running_loop().remove_reader(process.descriptor)


def _instance(place: RouterPlace) -> Instance:
    return Instance(id=place.id, admin=place.admin, peer=place.peer, socket=place.socket)
