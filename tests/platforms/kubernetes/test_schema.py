"""Does the schema refuse what the rules refuse, and only that; and does it fill in what the router would?"""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.declaration import Declaration
from router.core.declare import declared_resource
from router.core.rules import Rule
from router.core.shape import problems_of
from router.platforms.kubernetes import schema
from router.platforms.kubernetes.schema import as_yaml, definition, resource_schema
from tests.platforms.kubernetes.edges import EDGES, EVERYTHING, PATHS, SPEC, as_stored, with_value
from tests.platforms.kubernetes.openapi import Schema, accepts, defaulted

ROOT = Path(__file__).parents[3]
CHECKED_IN = ROOT / "deploy/crds/inferenceendpoints.yaml"
SCHEMA = resource_schema()
NAMES = st.text("aZ0-./_\n é", max_size=34)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_value_is_accepted_by_the_schema_if_and_only_if_the_rules_accept_it(path: tuple[str | int, ...]) -> None:
    judged = [(value, problems_of(Declaration, with_value(path, as_stored(value)))) for value in EDGES]
    accepted = [accepts(SCHEMA, with_value(path, value)) for value in EDGES]
    wrong = [each for each, is_accepted in zip(judged, accepted, strict=True) if is_accepted == bool(each[1])]
    assert wrong == []
    assert any(problems for _, problems in judged)


@given(NAMES)
@example("iris\n")
def test_names_of_endpoints_are_held_to_their_rule_too(name: str) -> None:
    document = {**EVERYTHING, "metadata": {"name": name}}
    assert accepts(SCHEMA, document) == (problems_of(Declaration, document) == [])


def test_all_fields_of_a_declaration_in_a_cluster_are_reached() -> None:
    assert problems_of(Declaration, EVERYTHING) == []
    assert accepts(SCHEMA, EVERYTHING)
    names = {path[-1] for path in PATHS}
    assert {"refreshAfter", "requiredClaims", "jwksUri", "exposeHeaders", "serverName", "caBundle"} <= names
    assert {"keysSecret", "blue", "requestTimeoutMs", "scaleDownWindow", "failureThreshold", "isDefault"} <= names
    assert names.isdisjoint({"process", "addresses", "instanceCount"})


PARTS: dict[str, list[dict[str, Any]]] = {
    "scaleSettings": [{}, {"maxInstances": 4}, {"type": "default"}],
    "requestSettings": [{}, {"maxQueueWaitMs": 1}, {"requestTimeoutMs": 1}],
    "livenessProbe": [{}, {"timeout": 3}],
    "readinessProbe": [{}, {"period": 3}],
    "scoringRoute": [{"path": "/predict"}],
    "readinessRoute": [{"path": "/ready", "port": 81}],
    "tls": [{}, {"serverName": "iris.example"}],
}


@given(
    parts=st.fixed_dictionaries({}, optional={name: st.sampled_from(given) for name, given in PARTS.items()}),
    auth=st.sampled_from(
        [
            *(None, {}, {"mode": "none"}, {"keysSecret": "mine"}),
            *({"mode": "token"}, {"alsoAccepts": ["token"], "token": {"refreshAfter": 60}}),
            {"mode": "jwt", "jwt": {"issuer": "https://issuer.example", "audiences": ["iris"]}},
        ]
    ),
    cors=st.sampled_from([None, {"allowOrigins": ["*"]}, {"allowOrigins": ["*"], "maxAge": 0}]),
    more=st.sampled_from([{}, {"isDefault": True}, {"trafficPercentile": 100}, {"port": 80}]),
)
def test_what_the_api_server_fills_in_is_what_the_router_would(
    parts: dict[str, Any], auth: dict[str, Any] | None, cors: dict[str, Any] | None, more: dict[str, Any]
) -> None:
    deployment = {"name": "blue", "workload": {"kind": "Deployment", "name": "iris"}, **copy.deepcopy(parts), **more}
    spec = {"deployments": [deployment], **({} if auth is None else {"auth": auth})}
    spec |= {} if cors is None else {"cors": cors}  # type: ignore[dict-item]
    document = {**EVERYTHING, "spec": spec}
    stored = defaulted(SCHEMA, document)
    assert accepts(SCHEMA, stored)
    assert declared_resource(stored, "models") == declared_resource(document, "models")


def test_some_defaults_are_filled_in() -> None:
    stored = defaulted(SCHEMA, with_value(("deployments", 0, "livenessProbe"), {}))
    deployment = stored["spec"]["deployments"][0]
    assert deployment["livenessProbe"]["period"] == 10
    assert deployment["requestSettings"]["maxQueueWaitMs"] == 500


def test_what_is_required_is_never_filled_in() -> None:
    document = with_value(("deployments", 0, "scoringRoute"), {"port": 80})
    assert not accepts(SCHEMA, defaulted(SCHEMA, document))


def test_a_deployment_has_a_workload_and_a_name_of_its_own() -> None:
    deployments = SPEC["properties"]["deployments"]
    assert deployments["items"]["required"] == ["name", "workload"]
    assert deployments["x-kubernetes-list-map-keys"] == ["name"]


def described(of: Schema, path: str = "") -> dict[str, str | None]:
    found = {}
    for name, each in of.get("properties", {}).items():
        found[f"{path}.{name}"] = each.get("description")
        found |= described(each.get("items", each), f"{path}.{name}")
    return found


def test_every_field_says_what_it_means() -> None:
    words = described({"properties": {name: SCHEMA["properties"][name] for name in ("spec", "status")}})
    assert [path for path, said in words.items() if not said] == []
    assert ".status.conditions.lastTransitionTime" in words


def test_a_status_of_another_version_is_not_refused() -> None:
    status = SCHEMA["properties"]["status"]
    condition = {"type": "Another", "status": "Maybe", "lastTransitionTime": "2026-11-21T10:00:00Z"}
    assert accepts(status, {"conditions": [condition], "deployments": [{"name": "blue", "wished": None}]})
    assert accepts(status, {})
    assert not accepts(status, {"conditions": [{"status": "True"}]})


def test_a_rule_that_is_no_data_is_not_dropped_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "rule_of", lambda kind, field: Rule("must be even", also=lambda value: value % 2 == 0))
    with pytest.raises(AssertionError, match="must be even"):
        resource_schema()


def test_what_is_checked_in_is_what_the_model_gives() -> None:
    assert CHECKED_IN.read_text("utf-8") == as_yaml(), "run `make crd`"
    assert yaml.safe_load(as_yaml()) == definition()


def test_it_is_printed_by_its_own_module() -> None:
    module = schema.__name__
    printed = subprocess.run([sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout == as_yaml()
