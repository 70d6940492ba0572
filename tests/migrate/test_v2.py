"""v2.py: what an online endpoint and its deployments say, in YAML and as `az ml ... show` prints it."""

from __future__ import annotations

from typing import Any

import pytest

from router.migrate.fields import Findings
from router.migrate.parts import Part
from router.migrate.v2 import read_deployment, read_endpoint

BLUE = {"name": "blue", "endpoint_name": "iris"}


def endpoint(**document: Any) -> tuple[Part | None, Findings]:
    findings = Findings()
    return read_endpoint({"name": "iris", **document}, "e.yml", findings), findings


def deployment(**document: Any) -> tuple[Part, Findings]:
    findings = Findings()
    part = read_deployment({**BLUE, **document}, "d.yml", None, findings)
    assert part is not None
    return part, findings


def values(part: Part) -> dict[str, Any]:
    assert part.version is not None
    return {path: given.value for path, given in part.version.settings.items()}


def test_an_endpoint_with_a_split() -> None:
    part, findings = endpoint(auth_mode="key", traffic={"blue": 90.0, "green": 10})
    assert part is not None
    assert part.auth is not None
    assert part.traffic is not None
    assert (part.endpoint, part.auth.value, part.traffic.value) == ("iris", "key", {"blue": 90, "green": 10})
    assert (findings.warnings, findings.problems) == ([], [])


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_new_endpoint_says_nothing_of_traffic(nothing: object) -> None:
    part, findings = endpoint(traffic=nothing)
    assert part is not None
    assert (part.traffic, part.auth, findings.warnings) == (None, None, [])


@pytest.mark.parametrize(
    ("mode", "becomes", "told"),
    [
        ("aml_token", "token", "aml_token: becomes auth.mode token: "),
        ("AMLToken", "token", "aml_token: becomes auth.mode token: "),
        ("aad_token", "key", "aad_token: not carried over: clients need a key until auth.mode is jwt"),
    ],
)
def test_what_becomes_of_tokens_is_told(mode: str, becomes: str, told: str) -> None:
    part, findings = endpoint(auth_mode=mode)
    assert part is not None
    assert part.auth is not None
    assert part.auth.value == becomes
    assert findings.warnings[0].startswith(f"e.yml: auth_mode: {told}")


@pytest.mark.parametrize("mode", ["none", "open", False, 7])
def test_no_mode_of_an_endpoint_opens_it(mode: object) -> None:
    part, findings = endpoint(auth_mode=mode)
    assert part is not None
    assert part.auth is not None
    assert part.auth.value == "key"
    assert findings.problems[0].endswith("must be key, aml_token or aad_token")


def test_what_an_endpoint_can_not_carry_over() -> None:
    document = {
        "mirror_traffic": {"green": 10},
        "compute": "azureml:k8s",
        "identity": {"type": "system_assigned"},
        "public_network_access": "disabled",
        "tags": {"a": "b"},
        "scoring_uri": "http://x",
        "provisioning_state": "Succeeded",
    }
    _, findings = endpoint(**document)
    assert [warning.partition(": not carried over: ")[0] for warning in findings.warnings] == [
        "e.yml: mirror_traffic",
        "e.yml: compute",
        "e.yml: identity, public_network_access",
        "e.yml: tags",
    ]


def test_traffic_is_a_mapping() -> None:
    assert endpoint(traffic="blue=100")[1].problems == ["e.yml: traffic: must be a mapping of deployments to percent"]


def test_a_deployment_that_follows_the_load() -> None:
    part, findings = deployment(
        request_settings={
            "request_timeout_ms": 3000,
            "max_concurrent_requests_per_instance": 2,
            "max_queue_wait_ms": 700,
        },
        scale_settings={
            "type": "target_utilization",
            "min_instances": 2,
            "max_instances": 9,
            "polling_interval": 10,
            "target_utilization_percentage": 50,
        },
    )
    assert part.version is not None
    assert values(part) == {
        "requestSettings.requestTimeoutMs": 3000,
        "requestSettings.maxConcurrentRequestsPerInstance": 2,
        "requestSettings.maxQueueWaitMs": 700,
        "scaleSettings.minInstances": 2,
        "scaleSettings.maxInstances": 9,
        "scaleSettings.pollingInterval": 10,
        "scaleSettings.targetUtilizationPercentage": 50,
    }
    assert (part.version.workload, part.version.is_guess, part.version.scaled) == ("blue-iris", True, True)
    assert part.version.labels == {"ml.azure.com/endpoint-name": "iris", "ml.azure.com/deployment-name": "blue"}
    assert (findings.warnings, findings.problems) == ([], [])


@pytest.mark.parametrize(
    ("settings", "scaled"),
    [
        (None, False),
        ({}, False),
        ({"type": "default"}, False),
        ({"type": "Default"}, False),
        ({"type": "TargetUtilization"}, True),
        ({"max_instances": 3}, True),  # documented: the type is target_utilization unless said
        ({"scale_type": "target_utilization"}, True),
    ],
)
def test_which_scale_settings_follow_the_load(settings: object, scaled: bool) -> None:
    part, findings = deployment(scale_settings=settings, instance_count=2)
    assert part.version is not None
    assert part.version.scaled is scaled
    assert part.version.count is not None
    assert findings.problems == []
    if scaled:
        assert values(part)["scaleSettings.minInstances"] == 1


def test_bounds_beside_type_default_are_told() -> None:
    part, findings = deployment(scale_settings={"type": "default", "max_instances": 3})
    assert values(part) == {}
    assert findings.warnings == [
        "d.yml: scale_settings.max_instances: not carried over: the number of replicas is fixed"
    ]


def test_an_unknown_scale_type_is_a_problem() -> None:
    _, findings = deployment(scale_settings={"type": "cron"})
    assert findings.problems == ["d.yml: scale_settings.type: must be target_utilization or default"]


def test_a_container_of_ones_own_scores_where_its_environment_says() -> None:
    config = {
        "scoring_route": {"path": "/v1/models/m:predict", "port": 8501},
        "liveness_route": {"path": "/live", "port": 8501},
        "readiness_route": {"path": "/ready", "port": 8501},
    }
    part, findings = deployment(environment={"image": "tf:1", "inference_config": config})
    assert values(part) == {"scoringRoute.path": "/v1/models/m:predict", "port": 8501}
    assert [warning.partition(": not carried over: ")[0] for warning in findings.warnings] == [
        "d.yml: environment",
        "d.yml: environment.inference_config: liveness_route.path, liveness_route.port: 8501, readiness_route.path, "
        "readiness_route.port: 8501",
    ]


def test_what_belongs_to_the_workload_is_told_by_name_and_never_with_its_value() -> None:
    _, findings = deployment(
        model="azureml:iris:1",
        environment="azureml:sklearn:3",
        environment_variables={"PASSWORD": "hunter2"},
        instance_type="small",
        resources={"limits": {"cpu": "1"}},
        liveness_probe={"period": 10, "unknown": 1},
        app_insights_enabled=False,
        data_collector={"sampling_rate": 1.0},
    )
    assert [warning.partition(": not carried over: ")[0] for warning in findings.warnings] == [
        "d.yml: liveness_probe.unknown",
        "d.yml: model, environment, environment_variables, instance_type, resources",
        "d.yml: liveness_probe.period: 10",
        "d.yml: data_collector",
    ]
    assert "hunter2" not in str(findings)


@pytest.mark.parametrize(
    "managed",
    [{"type": "managed"}, {"kind": "Managed"}, {"$schema": "https://x/latest/managedOnlineDeployment.schema.json"}],
)
def test_a_managed_deployment_has_no_workload_yet(managed: dict[str, Any]) -> None:
    part, findings = deployment(**managed)
    assert part.version is not None
    assert part.version.labels == {}
    assert findings.warnings[0].startswith("d.yml: a managed deployment: it runs in Azure, not in a cluster")


def test_names_are_required_and_the_endpoints_may_come_from_the_command_line() -> None:
    findings = Findings()
    assert read_endpoint({"auth_mode": "key"}, "e.yml", findings) is None
    assert read_deployment({"name": 7}, "d.yml", None, findings) is None
    assert findings.problems == [
        "e.yml: name: missing, but it is required",
        "d.yml: name: 7, but it must be text",
        "d.yml: name: missing, but it is required",
        "d.yml: endpoint_name: missing, but it is required",
    ]
    part = read_deployment({"name": "blue"}, "d.yml", "iris", Findings())
    assert part is not None
    assert part.endpoint == "iris"
