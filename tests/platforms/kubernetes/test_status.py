"""Does a status say what is, no more often than it is worth?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from router.core.model import Snapshot
from router.platforms.kubernetes.leading.conditions import Count
from router.platforms.kubernetes.leading.status import (
    EndpointStatus,
    Event,
    counted,
    events_of,
    news,
    read_status,
    status_of,
)
from tests.platforms.kubernetes.reported import NOON, READY, account, replicas, trouble

TWO = {"blue": 90, "green": 10}
NONE = EndpointStatus()


def status(utilization: float | None = None, before: EndpointStatus = NONE, **changes: Any) -> EndpointStatus:
    ratios = {} if utilization is None else {"iris/blue": utilization}
    return status_of(account(**changes), before, READY, ratios, NOON)


def test_a_snapshot_is_counted_by_deployment_without_those_that_leave() -> None:
    snapshot = Snapshot(
        replicas=(*replicas("iris/blue", 2, 1, 4), *replicas("iris/green", 0, 1)),
        wished={"iris/blue": 3, "iris/red": 1},
        troubles=(trouble("start"), trouble("placement")),
    )
    assert counted(snapshot) == {
        "iris/blue": Count(2, 3, 3, (trouble("start"), trouble("placement"))),
        "iris/green": Count(0, 1, None),
        "iris/red": Count(0, 0, 1),
    }


def test_what_is_said_of_an_endpoint_that_is_served() -> None:
    counts = {"iris/blue": Count(2, 3, 3), "iris/green": Count(0, 1, None)}
    status = status_of(account(weights=TWO), NONE, counts, {"iris/blue": 0.4}, NOON)
    said = msgspec.json.decode(msgspec.json.encode(status))
    assert len(said.pop("conditions")) == 5
    assert said == {
        "observedGeneration": 3,
        "urlPath": "/api/v1/endpoint/iris/score",
        "replicas": "2/4",
        "readyReplicas": 2,
        "totalReplicas": 4,
        "utilization": "40%",
        "keysSecret": "iris-keys",
        "deployments": [
            {"name": "blue", "ready": 2, "total": 3, "wished": 3, "utilizationPercentage": 40},
            {"name": "green", "ready": 0, "total": 1},
        ],
    }


def test_of_one_that_is_not_served_there_are_conditions_alone() -> None:
    said = status_of(account(problems=("x",), endpoint=None), NONE, READY, {"iris/blue": 0.4}, NOON)
    assert replace(said, conditions=()) == EndpointStatus(observed_generation=3)
    assert len(said.conditions) == 5


def test_nothing_that_is_said_is_empty_text() -> None:
    """An API server of Kubernetes 1.20 takes it for null."""
    for each in (status(), status(keys="unused", secret=""), status(problems=("x",), endpoint=None)):
        assert b'""' not in msgspec.json.encode(each)


@pytest.mark.parametrize(
    ("ratios", "mean"),
    [
        ({"iris/blue": 0.5, "iris/green": 1.0}, "60%"),  # of four and one
        ({"iris/blue": 0.5}, "50%"),
        ({"iris/blue": 1.5}, "150%"),
        ({"iris/blue": 0.0, "iris/green": 0.0}, "0%"),
        ({"iris/red": 0.5}, None),
        ({}, None),
    ],
)
def test_the_utilization_is_the_mean_over_the_replicas(ratios: dict[str, float], mean: str | None) -> None:
    counts = {"iris/blue": Count(1, 4, 4), "iris/green": Count(1, 1, 1)}
    assert status_of(account(weights=TWO), NONE, counts, ratios, NOON).utilization == mean


def test_no_replica_has_no_utilization() -> None:
    said = status_of(account(), NONE, {"iris/blue": Count(0, 0, 0)}, {"iris/blue": 0.0}, NOON)
    assert said.utilization is None
    assert said.deployments[0].utilization_percentage == 0


def test_a_status_is_read_as_it_was_written() -> None:
    written = status(0.4)
    assert read_status(msgspec.json.decode(msgspec.json.encode(written))) == written


@pytest.mark.parametrize("raw", [None, {}, "x", [1], {"conditions": 7}, {"replicas": 7}])
def test_what_makes_no_sense_is_as_if_it_were_not_there(raw: object) -> None:
    assert read_status(raw) == NONE


def test_good_conditions_are_read_beside_what_makes_no_sense() -> None:
    whole: dict[str, Any] = msgspec.to_builtins(status())
    broken = {**whole, "replicas": 7, "conditions": [{"type": "Mine"}, *whole["conditions"]]}
    assert read_status(broken).conditions == status().conditions


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (0.40, 0.40, "none"),
        (0.40, 0.44, "none"),
        (0.40, 0.45, "utilization"),
        (0.40, 0.35, "utilization"),
        (0.03, 0.00, "utilization"),  # it is at rest now
        (0.00, 0.03, "none"),
        (None, 0.00, "utilization"),
        (0.40, None, "utilization"),
    ],
)
def test_a_utilization_is_news_by_five_points(before: float | None, after: float | None, what: str) -> None:
    assert news(status(before), status(after)) == what


def test_all_else_is_news_at_once() -> None:
    assert news(status(0.40), status(0.41, generation=4)) == "more"
    assert news(NONE, status()) == "more"
    assert (
        news(status(0.4), status_of(account(), NONE, {"iris/blue": Count(3, 3, 3)}, {"iris/blue": 0.4}, NOON)) == "more"
    )
    assert news(replace(status(0.4), utilization="much"), status(0.4)) == "more"


MISSING = {"missing": ("blue: there is no Deployment iris-blue in namespace models",)}


def test_a_condition_that_turns_bad_is_one_warning_and_its_end_one_word() -> None:
    good, bad = status(), status(**MISSING)
    warning = Event(
        "Warning",
        "WorkloadMissing",
        "blue: there is no Deployment iris-blue in namespace models; "
        "Create what is missing, or name another workload in spec.deployments.",
    )
    assert events_of(good, bad) == [warning]
    assert events_of(NONE, bad) == [warning]
    assert events_of(bad, status(missing=("another",))) == []
    assert events_of(bad, good) == [Event("Normal", "WorkloadsFound", "Every deployment has its workload.")]
    assert events_of(good, good) == events_of(NONE, good) == []


def test_another_reason_is_another_warning() -> None:
    before, after = status(keys="missing"), status(keys="bad", keys_problem="Secret x is bad")
    assert [(each.type, each.reason) for each in events_of(before, after)] == [("Warning", "SecretInvalid")]
    by_kind = [
        status_of(account(), NONE, {"iris/blue": Count(1, 1, 1, (trouble(kind),))}, {}, NOON)
        for kind in ("start", "placement")
    ]
    assert [each.reason for each in events_of(*by_kind)] == ["NoRoom"]


def test_what_is_on_its_way_is_no_event() -> None:
    assert events_of(NONE, status(keys="missing")) == []
    assert events_of(status(keys="missing"), status()) == []


def test_that_a_new_endpoint_is_not_ready_is_no_event_but_that_one_stops_being_so_is() -> None:
    starting = status_of(account(), NONE, {"iris/blue": Count(0, 1, 1)}, {}, NOON)
    assert events_of(NONE, starting) == []
    assert [(each.type, each.reason) for each in events_of(status(), starting)] == [("Warning", "NoReadyReplica")]
    assert [(each.type, each.reason) for each in events_of(starting, status())] == [("Normal", "Ready")]


def test_one_that_is_no_longer_served_has_one_warning() -> None:
    gone = status(problems=("spec.a: wrong",), endpoint=None)
    assert [(each.type, each.reason) for each in events_of(status(), gone)] == [("Warning", "InvalidSpec")]
    assert [(each.type, each.reason) for each in events_of(gone, status())] == [("Normal", "Accepted")]
