"""What must hold between the values of one endpoint."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.declaration import Declaration, Spec, problems_between_values
from router.core.model import ScaleSettings


def declaration(*deployments: dict[str, Any], endpoint: str = "iris", **spec: Any) -> Declaration:
    """Each deployment has one address where it says nothing else."""
    complete = [{"addresses": ["10.0.0.5"], **each} for each in deployments]
    plain = {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": endpoint},
        "spec": {"deployments": complete, **spec},
    }
    return msgspec.convert(plain, Declaration)


def problems(*deployments: dict[str, Any], endpoint: str = "iris", **spec: Any) -> list[str]:
    return list(problems_between_values(declaration(*deployments, endpoint=endpoint, **spec)))


def weights(*deployments: dict[str, Any], **spec: Any) -> dict[str, int]:
    assert problems(*deployments, **spec) == []
    return dict(declaration(*deployments, **spec).spec.weights)


BLUE, GREEN = {"name": "blue"}, {"name": "green"}


def test_names_of_deployments_are_unique() -> None:
    assert problems(BLUE, GREEN, BLUE) == [
        "spec.deployments[2].name: 'blue', but it must be unique in the endpoint: spec.deployments[0] has it too"
    ]


def test_names_of_endpoint_and_deployment_together() -> None:
    assert problems({"name": "b" * 30}, endpoint="i" * 32) == []
    (problem,) = problems({"name": "b" * 31}, endpoint="i" * 32)
    assert "at most 62 characters" in problem


def test_one_kind_of_workload() -> None:
    process = {"process": {"command": ["a"]}}
    assert problems({**BLUE, **process, "addresses": None}) == []
    assert problems({**BLUE, **process}) == [
        "spec.deployments[0]: process and addresses of process, addresses and workload given, "
        "but it must be exactly one"
    ]
    assert problems({**BLUE, "addresses": None}) == [
        "spec.deployments[0]: none of process, addresses and workload given, but it must be exactly one"
    ]


def in_cluster(workload: dict[str, Any], **deployment: Any) -> list[str]:
    return problems({**BLUE, "addresses": None, "workload": workload, **deployment})


IRIS = {"kind": "Deployment", "name": "iris-blue"}
LABELS = {"selector": {"app": "iris"}}


def test_a_workload_is_named_or_its_pods_are_chosen_by_labels() -> None:
    path = "spec.deployments[0].workload"
    either = "but it must have kind and name, or a selector"
    assert in_cluster(IRIS) == in_cluster(LABELS) == in_cluster(IRIS, scaleSettings={"maxInstances": 3}) == []
    assert in_cluster({}) == [f"{path}: kind and name missing, {either}"]
    assert in_cluster({"kind": "Deployment"}) == [f"{path}: name missing, {either}"]
    assert in_cluster({"name": "iris"}) == [f"{path}: kind missing, {either}"]
    assert in_cluster({**IRIS, **LABELS}) == [
        f"{path}: kind or name given beside selector, but it must be one way or the other"
    ]


def test_the_number_of_pods_is_the_workloads_own_or_the_loads() -> None:
    path = "spec.deployments[0]"
    assert in_cluster(IRIS, instanceCount=2) == [
        f"{path}.instanceCount: 2, but it must be left out where a workload is given: "
        "its own spec.replicas is the number"
    ]
    assert in_cluster(LABELS, scaleSettings={"maxInstances": 3}) == [
        f"{path}.scaleSettings: given beside a selector, but it must be left out: only a workload can be scaled"
    ]


def test_addresses_are_counted_and_not_told() -> None:
    (problem,) = problems({**BLUE, "instanceCount": 1})
    assert problem.startswith("spec.deployments[0].instanceCount: 1, but it must be left out")


def test_the_same_address_however_it_is_written() -> None:
    (problem,) = problems({**BLUE, "addresses": ["[::1]", "[0:0::1]:5001", "a:1"]})
    assert problem == (
        "spec.deployments[0].addresses: [::1]:5001 given 2 times, but it must be unique in the deployment"
    )


def test_an_address_takes_the_port_of_its_deployment() -> None:
    deployment = {**BLUE, "port": 80, "addresses": ["a", "b:1", "[::2]"]}
    assert declaration(deployment).spec.deployments[0].host_ports == ("a:80", "b:1", "[::2]:80")


class TestV2:
    def test_traffic_as_given_in_the_order_of_the_deployments(self) -> None:
        assert list(weights(BLUE, GREEN, traffic={"green": 10, "blue": 90}).items()) == [("blue", 90), ("green", 10)]

    def test_a_deployment_that_is_not_named_has_none(self) -> None:
        assert weights(BLUE, GREEN, traffic={"blue": 100}) == {"blue": 100, "green": 0}
        assert weights(BLUE, traffic={}) == {"blue": 0}

    def test_without_traffic_only_a_single_deployment_has_some(self) -> None:
        assert weights(BLUE) == {"blue": 100}
        assert weights(BLUE, GREEN) == {"blue": 0, "green": 0}

    def test_it_sums_to_0_or_100(self) -> None:
        assert problems(BLUE, GREEN, traffic={"blue": 90, "green": 20}) == [
            "spec.traffic: sums to 110, but it must be 0 or 100"
        ]
        assert problems(BLUE, traffic={"blue": 0}) == []

    def test_it_names_known_deployments(self) -> None:
        assert problems(BLUE, traffic={"red": 100}) == [
            "spec.traffic.red: 100, but it must be for a deployment of this endpoint: blue"
        ]


class TestV1:
    def test_what_is_left_goes_to_the_default_on_top_of_its_own(self) -> None:
        assert weights({**BLUE, "trafficPercentile": 20}, {**GREEN, "trafficPercentile": 30, "isDefault": True}) == {
            "blue": 20,
            "green": 80,
        }

    def test_the_first_is_the_default_when_none_says_so(self) -> None:
        assert weights(BLUE, {**GREEN, "trafficPercentile": 30}) == {"blue": 70, "green": 30}
        assert weights({**BLUE, "isDefault": False}, GREEN) == {"blue": 100, "green": 0}

    @pytest.mark.parametrize(
        ("deployments", "rule"),
        [
            ([{**BLUE, "isDefault": True}, {**GREEN, "isDefault": True}], "must be at exactly one"),
            ([{**BLUE, "trafficPercentile": 60}, {**GREEN, "trafficPercentile": 41}], "must be at most 100"),
            ([{"name": f"v{n}x", "trafficPercentile": 1} for n in range(7)], "must be at most 6"),
        ],
    )
    def test_its_rules(self, deployments: list[dict[str, Any]], rule: str) -> None:
        (problem,) = problems(*deployments)
        assert rule in problem

    def test_not_together_with_traffic(self) -> None:
        (problem,) = problems({**BLUE, "isDefault": True}, traffic={"blue": 100})
        assert "one way or the other" in problem

    @given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(0, 5))
    def test_it_always_sums_to_100(self, percentiles: list[int], default: int) -> None:
        deployments = [
            {"name": f"v{n}x", "trafficPercentile": percent, "isDefault": n == default % len(percentiles)}
            for n, percent in enumerate(percentiles)
        ]
        if sum(percentiles) <= 100:
            assert sum(weights(*deployments).values()) == 100
        else:
            assert len(problems(*deployments)) == 1


class TestScale:
    """Every deployment is a process here, where it says nothing else."""

    def problems(self, settings: dict[str, Any], **more: Any) -> list[str]:
        process = {"addresses": None, "process": {"command": ["a"]}}
        return problems({**BLUE, **process, "scaleSettings": settings, **more})

    def test_bounds(self) -> None:
        assert self.problems({}) == []
        assert self.problems({"minInstances": 0}) == []
        assert self.problems({"minInstances": 3, "maxInstances": 3}) == []
        assert self.problems({"minInstances": 3}) == [
            "spec.deployments[0].scaleSettings.minInstances: 3, but it must be at most maxInstances, which is 1"
        ]

    def test_a_window_holds_a_look_at_the_load(self) -> None:
        assert self.problems({"pollingInterval": 5, "scaleDownWindow": 5}) == []
        assert self.problems({"pollingInterval": 61}) == [
            "spec.deployments[0].scaleSettings.scaleDownWindow: 60.0, but it must be at least pollingInterval, "
            "which is 61"
        ]

    def test_not_together_with_a_fixed_count(self) -> None:
        assert self.problems({}, instanceCount=2) == [
            "spec.deployments[0].instanceCount: 2, but it must be left out with scaleSettings: the load sets the "
            "number, from minInstances to maxInstances"
        ]
        assert self.problems({"type": "default"}, instanceCount=2) == []

    def test_the_default_type_is_a_fixed_count_and_holds_nothing_else(self) -> None:
        assert self.problems({"type": "default"}) == []
        assert self.problems({"type": "default", "minInstances": 0, "scaleDownWindow": 60.0}) == [
            f"spec.deployments[0].scaleSettings.{field}: {value}, but it must be left out with type default: the "
            "number of replicas is instanceCount"
            for field, value in [("minInstances", 0), ("scaleDownWindow", 60.0)]
        ]

    def test_addresses_can_not_be_scaled(self) -> None:
        addresses: dict[str, Any] = {"process": None, "addresses": ["10.0.0.5"]}
        assert self.problems({}, **addresses) == [
            "spec.deployments[0].scaleSettings: given beside addresses, but it must be left out: they can't be scaled"
        ]
        assert self.problems({"type": "default"}, **addresses) == []

    def test_no_utilization_without_a_limit(self) -> None:
        unlimited = {"requestSettings": {"maxConcurrentRequestsPerInstance": 0}}
        assert self.problems({}, **unlimited) == [
            "spec.deployments[0].requestSettings.maxConcurrentRequestsPerInstance: 0, but it must be greater than 0 "
            "with scaleSettings: without a limit there is no utilization"
        ]
        assert self.problems({"type": "default"}, **unlimited) == []

    def scale(self, settings: dict[str, Any], **more: Any) -> ScaleSettings | None:
        spec = declaration({**BLUE, "scaleSettings": settings, **more}).spec
        return spec.scale_of(spec.deployments[0])

    def test_an_endpoint_of_v1_may_grow_to_ten(self) -> None:
        assert self.scale({}) == ScaleSettings(max_instances=1)
        assert self.scale({}, isDefault=True) == ScaleSettings(max_instances=10)
        assert self.scale({"maxInstances": 3}, isDefault=True) == ScaleSettings(max_instances=3)

    def test_what_is_given_counts(self) -> None:
        given = ScaleSettings(
            min_instances=0,
            max_instances=9,
            target_utilization_percentage=50,
            polling_interval=2,
            scale_down_window=3.5,
            scale_down_starts=0.5,
        )
        assert self.scale(msgspec.to_builtins(given)) == given


def test_an_empty_spec_needs_a_list_of_deployments() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({}, Spec)
