"""What must hold of instances that share slots?

`checked` narrows a machine to some invariants, so that a mutant shows which one kills it.

At every step:
1. Without a failure no request is begun on a replica all slots of which are taken, over all instances.
2. After failures: those begun later than LEASE_S after the last failure began or ended are never more than the slots.
3. What is in flight at an instance on a replica is held there, and nothing is begun with a permit whose lease is over.
4. Every request that waits is asked for once, or will be at the next tick.

After everything has been delivered and it has been calm for a while, all instances being connected:
5. All name the same owner, which alone lends, and leaves no slot alone.
6. What the owner has lent is what the instances hold, and is no more than the slots: nothing leaks, nothing doubles.
7. Asks at the owner are the requests that wait at the borrowers, one for one.
8. Nobody waits while a slot is free that would do.
9. First come, first served, whichever instance it came to.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from router.core.borrowing import Borrower
from router.core.circle import LEASE_S
from router.core.dispatch import Ticket
from router.core.leases import Lender
from tests.core.sharing_net import Flight, Net, Node, Wanted

ALL = frozenset(range(1, 10))


class SharingInvariants(RuleBasedStateMachine):
    """The rules (sharing_machine.py) say what happens; here stands what may not."""

    checked: ClassVar[frozenset[int]] = ALL
    net: Net
    wanted: dict[str, Wanted]
    """By deployment key."""
    limits: dict[str, int]
    """The highest of each deployment since all was calm."""
    failed_at: float | None = None
    """When the last failure began, went on or ended; None: there was none since all was calm."""
    in_order: list[tuple[Node, Ticket]] | None = None
    """Who waits, over all instances, while it matters."""

    def holds(self, number: int, condition: bool, what: str) -> None:
        if number in self.checked:
            assert condition, f"invariant {number}: {what}"

    # -- what must hold at every step ------------------------------------------------------------------------

    def check_begun(self, flight: Flight) -> None:
        self.see_who_differs()
        borrower = flight.node.borrowers[flight.key]
        in_time = borrower.is_alone or self.net.now < borrower._lease.until
        self.holds(3, in_time, f"{flight.node} begins on {flight.uid} with a lease that is over")
        limit = self.limits[flight.key]
        if not limit:
            return
        there = [other for other in self.net.flights if other.uid == flight.uid]
        if self.failed_at is None:
            self.holds(1, len(there) < limit, f"{flight.node} begins on {flight.uid}, which has {len(there)}")
        elif self.net.now > self.failed_at + LEASE_S:
            late = sum(other.begun_at > self.failed_at + LEASE_S for other in there)
            self.holds(2, late < limit, f"{flight.node} begins on {flight.uid}, which has {late} since the lease ended")

    def check_served(self, node: Node, key: str, ticket: Ticket) -> None:
        if self.in_order is not None and (node, ticket) in self.in_order:
            self.holds(9, self.in_order[0] == (node, ticket), f"{node} served one who came later")
            self.in_order.remove((node, ticket))

    @invariant()
    def what_is_in_flight_is_held(self) -> None:
        for node, key, borrower in self.borrowers():
            if not borrower.is_alone:
                for uid, busy in borrower.dispatcher.in_flight_by_replica().items():
                    held = borrower.held.get(uid, 0)
                    self.holds(3, busy <= held, f"{node} has {busy} in flight on {uid} of {key} and holds {held}")

    @invariant()
    def who_waits_is_asked_for_once(self) -> None:
        for node, key, borrower in self.borrowers():
            waiting = borrower.dispatcher.waiting()
            self.holds(4, set(waiting) == self.waiting_for(node, key), f"who waits at {node} for {key}")
            if not borrower.is_alone:
                asked = [*borrower._asks.values(), *borrower._unasked]
                self.holds(4, len(asked) == len(waiting) and set(asked) == set(waiting), f"asks of {node} for {key}")
                self.holds(4, {t: n for n, t in borrower._asks.items()} == borrower._numbers, "the numbers of asks")

    # -- what must hold in calm --------------------------------------------------------------------------------

    def check_calm(self) -> None:
        for key, wanted in self.wanted.items():
            if wanted.slots:
                owners = {node.sharing._deployments[key].owner for node in self.net.alive}
                self.holds(5, len(owners) == 1, f"{key} is owned by {owners}")
                self.check_owner(key, next(iter(owners)))
        for node in self.net.alive:
            self.holds(5, node.sharing.is_settled, f"{node} is not settled")
            self.holds(5, not node.sharing.missing, f"{node} misses {node.sharing.missing}")

    def check_owner(self, key: str, owner: str) -> None:
        lenders = {node.name: node.sharing._deployments[key].lender for node in self.net.alive}
        lender = lenders.pop(owner, None)
        self.holds(5, not any(lenders.values()), f"others than {owner} lend {key}")
        if lender is None:
            self.holds(5, len(self.net.alive) == 1, f"{owner}, which owns {key}, does not lend")
            return
        self.check_books(key, lender)
        asks = sorted(lender._asks)
        asked = sorted((node.name, number) for node in self.net.alive for number in node.borrowers[key]._asks)
        self.holds(7, asks == asked, f"asks for {key} at its owner {asks}, at borrowers {asked}")
        unasked = [ticket for node in self.net.alive for ticket in node.borrowers[key]._unasked]
        self.holds(7, not unasked, "some who wait are not asked for")
        for node in self.net.alive:
            for ticket in self.waiting_for(node, key):
                self.check_wait(key, lender, ticket)

    def check_books(self, key: str, lender: Lender) -> None:
        held: dict[str, int] = {}
        for node in self.net.alive:
            lent, mine = lender.held_by(node.name), node.borrowers[key].held
            self.holds(6, lent == mine, f"{node} was lent {lent} of {key}, and holds {mine}")
            for uid, count in mine.items():
                held[uid] = held.get(uid, 0) + count
        books = {uid: busy for uid, busy in lender.dispatcher.in_flight_by_replica().items() if busy}
        self.holds(6, books == held, f"lent {books} of {key}, held {held}")
        slots = self.wanted[key].slots
        flown = {uid: sum(flight.uid == uid for flight in self.net.flights) for uid in held}
        over = {uid: count for uid, count in held.items() if count > max(slots, flown[uid])}
        self.holds(6, not over, f"more of {key} is held than the slots: {over}")

    def check_wait(self, key: str, lender: Lender, ticket: Ticket) -> None:
        slots = self.wanted[key].slots
        for replica in self.wanted[key].replicas:
            busy = sum(flight.uid == replica.uid for flight in self.net.flights)
            would_do = replica.ready and not replica.leaving and replica.uid not in ticket.avoid
            self.holds(8, not would_do or busy >= slots, f"one waits, and {replica.uid} has {busy} of {slots}")

    # -- who and when ----------------------------------------------------------------------------------------

    def see_who_differs(self) -> None:
        """While instances were told differently who is there, a failure lasts."""
        if self.failed_at is not None and len({node.listed for node in self.net.alive}) > 1:
            self.fail()

    def fail(self) -> None:
        self.failed_at = self.net.now

    def borrowers(self) -> list[tuple[Node, str, Borrower]]:
        return [(node, key, borrower) for node in self.net.alive for key, borrower in node.borrowers.items()]

    def tickets(self) -> list[tuple[Node, Ticket]]:
        return [(node, ticket) for node in self.net.running for ticket in node.waiting]

    def waiting_for(self, node: Node, key: str) -> set[Ticket]:
        return {ticket for ticket, wanted in node.waiting.items() if wanted == key}
