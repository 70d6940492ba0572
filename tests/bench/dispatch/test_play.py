"""Ours on virtual time: with no link it is the ideal queue, with one it pays for round trips and no more."""

from __future__ import annotations

import pytest

from bench.dispatch.load import Load, quantile, requests_of
from bench.dispatch.play import Layout, Played, share_one_queue
from bench.dispatch.policies import ideal

REQUESTS = requests_of(Load(replicas=6, share=0.9, requests=3_000))
LAYOUT = Layout(pods=3, workers=2)


@pytest.fixture(scope="module")
def played() -> Played:
    return share_one_queue(REQUESTS, 6, LAYOUT)


def _p99(waits: list[float]) -> float:
    return quantile(sorted(waits), 0.99)


def test_places_of_a_pod_are_near_each_other() -> None:
    assert LAYOUT.places() == ["pod0#0", "pod0#1", "pod1#0", "pod1#1", "pod2#0", "pod2#1"]
    assert LAYOUT.title == "3 x 2"


def test_without_a_link_it_is_the_ideal_queue() -> None:
    played = share_one_queue(REQUESTS, 6, Layout(pods=6, workers=1, far_s=0.0, near_s=0.0))
    assert played.waits_s == pytest.approx(ideal(REQUESTS, 6), abs=1e-6)


def test_with_a_link_p99_stays_near_the_ideal_and_no_replica_has_more_than_one(played: Played) -> None:
    assert 1.0 <= _p99(played.waits_s) / _p99(ideal(REQUESTS, 6)) <= 1.15
    assert played.most_in_flight == 1


def test_nearer_instances_wait_less(played: Played) -> None:
    apart = share_one_queue(REQUESTS, 6, Layout(pods=6, workers=1, far_s=0.005))
    assert sum(apart.waits_s) > 1.2 * sum(played.waits_s)


def test_messages_and_requests_that_began_at_once_are_counted(played: Played) -> None:
    assert 2.0 < played.messages / len(REQUESTS) < 3.0  # Ask, Grant, GiveBack, but the owner's own
    calm = requests_of(Load(replicas=24, share=0.1, requests=1_000))
    calmly = share_one_queue(calm, 24, LAYOUT)
    assert played.at_once / len(REQUESTS) < 0.2 < 0.8 < calmly.at_once / len(calm)
    assert calmly.messages / len(calm) < 0.5
