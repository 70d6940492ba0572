"""How long do requests wait if instances do not share what they know?

Pure. Each policy takes the requests in the order of arrival and gives their waits, in that order: from a request's
arrival to the moment from which its replica works on it. A replica works on one at a time; what is sent to it meanwhile
waits inside it, in order, as in a model server with one thread.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from random import Random  # house: only seeded ones, no chance from outside

from bench.dispatch.load import Request

Requests = Sequence[Request]


def ideal(requests: Requests, replicas: int) -> list[float]:
    """One queue that knows all without delay: nothing that does not know the future, and serves in order, is better."""
    free_at = [0.0] * replicas
    waits = []
    for request in requests:
        begins_at = max(request.at_s, free_at[0])
        heapq.heapreplace(free_at, begins_at + request.length_s)
        waits.append(begins_at - request.at_s)
    return waits


def slices(requests: Requests, replicas: int) -> list[float]:
    """Each instance has replicas of its own, as many as any other."""
    instances = 1 + max(request.instance for request in requests)
    own = [[0.0] * (replicas * (each + 1) // instances - replicas * each // instances) for each in range(instances)]
    waits = []
    for request in requests:
        free_at = own[request.instance]
        begins_at = max(request.at_s, free_at[0])
        heapq.heapreplace(free_at, begins_at + request.length_s)
        waits.append(begins_at - request.at_s)
    return waits


def at_random(requests: Requests, replicas: int) -> list[float]:
    chance, crowd = Random(1), Crowd(replicas)
    return [crowd.send(request, chance.randrange(replicas))[0] for request in requests]


def least_of_two(requests: Requests, replicas: int) -> list[float]:
    """As Envoy's least request: of two replicas drawn at random the one with fewer of this instance's own requests."""
    return _least(requests, replicas, lambda chance, _: chance.sample(range(replicas), 2))


def least_of_all(requests: Requests, replicas: int) -> list[float]:
    """The one with the fewest of this instance's own requests, of several the next in turn."""
    turns: dict[int, int] = {}

    def all_in_turn(_: Random, instance: int) -> list[int]:
        first = turns[instance] = turns.get(instance, instance - 1) + 1
        return [(first + each) % replicas for each in range(replicas)]

    return _least(requests, replicas, all_in_turn)


def one_each(requests: Requests, replicas: int) -> list[float]:
    """As HAProxy's `maxconn 1`, one HAProxy for each instance: at most one of its own in each replica, the others in
    one queue of its own. What other instances have there it does not know."""
    crowd = Crowd(replicas)
    idle = [deque(range(replicas)) for _ in range(1 + max(request.instance for request in requests))]
    queues: list[deque[int]] = [deque() for _ in idle]
    waits = [0.0] * len(requests)
    ends: list[tuple[float, int, int]] = []

    def send(number: int, now: float) -> None:
        request = requests[number]
        replica = idle[request.instance].popleft()
        wait_s, ends_at = crowd.send(request, replica, now)
        waits[number] = wait_s
        heapq.heappush(ends, (ends_at, request.instance, replica))

    def end_until(moment: float) -> None:
        while ends and ends[0][0] <= moment:
            now, instance, replica = heapq.heappop(ends)
            idle[instance].append(replica)
            if queues[instance]:
                send(queues[instance].popleft(), now)

    for number, request in enumerate(requests):
        end_until(request.at_s)
        if idle[request.instance]:
            send(number, request.at_s)
        else:
            queues[request.instance].append(number)
    end_until(float("inf"))
    return waits


POLICIES: dict[str, Callable[[Requests, int], list[float]]] = {
    "ideal": ideal,
    "slices": slices,
    "maxconn 1 each": one_each,
    "least request of two": least_of_two,
    "least request of all": least_of_all,
    "random": at_random,
}


class Crowd:
    """Replicas that work on one request at a time, each with a queue inside."""

    def __init__(self, replicas: int) -> None:
        self._free_at = [0.0] * replicas

    def send(self, request: Request, replica: int, now: float | None = None) -> tuple[float, float]:
        """How long it will have waited since it arrived, and when it ends. `now`: if not at its arrival."""
        begins_at = max(request.at_s if now is None else now, self._free_at[replica])
        ends_at = self._free_at[replica] = begins_at + request.length_s
        return begins_at - request.at_s, ends_at


def _least(requests: Requests, replicas: int, candidates: Callable[[Random, int], Sequence[int]]) -> list[float]:
    """Of the candidates the first with the fewest requests of that instance."""
    chance, crowd = Random(1), Crowd(replicas)
    counts = [[0] * replicas for _ in range(1 + max(request.instance for request in requests))]
    ends: list[tuple[float, int, int]] = []
    waits = []
    for request in requests:
        while ends and ends[0][0] <= request.at_s:
            _, instance, replica = heapq.heappop(ends)
            counts[instance][replica] -= 1
        own = counts[request.instance]
        chosen = min(candidates(chance, request.instance), key=own.__getitem__)
        wait_s, ends_at = crowd.send(request, chosen)
        own[chosen] += 1
        heapq.heappush(ends, (ends_at, request.instance, chosen))
        waits.append(wait_s)
    return waits
