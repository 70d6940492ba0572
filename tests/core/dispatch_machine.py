"""Does a dispatcher keep its six invariants, whatever comes in whatever order?

A model that is too simple to be wrong runs beside the dispatcher: who holds what, who waits, who gave up. `checked`
narrows a machine to some of the invariants, so that a mutant of the dispatcher shows which one kills it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.model import Replica
from tests.core.nouns import a_replica

UIDS = ("a", "b", "c", "d")
ALL = frozenset(range(1, 7))

indexes = st.integers(0, 1_000)
slot_counts = st.sampled_from((1, 1, 1, 2, 3, 0))
queue_lengths = st.sampled_from((30, 30, 30, 2, 0))
avoided = st.sampled_from((frozenset[str](), frozenset[str](), frozenset("a"), frozenset("ab"), frozenset("bcd")))
fleets = st.dictionaries(
    st.sampled_from(UIDS), st.sampled_from(("ready", "ready", "ready", "unready", "leaving")), min_size=1, max_size=3
)


@dataclass
class ModelReplica:
    noun: Replica
    present: bool = True
    paused: bool = False
    handicap: int = 1
    held: list[Permit] = field(default_factory=list)

    def takes_requests(self) -> bool:
        return self.present and self.noun.ready and not self.noun.leaving and not self.paused


class DispatchMachine(RuleBasedStateMachine):
    dispatcher_class: ClassVar[type[Dispatcher]] = Dispatcher
    checked: ClassVar[frozenset[int]] = ALL

    @initialize(slots=slot_counts, length=queue_lengths, fleet=fleets)
    def start(self, slots: int, length: int, fleet: dict[str, str]) -> None:
        self.now = 0.0
        self.slots, self.length = slots, length
        self.replicas: dict[str, ModelReplica] = {}
        self.queue: list[Ticket] = []  # oldest first
        self.gone: list[Ticket] = []  # gave up, or were told that there is no room
        self.spent: list[Permit] = []
        self.granted = self.refused = self.arrived = 0
        self.held_s = 0.0
        self.dispatcher = self.dispatcher_class(slots, length)
        self.update(fleet)

    def holds(self, number: int, condition: bool, what: str) -> None:
        if number in self.checked:
            assert condition, f"invariant {number}: {what}"

    def agrees(self, condition: bool, what: str) -> None:
        """No invariant of its own, but what the dispatcher says of itself."""
        assert condition or self.checked != ALL, what

    # -- requests ------------------------------------------------------------------------------------------

    @rule(avoids=st.lists(avoided, min_size=1, max_size=4), patience=st.sampled_from((50.0, 50.0, 2.0, 0.5)))
    def arrive(self, avoids: list[frozenset[str]], patience: float) -> None:
        for avoid in avoids:
            self.acquire(avoid, self.now + patience)

    def acquire(self, avoid: frozenset[str], deadline: float) -> None:
        self.arrived += 1
        options = self.with_room(avoid)
        is_hopeless = bool(avoid) and not self.taking() - avoid
        try:
            got = self.dispatcher.acquire(self.now, deadline, avoid)
        except NoRoom:
            self.holds(2, not options, "refused while a slot was idle")
            self.agrees(is_hopeless or len(self.queue) >= self.length, "refused although the queue had room")
            self.refused += not is_hopeless
            return
        if isinstance(got, Ticket):
            self.holds(2, not options, "sent to the queue while a slot was idle")
            self.agrees(not is_hopeless, "waits for what can never come")
            self.agrees(len(self.queue) < self.length, "the queue is longer than its limit")
            self.queue.append(got)
        else:
            self.check_grant(got, avoid)
            least = min((self.level(uid) for uid in options), default=0)
            self.agrees(self.level(got.replica.uid) == least, "a replica that was not the least loaded")
            self.holds(4, not self.waiting_for(got.replica.uid), "a newcomer overtook one who waited")
            self.take(got)

    @precondition(lambda self: self.held())
    @rule(index=indexes)
    def release(self, index: int) -> None:
        permit = self.pick(self.held(), index)
        self.give_back(permit)
        self.serve([self.dispatcher.release(permit, self.now)])

    @precondition(lambda self: self.spent)
    @rule(index=indexes)
    def release_again(self, index: int) -> None:
        if 3 in self.checked:
            with pytest.raises(ValueError, match="released before"):
                self.dispatcher.release(self.pick(self.spent, index), self.now)

    @precondition(lambda self: self.queue)
    @rule(index=indexes)
    def abandon_while_waiting(self, index: int) -> None:
        ticket = self.queue.pop(index % len(self.queue))
        self.gone.append(ticket)
        self.agrees(self.dispatcher.abandon(ticket, self.now) is None, "a slot handed on that nobody had")

    @precondition(lambda self: self.held() and self.queue)
    @rule(index=indexes)
    def abandon_what_was_just_handed_over(self, index: int) -> None:
        permit = self.pick(self.held(), index)
        self.give_back(permit)
        ticket = self.dispatcher.release(permit, self.now)
        self.serve([ticket])
        if ticket is not None and ticket.permit is not None:
            self.give_back(ticket.permit)
            self.gone.append(ticket)
            self.serve([self.dispatcher.abandon(ticket, self.now)])

    @precondition(lambda self: any(ticket.deadline <= self.now for ticket in self.queue))
    @rule(index=indexes)
    def expire(self, index: int) -> None:
        ticket = self.pick([ticket for ticket in self.queue if ticket.deadline <= self.now], index)
        self.queue.remove(ticket)
        self.gone.append(ticket)
        self.refused += 1
        self.dispatcher.expire(ticket)

    @rule(seconds=st.sampled_from((0.1, 0.5, 3.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # -- replicas ------------------------------------------------------------------------------------------

    @rule(fleet=fleets)
    def update(self, fleet: dict[str, str]) -> None:
        nouns = [a_replica(uid, ready=state != "unready", leaving=state == "leaving") for uid, state in fleet.items()]
        for replica in self.replicas.values():
            replica.present = False
        for noun in nouns:
            replica = self.replicas.setdefault(noun.uid, ModelReplica(noun))
            replica.noun, replica.present = noun, True
        for uid in [uid for uid, replica in self.replicas.items() if not replica.present and not replica.held]:
            del self.replicas[uid]
        self.serve(self.dispatcher.update(nouns, self.now))

    @rule(slots=slot_counts, length=queue_lengths)
    def configure(self, slots: int, length: int) -> None:
        self.slots, self.length = slots, length
        self.serve(self.dispatcher.configure(slots, length, self.now))

    @rule(uid=st.sampled_from(UIDS), change=st.sampled_from(("pause", "resume", "resume", 1, 8)))
    def treat(self, uid: str, change: str | int) -> None:
        replica = self.replicas.get(uid, ModelReplica(a_replica(uid)))
        if isinstance(change, int):
            replica.handicap = change
            self.dispatcher.handicap(uid, change)
            return
        replica.paused = change == "pause"
        if replica.paused:
            self.dispatcher.pause(uid)
        else:
            self.serve(self.dispatcher.resume(uid, self.now))

    # -- what must hold after every step -------------------------------------------------------------------

    @invariant()
    def a_replica_never_holds_more_than_its_slots(self) -> None:
        counts = self.dispatcher.in_flight_by_replica()
        for uid, replica in self.replicas.items():
            self.holds(1, counts.get(uid, 0) <= len(replica.held), f"{uid} holds more than it was granted")

    @invariant()
    def no_slot_is_idle_while_a_ticket_that_would_take_it_waits(self) -> None:
        for ticket in self.queue:
            idle = self.with_room(ticket.avoid)
            self.holds(2, ticket.deadline <= self.now or not idle, f"{idle} idle while somebody waits")

    @invariant()
    def every_slot_comes_back_once(self) -> None:
        counts = self.dispatcher.in_flight_by_replica()
        held = {uid: len(replica.held) for uid, replica in self.replicas.items() if replica.held}
        self.holds(3, {uid: count for uid, count in counts.items() if count} == held, "the books of one replica")
        self.holds(3, self.dispatcher.in_flight == sum(held.values()), "the books of all replicas")
        self.holds(3, self.granted == len(self.spent) + sum(held.values()), "granted = released + held")

    @invariant()
    def who_waits_is_who_was_sent_to_wait(self) -> None:
        self.agrees(self.dispatcher.queued == len(self.queue), "the length of the queue")
        self.agrees(self.dispatcher.refused_total == self.refused, "how many were refused")
        self.agrees(self.dispatcher.arrived_total == self.arrived, "how many arrived")
        self.agrees(self.dispatcher.finished_total == len(self.spent), "how many slots came back")
        self.agrees(self.dispatcher.held_s_total == pytest.approx(self.held_s), "how long slots were held")

    @invariant()
    def nobody_is_served_after_they_gave_up(self) -> None:
        self.holds(5, all(ticket.permit is None for ticket in self.gone), "served after giving up")

    @invariant()
    def a_leaving_replica_is_forgotten_when_its_last_permit_returns(self) -> None:
        known, due = set(self.dispatcher.in_flight_by_replica()), set(self.replicas)
        self.holds(6, due <= known, f"{due - known} forgotten too early")
        self.holds(6, known <= due, f"{known - due} remembered too long")

    @invariant()
    def the_figures_are_right(self) -> None:
        there = [each for each in self.replicas.values() if each.present and not each.noun.leaving]
        self.agrees(self.dispatcher.total == len(there), "replicas that are there")
        self.agrees(self.dispatcher.ready == len(self.taking()), "replicas that take requests")
        self.agrees(self.dispatcher.has_ready == bool(self.taking()), "whether one takes requests")
        self.agrees(self.dispatcher.busy == sum(bool(each.held) for each in self.replicas.values()), "busy replicas")

    # -- the model -----------------------------------------------------------------------------------------

    def held(self) -> list[Permit]:
        return [permit for replica in self.replicas.values() for permit in replica.held]

    @staticmethod
    def pick(things: list[Any], index: int) -> Any:
        return things[index % len(things)]

    def taking(self) -> set[str]:
        return {uid for uid, replica in self.replicas.items() if replica.takes_requests()}

    def with_room(self, avoid: frozenset[str]) -> set[str]:
        return {uid for uid in self.taking() - avoid if not self.slots or len(self.replicas[uid].held) < self.slots}

    def level(self, uid: str) -> int:
        return len(self.replicas[uid].held) * self.replicas[uid].handicap

    def waiting_for(self, uid: str) -> list[Ticket]:
        return [ticket for ticket in self.queue if ticket.deadline > self.now and uid not in ticket.avoid]

    def check_grant(self, permit: Permit, avoid: frozenset[str]) -> None:
        uid = permit.replica.uid
        self.agrees(uid not in avoid, "a replica that the request must not get")
        room = not self.slots or len(self.replicas[uid].held) < self.slots
        self.holds(1, uid in self.taking() and room, f"{uid} got a request over its limit")

    def take(self, permit: Permit) -> None:
        self.granted += 1
        self.replicas[permit.replica.uid].held.append(permit)

    def give_back(self, permit: Permit) -> None:
        replica = self.replicas[permit.replica.uid]
        replica.held.remove(permit)
        self.held_s += self.now - permit.granted_at
        self.spent.append(permit)
        if not replica.held and (replica.noun.leaving or not replica.present):
            del self.replicas[permit.replica.uid]

    def serve(self, tickets: list[Ticket | None]) -> None:
        """These got a slot, in this order."""
        for ticket in tickets:
            if ticket is None:
                continue
            permit = ticket.permit
            self.holds(3, permit is not None, "a ticket was named that got nothing")
            if permit is None:
                continue
            self.holds(5, ticket not in self.gone, "served after giving up")
            self.holds(5, ticket.deadline > self.now, "served after the deadline")
            self.check_grant(permit, ticket.avoid)
            first = self.waiting_for(permit.replica.uid)
            self.holds(4, first[:1] == [ticket], "a younger ticket was served first")
            self.agrees(permit.waited_s == self.now - ticket.came_at, "waited otherwise than it says")
            if ticket in self.queue:
                self.queue.remove(ticket)
            self.take(permit)
