"""How many replicas of a deployment should start, and which should leave?

Pure. Rules, each a property in the tests:

1. Applied again and again, with every start becoming ready, it ends with exactly the wished number of seats,
   all up to date.
2. It never takes away a ready seat when that leaves fewer ready ones than wished.
3. It starts no seat that makes more than wished, or one more than wished while an outdated one serves.
4. Among equals the not-ready leave first, then those named to leave first, in their order, then the youngest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0


class Seat(Struct, frozen=True):
    """One of a deployment's replicas as the plan sees it; seats come oldest first."""

    id: int
    ready: bool
    """It answers, and takes requests."""
    outdated: bool
    """Runs a command, environment or route that the endpoints file no longer says."""


class Plan(Struct, frozen=True):
    start: int
    leave: tuple[int, ...]
    """Ids of seats."""


def plan(wished: int, seats: Sequence[Seat], leave_first: Sequence[int] = ()) -> Plan:
    """`seats` are those that aren't leaving already; `leave_first` has ids, of seats and of others."""
    best_first = _best_first(seats, leave_first)
    current = [seat for seat in best_first if not seat.outdated]
    outdated = [seat for seat in best_first if seat.outdated]
    kept, surplus = current[:wished], current[wished:]

    ready_outdated = [seat for seat in outdated if seat.ready]
    still_needed = max(0, wished - sum(seat.ready for seat in kept))
    serving = ready_outdated[:still_needed]
    leave = [*surplus, *(seat for seat in outdated if seat not in serving)]

    most = wished + 1 if serving else wished
    start = min(wished - len(kept), most - len(kept) - len(serving))
    return Plan(start=max(0, start), leave=tuple(seat.id for seat in leave))


def backoff_s(failures: int) -> float:
    """Pause before the next start after that many failures in a row: 0.1 s, doubling to 30 s."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 60))


def worth_a_word(failures: int) -> bool:
    """Whether this failure in a row is reported: the 1st, 2nd, 4th, 8th... so that no crash loop floods."""
    return failures & (failures - 1) == 0


def _best_first(seats: Iterable[Seat], leave_first: Sequence[int]) -> list[Seat]:
    turns = {seat: turn for turn, seat in enumerate(leave_first)}
    return sorted(seats, key=lambda seat: (not seat.ready, -turns.get(seat.id, len(turns))))
