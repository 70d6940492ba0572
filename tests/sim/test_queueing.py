"""Is the wait that of one shared first-come-first-served queue?

M/M/20 at load 0.9 on a heap of events: the mean wait against Erlang's formula, and each single wait against the
recursion that defines such a queue.
"""

from __future__ import annotations

import heapq
import random
from math import factorial

import pytest

from router.core.dispatch import Dispatcher, Permit, Ticket
from tests.core.nouns import replicas_of

REPLICAS = 20
LOAD = 0.9
REQUESTS = 1_000_000
FOR_EVER = float("inf")


def erlang_c_mean_wait(servers: int, load: float) -> float:
    """In mean service times: the chance to wait at all, over the rate at which a queue shrinks."""
    offered = servers * load
    queued = offered**servers / factorial(servers) / (1 - load)
    chance = queued / (sum(offered**n / factorial(n) for n in range(servers)) + queued)
    return chance / (servers * (1 - load))


def draw(seed: int, count: int) -> tuple[list[float], list[float]]:
    """Moments of arrival, and service times of mean 1."""
    chance = random.Random(seed)
    arrivals, now = [], 0.0
    for _ in range(count):
        now += chance.expovariate(REPLICAS * LOAD)
        arrivals.append(now)
    return arrivals, [chance.expovariate(1.0) for _ in range(count)]


def simulate(arrivals: list[float], services: list[float]) -> list[float]:
    """The wait of each request, in order of arrival. One request in a replica at once."""
    dispatcher = Dispatcher(1, len(arrivals))
    dispatcher.update(replicas_of(f"r{n}" for n in range(REPLICAS)), 0.0)
    waits = [0.0] * len(arrivals)
    numbers: dict[Ticket, int] = {}
    ends: list[tuple[float, int, Permit]] = []
    for number, arrival in enumerate([*arrivals, FOR_EVER]):
        while ends and ends[0][0] <= arrival:
            now, _, permit = heapq.heappop(ends)
            ticket = dispatcher.release(permit, now)
            if ticket is not None and ticket.permit is not None:
                waiter = numbers.pop(ticket)
                waits[waiter] = ticket.permit.waited_s
                heapq.heappush(ends, (now + services[waiter], waiter, ticket.permit))
        if arrival == FOR_EVER:
            break
        got = dispatcher.acquire(arrival, FOR_EVER)
        if isinstance(got, Permit):
            heapq.heappush(ends, (arrival + services[number], number, got))
        else:
            numbers[got] = number
    assert (dispatcher.in_flight, dispatcher.queued, len(numbers)) == (0, 0, 0)
    return waits


def ideal(arrivals: list[float], services: list[float]) -> list[float]:
    """Kiefer and Wolfowitz, 1955: the next request gets the server that is free first."""
    free_at = [0.0] * REPLICAS
    waits = []
    for arrival, service in zip(arrivals, services, strict=True):
        start = max(arrival, free_at[0])
        heapq.heapreplace(free_at, start + service)
        waits.append(start - arrival)
    return waits


def test_the_mean_wait_is_erlangs_within_five_percent() -> None:
    """Three runs: at this load waits are so alike for so long that one of them may be 4 % off by chance."""
    means = [sum(simulate(*draw(seed, REQUESTS))) / REQUESTS for seed in range(3)]
    assert sum(means) / 3 == pytest.approx(erlang_c_mean_wait(REPLICAS, LOAD), rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_every_single_wait_is_that_of_one_shared_queue(seed: int) -> None:
    arrivals, services = draw(seed, 20_000)
    assert simulate(arrivals, services) == pytest.approx(ideal(arrivals, services), abs=1e-6)


def test_erlangs_formula_gives_what_is_published() -> None:
    assert erlang_c_mean_wait(1, 0.5) == pytest.approx(1.0)  # M/M/1: load / (1 - load)
    assert erlang_c_mean_wait(2, 0.5) == pytest.approx(1 / 3)
    assert erlang_c_mean_wait(20, 0.9) == pytest.approx(0.275, abs=0.001)
