"""How do many instances, replicas and the wires between them behave on virtual time?

Pure. The router's real core (`Sharing`, `Dispatcher`) on a heap of events: instances that start, stop, hang and are
killed; wires with a delay that are cut and mended; replicas that count what they hold. Chance comes from outside.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count, permutations

from router.core.borrowing import Borrower
from router.core.circle import BEAT_S
from router.core.dispatch import Dispatcher, Permit, Ticket
from router.core.frames import Beat, Echo, Message
from router.core.model import Replica
from router.core.sharing import Sharing

REDIAL_S = 0.25


def place_of(name: str) -> str:
    """Of the process of that name."""
    return name.rpartition(".")[0]


class World:
    """Time, wires, and what everybody can see: the platform's list of places, and what replicas hold."""

    def __init__(self, delay_s: float, near_s: float | None = None) -> None:
        """`delay_s`: one way, between two instances; `near_s`: between two whose places are named alike before a #,
        as workers of one pod are."""
        self.now = 0.0
        self.delay_s = delay_s
        self.near_s = delay_s if near_s is None else near_s
        self.nodes: dict[str, Node] = {}
        """By place: the process that is there."""
        self.cut: set[frozenset[str]] = set()
        """Pairs of places that can't reach each other."""
        self.replicas: list[Replica] = []
        self.slots = 1
        self.queue_length = 1_000
        self.in_flight: Counter[str] = Counter()
        """By uid, in the replicas themselves: also for processes that are gone."""
        self.messages = 0
        """All but signs of life."""
        self.beats = 0
        self.frames = 0
        self._by_deployment: dict[str, list[Replica]] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.at(self.now + seconds, event)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def start(self, place: str, deployments: Iterable[str]) -> Node:
        """A new process at a place, also where there was another; everybody is told."""
        node = self._make(place, deployments)
        self.publish()
        self.after(0.0, node.tick)
        return node

    def start_all(self, places: Sequence[str], deployments: Sequence[str], *, acquainted: bool = False) -> None:
        """All at once, as the platform tells it; their ticks are spread evenly over the time between two.
        `acquainted`: they are connected before they are told of each other, and so agree in one round."""
        for number, place in enumerate(places):
            self.after(BEAT_S * number / len(places), self._make(place, deployments).tick)
        for one, other in permutations(places if acquainted else (), 2):
            self.nodes[one].connect(other)
        self.publish()

    def kill(self, place: str, *, listed: bool) -> None:
        """Its connections end at once. `listed`: the platform has not noticed."""
        node = self.nodes[place]
        node.is_alive = False
        for wire in [*node.calls.values(), *node.callers.values()]:
            wire.end()
        if not listed:
            self.delist(place)

    def delist(self, place: str) -> None:
        self.delist_all([place])

    def delist_all(self, places: Iterable[str]) -> None:
        for place in places:
            del self.nodes[place]
        self.publish()

    def publish(self) -> None:
        """The platform's snapshot, to all."""
        by_deployment: dict[str, list[Replica]] = defaultdict(list)
        for replica in self.replicas:
            by_deployment[replica.deployment].append(replica)
        self._by_deployment = by_deployment
        for node in list(self.nodes.values()):
            node.follow()

    def replicas_of(self, deployment: str) -> list[Replica]:
        """As the platform said last."""
        return self._by_deployment.get(deployment, [])

    def are_cut(self, one: str, other: str) -> bool:
        return bool(self.cut) and frozenset((one, other)) in self.cut

    def delay_between(self, one: str, other: str) -> float:
        return self.near_s if one.partition("#")[0] == other.partition("#")[0] else self.delay_s

    def count_frame(self, messages: list[Message]) -> None:
        """One goes over a wire."""
        beats = sum(isinstance(message, Beat | Echo) for message in messages)
        self.frames += 1
        self.beats += beats
        self.messages += len(messages) - beats

    def make(self, place: str, name: str, deployments: Iterable[str]) -> Node:
        """What a process is in this world."""
        return Node(self, place, name, deployments)

    def _make(self, place: str, deployments: Iterable[str]) -> Node:
        node = self.nodes[place] = self.make(place, f"{place}.{next(self._numbers)}", deployments)
        return node


class Wire:
    """A connection that `caller` made to `called`: what is sent arrives in order, after the delay, or never."""

    def __init__(self, world: World, caller: Node, called: Node) -> None:
        self.world, self.caller, self.called = world, caller, called
        self.delay_s = world.delay_between(caller.place, called.place)
        self.is_open = True
        self._under_way: dict[Node, deque[Callable[[], None]]] = {caller: deque(), called: deque()}

    def to_called(self, messages: list[Message]) -> None:
        self._send(self.called, lambda: self.called.hear_caller(self.caller.name, self, messages), messages)

    def to_caller(self, messages: list[Message]) -> None:
        self._send(self.caller, lambda: self.caller.hear_owner(self.called.name, self, messages), messages)

    def _send(self, receiver: Node, event: Callable[[], None], messages: list[Message]) -> None:
        self.world.count_frame(messages)
        self._under_way[receiver].append(event)
        self.world.after(self.delay_s, lambda: self._arrive(receiver))

    def _arrive(self, receiver: Node) -> None:
        """The next one in this direction."""
        if self.world.are_cut(self.caller.place, self.called.place):
            self.world.after(BEAT_S, lambda: self._arrive(receiver))  # TCP sends it again
        elif self.is_open and receiver.is_alive:
            receiver.when_running(self._under_way[receiver].popleft())

    def end(self) -> None:
        """Both sides notice, if they live."""
        if self.is_open:
            self.is_open = False
            for node, event in (
                (self.caller, lambda: self.caller.lose(self)),
                (self.called, lambda: self.called.hang_up(self)),
            ):
                self.world.after(self.delay_s, lambda node=node, event=event: node.when_running(event))  # type: ignore[misc]


class Node:
    """One router process."""

    def __init__(self, world: World, place: str, name: str, deployments: Iterable[str]) -> None:
        self.world, self.place, self.name = world, place, name
        self.is_alive, self.is_stopped = True, False
        self.backlog: list[Callable[[], None]] = []
        self.sharing = Sharing(name, lambda: None)
        self.calls: dict[str, Wire] = {}
        """By place."""
        self.callers: dict[str, Wire] = {}
        """By name."""
        self.borrowers: dict[str, Borrower] = {}
        self.served: dict[Ticket, Callable[[Permit], None]] = {}
        self.on_refusal: Callable[[Ticket], None] = lambda _: None
        self._deployments = list(deployments)

    # -- its life ------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """The platform has said something."""
        if not self.is_alive:
            return
        world, now = self.world, self.world.now
        self.sharing.list_places(list(world.nodes), self.place, now)
        for key in self._deployments:
            if key not in self.borrowers:
                dispatcher = Dispatcher(world.slots, world.queue_length)
                self.borrowers[key] = Borrower(key, dispatcher, self._wake, self._refuse)
                self.sharing.add(self.borrowers[key])
            replicas = world.replicas_of(key)
            self._wake_all(self.borrowers[key].update(replicas, now))
            self.sharing.update(key, replicas, world.slots, world.queue_length, now)
        for place in world.nodes:
            if place != self.place and place not in self.calls:
                self.dial(place)
        for place in [place for place in self.calls if place not in world.nodes]:
            self.calls.pop(place).end()
        self.flush()

    def tick(self) -> None:
        if self.is_alive:
            if not self.is_stopped:
                self.sharing.tick(self.world.now)
                self.flush()
            self.world.after(BEAT_S, self.tick)

    def stop(self) -> None:
        """As SIGSTOP does."""
        self.is_stopped = True

    def resume(self) -> None:
        self.is_stopped = False
        backlog, self.backlog = self.backlog, []
        for event in backlog:
            event()
        self.flush()

    def when_running(self, event: Callable[[], None]) -> None:
        if self.is_stopped:
            self.backlog.append(event)
        elif self.is_alive:
            event()
            self.flush()

    # -- its connections -----------------------------------------------------------------------------------

    def dial(self, place: str) -> None:
        """There and back; again and again until it works."""
        self.world.after(2 * self.world.delay_between(self.place, place), lambda: self.connect(place))

    def connect(self, place: str) -> None:
        """At once, or again and again."""
        called = self.world.nodes.get(place)
        if called is None or not self.is_alive or place in self.calls:
            return
        if not called.is_alive or called.is_stopped or self.is_stopped or self.world.are_cut(self.place, place):
            self.world.after(REDIAL_S, lambda: self.connect(place))
            return
        wire = self.calls[place] = Wire(self.world, self, called)
        called.callers[self.name] = wire
        called.sharing.called(self.name, self.world.now)
        self.sharing.met(called.name, place, called.sharing.circle.may_own, self.world.now)
        called.flush()
        self.flush()

    def lose(self, wire: Wire) -> None:
        """A call of this node's has ended."""
        if self.calls.get(wire.called.place) is wire:
            del self.calls[wire.called.place]
        self.sharing.lost(wire.called.name, self.world.now)
        if wire.called.place in self.world.nodes:
            self.dial(wire.called.place)

    def hang_up(self, wire: Wire) -> None:
        if self.callers.get(wire.caller.name) is wire:
            del self.callers[wire.caller.name]
            self.sharing.hung_up(wire.caller.name, self.world.now)

    def hear_caller(self, name: str, wire: Wire, messages: list[Message]) -> None:
        if self.callers.get(name) is wire:
            for message in messages:
                self.sharing.from_caller(name, message, self.world.now)

    def hear_owner(self, name: str, wire: Wire, messages: list[Message]) -> None:
        if self.calls.get(wire.called.place) is wire:
            for message in messages:
                self.sharing.from_owner(name, message, self.world.now)

    def flush(self) -> None:
        for name, messages in self.sharing.to_owners.take_all():
            call = self.calls.get(place_of(name))
            if call is not None and call.called.name == name:
                call.to_called(messages)
        for name, messages in self.sharing.to_borrowers.take_all():
            if (wire := self.callers.get(name)) is not None:
                wire.to_caller(messages)

    # -- its requests --------------------------------------------------------------------------------------

    def request(self, key: str, wait_s: float, begin: Callable[[Permit], None]) -> Permit | Ticket:
        """`begin` is called with the permit, now or later. Raises NoRoom."""
        now = self.world.now
        got = self.borrowers[key].acquire(now, now + wait_s)
        if isinstance(got, Permit):
            self._begin(got, begin)
        else:
            self.served[got] = begin
        self.flush()
        return got

    def finish(self, key: str, permit: Permit) -> None:
        """The replica has replied; what it holds, it counts itself."""
        self._wake_all([self.borrowers[key].release(permit, self.world.now)])
        self.flush()

    def give_up(self, key: str, ticket: Ticket) -> None:
        del self.served[ticket]
        self.borrowers[key].expire(ticket, self.world.now)
        self.flush()

    def _begin(self, permit: Permit, begin: Callable[[Permit], None]) -> None:
        self.world.in_flight[permit.replica.uid] += 1
        begin(permit)

    def _wake(self, ticket: Ticket) -> None:
        begin = self.served.pop(ticket, None)
        if begin is not None and ticket.permit is not None:
            self._begin(ticket.permit, begin)

    def _wake_all(self, tickets: Iterable[Ticket | None]) -> None:
        for ticket in tickets:
            if ticket is not None:
                self._wake(ticket)

    def _refuse(self, ticket: Ticket, wait_s: float | None) -> None:
        if self.served.pop(ticket, None) is not None:
            self.on_refusal(ticket)
