"""Which replicas are left out for a while because they fail, and how fast do they come back?

Pure. Outlier ejection as Envoy words it: a replica that fails several requests in a row is left out; the pause grows
with each time; at least half of the ready ones always stay, so that a fault of everybody's ends nobody. A refused
connection needs no second opinion: nothing listens there. A replica that is new starts slowly: it looks more loaded
than it is for a while.

Invariants (tests/core/test_health.py): never more than half are out · a pause never outlasts the longest · a replica
that serves again is forgiven · one that left is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

CONSECUTIVE_FAILURES = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class Step(NamedTuple):
    """How many times as loaded as it is a starting replica shall look, and for how long; None: for good."""

    handicap: int
    for_s: float | None


SLOW_START = (Step(8, 2.5), Step(4, 2.5), Step(2, 5.0), Step(1, None))
"""A replica that has just become ready: an eighth of its fair share at first. It only changes who is preferred, never
who has room."""


class _Record:
    __slots__ = ("failures", "out_until", "pause_s")

    def __init__(self) -> None:
        self.failures = 0
        self.pause_s = FIRST_PAUSE_S
        """The next pause."""
        self.out_until: float | None = None


class OutlierDetector:
    """The failures of one deployment's replicas, by uid."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def failed(self, uid: str, now: float, ready: int, *, refused: bool = False) -> float | None:
        """A request to the replica failed. Returns the moment until which to leave it out, None to leave it in.

        `ready`: replicas that take requests now, this one included. `refused`: it took no connection at all.
        """
        record = self._records.setdefault(uid, _Record())
        if record.out_until is not None:
            return None
        record.failures += 1
        if record.failures < CONSECUTIVE_FAILURES and not refused:
            return None
        out = sum(other.out_until is not None for other in self._records.values())
        if 2 * (out + 1) > out + ready:
            return None
        record.out_until = now + record.pause_s
        record.pause_s = min(2.0 * record.pause_s, LONGEST_PAUSE_S)
        return record.out_until

    def succeeded(self, uid: str) -> None:
        if self._records:
            record = self._records.get(uid)
            if record is not None and record.out_until is None:
                del self._records[uid]

    def readmit(self, uid: str) -> None:
        """The pause is over. One more failure is enough now to leave it out again, for longer."""
        record = self._records.get(uid)
        if record is not None:
            record.out_until = None
            record.failures = CONSECUTIVE_FAILURES - 1

    def keep(self, uids: set[str]) -> None:
        """Forget all others: they left."""
        for uid in self._records.keys() - uids:
            del self._records[uid]
