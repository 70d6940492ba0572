"""What may happen to instances that share slots, in whatever order?

Each message is delivered when the machine chooses; requests come and go, instances start, hang, are killed and drain,
connections end, pairs of places are cut off from each other, and what the platform says reaches each instance in its
own time. What must hold all the while stands in sharing_invariants.py.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from router.core.circle import BEAT_S
from router.core.dispatch import Ticket
from router.core.model import Replica
from tests.core.sharing_invariants import SharingInvariants
from tests.core.sharing_net import Net, Node, Wanted

PLACES = ("p", "q", "r", "s")
KEYS = ("iris/blue", "iris/green", "wine/blue")
LATE_S = 0.3
"""What is on its way for longer, or an instance that does nothing for longer, is a failure."""
CALM_BEATS = 55
"""Enough for whatever waits for time: SETTLE_S after STRANGER_S, LEASE_S, and two looks at what is kept."""

indexes = st.integers(0, 1_000)
keys = st.sampled_from((0, 0, 0, 1, 2))
avoided = st.sampled_from((0, 0, 0, 0, 1))
fleets = st.sampled_from((1, 1, 2, 3, 0, 8))


class SharingMachine(SharingInvariants):
    @initialize(places=st.integers(2, 4), deployments=st.integers(1, 3), slots=st.integers(1, 2), fleet=fleets)
    def start(self, places: int, deployments: int, slots: int, fleet: int) -> None:
        self.net = Net(self.check_begun, self.check_served)
        self.processes = 0
        self.keys = KEYS[:deployments]
        self.wanted = {key: Wanted(slots, 100, self.fleet(key, fleet)) for key in self.keys}
        self.limits = dict.fromkeys(self.keys, slots)
        self.failed_at: float | None = None
        self.paused: set[str] = set()
        self.in_order: list[tuple[Node, Ticket]] | None = None
        for place in PLACES[:places]:
            self.boot(place)
        self.publish()
        self.become_calm()

    # -- requests ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.net.running)
    @rule(node=indexes, key=keys, avoid=avoided, count=st.integers(1, 3))
    def arrive(self, node: int, key: int, avoid: int, count: int) -> None:
        at, wanted = self.pick(self.net.running, node), self.pick(self.keys, key)
        uids = frozenset(replica.uid for replica in self.wanted[wanted].replicas[:avoid])
        for _ in range(count if wanted in at.borrowers else 0):
            at.request(wanted, uids)

    @precondition(lambda self: self.net.flights)
    @rule(index=indexes, count=st.integers(1, 3))
    def finish(self, index: int, count: int) -> None:
        for _ in range(min(count, len(self.net.flights))):
            self.net.finish(self.pick(self.net.flights, index))

    @precondition(lambda self: self.tickets())
    @rule(index=indexes, expired=st.booleans())
    def give_up(self, index: int, expired: bool) -> None:
        node, ticket = self.pick(self.tickets(), index)
        node.give_up(ticket, expired=expired)

    # -- messages and time ---------------------------------------------------------------------------------

    @precondition(lambda self: self.net.ready())
    @rule(index=indexes, count=st.integers(1, 4))
    def deliver(self, index: int, count: int) -> None:
        wire, node = self.pick(self.net.ready(), index)
        for _ in range(min(count, len(wire.under_way[node]))):
            self.net.deliver(wire, node)

    @rule()
    def deliver_all(self) -> None:
        self.net.deliver_all()

    @rule(seconds=st.sampled_from((0.01, 0.05, 0.2, 0.5)))
    def time_passes(self, seconds: float) -> None:
        """Nothing moves."""
        self.net.now += seconds
        late = self.net.now - min([self.net.oldest_under_way(), *(node.ticked_at for node in self.net.running)])
        if late > LATE_S or self.net.can_call():
            self.fail()

    @precondition(lambda self: self.net.running)
    @rule(index=indexes)
    def tick(self, index: int) -> None:
        self.pick(self.net.running, index).tick()

    @rule(beats=st.sampled_from((1, 6, 12, 30)), traffic=st.lists(indexes, max_size=4))
    def go_on(self, beats: int, traffic: list[int]) -> None:
        """Time passes, and whoever can does what is to be done. `traffic`: a request comes to each of these in each
        beat, and one ends."""
        for beat in range(beats):
            for index in traffic:
                if self.net.running:
                    self.arrive(index, index + beat, 0, 1)
                if self.net.flights:
                    self.finish(index // 2, 1)
            self.net.now = round(self.net.now + BEAT_S, 3)
            while calls := self.net.can_call():
                self.net.call(*calls[0])
            self.see_who_differs()
            for node in self.net.running:
                node.tick()
            self.net.deliver_all()

    # -- connections ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.net.can_call())
    @rule(index=indexes)
    def call(self, index: int) -> None:
        self.net.call(*self.pick(self.net.can_call(), index))

    @precondition(lambda self: any(wire.is_open for wire in self.net.wires))
    @rule(index=indexes, lossy=st.booleans())
    def connection_ends(self, index: int, lossy: bool) -> None:
        self.net.cut_off(self.pick([wire for wire in self.net.wires if wire.is_open], index), lossy=lossy)
        self.fail()

    @precondition(lambda self: len(self.net.nodes) > 1)
    @rule(
        split=st.sets(st.sampled_from(PLACES), min_size=1, max_size=2),
        beats=st.sampled_from((0, 20)),
        traffic=st.lists(indexes, min_size=2, max_size=4),
    )
    def part(self, split: set[str], beats: int, traffic: list[int]) -> None:
        """These places can't reach the others, and that may last."""
        there = set(self.net.nodes)
        self.net.cut |= {frozenset((one, other)) for one in there & split for other in there - split}
        self.fail()
        self.go_on(beats, traffic)

    @precondition(lambda self: self.net.cut)
    @rule()
    def heal(self) -> None:
        self.net.cut.clear()
        self.fail()

    # -- processes -----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.net.alive) > 1)
    @rule(index=indexes, lossy=st.booleans(), listed=st.booleans())
    def kill(self, index: int, lossy: bool, listed: bool) -> None:
        node = self.pick(self.net.alive, index)
        self.net.kill(node, lossy=lossy)
        if not listed:
            del self.net.nodes[node.place]
        self.fail()

    @precondition(lambda self: len(self.net.alive) < len(PLACES))
    @rule(index=indexes)
    def boots(self, index: int) -> None:
        free = [place for place in PLACES if place not in self.net.nodes or not self.net.nodes[place].is_alive]
        self.boot(self.pick(free, index))

    @precondition(lambda self: self.net.running)
    @rule(index=indexes)
    def hang(self, index: int) -> None:
        self.pick(self.net.running, index).is_hung = True
        self.fail()

    @precondition(lambda self: any(node.is_hung for node in self.net.alive))
    @rule(index=indexes)
    def resume(self, index: int) -> None:
        node = self.pick([node for node in self.net.alive if node.is_hung], index)
        node.resume()
        node.ticked_at = self.net.now
        self.fail()

    @precondition(lambda self: sum(not node.is_draining for node in self.net.running) > 1)
    @rule(index=indexes)
    def drain(self, index: int) -> None:
        self.pick(self.net.running, index).drain()

    # -- what the platform says ----------------------------------------------------------------------------

    @precondition(lambda self: self.net.running)
    @rule(index=indexes)
    def hear_the_platform(self, index: int) -> None:
        self.tell(self.pick(self.net.running, index))

    @precondition(lambda self: self.removable())
    @rule(index=indexes)
    def remove(self, index: int) -> None:
        """One instance hears that a deployment is gone, and may hear later that it is there again."""
        node, key = self.pick(self.removable(), index)
        node.remove(key)

    @rule(key=keys, slots=st.sampled_from((1, 1, 2, 2, 0)), length=st.sampled_from((100, 100, 1)), fleet=fleets)
    def change(self, key: int, slots: int, length: int, fleet: int) -> None:
        name = self.pick(self.keys, key)
        self.wanted[name] = Wanted(slots, length, self.fleet(name, fleet))
        self.limits[name] = 0 if not slots or not self.limits[name] else max(slots, self.limits[name])

    @rule(key=keys, index=indexes, state=st.sampled_from(("unready", "leaving", "ready")))
    def change_replica(self, key: int, index: int, state: str) -> None:
        wanted = self.wanted[self.pick(self.keys, key)]
        replicas = list(wanted.replicas)
        if replicas:
            at = index % len(replicas)
            uid, name = replicas[at].uid, replicas[at].deployment
            replicas[at] = self.replica(uid, name, ready=state != "unready", leaving=state == "leaving")
            wanted.replicas = tuple(replicas)

    @precondition(lambda self: self.net.flights and any(flight.node in self.net.running for flight in self.net.flights))
    @rule(index=indexes, for_s=st.sampled_from((0.5, 3.0)))
    def fails(self, index: int, for_s: float) -> None:
        """A replica, for a while."""
        flight = self.pick([flight for flight in self.net.flights if flight.node in self.net.running], index)
        flight.node.pause(flight.key, flight.uid, for_s)
        self.paused.add(flight.uid)

    @rule()
    def recovers(self) -> None:
        for uid in self.paused:
            for node in self.net.running:
                node.unpause(uid.partition(":")[0], uid)
        self.paused = {uid for uid in self.paused if any(node.is_hung for node in self.net.alive)}

    # -- calm ----------------------------------------------------------------------------------------------

    @rule(chance=st.integers(0, 4))
    def sometimes_becomes_calm(self, chance: int) -> None:
        if not chance:
            self.become_calm()

    def become_calm(self) -> None:
        """Whatever failed works again, all know the same, and there is time."""
        if self.net.cut:
            self.heal()
        for node in self.net.alive:
            node.resume()
        for place in [place for place, node in self.net.nodes.items() if not node.is_alive]:
            del self.net.nodes[place]
        self.publish()
        self.recovers()
        for _ in range(CALM_BEATS):
            self.go_on(1, [])
        self.check_calm()
        if all(not self.limits[key] or self.most_in_flight(key) <= self.wanted[key].slots for key in self.keys):
            self.failed_at = None
        self.limits = {key: wanted.slots for key, wanted in self.wanted.items()}

    @precondition(lambda self: not any(node.waiting for node in self.net.alive))
    @rule(
        key=keys,
        arrivals=st.lists(indexes, min_size=2, max_size=6),
        finished=st.lists(indexes, min_size=2, max_size=8),
        again=st.booleans(),
    )
    def come_and_go_in_order(self, key: int, arrivals: list[int], finished: list[int], again: bool) -> None:
        """`again`: after they came, all begin anew."""
        self.become_calm()
        name = self.pick(self.keys, key)
        if not self.wanted[name].slots or self.failed_at is not None:
            return
        self.in_order = []
        for index in arrivals:
            self.moment()
            node = self.pick(self.net.running, index)
            ticket = node.request(name, frozenset())
            if ticket is not None and ticket in node.waiting:
                self.in_order.append((node, ticket))
        if again:
            self.all_begin_anew()
        for index in finished:
            flying = [flight for flight in self.net.flights if flight.key == name]
            self.moment()
            if flying:
                self.net.finish(self.pick(flying, index))
        self.moment()
        self.in_order = None

    def all_begin_anew(self) -> None:
        for node in self.net.running:
            node.sharing._begin_anew(self.net.now)
            node.flush()
        order, self.in_order = self.in_order or [], None
        self.become_calm()
        self.in_order = [(node, ticket) for node, ticket in order if ticket in node.waiting]

    def moment(self) -> None:
        self.net.now += 0.001
        self.net.deliver_all()

    # -- the model -----------------------------------------------------------------------------------------

    def removable(self) -> list[tuple[Node, str]]:
        """Those that have no request there."""
        running = [each for each in self.borrowers() if each[0] in self.net.running]
        return [
            (node, key) for node, key, it in running if not it.dispatcher.in_flight and key not in node.waiting.values()
        ]

    @staticmethod
    def pick(things: Any, index: int) -> Any:
        return things[index % len(things)]

    @staticmethod
    def replica(uid: str, key: str, *, ready: bool = True, leaving: bool = False) -> Replica:
        return Replica(uid=uid, deployment=key, host="127.0.0.1", port=5001, ready=ready, leaving=leaving)

    def fleet(self, key: str, count: int) -> tuple[Replica, ...]:
        return tuple(self.replica(f"{key}:{number}", key) for number in range(count))

    def boot(self, place: str) -> None:
        self.processes += 1
        self.net.nodes[place] = node = Node(self.net, place, f"{place}{self.processes}")
        self.tell(node)

    def tell(self, node: Node) -> None:
        places = tuple(self.net.nodes)
        node.follow(places)
        for key, wanted in self.wanted.items():
            node.take_in(key, wanted)

    def publish(self) -> None:
        for node in self.net.running:
            self.tell(node)

    def most_in_flight(self, key: str) -> int:
        uids = [flight.uid for flight in self.net.flights if flight.key == key]
        return max((uids.count(uid) for uid in uids), default=0)

    def teardown(self) -> None:
        if hasattr(self, "net"):
            self.become_calm()
