"""Which worker is to be started, told to leave, or killed now?

Pure. Places are numbered from 0; each has at most one worker, and who follows one that ended has its number.

Theory: a place is vacant, or its worker starts (nothing was heard of it), works, or leaves. A worker says every second
that its event loop turns; one that is silent hangs, and is killed. A place whose worker has ended is filled again: at
once if that one ran well, else after a pause that doubles each time. Whoever is asked to leave, because there shall be
fewer, may take as long as its requests do; its place is not filled before it has ended.

Invariants (tests/workers/test_crew.py):
1. No place has two workers; none at or above the wish is filled.
2. A place below the wish is filled within LONGEST_PAUSE_S of its worker's end, until all shall stop.
3. Only a worker that was silent for too long is killed.
4. If a worker ends by itself before any was ready, nothing is started any more: it would happen to each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SILENT_S = 5.0
"""So long an event loop may not turn."""
STARTS_WITHIN_S = 60.0
"""Until the first word, on a slow and busy machine."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
RAN_WELL_S = 10.0
_LATE_S = 1.0


@dataclass(frozen=True)
class Step:
    """What to do with one place."""

    what: Literal["start", "leave", "kill"]
    index: int


class _Place:
    """`heard_s`: the last word; until there is one, `is_heard` is False and it is the time of its start."""

    def __init__(self) -> None:
        self.is_taken = False
        self.is_heard = False
        self.is_leaving = False
        self.is_killed = False
        self.started_s = 0.0
        self.heard_s = 0.0
        self.pause_s = 0.0
        self.vacant_until_s = 0.0


class Crew:
    """Times are seconds of any one clock."""

    def __init__(self, wish: int, most: int) -> None:
        self._most = most
        self._places = [_Place() for _ in range(most)]
        self._was_ready = False
        self._looked_s: float | None = None
        self.has_failed = False
        """A worker ended by itself before any was ready."""
        self.is_stopping = False
        self.wish(wish)

    def wish(self, workers: int) -> int:
        """So many there shall be, as far as that may be; returns the number that it is."""
        self.wished = max(1, min(self._most, workers))
        return self.wished

    @property
    def living(self) -> list[int]:
        """Numbers of the places that have a worker."""
        return [index for index, place in enumerate(self._places) if place.is_taken]

    def started(self, index: int, now: float) -> None:
        place = self._places[index]
        assert not place.is_taken
        place.is_taken, place.is_heard, place.is_leaving, place.is_killed = True, False, False, False
        place.started_s = place.heard_s = now

    def heard(self, index: int, now: float, *, ready: bool) -> None:
        place = self._places[index]
        place.is_heard, place.heard_s = True, now
        self._was_ready |= ready

    def ended(self, index: int, now: float, *, by_itself: bool) -> None:
        """`by_itself`: not by a signal."""
        place = self._places[index]
        place.is_taken = False
        if place.is_leaving or now - place.started_s >= RAN_WELL_S:
            place.pause_s = 0.0
        else:
            place.pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * place.pause_s))
        place.vacant_until_s = now + place.pause_s
        if by_itself and not self._was_ready and not self.is_stopping:
            self.has_failed = self.is_stopping = True

    def stop(self) -> None:
        """Nothing is started any more."""
        self.is_stopping = True

    def steps(self, now: float) -> Iterator[Step]:
        """To be called often, and followed. Whoever could not look for a while has not heard either: then every worker
        has its time once more."""
        if self._looked_s is not None and now - self._looked_s > _LATE_S:
            for place in self._places:
                place.heard_s = max(place.heard_s, now)
        self._looked_s = now
        for index, place in enumerate(self._places):
            if (what := self._step(index, place, now)) is not None:
                yield Step(what, index)

    def _step(self, index: int, place: _Place, now: float) -> Literal["start", "leave", "kill"] | None:
        if not place.is_taken:
            may_start = not self.is_stopping and index < self.wished and now >= place.vacant_until_s
            return "start" if may_start else None
        if not place.is_killed and now - place.heard_s > (SILENT_S if place.is_heard else STARTS_WITHIN_S):
            place.is_killed = True
            return "kill"
        if index >= self.wished and not place.is_leaving and not self.is_stopping:
            place.is_leaving = True
            return "leave"
        return None
