"""fleet.py: snapshots are followed whole, and what is taken in is served to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from router.core.dispatch import Permit
from router.core.errors import NoReadyReplicas, NotFound
from router.core.model import (
    Addresses,
    Deployment,
    Endpoint,
    Replica,
    RequestSettings,
    Route,
    ScaleSettings,
    Snapshot,
    Trouble,
    TroubleKind,
)
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import Fleet
from router.upstream import Upstream

SCORE = b"/api/v1/endpoint/iris/score"


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    upstream = Upstream(connect_timeout_ms=1_000, idle_ms=1_000)
    made = Fleet(upstream, Memory(), Sharing("here", lambda: None))
    yield made
    for live in made.live.values():
        live.admission.close()
    upstream.close()


def deployment(name: str = "blue", slots: int = 1) -> Deployment:
    request = RequestSettings(max_concurrent_requests_per_instance=slots)
    return Deployment(endpoint="iris", name=name, workload=Addresses(addresses=()), request=request)


def endpoint(*deployments: Deployment, name: str = "iris") -> Endpoint:
    weights = tuple((each.name, 0 if place else 100) for place, each in enumerate(deployments))
    return Endpoint(name=name, auth_mode="none", deployments=deployments, weights=weights)


def replica(uid: str = "a", of: str = "iris/blue", **changes: Any) -> Replica:
    return replace(Replica(uid=uid, deployment=of, host="127.0.0.1", port=1, ready=True), **changes)


def shown(*replicas: Replica, deployments: tuple[Deployment, ...] = (deployment(),)) -> Snapshot:
    return Snapshot(endpoints=(endpoint(*deployments),), replicas=replicas)


def taken(fleet: Fleet, key: str = "iris/blue") -> Permit:
    permit = fleet.live[key].admission.acquire()
    assert isinstance(permit, Permit)
    return permit


async def test_nothing_is_known_before_the_first_snapshot_and_an_empty_one_is_one(fleet: Fleet) -> None:
    assert not fleet.has_snapshot
    with pytest.raises(NotFound):
        fleet.table.match(SCORE)
    fleet.follow(Snapshot())
    assert fleet.has_snapshot
    assert fleet.loads() == []


async def test_a_reader_that_holds_the_old_table_sees_all_of_it(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    old = fleet.table
    fleet.follow(Snapshot())
    assert fleet.table is not old
    assert old.match(SCORE).route.endpoint.name == "iris"
    with pytest.raises(NotFound):
        fleet.table.match(SCORE)


async def test_a_deployment_keeps_its_counters_budget_and_requests_over_snapshots(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    live, permit = fleet.live["iris/blue"], taken(fleet)
    live.counters.count(200)
    fleet.follow(shown(replica(), replica("b")))
    assert fleet.live["iris/blue"] is live
    assert live.counters.requests == {200: 1}
    (load,) = fleet.loads()
    assert (load.in_flight, load.total, load.replicas) == (1, 2, {"a": 1, "b": 0})
    live.admission.release(permit)


async def test_changed_settings_hold_from_the_snapshot_on(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    fleet.follow(shown(replica(), deployments=(deployment(slots=2),)))
    permits = [taken(fleet), taken(fleet)]
    assert fleet.loads()[0].concurrency == 2
    for permit in permits:
        fleet.live["iris/blue"].admission.release(permit)


async def test_the_load_says_how_it_goes(fleet: Fleet) -> None:
    fleet.follow(
        shown(
            replica(),
            replica("b"),
            replica("c", ready=False),
            replica("d", leaving=True),
            replica("e", ready=False, leaving=True),
        )
    )
    admission = fleet.live["iris/blue"].admission
    permits = [taken(fleet), taken(fleet)]
    ticket = admission.acquire()
    assert not isinstance(ticket, Permit)
    (load,) = fleet.loads()
    assert (load.endpoint, load.deployment, load.concurrency) == ("iris", "blue", 1)
    assert (load.in_flight, load.queued, load.busy) == (2, 1, 2)
    assert (load.ready, load.starting, load.total) == (2, 1, 3)
    assert load.utilization == 1.0, "(2 in flight + 1 queued) / (3 replicas x 1)"
    assert (load.arrived_total, load.finished_total, load.held_seconds_total) == (3, 0, 0.0)
    admission.dispatcher.abandon(ticket, 0.0)
    for permit in permits:
        admission.dispatcher.release(permit, permit.granted_at + 1.5)
    (load,) = fleet.loads()
    assert load.utilization == 0.0
    assert (load.arrived_total, load.finished_total, load.held_seconds_total) == (3, 2, 3.0)


@pytest.mark.parametrize(("slots", "replicas"), [(0, (replica(),)), (1, ())])
async def test_utilization_of_an_unlimited_or_empty_deployment_is_0(
    fleet: Fleet, slots: int, replicas: tuple[Replica, ...]
) -> None:
    fleet.follow(shown(*replicas, deployments=(deployment(slots=slots),)))
    permit = fleet.live["iris/blue"].admission.acquire()
    assert fleet.loads()[0].utilization == 0.0
    if isinstance(permit, Permit):
        fleet.live["iris/blue"].admission.release(permit)


async def test_a_deployment_that_is_declared_no_more_is_gone_after_its_last_request(fleet: Fleet) -> None:
    both = (deployment(), deployment("green"))
    fleet.follow(shown(replica(), replica("g", of="iris/green"), deployments=both))
    admission, permit = fleet.live["iris/green"].admission, taken(fleet, "iris/green")
    fleet.follow(shown(replica()))
    fleet.forget_retired()
    assert "iris/green" in fleet.live
    admission.release(permit)
    fleet.forget_retired()
    assert set(fleet.live) == {"iris/blue"}


async def test_an_idle_deployment_that_is_declared_no_more_is_gone_at_once(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    fleet.follow(Snapshot())
    assert fleet.live == {}


async def test_a_deployment_that_comes_back_while_it_drains_goes_on(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    live, permit = fleet.live["iris/blue"], taken(fleet)
    fleet.follow(Snapshot())
    fleet.follow(shown(replica()))
    live.admission.release(permit)
    fleet.forget_retired()
    assert fleet.live == {"iris/blue": live}
    live.admission.release(taken(fleet))


async def test_a_leaving_replica_is_drained_once_its_last_request_is_over(fleet: Fleet) -> None:
    fleet.follow(shown(replica(), replica("b")))
    permits = [taken(fleet), taken(fleet)]
    fleet.follow(shown(replica(leaving=True), replica("b"), replica("c", leaving=True)))
    assert fleet.drained() == {"c"}
    for permit in permits:
        fleet.live["iris/blue"].admission.release(permit)
    assert fleet.drained() == {"a", "c"}, "never one that stays"
    assert [fleet.is_settled(told) for told in ({"a"}, {"a", "c"}, {"a", "b", "c"})] == [False, True, True]
    fleet.follow(shown(replica("b")))
    assert fleet.is_settled(())


async def test_nothing_is_settled_while_a_deployment_is_to_be_forgotten(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    permit = taken(fleet)
    fleet.follow(Snapshot())
    assert not fleet.is_settled(())
    fleet.live["iris/blue"].admission.release(permit)
    fleet.forget_retired()
    assert fleet.is_settled(())


async def test_every_leaving_replica_of_a_retired_deployment_stays_until_that_is_gone(fleet: Fleet) -> None:
    """Also one without a request: those that wait may still get it."""
    fleet.follow(shown(replica(), replica("b")))
    admission, permit = fleet.live["iris/blue"].admission, taken(fleet)
    fleet.follow(Snapshot(replicas=(replica(leaving=True), replica("b", leaving=True))))
    assert fleet.drained() == set()
    admission.release(permit)
    fleet.forget_retired()
    assert fleet.drained() == {"a", "b"}


async def test_a_scoring_route_with_a_port_of_its_own_is_where_requests_go(fleet: Fleet) -> None:
    elsewhere = replace(deployment(), scoring_route=Route(path="/score", port=81))
    fleet.follow(shown(replica("a"), deployments=(elsewhere,)))
    assert taken(fleet).replica.port == 81


# -- what is said again ----------------------------------------------------------------------------------------


async def test_a_table_that_is_right_is_kept_while_replicas_come_and_go(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    table = fleet.table
    fleet.follow(shown(replica(), replica("b")))
    assert fleet.table is table
    fleet.follow(shown(replica(), deployments=(deployment(slots=2),)))
    assert fleet.table is not table


async def test_a_snapshot_that_concerns_others_does_not_change_whose_turn_it_is(fleet: Fleet) -> None:
    def snapshot(*others: Replica) -> Snapshot:
        endpoints = (endpoint(deployment()), endpoint(replace(deployment(), endpoint="rose"), name="rose"))
        return Snapshot(endpoints=endpoints, replicas=(replica("a"), replica("b"), *others))

    fleet.follow(snapshot())
    admission = fleet.live["iris/blue"].admission
    admission.release(taken(fleet))
    fleet.follow(snapshot(replica("c", of="rose/blue")))
    permit = taken(fleet)
    assert permit.replica.uid == "b"
    admission.release(permit)


async def test_a_deployment_that_comes_back_as_it_was_is_served_again(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    admission, permit = fleet.live["iris/blue"].admission, taken(fleet)
    unready = shown(replica(ready=False))
    fleet.follow(unready)
    fleet.follow(Snapshot())
    fleet.follow(unready)
    task = await waiting(fleet)
    assert not task.done(), "nobody is told any more that it was removed"
    fleet.follow(shown(replica(), replica("b")))
    assert (await task).replica.uid == "b"
    for held in (permit, task.result()):
        admission.release(held)


async def test_a_removed_deployment_whose_replicas_leave_is_drained_after_it_comes_back(fleet: Fleet) -> None:
    fleet.follow(shown(replica()))
    admission, permit = fleet.live["iris/blue"].admission, taken(fleet)
    fleet.follow(Snapshot(replicas=(replica(leaving=True),)))
    fleet.follow(shown(replica(leaving=True)))
    assert fleet.drained() == set()
    admission.release(permit)
    assert fleet.drained() == {"a"}


# -- held requests and troubles --------------------------------------------------------------------------------


def to_zero(name: str = "blue") -> Deployment:
    return replace(deployment(name), scale=ScaleSettings(min_instances=0, max_instances=2))


async def waiting(fleet: Fleet, key: str = "iris/blue") -> asyncio.Task[Permit]:
    """A request that asked for a slot, and got none yet."""
    admission = fleet.live[key].admission
    ticket = admission.acquire()
    assert not isinstance(ticket, Permit)
    task = asyncio.create_task(admission.wait(ticket))
    await asyncio.sleep(0)
    return task


async def test_a_held_request_counts_as_queued_and_gets_the_first_replica(fleet: Fleet) -> None:
    fleet.follow(shown(deployments=(to_zero(),)))
    task = await waiting(fleet)
    (load,) = fleet.loads()
    assert (load.queued, load.arrived_total, load.total) == (1, 1, 0)
    fleet.follow(shown(replica(), deployments=(to_zero(),)))
    assert (await task).replica.uid == "a"
    assert fleet.loads()[0].queued == 0


@pytest.mark.parametrize(("kind", "tells"), [("start", True), ("placement", True), ("conflict", False)])
async def test_a_trouble_in_which_no_replica_comes_tells_those_who_are_held(
    fleet: Fleet, kind: TroubleKind, tells: bool
) -> None:
    both = (to_zero(), to_zero("green"))
    fleet.follow(shown(deployments=both))
    blue, green = await waiting(fleet), await waiting(fleet, "iris/green")
    trouble = Trouble(deployment="iris/blue", kind=kind, reason="it ended with exit code 3")
    fleet.follow(replace(shown(deployments=both), troubles=(trouble,)))
    await asyncio.sleep(0)
    assert (blue.done(), green.done()) == (tells, False)
    if tells:
        with pytest.raises(NoReadyReplicas, match="it ended with exit code 3"):
            await blue
        assert [load.refused_total for load in fleet.loads()] == [1, 0]
    fleet.follow(shown(replica(), replica("g", of="iris/green"), deployments=both))
    assert (await green).replica.uid == "g"
    assert tells or (await blue).replica.uid == "a"


async def test_who_is_held_still_waits_for_a_replica_that_starts_while_another_has_no_room(fleet: Fleet) -> None:
    full = Trouble(deployment="iris/blue", kind="placement", reason="no node has 2 CPUs left")
    fleet.follow(shown(replica(ready=False), deployments=(to_zero(),)))
    task = await waiting(fleet)
    fleet.follow(replace(shown(replica(ready=False), deployments=(to_zero(),)), troubles=(full,)))
    await asyncio.sleep(0)
    assert not task.done()
    fleet.follow(replace(shown(replica(), deployments=(to_zero(),)), troubles=(full,)))
    assert (await task).replica.uid == "a"


async def test_one_trouble_is_not_hidden_by_another_that_does_not_keep_from_starting(fleet: Fleet) -> None:
    start, conflict = (
        Trouble(deployment="iris/blue", kind="start", reason="no such program"),
        Trouble(deployment="iris/blue", kind="conflict", reason="something else scales it"),
    )
    fleet.follow(replace(shown(deployments=(to_zero(),)), troubles=(start, conflict)))
    with pytest.raises(NoReadyReplicas, match="no such program"):
        await (await waiting(fleet))


async def test_a_removed_deployment_without_a_replica_tells_those_who_are_held_and_is_gone(fleet: Fleet) -> None:
    fleet.follow(shown(deployments=(to_zero(),)))
    task = await waiting(fleet)
    fleet.follow(Snapshot())
    assert fleet.live == {}
    with pytest.raises(NoReadyReplicas, match="removed"):
        await task


async def test_the_pressure_of_every_deployment_is_the_fleets(fleet: Fleet) -> None:
    fleet.follow(shown(deployments=(to_zero(), to_zero("green"))))
    task = await waiting(fleet, "iris/green")
    assert fleet.pressure.generation == 1
    fleet.follow(shown(replica("g", of="iris/green"), deployments=(to_zero(), to_zero("green"))))
    await task


# -- what could not be taken in --------------------------------------------------------------------------------


async def test_replicas_that_could_not_be_taken_in_are_when_they_are_said_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.follow(shown(replica()))
    two = shown(replica(), replica("b"))
    with monkeypatch.context() as patch:
        patch.delattr(type(fleet.live["iris/blue"].admission), "update")
        with pytest.raises(AttributeError):
            fleet.follow(two)
    fleet.follow(two)
    assert fleet.loads()[0].total == 2


async def test_an_endpoint_whose_requests_cannot_be_counted_is_served_once_they_can(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "open", fails)
        with pytest.raises(OSError, match="no space left"):
            fleet.follow(shown(replica()))
        with pytest.raises(NotFound):
            fleet.table.match(SCORE)
    fleet.follow(shown(replica()))
    assert fleet.table.match(SCORE).route.endpoint.name == "iris"
    fleet.live["iris/blue"].admission.release(taken(fleet))
