"""The nouns: compared by value, frozen, with Azure ML's defaults."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from router.core.model import (
    PAYLOAD_LIMIT_BYTES,
    Addresses,
    Deployment,
    Endpoint,
    Load,
    Probe,
    Replica,
    RequestSettings,
    ScaleSettings,
    Snapshot,
)

BLUE = Deployment(endpoint="iris", name="blue", workload=Addresses(addresses=("10.0.0.5:5001",)))


def test_a_deployment_is_named_with_its_endpoint() -> None:
    assert BLUE.key == "iris/blue"


def test_defaults_are_those_that_azure_ml_documents() -> None:
    assert BLUE.request == RequestSettings(
        request_timeout_ms=5_000, max_concurrent_requests_per_instance=1, max_queue_wait_ms=500
    )
    assert (BLUE.scoring_route.path, BLUE.scoring_route.port) == ("/score", None)
    assert (BLUE.readiness_probe.timeout, BLUE.readiness_probe.failure_threshold) == (2.0, 30)
    assert BLUE.liveness_probe == Probe(period=10.0)
    assert PAYLOAD_LIMIT_BYTES == 100 * 1024 * 1024


def test_nobody_gets_in_without_being_told_so() -> None:
    endpoint = Endpoint(name="iris", deployments=(BLUE,))
    assert endpoint.auth_mode == "key"
    assert endpoint.keys is None
    assert not endpoint.forward_authorization


def test_snapshots_compare_by_value() -> None:
    def snapshot(ready: bool) -> Snapshot:
        replica = Replica(uid="1", deployment=BLUE.key, host="10.0.0.5", port=5001, ready=ready)
        return Snapshot(endpoints=(Endpoint(name="iris", deployments=(BLUE,)),), replicas=(replica,))

    assert snapshot(ready=True) == snapshot(ready=True)
    assert snapshot(ready=True) != snapshot(ready=False)


@pytest.mark.parametrize("noun", [BLUE, Endpoint(name="iris", deployments=()), Snapshot(), Probe()])
def test_nouns_do_not_change(noun: msgspec.Struct) -> None:
    with pytest.raises(AttributeError):
        setattr(noun, noun.__struct_fields__[0], None)


def test_load_is_reported_in_camel_case() -> None:
    load = Load(
        endpoint="iris",
        deployment="blue",
        concurrency=1,
        in_flight=2,
        queued=0,
        busy=2,
        ready=2,
        starting=1,
        total=3,
        refused_total=0,
        arrived_total=20,
        finished_total=9,
        held_seconds_total=4.5,
        utilization=2 / 3,
        replicas={"a": 1, "b": 1},
    )
    camel = {"inFlight", "refusedTotal", "arrivedTotal", "finishedTotal", "heldSecondsTotal"}
    assert camel <= msgspec.to_builtins(load).keys()


@pytest.mark.parametrize(
    ("scale", "holds"),
    [(None, False), (ScaleSettings(min_instances=0), True), (ScaleSettings(min_instances=1), False)],
)
def test_requests_are_held_where_a_deployment_goes_to_zero(scale: ScaleSettings | None, holds: bool) -> None:
    assert replace(BLUE, scale=scale).holds_requests is holds


@pytest.mark.parametrize(("wished", "allowed"), [(0, 2), (2, 2), (4, 4), (5, 4)])
def test_a_wish_beyond_the_bounds_is_the_nearest_within(wished: int, allowed: int) -> None:
    scaled = replace(BLUE, scale=ScaleSettings(min_instances=2, max_instances=4))
    assert scaled.allowed(wished) == allowed
    assert replace(BLUE, instance_count=3).allowed(wished) == 3
