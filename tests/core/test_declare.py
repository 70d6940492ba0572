"""From what a user declares to the nouns, and back."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from router.core.declare import DeclarationError, declared_endpoints, declared_resource, effective_settings
from router.core.model import (
    Addresses,
    Deployment,
    Endpoint,
    Pods,
    Probe,
    Process,
    RequestSettings,
    Route,
    ScaleSettings,
)

BLUE: dict[str, Any] = {"name": "blue", "process": {"command": ["serve", "$(PORT)"]}}
GREEN: dict[str, Any] = {"name": "green", "addresses": ["10.0.0.5", "[::1]:80"]}


def document(*deployments: dict[str, Any], name: str = "iris", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": name},
        "spec": {**spec, "deployments": list(deployments)},
    }


def declared(*deployments: dict[str, Any], **spec: Any) -> Endpoint:
    (endpoint,) = declared_endpoints([document(*deployments, **spec)])
    return endpoint


def problems(*documents: object) -> tuple[str, ...]:
    with pytest.raises(DeclarationError) as caught:
        declared_endpoints(documents)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_nothing_declared() -> None:
    assert declared_endpoints([]) == ()


def test_a_bare_endpoint_has_every_default() -> None:
    assert declared(BLUE) == Endpoint(
        name="iris",
        weights=(("blue", 100),),
        deployments=(Deployment(endpoint="iris", name="blue", workload=Process(command=("serve", "$(PORT)"))),),
    )


FULL_BLUE = {
    **BLUE,
    "process": {"command": ["serve"], "env": {"A": "b"}, "workingDir": "model"},
    "instanceCount": 0,
    "requestSettings": {
        "requestTimeoutMs": 1,
        "maxConcurrentRequestsPerInstance": 0,
        "maxQueueWaitMs": 2,
        "maxQueueLength": 3,
        "maxColdStartWaitMs": 4,
    },
    "scoringRoute": {"path": "/v1", "port": 81},
    "livenessRoute": {"path": "/live"},
    "readinessRoute": {"path": "/ready"},
    "readinessProbe": {"initialDelay": 1, "period": 2, "timeout": 3, "successThreshold": 4, "failureThreshold": 5},
    "livenessProbe": {"initialDelay": 6},
    "idempotent": True,
}


def test_everything_declared() -> None:
    traffic = {"green": 60, "blue": 40}
    endpoint = declared(
        FULL_BLUE, GREEN, auth={"mode": "none"}, traffic=traffic, maxPayloadBytes=7, forwardAuthorization=True
    )
    assert endpoint == Endpoint(
        name="iris",
        auth_mode="none",
        weights=(("blue", 40), ("green", 60)),
        max_payload_bytes=7,
        forward_authorization=True,
        deployments=(
            Deployment(
                endpoint="iris",
                name="blue",
                workload=Process(command=("serve",), env={"A": "b"}, working_dir="model"),
                instance_count=0,
                request=RequestSettings(
                    request_timeout_ms=1,
                    max_concurrent_requests_per_instance=0,
                    max_queue_wait_ms=2,
                    max_queue_length=3,
                    max_cold_start_wait_ms=4,
                ),
                scoring_route=Route(path="/v1", port=81),
                liveness_route=Route(path="/live"),
                readiness_route=Route(path="/ready"),
                readiness_probe=Probe(initial_delay=1, period=2, timeout=3, success_threshold=4, failure_threshold=5),
                liveness_probe=Probe(initial_delay=6, period=10),
                idempotent=True,
            ),
            Deployment(
                endpoint="iris",
                name="green",
                workload=Addresses(addresses=("10.0.0.5:5001", "[::1]:80")),
                instance_count=2,
            ),
        ),
    )


def test_a_null_is_the_same_as_nothing() -> None:
    assert declared({**BLUE, "requestSettings": None, "scoringRoute": None}, traffic=None) == declared(BLUE)


def test_v1_traffic_brings_v1_defaults() -> None:
    v1 = declared({**BLUE, "trafficPercentile": 10}, {**GREEN, "requestSettings": {"requestTimeoutMs": 5}})
    assert [deployment.request.request_timeout_ms for deployment in v1.deployments] == [60_000, 5]
    assert v1.weights == (("blue", 100), ("green", 0))


def test_a_deployment_scales_when_it_says_so() -> None:
    scaled = declared({**BLUE, "scaleSettings": {"minInstances": 2, "maxInstances": 6}}).deployments[0]
    assert (scaled.scale, scaled.instance_count) == (ScaleSettings(min_instances=2, max_instances=6), 1)
    fixed = declared({**BLUE, "scaleSettings": {"type": "default"}, "instanceCount": 3}).deployments[0]
    assert (fixed.scale, fixed.instance_count) == (None, 3)
    assert declared({**BLUE, "scaleSettings": None}).deployments[0].scale is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"type": "manual"}, "type: 'manual', but it must be targetUtilization or default"),
        ({"mininstances": 1}, "mininstances: unknown field, did you mean minInstances?"),
        ({"minInstances": "2"}, "minInstances: '2', but it must be a whole number"),
        ({"minInstances": 2}, "minInstances: 2, but it must be at most maxInstances, which is 1"),
    ],
)
def test_scale_settings_that_are_wrong(settings: dict[str, Any], problem: str) -> None:
    found = problems(document({**BLUE, "scaleSettings": settings}))
    assert found == (f"iris: spec.deployments[0].scaleSettings.{problem}",)


def test_problems_of_all_documents_are_told_together() -> None:
    found = problems(
        document({**BLUE, "requestSettings": {"requestTimeoutMs": 0}}, GREEN | {"colour": "green"}),
        "not an endpoint",
        document(name="rose"),
        document(BLUE, name="tulip", traffic={"blue": 90}),
        {},
    )
    assert found == (
        "iris: spec.deployments[0].requestSettings.requestTimeoutMs: 0, but it must be greater than 0 and at most 2^53",
        "iris: spec.deployments[1].colour: unknown field, known are name, process, addresses, workload, port, "
        "instanceCount, scaleSettings, requestSettings, scoringRoute, livenessRoute, readinessRoute, readinessProbe, "
        "livenessProbe, idempotent, tls, trafficPercentile, isDefault",
        "document 2: 'not an endpoint', but it must be a mapping",
        "rose: spec.deployments: [], but it must hold 1 to 100 deployments",
        "tulip: spec.traffic: sums to 90, but it must be 0 or 100",
        "document 5: apiVersion: missing, but it is required",
        "document 5: kind: missing, but it is required",
        "document 5: metadata: missing, but it is required",
        "document 5: spec: missing, but it is required",
    )


def test_names_of_endpoints_are_unique() -> None:
    assert problems(document(BLUE), document(GREEN)) == (
        "iris: metadata.name: declared 2 times, but it must be unique",
    )
    assert len(declared_endpoints([document(BLUE), document(BLUE, name="Iris")])) == 2


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"mirrorTraffic": {"blue": 10}}, "spec.mirrorTraffic"),
    ],
)
def test_what_is_still_to_come_is_told_so(spec: dict[str, Any], path: str) -> None:
    (problem,) = problems(document(BLUE, **spec))
    assert problem.startswith(f"iris: {path}: ")
    assert "not supported yet by this version" in problem


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@given(st.data())
def test_whatever_stands_anywhere_is_an_endpoint_or_a_problem(data: st.DataObject) -> None:
    """Any value in the place of any other, at any depth."""
    green = {**GREEN, "livenessProbe": {"period": 1}}
    blue = {**BLUE, "scaleSettings": {"minInstances": 0, "maxInstances": 2, "scaleDownWindow": 5}}
    whole: Any = deepcopy(document(blue, green, traffic={"blue": 100}, auth={"mode": "key"}))
    place = whole
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(PLAIN)
    try:
        (endpoint,) = declared_endpoints([whole])
    except DeclarationError:
        return
    assert endpoint.deployments


NAMES = st.from_regex(r"[a-zA-Z][-a-zA-Z0-9]{1,20}[a-zA-Z0-9]", fullmatch=True)
SECONDS = st.floats(0.001, 1e6)
COUNTS = st.integers(1, 2**53)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
PORTS = st.integers(1, 65535)
ROUTES = st.fixed_dictionaries({"path": st.from_regex(r"/[!-~]*", fullmatch=True)}, optional={"port": PORTS})
PROBES = st.fixed_dictionaries({}, optional={"period": SECONDS, "timeout": SECONDS, "failureThreshold": COUNTS})
SETTINGS = {
    "requestSettings": st.fixed_dictionaries({}, optional={"requestTimeoutMs": COUNTS, "maxQueueWaitMs": COUNTS}),
    "scoringRoute": ROUTES,
    "readinessProbe": PROBES,
    "livenessProbe": PROBES,
    "idempotent": st.booleans(),
    "trafficPercentile": st.integers(0, 16),
}
PROCESSES = st.fixed_dictionaries(
    {
        "command": st.lists(TEXTS.filter(bool), min_size=1, max_size=3),
        "env": st.dictionaries(TEXTS.filter(lambda name: name and "=" not in name), TEXTS, max_size=2),
    },
    optional={"workingDir": TEXTS},
)
ADDRESSES = st.lists(st.ip_addresses(v=6).map(lambda ip: f"[{ip}]") | st.ip_addresses(v=4).map(str), unique=True)
SCALES = st.fixed_dictionaries(
    {"minInstances": st.integers(0, 5), "maxInstances": st.integers(5, 2**53)},
    optional={
        "type": st.just("targetUtilization"),
        "targetUtilizationPercentage": st.integers(1, 100),
        "pollingInterval": st.integers(1, 60),
        "scaleDownWindow": st.floats(60, 1e6),
        "scaleDownStarts": SECONDS,
    },
)
FIXED = st.fixed_dictionaries(
    {"process": PROCESSES},
    optional={**SETTINGS, "instanceCount": COUNTS, "scaleSettings": st.just({"type": "default"})},
)
SCALED = st.fixed_dictionaries({"process": PROCESSES, "scaleSettings": SCALES}, optional=SETTINGS)
ELSEWHERE = st.fixed_dictionaries({"addresses": ADDRESSES}, optional={**SETTINGS, "port": PORTS})
OBJECT_NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
WORKLOADS = st.fixed_dictionaries({"kind": st.sampled_from(["Deployment", "StatefulSet"]), "name": OBJECT_NAMES})
LABELS = st.fixed_dictionaries({"selector": st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=2)})
IN_CLUSTER = st.fixed_dictionaries(
    {"workload": WORKLOADS}, optional={**SETTINGS, "port": PORTS, "scaleSettings": SCALES}
)
BY_LABELS = st.fixed_dictionaries({"workload": LABELS}, optional={**SETTINGS, "port": PORTS})
DEPLOYMENTS = FIXED | SCALED | ELSEWHERE | IN_CLUSTER | BY_LABELS


@given(st.dictionaries(NAMES, DEPLOYMENTS, min_size=1, max_size=6), NAMES)
def test_effective_settings_load_again_to_the_same(deployments: dict[str, dict[str, Any]], name: str) -> None:
    named = [{**deployment, "name": key} for key, deployment in deployments.items()]
    (endpoint,) = declared_endpoints([document(*named, name=name)])
    plain = effective_settings(endpoint)
    assert declared_endpoints([plain]) == (endpoint,)
    assert declared_endpoints([json.loads(json.dumps(plain))]) == (endpoint,)
    assert declared_endpoints([yaml.safe_load(yaml.safe_dump(plain))]) == (endpoint,)
    assert effective_settings(declared_endpoints([plain])[0]) == plain


PODS = {"name": "blue", "workload": {"kind": "Deployment", "name": "iris-blue"}, "port": 8000}


def resource(*deployments: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """As the API server gives it."""
    whole = document(*deployments, **spec)
    metadata = {"name": "iris", "namespace": "models", "uid": "1", "managedFields": [{"manager": "kubectl"}]}
    return {**whole, "metadata": {**metadata, "generation": 3}, "status": {"replicas": "1/1"}}


def test_a_resource_is_an_endpoint_of_its_namespace() -> None:
    endpoint = declared_resource(resource(PODS, auth={"keysSecret": "secrets", "createKeys": False}), "models")
    (deployment,) = endpoint.deployments
    assert deployment.workload == Pods(namespace="models", kind="Deployment", name="iris-blue", port=8000)
    assert (endpoint.name, endpoint.keys_secret, endpoint.creates_keys) == ("iris", "secrets", False)
    assert declared_resource(effective_settings(endpoint), "models") == endpoint


def test_pods_chosen_by_labels() -> None:
    by_labels = {"name": "blue", "workload": {"selector": {"app": "iris"}}}
    (deployment,) = declared_resource(resource(by_labels), "models").deployments
    assert deployment.workload == Pods(namespace="models", selector={"app": "iris"})


def test_what_runs_on_one_machine_is_no_resource_of_a_cluster() -> None:
    with pytest.raises(DeclarationError) as caught:
        declared_resource(resource(PODS, {**BLUE, "name": "red"}, GREEN), "models")
    assert caught.value.problems == (
        "spec.deployments[1]: a process given, but it must be a workload: in a cluster, replicas are Pods",
        "spec.deployments[2]: addresses given, but it must be a workload: in a cluster, replicas are Pods",
    )


@pytest.mark.parametrize("bad", [None, [], {}, {"metadata": None}, {"metadata": {}}, {"metadata": {"name": 7}}])
def test_a_resource_may_be_anything(bad: object) -> None:
    with pytest.raises(DeclarationError):
        declared_resource(bad, "models")


def test_a_manifest_may_say_where_it_belongs() -> None:
    metadata = {"name": "iris", "namespace": "models", "labels": {"team": "a"}, "annotations": {"b": "c"}}
    (endpoint,) = declared_endpoints([{**document(PODS), "metadata": metadata}])
    assert isinstance(endpoint.deployments[0].workload, Pods)
    assert endpoint.deployments[0].workload.namespace == "models"
    (elsewhere,) = declared_endpoints([document(PODS)])
    assert isinstance(elsewhere.deployments[0].workload, Pods)
    assert elsewhere.deployments[0].workload.namespace == "default"


def test_effective_settings_leave_nothing_to_guess() -> None:
    spec: Any = effective_settings(declared(BLUE))["spec"]
    assert spec["traffic"] == {"blue": 100}
    assert spec["auth"] == {"mode": "key", "alsoAccepts": [], "createKeys": True}
    (deployment,) = spec["deployments"]
    assert deployment["requestSettings"]["requestTimeoutMs"] == 5_000
    assert deployment["livenessProbe"]["period"] == 10
    assert deployment["instanceCount"] == 1
    assert "scaleSettings" not in deployment


def test_effective_scale_settings_stand_instead_of_a_count() -> None:
    spec: Any = effective_settings(declared({**BLUE, "scaleSettings": {"maxInstances": 4}}))["spec"]
    (deployment,) = spec["deployments"]
    assert "instanceCount" not in deployment
    assert deployment["scaleSettings"] == {
        "type": "targetUtilization",
        "minInstances": 1,
        "maxInstances": 4,
        "targetUtilizationPercentage": 70,
        "pollingInterval": 1,
        "scaleDownWindow": 60.0,
        "scaleDownStarts": 4.0,
    }
