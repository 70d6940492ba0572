"""Each policy gives the waits that can be worked out by hand; the ideal queue is the router's own with no link."""

from __future__ import annotations

import heapq
import statistics
from math import factorial, inf

import pytest

from bench.dispatch.load import Load, Request, requests_of
from bench.dispatch.play import made
from bench.dispatch.policies import POLICIES, at_random, ideal, least_of_all, least_of_two, one_each, slices
from router.core.dispatch import Dispatcher, Permit, Ticket

LOAD = Load(replicas=6, share=0.8, requests=5_000)


def _dispatched(requests: list[Request], replicas: int) -> list[float]:
    """By one real dispatcher."""
    dispatcher = Dispatcher(1, 10**9)
    dispatcher.update([made("a/b", number) for number in range(replicas)], 0.0)
    waits = [0.0] * len(requests)
    numbers: dict[Ticket, int] = {}
    ends: list[tuple[float, int, Permit]] = []

    def begin(number: int, permit: Permit, now: float) -> None:
        waits[number] = now - requests[number].at_s
        heapq.heappush(ends, (now + requests[number].length_s, number, permit))

    def end_until(moment: float) -> None:
        while ends and ends[0][0] <= moment:
            now, _, permit = heapq.heappop(ends)
            ticket = dispatcher.release(permit, now)
            if ticket is not None and ticket.permit is not None:
                begin(numbers.pop(ticket), ticket.permit, now)

    for number, request in enumerate(requests):
        end_until(request.at_s)
        got = dispatcher.acquire(request.at_s, inf)
        if isinstance(got, Permit):
            begin(number, got, request.at_s)
        else:
            numbers[got] = number
    end_until(inf)
    return waits


@pytest.mark.parametrize("lengths", ["exponential", "heavy-tailed"])
def test_the_ideal_queue_is_one_dispatcher_without_a_link(lengths: str) -> None:
    requests = requests_of(Load(replicas=6, share=0.9, lengths=lengths, requests=3_000))
    assert ideal(requests, 6) == pytest.approx(_dispatched(requests, 6))


def test_the_ideal_queues_mean_wait_is_erlangs() -> None:
    requests = requests_of(Load(replicas=6, share=0.8, requests=200_000))
    offered = 0.8 * 6
    waiting = offered**6 / factorial(6) / (1 - 0.8)
    probability = waiting / (sum(offered**each / factorial(each) for each in range(6)) + waiting)
    assert statistics.fmean(ideal(requests, 6)) == pytest.approx(probability * 0.1 / (6 * (1 - 0.8)), rel=0.05)


def test_slices_are_replicas_of_ones_own() -> None:
    requests = [Request(0.0, 0, 1.0), Request(0.1, 0, 1.0), Request(0.2, 1, 1.0), Request(0.3, 1, 1.0)]
    assert slices(requests, 2) == pytest.approx([0.0, 0.9, 0.0, 0.9])
    assert slices(requests, 4) == [0.0, 0.0, 0.0, 0.0]


def test_one_each_knows_its_own_and_nothing_of_others() -> None:
    """Instance 0 puts its third request behind its own first, though a second later the other's replica is free."""
    alone = [Request(0.0, 0, 1.0), Request(0.0, 0, 3.0), Request(0.5, 0, 1.0)]
    assert one_each(alone, 2) == pytest.approx([0.0, 0.0, 0.5])
    both = [Request(0.0, 0, 1.0), Request(0.5, 1, 1.0)]
    assert one_each(both, 1) == pytest.approx([0.0, 0.5])
    assert one_each(both, 2) == pytest.approx([0.0, 0.5])  # both take the first of those idle to their knowledge


def test_least_request_goes_where_the_instance_itself_has_least() -> None:
    requests = [Request(0.0, 0, 2.0), Request(0.1, 0, 2.0), Request(0.2, 1, 1.0)]
    waits = least_of_all(requests, 2)
    assert waits[:2] == [0.0, 0.0]
    assert waits[2] == pytest.approx(1.9)  # its second one in turn, which the other keeps busy: it does not know
    assert least_of_two(requests, 2)[:2] == [0.0, 0.0]


def test_counts_come_down_again_when_requests_end() -> None:
    requests = [Request(float(each), 0, 0.5) for each in range(50)]
    assert least_of_all(requests, 2) == [0.0] * 50
    assert one_each(requests, 1) == [0.0] * 50
    busy = [Request(0.0, 0, 9.0), Request(0.1, 0, 1.0), Request(2.0, 0, 1.0), Request(4.0, 0, 1.0)]
    assert least_of_all(busy, 2) == [0.0] * 4  # the second replica's count is down each time, the first's is not


def test_one_each_keeps_the_order_of_its_own_queue() -> None:
    assert one_each([Request(0.0, 0, 1.0), Request(0.1, 0, 1.0), Request(0.2, 0, 1.0)], 1) == pytest.approx(
        [0.0, 0.9, 1.8]
    )


def test_at_random_lets_requests_wait_beside_idle_replicas() -> None:
    requests = requests_of(Load(replicas=6, share=0.3, requests=2_000))
    assert statistics.fmean(at_random(requests, 6)) > 5 * statistics.fmean(ideal(requests, 6))


def test_none_is_better_than_the_ideal_queue_on_average() -> None:
    requests = requests_of(LOAD)
    means = {name: statistics.fmean(policy(requests, 6)) for name, policy in POLICIES.items()}
    assert min(means, key=means.__getitem__) == "ideal"
    assert min(min(policy(requests, 6)) for policy in POLICIES.values()) >= 0.0
    assert means["random"] > means["least request of two"] > means["least request of all"]
