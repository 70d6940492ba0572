"""A small installation under load and under each event: what is said of it is what happened."""

from __future__ import annotations

from collections import Counter
from math import inf

import pytest

from bench.dispatch import scale
from bench.dispatch.scale import Large, Metered, Scene, Size
from router.core.circle import LEASE_S

SIZE = Size(instances=10, deployments=5, replicas=8, share=0.6)


def test_steady_load_is_all_counted() -> None:
    found = scale.steady(SIZE, 2.0)
    assert found.requests == pytest.approx(SIZE.rate_per_s * 2.0, rel=0.15)
    assert 1.0 < found.messages_per_request < 3.5
    assert found.bytes_per_request > 10 * found.messages_per_request
    assert found.beats_per_instance_s == pytest.approx(9 * 5 * 2, rel=0.1)
    assert found.most_in_flight == 1
    assert 0 < found.busiest_us_per_request < inf
    assert 0 < found.busiest_share < 1
    assert found.busiest_owns >= 1
    assert found.p99_ms >= found.p50_ms >= 0


def test_after_the_kill_of_an_owner_another_lends() -> None:
    found = scale.killed_owner(SIZE)
    assert found.lent_again_s is not None
    assert 0 < found.lent_again_s < LEASE_S
    assert found.over_s <= LEASE_S
    assert found.normal_s < 3 * LEASE_S


def test_a_partition_ends_well_and_keeps_the_bound() -> None:
    found = scale.partition(SIZE, 3.0)
    assert found.lent_again_s is None
    assert found.over_s <= LEASE_S
    assert found.lost == 0


def test_a_restart_of_all_loses_nothing_and_breaks_no_limit() -> None:
    found = scale.restarts(SIZE, batches=2)
    assert (found.lost, found.most_in_flight, found.over_s) == (0, 1, 0.0)
    assert found.requests > 100


def test_many_that_start_at_once_tell_their_views_a_few_times_each() -> None:
    """And not once for each one that comes, and again as it may own: that was 104,400."""
    world = Large(0.0005)
    world.start_all([f"pod{number}" for number in range(30)], [])
    world.run(3.0)
    assert all(node.sharing.is_settled and len(node.sharing._group) == 30 for node in world.nodes.values())
    assert 2 * 30 * 29 <= world.views <= 12 * 30 * 29


def test_requests_of_the_killed_are_lost_and_their_replicas_go_on_to_the_end() -> None:
    scene = Scene(SIZE)
    for place in scene.places:
        scene.world.kill(place, listed=True)
    held = scene.world.in_flight.total()
    assert held > 0
    scene.run_for(0.01)
    assert 0 < scene.world.in_flight.total() <= held
    scene.run_for(3.0)
    assert scene.world.in_flight.total() == 0
    assert scene.traffic.lost >= held


def test_owners_are_those_that_own() -> None:
    scene = Scene(SIZE)
    owners = Counter(scene.owners().values())
    assert {node.name: node.sharing.owned_by()[node.name] for node in scene.nodes() if node.name in owners} == owners
    assert owners.total() == SIZE.deployments


def test_cpu_time_is_that_of_the_one_who_works() -> None:
    scene = Scene(SIZE)
    assert all(isinstance(node, Metered) and node.cpu_s > 0 for node in scene.nodes())


def test_the_end_of_slow_times_is_that_of_the_last_slow_bucket() -> None:
    scene = Scene(SIZE)
    at = scene.world.now
    key = scene.keys[0]
    scene.traffic.log = [(at - 0.5, key, 0.01, True), (at + 0.05, key, 1.0, False), (at + 0.55, key, 0.5, False)]
    scene.traffic.log += [(at + 1.0, key, 0.01, True)]
    found = scale._recovered("it", scene, at, {key})
    assert found.normal_s == pytest.approx(0.6)
    assert (found.worst_ms, found.requests) == (1000.0, 4)
    assert found.p99_before_ms == pytest.approx(10.0)
