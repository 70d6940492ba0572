"""How long do requests wait if instances share one queue, as the router's do?

Pure. The router's real core on virtual time, without faults: see world.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bench.dispatch.load import Request
from bench.dispatch.world import Node, World
from router.core.dispatch import Permit
from router.core.model import Replica

DEPLOYMENT = "sim/sim"
SETTLED_S = 3.0
"""The instances have met by then."""
NO_LIMIT = 10**9


class Layout(Struct, frozen=True, kw_only=True):
    """`pods` of `workers` instances each. Delays are one way."""

    pods: int
    workers: int
    far_s: float = 0.0005
    """Between pods."""
    near_s: float = 0.00005
    """Inside one."""

    def places(self) -> list[str]:
        return [f"pod{pod}#{worker}" for pod in range(self.pods) for worker in range(self.workers)]

    @property
    def title(self) -> str:
        return f"{self.pods} x {self.workers}"


class Played(Struct, frozen=True, kw_only=True):
    waits_s: list[float]
    """In the order of arrival."""
    at_once: int
    """Requests that began in the moment of their arrival, with what their instance had."""
    messages: int
    """But signs of life."""
    most_in_flight: int
    """In any one replica, ever."""


def share_one_queue(requests: Sequence[Request], replicas: int, layout: Layout) -> Played:
    world = World(layout.far_s, layout.near_s)
    world.queue_length = NO_LIMIT
    world.replicas = [made(DEPLOYMENT, number) for number in range(replicas)]
    places = layout.places()
    world.start_all(places, [DEPLOYMENT])
    world.run(SETTLED_S)
    course = Course(world, requests)
    world.messages = 0
    course.begin([world.nodes[place] for place in places])
    while course.unfinished:
        world.run(world.now + 1.0)
    return Played(
        waits_s=course.waits_s,
        at_once=course.at_once,
        messages=world.messages,
        most_in_flight=course.most_in_flight,
    )


def made(deployment: str, number: int) -> Replica:
    return Replica(uid=f"{deployment} {number}", deployment=deployment, host="127.0.0.1", port=1, ready=True)


class Course:
    """All requests of one run, on their way through one world."""

    def __init__(self, world: World, requests: Sequence[Request]) -> None:
        self.world = world
        self.waits_s = [0.0] * len(requests)
        self.unfinished = len(requests)
        self.at_once = 0
        self.most_in_flight = 0
        self._requests = requests
        self._began_at = world.now

    def begin(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._arrive_at(0)

    def _arrive_at(self, number: int) -> None:
        if number < len(self._requests):
            self.world.at(self._began_at + self._requests[number].at_s, lambda: self._arrive(number))

    def _arrive(self, number: int) -> None:
        node = self._nodes[self._requests[number].instance]
        got = node.request(DEPLOYMENT, NO_LIMIT, lambda permit: self._serve(number, node, permit))
        self.at_once += isinstance(got, Permit)
        self._arrive_at(number + 1)

    def _serve(self, number: int, node: Node, permit: Permit) -> None:
        world, request = self.world, self._requests[number]
        self.waits_s[number] = world.now - self._began_at - request.at_s
        self.most_in_flight = max(self.most_in_flight, world.in_flight[permit.replica.uid])
        world.after(request.length_s, lambda: self._end(node, permit))

    def _end(self, node: Node, permit: Permit) -> None:
        self.world.in_flight[permit.replica.uid] -= 1
        self.unfinished -= 1
        node.finish(DEPLOYMENT, permit)
