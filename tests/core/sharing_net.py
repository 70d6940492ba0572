"""How do several instances meet in a test where nothing moves by itself?

The real core, `Sharing` and `Borrower`, on wires that keep their order and hold each message until somebody delivers
it. Chance, time and failure come from outside; who began what, and on which replica, is written down here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.frames import Message
from router.core.model import Replica
from router.core.sharing import Sharing

PATIENCE_S = 1e6


@dataclass(eq=False)
class Flight:
    """A request in a replica."""

    node: Node
    key: str
    permit: Permit
    begun_at: float
    waited: bool

    @property
    def uid(self) -> str:
        return self.permit.replica.uid


@dataclass(eq=False)
class Wanted:
    """What an instance is told of one deployment."""

    slots: int
    queue_length: int
    replicas: tuple[Replica, ...]


class Wire:
    """From `caller` to `called`; None in a direction is the end of the connection."""

    def __init__(self, caller: Node, called: Node) -> None:
        self.caller, self.called = caller, called
        self.is_open = True
        self.under_way: dict[Node, deque[tuple[float, Message | str | None]]] = {caller: deque(), called: deque()}

    def __repr__(self) -> str:
        return f"{self.caller.name}>{self.called.name}"

    @property
    def places(self) -> frozenset[str]:
        return frozenset((self.caller.place, self.called.place))


class Node:
    """One router process."""

    def __init__(self, net: Net, place: str, name: str) -> None:
        self.net, self.place, self.name = net, place, name
        self.is_alive, self.is_hung, self.is_draining = True, False, False
        self.ticked_at = net.now
        self.sharing = Sharing(name, lambda: None)
        self.calls: dict[str, Wire] = {}
        """By place."""
        self.callers: dict[str, Wire] = {}
        """By name."""
        self.listed: tuple[str, ...] = ()
        self.borrowers: dict[str, Borrower] = {}
        self.limits: dict[str, int] = {}
        self.waiting: dict[Ticket, str] = {}
        """Deployment key of each request that waits, in the order in which they came."""
        self.backlog: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name

    # -- what the platform says ----------------------------------------------------------------------------

    def follow(self, places: tuple[str, ...]) -> None:
        self.listed = places
        self.sharing.list_places(places, self.place, self.net.now)
        for place, wire in self.calls.items():
            self.sharing.found_at(wire.called.name, place if place in places else None, self.net.now)
        self.flush()

    def take_in(self, key: str, wanted: Wanted) -> None:
        now = self.net.now
        if key not in self.borrowers:
            dispatcher = Dispatcher(wanted.slots, wanted.queue_length)
            self.borrowers[key] = Borrower(key, dispatcher, self._wake, self._refuse)
            self.sharing.add(self.borrowers[key])
        self.limits[key] = wanted.slots
        borrower = self.borrowers[key]
        self._wake_all(borrower.configure(wanted.slots, wanted.queue_length, now))
        self._wake_all(borrower.update(wanted.replicas, now))
        self.sharing.update(key, wanted.replicas, wanted.slots, wanted.queue_length, now)
        self.flush()

    def remove(self, key: str) -> None:
        """It is served here no more; nobody waits or is served."""
        self.sharing.remove(self.borrowers.pop(key), self.net.now)
        self.flush()

    def tick(self) -> None:
        self.ticked_at = self.net.now
        self.sharing.tick(self.net.now)
        self.flush()

    def drain(self) -> None:
        self.is_draining = True
        self.sharing.drain(self.net.now)
        self.flush()

    def resume(self) -> None:
        self.is_hung = False
        backlog, self.backlog = self.backlog, []
        for event in backlog:
            event()

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, key: str, avoid: frozenset[str]) -> Ticket | None:
        """The ticket, where it has to wait."""
        now = self.net.now
        try:
            got = self.borrowers[key].acquire(now, now + PATIENCE_S, avoid)
        except NoRoom:
            got = None
        if isinstance(got, Permit):
            self._begin(key, got, waited=False)
        elif got is not None:
            self.waiting[got] = key
        self.flush()
        return got if isinstance(got, Ticket) else None

    def finish(self, flight: Flight) -> None:
        self._wake_all([self.borrowers[flight.key].release(flight.permit, self.net.now)])
        self.flush()

    def give_up(self, ticket: Ticket, *, expired: bool) -> None:
        borrower = self.borrowers[self.waiting.pop(ticket)]
        if expired:
            borrower.expire(ticket, self.net.now)
        else:
            self._wake_all([borrower.abandon(ticket, self.net.now)])
        self.flush()

    def pause(self, key: str, uid: str, for_s: float) -> None:
        self.borrowers[key].pause(uid, self.net.now + for_s, self.net.now)
        self.flush()

    def unpause(self, key: str, uid: str) -> None:
        if key in self.borrowers:
            self._wake_all(self.borrowers[key].resume(uid, self.net.now))
            self.flush()

    def _begin(self, key: str, permit: Permit, *, waited: bool) -> None:
        self.net.begin(Flight(self, key, permit, self.net.now, waited))

    def _wake(self, ticket: Ticket) -> None:
        key = self.waiting.pop(ticket, None)
        if key is not None and ticket.permit is not None:
            self.net.served(self, key, ticket)
            self._begin(key, ticket.permit, waited=True)

    def _wake_all(self, tickets: list[Ticket] | list[Ticket | None]) -> None:
        for ticket in tickets:
            if ticket is not None:
                self._wake(ticket)

    def _refuse(self, ticket: Ticket, wait_s: float | None) -> None:
        self.waiting.pop(ticket, None)

    # -- wires ---------------------------------------------------------------------------------------------

    def flush(self) -> None:
        owners = {wire.called.name: wire for wire in self.calls.values()}
        for name, messages in self.sharing.to_owners.take_all():
            if name in owners:
                owners[name].under_way[owners[name].called] += [(self.net.now, message) for message in messages]
        for name, messages in self.sharing.to_borrowers.take_all():
            if name in self.callers:
                self.callers[name].under_way[self.callers[name].caller] += [(self.net.now, each) for each in messages]

    def hear(self, wire: Wire, message: Message | str | None) -> None:
        now, is_call = self.net.now, wire.caller is self
        if is_call and self.calls.get(wire.called.place) is wire:
            if message is None:
                del self.calls[wire.called.place]
                self.sharing.lost(wire.called.name, now)
            elif isinstance(message, str):
                place = wire.called.place if wire.called.place in self.listed else None
                self.sharing.met(wire.called.name, place, message == "may own", now)
            else:
                self.sharing.from_owner(wire.called.name, message, now)
        elif not is_call and self.callers.get(wire.caller.name) is wire:
            if message is None:
                del self.callers[wire.caller.name]
                self.sharing.hung_up(wire.caller.name, now)
            elif not isinstance(message, str):
                self.sharing.from_caller(wire.caller.name, message, now)
        self.flush()


@dataclass(eq=False)
class Net:
    """All of them, the wires between them, and what is in the replicas."""

    begun: Callable[[Flight], None]
    """Just before it is."""
    was_served: Callable[[Node, str, Ticket], None]
    now: float = 0.0
    nodes: dict[str, Node] = field(default_factory=dict)
    """By place."""
    wires: list[Wire] = field(default_factory=list)
    cut: set[frozenset[str]] = field(default_factory=set)
    flights: list[Flight] = field(default_factory=list)

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_alive and not node.is_hung]

    @property
    def alive(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_alive]

    def begin(self, flight: Flight) -> None:
        self.begun(flight)
        self.flights.append(flight)

    def served(self, node: Node, key: str, ticket: Ticket) -> None:
        self.was_served(node, key, ticket)

    def finish(self, flight: Flight) -> None:
        """The replica has replied; whoever is hung learns of it later."""
        self.flights.remove(flight)
        if flight.node.is_hung:
            flight.node.backlog.append(lambda: flight.node.finish(flight))
        else:
            flight.node.finish(flight)

    # -- wires ---------------------------------------------------------------------------------------------

    def can_call(self) -> list[tuple[Node, Node]]:
        return [
            (one, self.nodes[place])
            for one in self.running
            for place in (*one.listed, *(wire.caller.place for wire in one.callers.values()))
            if place != one.place and place not in one.calls and self.reaches(one.place, place)
        ]

    def reaches(self, one: str, other: str) -> bool:
        return (node := self.nodes.get(other)) is not None and node in self.running and {one, other} not in self.cut

    def call(self, caller: Node, called: Node) -> None:
        wire = caller.calls[called.place] = Wire(caller, called)
        called.callers[caller.name] = wire
        self.wires.append(wire)
        wire.under_way[caller].append((self.now, "may own" if called.sharing.circle.may_own else "hello"))
        called.sharing.called(caller.name, self.now)
        called.flush()

    def cut_off(self, wire: Wire, *, lossy: bool) -> None:
        """The connection ends; each side learns of it in its time, after what is under way, or before it is lost."""
        if not wire.is_open:
            return
        wire.is_open = False
        for node, under_way in wire.under_way.items():
            if lossy:
                while under_way and not isinstance(under_way[-1][1], str):
                    under_way.pop()
            if node.is_alive:
                under_way.append((self.now, None))

    def kill(self, node: Node, *, lossy: bool) -> None:
        node.is_alive = False
        self.flights = [flight for flight in self.flights if flight.node is not node]
        for wire in [wire for wire in self.wires if node in wire.under_way]:
            self.cut_off(wire, lossy=lossy)

    def ready(self) -> list[tuple[Wire, Node]]:
        """Directions in which something can be delivered now."""
        self.wires = [wire for wire in self.wires if wire.is_open or any(wire.under_way.values())]
        return list(self._deliverable())

    def _deliverable(self) -> Iterator[tuple[Wire, Node]]:
        for wire in self.wires:
            for node, under_way in wire.under_way.items():
                if not node.is_alive:
                    under_way.clear()
                elif under_way and not node.is_hung and wire.places not in self.cut:
                    yield wire, node

    def deliver(self, wire: Wire, node: Node) -> None:
        _, message = wire.under_way[node].popleft()
        node.hear(wire, message)

    def deliver_all(self) -> None:
        while ready := self.ready():
            for wire, node in ready:
                while wire.under_way[node]:
                    self.deliver(wire, node)

    def oldest_under_way(self) -> float:
        """Since when something is under way that could be delivered; now, if nothing is."""
        return min((wire.under_way[node][0][0] for wire, node in self.ready()), default=self.now)
