"""Who may use which replica now?

Pure. One dispatcher for each deployment: a number of slots on each replica, and one queue. Nothing here waits: a
caller gets a `Permit`, or a `Ticket` that a later `release`, `update`, `resume` or `configure` turns into a permit in
the same call that freed the slot.

Theory: a `_Seat` is one replica's slots. Seats with room stand in `_open[level]`, oldest use first; the level is the
requests in flight, times a handicap while the replica warms up. So the least loaded and longest unused replica is
found without a search. Full, unready, paused and leaving seats stand nowhere; they are found by uid only. A seat has
all slots of its replica, or, where several instances share them, as many as were allotted to this dispatcher.

Invariants (tests/core/test_dispatch.py, word for word):
1. A replica never holds more than its slots.
2. No slot is idle while a ticket that would take it waits.
3. Every slot comes back once.
4. First come, first served.
5. Nobody is served after they gave up.
6. A leaving replica is forgotten when its last permit returns, also if it returned under the same uid meanwhile.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable
from itertools import takewhile

from router.core.model import Replica

_HOLD_WEIGHT = 0.1
"""Weight of the newest holding time in the running mean from which the wait is estimated."""

_NO_LIMIT = sys.maxsize

_NONE: frozenset[str] = frozenset()


class NoRoom(Exception):
    """The queue is full; or, with `avoid`, no other replica could ever take the request."""

    def __init__(self, wait_s: float | None = None) -> None:
        """`wait_s`: how long it would have been, where another one has the queue and says so."""
        self.wait_s = wait_s


class _Seat:
    __slots__ = ("handicap", "in_flight", "leaving", "level", "paused", "replica", "slots", "takes_requests")

    def __init__(self, replica: Replica, slots: int) -> None:
        self.replica = replica
        self.slots = slots
        self.in_flight = 0
        self.level = 0
        self.handicap = 1
        self.paused = False
        self.leaving = replica.leaving
        self.look()

    def look(self) -> None:
        """After any change of what it depends on."""
        self.takes_requests = self.replica.ready and not self.paused and not self.leaving


class Permit:
    """One slot of one replica; given back once, with `Dispatcher.release`."""

    __slots__ = ("granted_at", "is_timed", "replica", "seat", "waited_s")

    def __init__(self, seat: _Seat, granted_at: float, waited_s: float) -> None:
        self.seat: _Seat | None = seat
        """For the dispatcher; None once it has been given back."""
        self.replica = seat.replica
        self.granted_at = granted_at
        self.is_timed = True
        """Whether it tells how long a request takes: not one that is kept for many."""
        self.waited_s = waited_s


class Ticket:
    """A place in the queue. `permit` is set the moment a slot is handed over."""

    __slots__ = ("avoid", "came_at", "deadline", "permit")

    def __init__(self, came_at: float, deadline: float, avoid: frozenset[str]) -> None:
        self.came_at = came_at
        self.deadline = deadline
        self.avoid = avoid
        self.permit: Permit | None = None


class Dispatcher:
    """Slots and queue of one deployment. Times are seconds of any one clock, given by the caller."""

    def __init__(self, slots_per_replica: int, max_queue_length: int) -> None:
        """`slots_per_replica`: 0 is no limit."""
        self._slots = slots_per_replica or _NO_LIMIT
        self._allotted: dict[str, int] | None = None
        """Slots by uid, none where it says none; None: all slots of every replica."""
        self._max_queue_length = max_queue_length
        self.expects_slots = False
        """Whether others may give it any slot, soon: as many as there are may wait for that, beside the queue."""
        self._seats: dict[str, _Seat] = {}
        self._open: list[OrderedDict[str, _Seat]] = [OrderedDict()]
        self._lowest = 0
        self._open_count = 0
        self._queue: OrderedDict[Ticket, None] = OrderedDict()
        self._mean_hold_s: float | None = None
        self.in_flight = 0
        self.arrived_total = 0
        self.finished_total = 0
        self.held_s_total = 0.0
        self.refused_total = 0

    # -- requests ------------------------------------------------------------------------------------------

    def acquire(
        self, now: float, deadline: float, avoid: frozenset[str] = _NONE, came_at: float | None = None
    ) -> Permit | Ticket:
        """A slot, else a place in the queue until `deadline`. Raises NoRoom.

        `avoid`: uids of replicas that this request must not get again. `came_at`: when it came, if not now.
        """
        self.arrived_total += 1
        if self._open_count:  # whoever waits would not take what is open (invariant 2)
            seat = self._least_loaded(avoid)
            if seat is not None:
                return self._grant(seat, now, 0.0)
        if avoid and not any(seat.takes_requests for uid, seat in self._seats.items() if uid not in avoid):
            raise NoRoom
        if len(self._queue) >= self._max_queue_length + self.expects_slots * self._slots * len(self._seats):
            self.refused_total += 1
            raise NoRoom
        ticket = Ticket(now if came_at is None else came_at, deadline, avoid)
        self._queue[ticket] = None
        if ticket.came_at < now:
            self._move_ahead(ticket)
        return ticket

    def release(self, permit: Permit, now: float) -> Ticket | None:
        """Give the slot back. Returns the ticket that it was handed to, if one waited for it."""
        seat = permit.seat
        if seat is None:
            raise ValueError(f"the permit for replica {permit.replica.uid} was released before")
        permit.seat = None
        held_s = now - permit.granted_at
        self.finished_total += 1
        self.held_s_total += held_s
        if permit.is_timed:
            mean = self._mean_hold_s
            self._mean_hold_s = held_s if mean is None else mean + _HOLD_WEIGHT * (held_s - mean)
        self._close(seat)
        seat.in_flight -= 1
        self.in_flight -= 1
        if seat.leaving:
            if not seat.in_flight:
                del self._seats[seat.replica.uid]
            return None
        if self._queue:
            ticket = self._hand_over(seat, now)
            if ticket is not None:
                return ticket
        self._reopen(seat)
        return None

    def abandon(self, ticket: Ticket, now: float) -> Ticket | None:
        """The one behind the ticket gives up. A slot handed over in the meantime goes on to the next, who is
        returned."""
        if ticket.permit is not None:
            permit, ticket.permit = ticket.permit, None
            return self.release(permit, now)
        self._queue.pop(ticket, None)
        return None

    def expire(self, ticket: Ticket) -> None:
        """The ticket's deadline has passed: a request refused for lack of room."""
        del self._queue[ticket]
        self.refused_total += 1

    # -- replicas ------------------------------------------------------------------------------------------

    def update(self, replicas: Iterable[Replica], now: float) -> list[Ticket]:
        """These are the replicas now. Returns the tickets that got a slot by it."""
        present = {replica.uid: replica for replica in replicas}
        for uid, seat in list(self._seats.items()):
            replica = present.pop(uid, None)
            if replica == seat.replica and replica.leaving == seat.leaving:
                continue  # so that it keeps its turn, too
            self._close(seat)
            if replica is not None:
                seat.replica = replica
            seat.leaving = replica is None or replica.leaving
            seat.look()
            if replica is None and not seat.in_flight:
                del self._seats[uid]
            else:
                self._reopen(seat)
        for uid, replica in present.items():
            seat = self._seats[uid] = _Seat(replica, self._slots_of(uid))
            self._reopen(seat)
        return self._serve_queue(now)

    def configure(self, slots_per_replica: int, max_queue_length: int, now: float) -> list[Ticket]:
        """Changed settings. Requests over a lowered limit finish; nobody new comes in until there is room."""
        self._max_queue_length = max_queue_length
        slots = slots_per_replica or _NO_LIMIT
        if slots == self._slots:
            return []
        self._slots = slots
        return self._resize(now)

    def handicap(self, uid: str, factor: int) -> None:
        """Let one replica look `factor` times as loaded as it is (slow start); 1 ends it."""
        if (seat := self._seats.get(uid)) is not None:
            self._close(seat)
            seat.handicap = factor
            self._reopen(seat)

    def pause(self, uid: str) -> None:
        """Nothing new for this replica until `resume`."""
        if (seat := self._seats.get(uid)) is not None:
            self._close(seat)
            seat.paused = True
            seat.look()

    def resume(self, uid: str, now: float) -> list[Ticket]:
        if (seat := self._seats.get(uid)) is None:
            return []
        self._close(seat)
        seat.paused = False
        seat.look()
        self._reopen(seat)
        return self._serve_queue(now)

    # -- slots that several instances share ----------------------------------------------------------------

    def allot_all(self, slots: dict[str, int] | None, now: float) -> list[Ticket]:
        """From now on so many slots of each replica, by uid, are this dispatcher's to give; None: all."""
        self._allotted = None if slots is None else dict(slots)
        return self._resize(now)

    def allot(self, uid: str, slots: int, now: float) -> list[Ticket]:
        """So many of this replica, also one that is not known yet. Only after `allot_all` said how many of each."""
        assert self._allotted is not None
        self._allotted[uid] = slots
        if not slots:
            del self._allotted[uid]
        if (seat := self._seats.get(uid)) is None:
            return []
        self._close(seat)
        seat.slots = slots
        self._reopen(seat)
        return list(iter(lambda: self._hand_over(seat, now), None))

    def adopt(self, uid: str, now: float) -> Permit:
        """A slot that somebody has already, wherever it came from: room or not, known replica or not."""
        seat = self._seats.get(uid)
        if seat is None:
            gone = Replica(uid=uid, deployment="", host="", port=0, ready=False, leaving=True)
            seat = self._seats[uid] = _Seat(gone, self._slots_of(uid))
        return self._grant(seat, now, 0.0)

    def waiting(self) -> list[Ticket]:
        """Who waits, in the order of arrival."""
        return list(self._queue)

    def has_ticket(self, ticket: Ticket) -> bool:
        return ticket in self._queue

    def takes_requests(self, uid: str) -> bool:
        return (seat := self._seats.get(uid)) is not None and seat.takes_requests

    def in_flight_at(self, uid: str) -> int:
        return seat.in_flight if (seat := self._seats.get(uid)) is not None else 0

    @property
    def capacity(self) -> int:
        """Slots of the replicas that take requests, free or not."""
        return sum(seat.slots for seat in self._seats.values() if seat.takes_requests)

    # -- figures -------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return sum(seat.takes_requests for seat in self._seats.values())

    @property
    def has_ready(self) -> bool:
        return any(seat.takes_requests for seat in self._seats.values())

    @property
    def total(self) -> int:
        """Replicas that are there, ready or not; those that leave are not counted."""
        return sum(not seat.leaving for seat in self._seats.values())

    @property
    def busy(self) -> int:
        """Replicas with a request, those that leave included."""
        return sum(seat.in_flight > 0 for seat in self._seats.values())

    def in_flight_by_replica(self) -> dict[str, int]:
        return {uid: seat.in_flight for uid, seat in self._seats.items()}

    def estimated_wait_s(self) -> float | None:
        """How long one who came now would wait: the queue and itself, over the rate at which slots come back (Little's
        law). None when no request has finished yet, or none is being served."""
        if self._mean_hold_s is None or not self.in_flight:
            return None
        return (len(self._queue) + 1) * self._mean_hold_s / self.in_flight

    # -- inside --------------------------------------------------------------------------------------------

    def _least_loaded(self, avoid: frozenset[str]) -> _Seat | None:
        lowest = self._lowest
        while not self._open[lowest]:
            lowest += 1
        self._lowest = lowest
        if not avoid:
            return next(iter(self._open[lowest].values()))
        for seats in self._open[lowest:]:
            for uid, seat in seats.items():
                if uid not in avoid:
                    return seat
        return None

    def _grant(self, seat: _Seat, now: float, waited_s: float) -> Permit:
        self._close(seat)
        seat.in_flight += 1
        self.in_flight += 1
        if seat.in_flight < seat.slots:
            self._reopen(seat)
        return Permit(seat, now, waited_s)

    def _hand_over(self, seat: _Seat, now: float) -> Ticket | None:
        """The oldest ticket that would take this seat gets a slot of it, if there is room."""
        if not self._has_room(seat):
            return None
        uid = seat.replica.uid
        for ticket in self._queue:
            if ticket.deadline > now and uid not in ticket.avoid:
                break
        else:
            return None
        del self._queue[ticket]
        ticket.permit = self._grant(seat, now, now - ticket.came_at)
        return ticket

    def _serve_queue(self, now: float) -> list[Ticket]:
        served: list[Ticket] = []
        for ticket in list(self._queue):
            if not self._open_count:
                break
            if ticket.deadline <= now:
                continue
            seat = self._least_loaded(ticket.avoid)
            if seat is not None:
                del self._queue[ticket]
                ticket.permit = self._grant(seat, now, now - ticket.came_at)
                served.append(ticket)
        return served

    def _slots_of(self, uid: str) -> int:
        return self._slots if self._allotted is None else self._allotted.get(uid, 0)

    def _resize(self, now: float) -> list[Ticket]:
        for uid, seat in self._seats.items():
            self._close(seat)
            seat.slots = self._slots_of(uid)
            self._reopen(seat)
        return self._serve_queue(now)

    def _move_ahead(self, ticket: Ticket) -> None:
        """Of those who came after it: the queue is in the order in which they came."""
        later = list(takewhile(lambda each: each is ticket or each.came_at > ticket.came_at, reversed(self._queue)))
        for other in later[:0:-1]:
            self._queue.move_to_end(other)

    def _has_room(self, seat: _Seat) -> bool:
        return seat.in_flight < seat.slots and seat.takes_requests

    def _reopen(self, seat: _Seat) -> None:
        if not self._has_room(seat):
            return
        level = seat.level = seat.in_flight * seat.handicap
        while len(self._open) <= level:
            self._open.append(OrderedDict())
        self._open[level][seat.replica.uid] = seat
        self._open_count += 1
        if level < self._lowest:
            self._lowest = level

    def _close(self, seat: _Seat) -> None:
        if self._open[seat.level].pop(seat.replica.uid, None) is not None:
            self._open_count -= 1
