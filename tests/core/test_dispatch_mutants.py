"""Would the machine notice if the dispatcher broke one of its invariants?

Each mutant breaks one invariant, and must fall to the check of that very invariant, with all others looking away.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from router.core.dispatch import Dispatcher, Permit, Ticket, _Seat
from router.core.model import Replica
from tests.core.dispatch_machine import DispatchMachine


class OneTooMany(Dispatcher):
    def _has_room(self, seat: _Seat) -> bool:
        return seat.in_flight <= self._slots and seat.takes_requests


class RoomInTheLeaving(Dispatcher):
    def _has_room(self, seat: _Seat) -> bool:
        return seat.in_flight < self._slots and seat.replica.ready and not seat.paused


class HeadOfLineBlocks(Dispatcher):
    def _hand_over(self, seat: _Seat, now: float) -> Ticket | None:
        first = next(iter(self._queue))
        return super()._hand_over(seat, now) if seat.replica.uid not in first.avoid else None


class SleepsWhenReplicasCome(Dispatcher):
    def _serve_queue(self, now: float) -> list[Ticket]:
        return []


class WaitsBehindOthers(Dispatcher):
    def acquire(self, now: float, deadline: float, avoid: frozenset[str] = frozenset()) -> Permit | Ticket:
        if not self._queue:
            return super().acquire(now, deadline, avoid)
        ticket = Ticket(now, deadline, avoid)
        self._queue[ticket] = None
        return ticket


class TakesItBackTwice(Dispatcher):
    def release(self, permit: Permit, now: float) -> Ticket | None:
        seat = permit.seat
        try:
            return super().release(permit, now)
        finally:
            permit.seat = seat


class LosesWhatWasHandedOver(Dispatcher):
    def abandon(self, ticket: Ticket, now: float) -> Ticket | None:
        ticket.permit = None
        return super().abandon(ticket, now)


class LastComeFirstServed(Dispatcher):
    def _hand_over(self, seat: _Seat, now: float) -> Ticket | None:
        for ticket in reversed(list(self._queue)):
            self._queue.move_to_end(ticket)
        return super()._hand_over(seat, now)


class NewcomersBeforeTheQueue(Dispatcher):
    def _serve_queue(self, now: float) -> list[Ticket]:
        for ticket in reversed(list(self._queue)):
            self._queue.move_to_end(ticket)
        return super()._serve_queue(now)


class RemembersWhoGaveUp(Dispatcher):
    def abandon(self, ticket: Ticket, now: float) -> Ticket | None:
        return super().abandon(ticket, now) if ticket.permit is not None else None


class ServesTheDead(Dispatcher):
    def _hand_over(self, seat: _Seat, now: float) -> Ticket | None:
        return super()._hand_over(seat, float("-inf"))


class NeverForgets(Dispatcher):
    def release(self, permit: Permit, now: float) -> Ticket | None:
        seat = permit.seat
        ticket = super().release(permit, now)
        if seat is not None:
            self._seats.setdefault(seat.replica.uid, seat)
        return ticket


class ForgetsTooEarly(Dispatcher):
    def update(self, replicas: object, now: float) -> list[Ticket]:
        present = list(replicas)  # type: ignore[call-overload]
        for uid in self._seats.keys() - {replica.uid for replica in present}:
            self._close(self._seats.pop(uid))
        return super().update(present, now)


class ForgetsWhoReturned(Dispatcher):
    """One that leaves and returns under the same uid while a permit is out starts again at nothing."""

    def update(self, replicas: object, now: float) -> list[Ticket]:
        present: dict[str, Replica] = {replica.uid: replica for replica in replicas}  # type: ignore[attr-defined]
        for uid, seat in list(self._seats.items()):
            if seat.leaving and uid in present and not present[uid].leaving:
                del self._seats[uid]
        return super().update(present.values(), now)


class ForgetsThatItReturned(Dispatcher):
    """One that leaves and returns just as it was while a permit is out goes on as one that leaves."""

    def update(self, replicas: object, now: float) -> list[Ticket]:
        present: dict[str, Replica] = {replica.uid: replica for replica in replicas}  # type: ignore[attr-defined]
        same = [seat for uid, seat in self._seats.items() if seat.leaving and seat.replica == present.get(uid)]
        served = super().update(present.values(), now)
        for seat in same:
            self._close(seat)
            seat.leaving = True
            seat.look()
        return served


MUTANTS = [
    (1, OneTooMany),
    (1, RoomInTheLeaving),
    (2, HeadOfLineBlocks),
    (2, SleepsWhenReplicasCome),
    (2, WaitsBehindOthers),
    (2, ForgetsThatItReturned),
    (3, TakesItBackTwice),
    (3, LosesWhatWasHandedOver),
    (3, ForgetsWhoReturned),
    (4, LastComeFirstServed),
    (4, NewcomersBeforeTheQueue),
    (5, RemembersWhoGaveUp),
    (5, ServesTheDead),
    (6, NeverForgets),
    (6, ForgetsTooEarly),
]
SEARCH = settings(
    max_examples=500,
    stateful_step_count=30,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


def machine_of(dispatcher: type[Dispatcher], number: int) -> type[DispatchMachine]:
    return type("Machine", (DispatchMachine,), {"dispatcher_class": dispatcher, "checked": frozenset((number,))})


@pytest.mark.parametrize(
    ("number", "mutant"), MUTANTS, ids=[f"{number}-{mutant.__name__}" for number, mutant in MUTANTS]
)
def test_each_invariant_kills_the_mutants_that_break_it(number: int, mutant: type[Dispatcher]) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=rf"invariant {number}|DID NOT RAISE"):
        run_state_machine_as_test(machine_of(mutant, number), settings=SEARCH)


def test_every_invariant_has_a_mutant() -> None:
    assert {number for number, _ in MUTANTS} == set(DispatchMachine.checked)
