"""How is a scene of instances set up in a test that plays one course of events?"""

from __future__ import annotations

from collections.abc import Iterable

from router.core.circle import BEAT_S
from router.core.dispatch import Ticket
from router.core.leases import Lender
from router.core.model import Replica
from tests.core.sharing_net import Flight, Net, Node, Wanted

KEY = "iris/blue"


def replicas(count: int, key: str = KEY) -> tuple[Replica, ...]:
    return tuple(
        Replica(uid=f"r{number}", deployment=key, host="127.0.0.1", port=5001, ready=True) for number in range(count)
    )


class Scene:
    """Instances at places p, q, ..., that share one deployment and agree. `most`: how many requests were in a replica
    at once when the last one began."""

    def __init__(self, count: int, slots: int = 1, fleet: int = 1, queue_length: int = 100) -> None:
        self.most = 0
        self.order: list[Ticket] = []
        """Those that waited, as they were served."""
        self.net = Net(self._note, lambda node, key, ticket: self.order.append(ticket))
        self.wanted = Wanted(slots, queue_length, replicas(fleet))
        self.numbers = 0
        for place in "pqrs"[:count]:
            self.boot(place)
        self.tell()
        self.beats(3)

    def _note(self, flight: Flight) -> None:
        there = sum(other.uid == flight.uid for other in self.net.flights)
        self.most = max(self.most, there + 1)

    # -- time ----------------------------------------------------------------------------------------------

    def beats(self, count: int = 1) -> None:
        for _ in range(count):
            self.net.now = round(self.net.now + BEAT_S, 3)
            self.connect()
            for node in self.net.running:
                node.tick()
            self.net.deliver_all()

    def seconds(self, seconds: float) -> None:
        self.beats(round(seconds / BEAT_S))

    def moment(self) -> None:
        self.net.now += 0.001
        self.net.deliver_all()

    # -- instances -----------------------------------------------------------------------------------------

    def boot(self, place: str) -> Node:
        self.numbers += 1
        node = self.net.nodes[place] = Node(self.net, place, f"{place}{self.numbers}")
        return node

    def tell(self, *nodes: Node) -> None:
        """The platform says to these, or all, what is."""
        for node in nodes or self.net.running:
            node.follow(tuple(self.net.nodes))
            node.take_in(KEY, self.wanted)

    def connect(self) -> None:
        while calls := self.net.can_call():
            self.net.call(*calls[0])

    def kill(self, node: Node, *, listed: bool = False) -> None:
        self.net.kill(node, lossy=False)
        if not listed:
            del self.net.nodes[node.place]
            self.tell()

    def cut(self, one: Iterable[Node], other: Iterable[Node]) -> None:
        others = list(other)
        self.net.cut |= {frozenset((a.place, b.place)) for a in one for b in others}

    @property
    def owner(self) -> Node:
        """As those that run see it."""
        (name,) = {self.owner_named_by(node) for node in self.net.running}
        return next(node for node in self.net.alive if node.name == name)

    def owner_named_by(self, node: Node) -> str:
        return node.sharing._deployments[KEY].owner

    @property
    def others(self) -> list[Node]:
        return [node for node in self.net.alive if node is not self.owner]

    @property
    def lender(self) -> Lender:
        lender = self.owner.sharing._deployments[KEY].lender
        assert lender is not None
        return lender

    def held(self, node: Node) -> dict[str, int]:
        return node.borrowers[KEY].held

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, node: Node, count: int = 1, avoid: frozenset[str] = frozenset()) -> list[Ticket | None]:
        """The tickets; None for each that got a slot at once, or was refused."""
        got = []
        for _ in range(count):
            got.append(node.request(KEY, avoid))
            self.moment()
        return got

    def finish(self, node: Node | None = None) -> None:
        """The oldest request, of that instance."""
        self.net.finish(next(flight for flight in self.net.flights if node in (None, flight.node)))
        self.moment()

    def flights(self, node: Node) -> int:
        return sum(flight.node is node for flight in self.net.flights)
