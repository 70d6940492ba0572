"""v1.py: three spellings of one configuration, v1's defaults, and nothing more open than it was."""

from __future__ import annotations

from typing import Any

import pytest

from router.migrate.fields import Findings, Take
from router.migrate.parts import Part
from router.migrate.v1 import TABLE, read_v1

CLI = {
    "computeType": "aks",
    "autoScaler": {
        "autoscaleEnabled": True,
        "minReplicas": 2,
        "maxReplicas": 8,
        "refreshPeriodInSeconds": 3,
        "targetUtilization": 60,
    },
    "authEnabled": True,
    "scoringTimeoutMs": 30_000,
    "maxConcurrentRequestsPerContainer": 4,
    "maxQueueWaitMs": 900,
    "namespace": "shop",
}
SDK = {
    "autoscale_enabled": True,
    "autoscale_min_replicas": 2,
    "autoscale_max_replicas": 8,
    "autoscale_refresh_seconds": 3,
    "autoscale_target_utilization": 60,
    "auth_enabled": True,
    "scoring_timeout_ms": 30_000,
    "replica_max_concurrent_requests": 4,
    "max_request_wait_time": 900,
    "namespace": "shop",
}
OBJECT = {**CLI, "name": "iris", "aadAuthEnabled": False, "numReplicas": None, "state": "Healthy", "imageId": "x:1"}


def read(document: dict[str, Any], name: str | None = "iris") -> tuple[list[Part], Findings]:
    findings = Findings()
    return list(read_v1(document, "a.json", name, findings)), findings


def only(document: dict[str, Any]) -> Part:
    (part,), findings = read(document)
    assert (findings.warnings, findings.problems) == ([], [])
    return part


def values(part: Part) -> dict[str, Any]:
    assert part.version is not None
    return {path: given.value for path, given in part.version.settings.items()}


@pytest.mark.parametrize("document", [CLI, SDK, OBJECT])
def test_all_spellings_say_the_same(document: dict[str, Any]) -> None:
    part = only(document)
    assert part.version is not None
    assert part.namespace is not None
    assert part.auth is not None
    assert (part.endpoint, part.version.name, part.version.workload) == ("iris", "iris", "iris")
    assert (part.namespace.value, part.auth.value, part.version.is_guess) == ("shop", "key", False)
    assert values(part) == {
        "requestSettings.requestTimeoutMs": 30_000,
        "requestSettings.maxConcurrentRequestsPerInstance": 4,
        "requestSettings.maxQueueWaitMs": 900,
        "scaleSettings.minInstances": 2,
        "scaleSettings.maxInstances": 8,
        "scaleSettings.pollingInterval": 3,
        "scaleSettings.targetUtilizationPercentage": 60,
    }


def test_where_it_is_silent_the_defaults_of_v1_are_written_down() -> None:
    part = only({"computeType": "aks"})
    assert values(part) == {
        "requestSettings.requestTimeoutMs": 60_000,
        "scaleSettings.minInstances": 1,
        "scaleSettings.maxInstances": 10,
    }
    assert (part.auth, part.namespace) == (None, None)


@pytest.mark.parametrize(
    ("settings", "scaled"),
    [
        ({}, True),
        ({"autoscale_enabled": True}, True),
        ({"autoscale_enabled": False}, False),
        ({"num_replicas": 3}, False),
        ({"num_replicas": 0}, True),  # documented: autoscaling is on if numReplicas = 0
        ({"num_replicas": 3, "autoscale_enabled": True}, True),
        ({"num_replicas": 3, "autoscale_enabled": False}, False),
    ],
)
def test_the_load_sets_the_number_unless_one_is_given(settings: dict[str, Any], scaled: bool) -> None:
    part = only({"cpu_cores": None, **settings})
    assert part.version is not None
    assert part.version.scaled is scaled
    assert any(path.startswith("scaleSettings.") for path in values(part)) is scaled
    assert (part.version.count is None) is ("num_replicas" not in settings)


def test_the_only_deployment_is_named_as_its_endpoint_if_that_is_not_too_long() -> None:
    names = [only({**CLI, "name": "x" * length}).version for length in (31, 32)]
    assert [version.name for version in names if version is not None] == ["x" * 31, "default"]


def test_bounds_beside_a_fixed_number_are_told() -> None:
    (part,), findings = read({"autoscale_enabled": False, "autoscale_min_replicas": 2, "num_replicas": 3})
    assert "scaleSettings.minInstances" not in values(part)
    assert findings.warnings == ["a.json: autoscale_min_replicas: not carried over: the number of replicas is fixed"]


@pytest.mark.parametrize(
    ("settings", "mode", "warned"),
    [
        ({"auth_enabled": False}, "none", False),
        ({"auth_enabled": True}, "key", False),
        ({"auth_enabled": False, "token_auth_enabled": True}, "token", True),  # never open: it was not
        ({"token_auth_enabled": True}, "token", True),
        ({"auth_enabled": False, "token_auth_enabled": False}, "none", False),
        ({"authEnabled": False, "aadAuthEnabled": True}, "token", True),
        ({"authEnabled": False, "tokenAuthEnabled": True}, "token", True),
    ],
)
def test_nothing_is_more_open_than_it_was(settings: dict[str, Any], mode: str, warned: bool) -> None:
    (part,), findings = read(settings)
    assert part.auth is not None
    assert part.auth.value == mode
    assert any("Azure ML's tokens are not known here" in warning for warning in findings.warnings) is warned
    assert findings.problems == []


@pytest.mark.parametrize("wrong", ["false", 0, [], "no"])
def test_what_is_neither_true_nor_false_opens_nothing(wrong: object) -> None:
    (part,), findings = read({"authEnabled": wrong})
    assert part.auth is None
    assert findings.problems[0].endswith("must be true or false")


def test_keys_are_told_and_never_shown() -> None:
    key = "k3y" * 10
    _, findings = read({"authEnabled": True, "keys": {"primaryKey": key, "secondaryKey": key}, "primary_key": key})
    (warning,) = findings.warnings
    assert warning.startswith(
        "a.json: keys.primaryKey, keys.secondaryKey, primary_key: not carried over: a key belongs"
    )
    assert key not in warning


def test_what_belongs_to_the_workload_and_to_the_kubelet_is_told_by_name() -> None:
    _, findings = read(
        {
            "computeType": "aks",
            "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0, "gpu": 0},
            "livenessProbeRequirements": {"periodSeconds": 10},
            "appInsightsEnabled": True,
            "dataCollection": {"storageEnabled": True, "eventHubEnabled": False},
            "tags": {"a": "b"},
        }
    )
    assert [warning.partition(": not carried over: ")[0] for warning in findings.warnings] == [
        "a.json: containerResourceRequirements.cpu: 0.5, containerResourceRequirements.memoryInGB: 1.0",
        "a.json: livenessProbeRequirements.periodSeconds: 10",
        "a.json: appInsightsEnabled: true",
        "a.json: dataCollection.storageEnabled: true",
        "a.json: tags",
    ]


def test_a_version_of_an_endpoint_has_its_share_and_a_guessed_workload() -> None:
    part = only({"cpu_cores": None, "version_name": "blue", "traffic_percentile": 20.0, "is_default": True})
    assert part.version is not None
    assert (part.version.name, part.version.workload, part.version.is_guess) == ("blue", "iris-blue", True)
    assert (values(part)["trafficPercentile"], values(part)["isDefault"]) == (20, True)
    assert part.version.splits_the_v1_way


def test_the_versions_of_an_endpoint_that_runs() -> None:
    document = {
        "name": "iris",
        "computeType": "AKS",
        "authEnabled": False,
        "versions": {"blue": {**OBJECT, "isDefault": True}, "green": {**OBJECT, "trafficPercentile": 10}, "red": 7},
    }
    (whole, blue, green), findings = read(document, None)
    assert whole.version is None
    assert whole.auth is not None
    assert whole.auth.value == "none"
    assert blue.version is not None
    assert green.version is not None
    assert [(part.endpoint, part.file) for part in (blue, green)] == [
        ("iris", "a.json: versions.blue"),
        ("iris", "a.json: versions.green"),
    ]
    assert (blue.version.name, values(blue)["isDefault"]) == ("blue", True)
    assert (green.version.name, values(green)["trafficPercentile"]) == ("green", 10)
    assert findings.problems == ["a.json: versions.red: must be a mapping"]


def test_what_vars_gives_has_private_fields_that_say_nothing() -> None:
    part = only({"_webservice_type": "AksWebservice", "autoscale_enabled": True})
    assert part.version is not None


def test_without_a_name_it_is_asked_for() -> None:
    parts, findings = read(CLI, None)
    assert parts == []
    assert findings.problems == ["a.json: has no name of an endpoint: say it with --name NAME or --name a.json=NAME"]


def test_both_spellings_of_each_setting_are_known() -> None:
    takes = {path: fate.name for path, fate in TABLE.items() if isinstance(fate, Take)}
    camel = {name for path, name in takes.items() if "_" not in path}
    snake = {name for path, name in takes.items() if path == path.lower()}
    assert camel == snake
