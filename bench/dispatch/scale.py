"""What does sharing cost a hundred instances, and how soon is all well again after one is gone?

I/O: the CPU clock of this thread. Else all is on virtual time: the router's real core, see world.py. CPU time is that
of an instance's core and of encoding what it says; there are no sockets, and nothing of HTTP.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from random import Random  # house: only seeded ones, no chance from outside

from msgspec import Struct
from msgspec.structs import replace

from bench.dispatch.load import LENGTHS, quantile
from bench.dispatch.play import NO_LIMIT, made
from bench.dispatch.world import Node, World
from router.core.circle import LEASE_S
from router.core.dispatch import Permit
from router.core.frames import Grant, Message, View, encoded
from router.core.ownership import Owners

BUCKET_S = 0.1
SETTLE_S = 2.0
"""After which a hundred instances have met."""
CALM_S = 1.0
"""Of load, before anything is measured or goes wrong."""
SAMPLED = 11
"""To read the clock of CPU time may cost more than what is timed."""


class Size(Struct, frozen=True, kw_only=True):
    instances: int = 100
    deployments: int = 100
    replicas: int = 100
    """Of each deployment."""
    share: float = 0.8
    mean_s: float = 0.1
    delay_s: float = 0.0005
    seed: int = 1

    @property
    def rate_per_s(self) -> float:
        return self.share * self.deployments * self.replicas / self.mean_s


class Metered(Node):
    """Knows about what CPU time it took: each of its ticks is timed, and of all other events one in SAMPLED."""

    cpu_s = 0.0
    _events = 0

    def when_running(self, event: Callable[[], None]) -> None:
        self._timed(super().when_running, event)

    def tick(self) -> None:
        began_s = time.thread_time()
        super().tick()
        self.cpu_s += time.thread_time() - began_s

    def request(self, key: str, wait_s: float, begin: Callable[[Permit], None]) -> object:  # type: ignore[override]
        return self._timed(super().request, key, wait_s, begin)

    def finish(self, key: str, permit: Permit) -> None:
        self._timed(super().finish, key, permit)

    def _timed(self, act: Callable[..., object], *words: object) -> object:
        self._events += 1
        if self._events % SAMPLED:
            return act(*words)
        began_s = time.thread_time()
        try:
            return act(*words)
        finally:
            self.cpu_s += SAMPLED * (time.thread_time() - began_s)


class Large(World):
    """Counts bytes, and says how many messages there were of views."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.bytes = 0
        self.views = 0
        self.lent_at: dict[str, float] = {}
        """By deployment: since this was cleared, first over a wire."""

    def make(self, place: str, name: str, deployments: Iterable[str]) -> Node:
        return Metered(self, place, name, deployments)

    def count_frame(self, messages: list[Message]) -> None:
        super().count_frame(messages)
        self.views += sum(isinstance(message, View) for message in messages)
        self.bytes += len(encoded(messages))
        for message in messages:
            if isinstance(message, Grant):
                self.lent_at.setdefault(message.deployment, self.now)


class Steady(Struct, frozen=True, kw_only=True):
    """Under load, with nothing wrong."""

    requests: int
    messages_per_request: float
    bytes_per_request: float
    frames_per_request: float
    beats_per_instance_s: float
    at_once: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    """Of all instances together."""
    busiest_us_per_request: float
    """The instance that took most CPU time, for each request of the deployments that it owns, its own share of all
    requests included."""
    busiest_share: float
    """Of a core, while it lasted."""
    busiest_owns: int
    most_in_flight: int


class Recovery(Struct, frozen=True, kw_only=True):
    """Of the requests that an event was about."""

    event: str
    requests: int
    lost: int
    """With the instance that they came to."""
    lent_again_s: float | None
    """From the event until each of their deployments had an owner that lent; None where it had one all the time."""
    normal_s: float
    """From the event to the end of the last tenth of a second whose arrivals waited, at p99, more than twice as long,
    and 10 ms more, than before it."""
    worst_ms: float
    p99_before_ms: float
    most_in_flight: int
    """In any replica, at any time of the run; its limit is 1."""
    over_s: float
    """From the event to the last moment at which a replica had more than that; 0: never."""
    views: int


class Traffic:
    """Poisson arrivals without end, on the instances that take any."""

    def __init__(self, world: World, size: Size, keys: list[str]) -> None:
        self.world, self.size, self.keys = world, size, keys
        self.log: list[tuple[float, str, float, bool]] = []
        """When it came, for which deployment, how long it waited, whether it began at once."""
        self.places: list[str] = []
        self.lost = 0
        self.most_in_flight = 0
        self.over_at = 0.0
        self._chance = Random(size.seed)
        self._weights: list[int] = []

    def lead_to(self, places: list[str]) -> None:
        self.places = places
        self._weights = list(accumulate(range(1, len(places) + 1)))

    def arrive(self) -> None:
        chance, world = self._chance, self.world
        key = chance.choice(self.keys)
        place = chance.choices(self.places, cum_weights=self._weights)[0]
        node = world.nodes.get(place)
        if node is None or not node.is_alive:
            self.lost += 1
        else:
            self._send(node, key, LENGTHS["exponential"](chance, self.size.mean_s))
        world.after(chance.expovariate(self.size.rate_per_s), self.arrive)

    def _send(self, node: Node, key: str, length_s: float) -> None:
        world, came_at = self.world, self.world.now

        def begin(permit: Permit) -> None:
            if not node.is_alive:
                return
            self.log.append((came_at, key, world.now - came_at, world.now == came_at))
            held = world.in_flight[permit.replica.uid]
            self.most_in_flight = max(self.most_in_flight, held)
            if held > 1:
                self.over_at = world.now
            world.after(length_s, lambda: end(permit))

        def end(permit: Permit) -> None:
            world.in_flight[permit.replica.uid] -= 1
            if node.is_alive:
                node.finish(key, permit)
            else:
                self.lost += 1

        node.request(key, NO_LIMIT, begin)


class Scene:
    """All of it, settled and under load."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.keys = [f"sim/{number}" for number in range(size.deployments)]
        self.world = Large(size.delay_s)
        self.world.queue_length = NO_LIMIT
        self.world.replicas = [made(key, number) for key in self.keys for number in range(size.replicas)]
        self.places = [f"pod{number}" for number in range(size.instances)]
        self.world.start_all(self.places, self.keys, acquainted=True)
        self.world.run(SETTLE_S)
        self.traffic = Traffic(self.world, size, self.keys)
        self.traffic.lead_to(self.places)
        self.traffic.arrive()
        self.world.run(SETTLE_S + CALM_S)

    def nodes(self) -> list[Metered]:
        return [node for node in self.world.nodes.values() if isinstance(node, Metered)]

    def owners(self) -> dict[str, str]:
        """The name of each deployment's owner."""
        owners = Owners()
        owners.change(node.name for node in self.nodes())
        return {key: owners.of(key) for key in self.keys}

    def is_busy(self, place: str) -> bool:
        return any(
            each.dispatcher.in_flight or each.dispatcher.queued for each in self.world.nodes[place].borrowers.values()
        )

    def run_for(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)


def steady(size: Size, seconds: float) -> Steady:
    scene = Scene(size)
    world, traffic = scene.world, scene.traffic
    traffic.log.clear()
    world.messages = world.frames = world.beats = world.bytes = 0
    for node in scene.nodes():
        node.cpu_s = 0.0
    scene.run_for(seconds)
    requests, waits = len(traffic.log), sorted(wait_s for _, _, wait_s, _ in traffic.log)
    busiest = max(scene.nodes(), key=lambda node: node.cpu_s)
    owned = {key for key, name in scene.owners().items() if name == busiest.name}
    return Steady(
        requests=requests,
        messages_per_request=world.messages / requests,
        bytes_per_request=world.bytes / requests,
        frames_per_request=world.frames / requests,
        beats_per_instance_s=world.beats / seconds / size.instances,
        at_once=sum(at_once for _, _, _, at_once in traffic.log) / requests,
        p50_ms=1000 * quantile(waits, 0.5),
        p99_ms=1000 * quantile(waits, 0.99),
        cpu_us_per_request=1e6 * sum(node.cpu_s for node in scene.nodes()) / requests,
        busiest_us_per_request=1e6 * busiest.cpu_s / max(1, sum(key in owned for _, key, _, _ in traffic.log)),
        busiest_share=busiest.cpu_s / seconds,
        busiest_owns=len(owned),
        most_in_flight=traffic.most_in_flight,
    )


def killed_owner(size: Size) -> Recovery:
    """The instance that owns most is gone at once; the platform notices two seconds later."""
    scene = Scene(size)
    owners = scene.owners()
    name = Counter(owners.values()).most_common(1)[0][0]
    place = next(node.place for node in scene.nodes() if node.name == name)
    at = scene.world.now
    scene.world.kill(place, listed=True)
    scene.world.lent_at.clear()
    scene.traffic.lead_to([each for each in scene.places if each != place])
    scene.run_for(LEASE_S)
    scene.world.delist(place)
    scene.run_for(2 * LEASE_S)
    owned = {key for key, owner in owners.items() if owner == name}
    recovery = _recovered("kill of the owner", scene, at, owned)
    return replace(recovery, lent_again_s=max(scene.world.lent_at.get(key, math.inf) for key in owned) - at)


def partition(size: Size, seconds: float = 4.0) -> Recovery:
    """A tenth of the instances can't reach the others for a while."""
    scene = Scene(size)
    at, cut_off = scene.world.now, scene.places[::10]
    rest = [place for place in scene.places if place not in cut_off]
    scene.world.cut = {frozenset((one, other)) for one in cut_off for other in rest}
    scene.run_for(seconds)
    scene.world.cut.clear()
    scene.run_for(2 * LEASE_S)
    return _recovered(f"partition of {seconds:g} s", scene, at, set(scene.keys))


def restarts(size: Size, batches: int = 10) -> Recovery:
    """All of them, some at a time: new ones come, old ones stop to own and to get requests, and end once they are
    done."""
    scene = Scene(size)
    world, at = scene.world, scene.world.now
    for number in range(batches):
        old = scene.places[number::batches]
        new = [f"{place}'" for place in old]
        world.start_all(new, scene.keys)
        scene.run_for(0.5)
        there = [place for place in world.nodes if place not in old]
        scene.traffic.lead_to(there)
        for place in old:
            world.nodes[place].sharing.drain(world.now)
            world.nodes[place].flush()
        while any(scene.is_busy(place) for place in old):
            scene.run_for(0.1)
        for place in old:
            world.kill(place, listed=True)
        world.delist_all(old)
        scene.run_for(0.5)
    scene.run_for(LEASE_S)
    return _recovered("restart of all", scene, at, set(scene.keys))


def _recovered(event: str, scene: Scene, at: float, keys: set[str]) -> Recovery:
    traffic = scene.traffic
    about = [each for each in traffic.log if each[1] in keys]
    before = sorted(wait_s for came_at, _, wait_s, _ in about if at - CALM_S / 2 <= came_at < at)
    usual_s = quantile(before, 0.99)
    slow = [end_s for end_s, p99_s in _buckets(about, at) if p99_s > 2 * usual_s + 0.01]
    return Recovery(
        event=event,
        requests=len(about),
        lost=traffic.lost,
        lent_again_s=None,
        normal_s=max(slow, default=0.0),
        worst_ms=1000 * max(wait_s for came_at, _, wait_s, _ in about if came_at >= at),
        p99_before_ms=1000 * usual_s,
        most_in_flight=traffic.most_in_flight,
        over_s=max(0.0, traffic.over_at - at),
        views=scene.world.views,
    )


def _buckets(about: Iterable[tuple[float, str, float, bool]], at: float) -> Iterator[tuple[float, float]]:
    """The end of each, from the event on, and the p99 of those who came in it."""
    waits: dict[int, list[float]] = {}
    for came_at, _, wait_s, _ in about:
        if came_at >= at:
            waits.setdefault(int((came_at - at) / BUCKET_S), []).append(wait_s)
    for number, found in sorted(waits.items()):
        yield (number + 1) * BUCKET_S, quantile(sorted(found), 0.99)


EVENTS: tuple[Callable[[Size], Recovery], ...] = (killed_owner, partition, restarts)
