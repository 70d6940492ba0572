"""asked.py: what is not there and what can't be, in words that say what there is and what would do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from router.core.model import Addresses, Deployment, Endpoint, Hold, Process, Replica, ScaleSettings, Snapshot
from router.platforms.administration import Conflict, Unfit, Unknown
from router.platforms.asked import (
    LATEST_S,
    check_hold,
    check_present,
    deployment_of,
    endpoint_of,
    keyed_endpoint_of,
    replica_of,
    whole_traffic,
)

BLUE = Deployment(
    endpoint="iris",
    name="blue",
    workload=Process(command=("model",)),
    scale=ScaleSettings(min_instances=1, max_instances=4),
)
GREEN = replace(BLUE, name="green", scale=None)
IRIS = Endpoint(name="iris", deployments=(BLUE, GREEN), weights=(("blue", 90), ("green", 10)))


def many(count: int) -> Snapshot:
    endpoints = tuple(Endpoint(name=f"e{number}", deployments=()) for number in range(count))
    replicas = tuple(
        Replica(uid=f"r{number}", deployment="iris/blue", host="10.0.0.1", port=1, ready=True)
        for number in range(count)
    )
    return Snapshot(endpoints=(*endpoints, IRIS), replicas=replicas)


def test_what_is_there_is_found() -> None:
    snapshot = many(3)
    assert endpoint_of(snapshot, "iris") is IRIS is keyed_endpoint_of(snapshot, "iris")
    assert deployment_of(snapshot, "iris", "green") is GREEN
    assert replica_of(snapshot, "r1") is snapshot.replicas[1]


def test_what_is_not_there_is_answered_with_what_is_at_most_twenty() -> None:
    with pytest.raises(Unknown, match=r"no endpoint 'rose': known are e0, e1, iris$"):
        endpoint_of(many(2), "rose")
    with pytest.raises(Unknown, match=r"known are e0, .*, e19 and 6 more$"):
        endpoint_of(many(25), "rose")
    with pytest.raises(Unknown, match=r"known are none$"):
        endpoint_of(Snapshot(), "rose")
    with pytest.raises(Unknown, match=r"endpoint iris has no deployment 'red': known are blue, green$"):
        deployment_of(many(0), "iris", "red")
    with pytest.raises(Unknown, match=r"no replica 'gone': known are r0, r1$"):
        replica_of(many(2), "gone")
    with pytest.raises(Unknown) as caught:
        endpoint_of(many(1), "x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("mode", "also"), [("token", ()), ("none", ()), ("jwt", ("token",))])
def test_who_takes_no_keys_has_none(mode: Any, also: Any) -> None:
    snapshot = Snapshot(endpoints=(replace(IRIS, auth_mode=mode, also_accepts=also),))
    with pytest.raises(Unknown, match=f"endpoint iris has no keys: its auth.mode is {mode}"):
        keyed_endpoint_of(snapshot, "iris")
    both = replace(IRIS, auth_mode="token", also_accepts=("key",))
    assert keyed_endpoint_of(Snapshot(endpoints=(both,)), "iris") is both


def test_traffic_names_every_deployment() -> None:
    assert list(whole_traffic(IRIS, {"green": 100}).items()) == [("blue", 0), ("green", 100)]
    assert whole_traffic(IRIS, {}) == {"blue": 0, "green": 0}


@pytest.mark.parametrize(
    ("traffic", "problem"),
    [
        ({"red": 100}, "traffic is given for 'red', but the deployments of iris are blue, green"),
        ({"blue": 101, "green": -1}, "traffic of blue is 101, but it must be 0 to 100"),
        ({"green": -1, "blue": 101}, "traffic of green is -1, but it must be 0 to 100"),
        ({"blue": 99}, "traffic of iris sums to 99, but it must sum to 100, or to 0"),
    ],
)
def test_traffic_that_can_not_be(traffic: dict[str, int], problem: str) -> None:
    with pytest.raises(Unfit) as caught:
        whole_traffic(IRIS, traffic)
    assert str(caught.value) == problem


def test_who_is_not_named_has_no_traffic_there_either() -> None:
    for expected in (None, {"blue": 100}, {"blue": 100, "green": 0}):
        check_present("iris", {"blue": 100, "green": 0}, expected)
    with pytest.raises(Conflict, match="traffic of iris is another by now: blue 90, green 10"):
        check_present("iris", {"blue": 90, "green": 10}, {"blue": 90})


def test_a_hold_is_within_bounds_and_before_the_end_of_all_calendars() -> None:
    for hold in (None, *(Hold(replicas=number, until_s=LATEST_S) for number in range(1, 5))):
        check_hold(BLUE, hold)
    for number in (-1, 0, 5):
        with pytest.raises(Unfit, match=f"can't have {number} replicas: .* 1 to 4"):
            check_hold(BLUE, Hold(replicas=number, until_s=0.0))
    for until_s in (-1.0, LATEST_S + 1, float("inf"), float("nan")):
        with pytest.raises(Unfit, match="before the year 10000"):
            check_hold(BLUE, Hold(replicas=1, until_s=until_s))


def test_what_nothing_scales_is_not_held_and_is_told_what_to_do() -> None:
    with pytest.raises(Conflict, match=r"iris/green has a fixed number .* change its instanceCount"):
        check_hold(GREEN, Hold(replicas=1, until_s=0.0))
    with pytest.raises(Conflict, match="edit its addresses"):
        check_hold(replace(GREEN, workload=Addresses(addresses=("a:1",))), None)
