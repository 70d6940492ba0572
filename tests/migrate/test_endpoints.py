"""endpoints.py: parts of several files become InferenceEndpoints that the router takes."""

from __future__ import annotations

from typing import Any

from router.core.declare import declared_resource
from router.core.model import Endpoint, Pods
from router.migrate.endpoints import Choices, Resource, resources
from router.migrate.fields import Findings, Given
from router.migrate.parts import Part, Version, default

NOTHING = Choices(namespace=None, workloads={})
LABELS = {"ml.azure.com/endpoint-name": "iris", "ml.azure.com/deployment-name": "blue"}


def said(value: Any, path: str, file: str = "a.yml") -> Given:
    return Given(value, file, path)


def version(name: str = "blue", **changes: Any) -> Version:
    fields: dict[str, Any] = {
        "name": name,
        "file": f"{name}.yml",
        "settings": {},
        "workload": f"iris-{name}",
        "is_guess": False,
        "scaled": False,
    }
    return Version(**{**fields, **changes})


def part(name: str | None = "blue", endpoint: str = "iris", **changes: Any) -> Part:
    """Of a deployment; without a name, of the endpoint itself."""
    made = None if name is None else changes.pop("version", None) or version(name)
    return Part(file=f"{name or endpoint}.yml", endpoint=endpoint, version=made, **changes)


def made(*parts: Part, choices: Choices = NOTHING) -> tuple[list[Resource], Findings]:
    findings = Findings()
    return list(resources(parts, choices, findings)), findings


def only(*parts: Part, choices: Choices = NOTHING) -> tuple[Endpoint, Resource, Findings]:
    found, findings = made(*parts, choices=choices)
    assert findings.problems == []
    (resource,) = found
    return declared_resource(resource.document, "default"), resource, findings


def problems(*parts: Part, choices: Choices = NOTHING) -> list[str]:
    found, findings = made(*parts, choices=choices)
    assert findings.problems != []
    assert len(found) < len({part.endpoint for part in parts}) or choices is not NOTHING
    return findings.problems


def test_what_several_files_say_of_one_endpoint_is_put_together() -> None:
    split = part(None, traffic=said({"blue": 90, "green": 10}, "traffic"), is_endpoint=True)
    other = part("red", endpoint="rose")
    found, findings = made(part("blue"), other, split, part("green"))
    assert findings == Findings()
    iris, rose = (declared_resource(resource.document, "default") for resource in found)
    assert (iris.name, rose.name) == ("iris", "rose")
    assert iris.weights == (("blue", 90), ("green", 10))
    assert found[0].comments == ("From blue.yml, iris.yml, green.yml.",)


def test_settings_land_where_they_belong_and_the_workload_is_named() -> None:
    settings = {
        "requestSettings.requestTimeoutMs": default(60_000),
        "scaleSettings.maxInstances": said(7, "max"),
        "scoringRoute.path": said("/x", "p"),
        "port": said(80, "port"),
    }
    endpoint, resource, _ = only(part(version=version(settings=settings, scaled=True)))
    (blue,) = endpoint.deployments
    assert blue.workload == Pods(namespace="default", kind="Deployment", name="iris-blue", port=80)
    assert (blue.request.request_timeout_ms, blue.scoring_route.path) == (60_000, "/x")
    assert blue.scale is not None
    assert blue.scale.max_instances == 7
    assert list(resource.document["spec"]["deployments"][0])[:2] == ["name", "workload"]


def test_the_namespace_is_the_command_lines_else_the_files() -> None:
    shop = said("shop", "namespace")
    assert only(part(namespace=shop))[1].document["metadata"] == {"name": "iris", "namespace": "shop"}
    choices = Choices(namespace="models", workloads={})
    assert only(part(namespace=shop), choices=choices)[1].document["metadata"]["namespace"] == "models"
    assert only(part())[1].document["metadata"] == {"name": "iris"}
    other = said("other", "namespace", "b.yml")
    told = "iris: namespace differs between a.yml and b.yml, but it must be the same"
    assert told in problems(part(namespace=shop), part("green", namespace=other))
    assert problems(part(namespace=said(7, "namespace")))[0].startswith("a.yml: namespace: 7, but it must be the name")
    (problem,) = problems(part(), choices=Choices(namespace="Models", workloads={}))
    assert problem.startswith("--namespace: Models, but it must be the name of a namespace")


def test_authentication_is_by_key_unless_all_say_that_there_was_none() -> None:
    none, key = said("none", "auth_enabled"), said("key", "auth_enabled", "b.yml")
    assert only(part())[0].auth_mode == "key"
    endpoint, resource, _ = only(part(auth=none), part("green"))
    assert endpoint.auth_mode == "none"
    assert "auth_enabled is false in a.yml" in " ".join(resource.comments)
    assert problems(part(auth=none), part("green", auth=key))[0].startswith("iris: authentication differs between")


def test_an_endpoint_needs_deployments_and_says_each_thing_once() -> None:
    assert problems(part(None, is_endpoint=True))[0].startswith("iris: no file declares a deployment of it")
    twice = problems(part(None, is_endpoint=True), part(None, is_endpoint=True), part())
    assert twice == ["iris: declared by iris.yml and by iris.yml, but it must be by one"]
    twins = problems(part(), part(version=version(file="b.yml")))
    assert twins == ["iris: deployment blue: declared by blue.yml and by b.yml, but it must be by one"]


def test_traffic_for_a_deployment_that_no_file_declares() -> None:
    split = part(None, traffic=said({"blue": 90, "green": 10}, "traffic"))
    assert problems(split, part()) == ["a.yml: traffic.green: no file declares a deployment green of iris"]


def test_a_rule_that_is_broken_is_told_by_the_name_it_has_in_its_file() -> None:
    split = part(None, traffic=said({"blue": 90}, "traffic"))
    settings = {
        "requestSettings.requestTimeoutMs": said(0, "request_settings.request_timeout_ms", "blue.yml"),
        "requestSettings.maxQueueWaitMs": said("5", "request_settings.max_queue_wait_ms", "blue.yml"),
    }
    assert problems(part(version=version(settings=settings))) == [
        "blue.yml: request_settings.request_timeout_ms: 0, but it must be greater than 0 and at most 2^53",
        "blue.yml: request_settings.max_queue_wait_ms: '5', but it must be a whole number",
    ]
    assert problems(split, part()) == ["a.yml: traffic: sums to 90, but it must be 0 or 100"]
    scale = {"scaleSettings.minInstances": said(3, "min"), "scaleSettings.maxInstances": said(2, "max")}
    assert problems(part(version=version(settings=scale, scaled=True))) == [
        "a.yml: min: 3, but it must be at most maxInstances, which is 2"
    ]
    assert problems(part(endpoint="x"))[0].startswith("x: metadata.name: 'x', but it must be 3 to 32 letters")


def test_v2_deployments_without_a_split_get_no_traffic_and_that_is_told() -> None:
    endpoint, _, findings = only(part(), part("green"))
    assert endpoint.weights == (("blue", 0), ("green", 0))
    assert findings.warnings[0].startswith("iris: spec.traffic: not known, so none of blue, green gets any")
    assert only(part())[2].warnings == []


def test_v1_versions_without_a_split_all_goes_to_the_first() -> None:
    first, second = (version(name, splits_the_v1_way=True) for name in ("blue", "green"))
    endpoint, resource, findings = only(part(version=first), part("green", version=second))
    assert endpoint.weights == (("blue", 100), ("green", 0))
    assert findings.warnings == []
    assert resource.comments[-1] == "blue is the first given, so it has all traffic: as v1 does it."
    share = version("green", splits_the_v1_way=True, settings={"trafficPercentile": said(20, "traffic_percentile")})
    endpoint, resource, _ = only(part(version=first), part("green", version=share))
    assert endpoint.weights == (("blue", 80), ("green", 20))


def test_pods_with_the_extensions_labels_unless_they_are_to_be_scaled() -> None:
    endpoint, resource, findings = only(part(version=version(labels=LABELS, is_guess=True)))
    assert endpoint.deployments[0].workload == Pods(namespace="default", selector=LABELS)
    assert (len(resource.comments), findings.warnings) == (2, [])
    scale = {"scaleSettings.maxInstances": default(2)}
    scaled = version(labels=LABELS, is_guess=True, scaled=True, settings=scale)
    endpoint, resource, findings = only(part(version=scaled), choices=Choices("models", {}))
    assert endpoint.deployments[0].workload == Pods(namespace="default", kind="Deployment", name="iris-blue")
    assert resource.comments[-1] == "blue: the name of its workload, iris-blue, is a guess."
    labels = "ml.azure.com/endpoint-name=iris,ml.azure.com/deployment-name=blue"
    assert findings.warnings == [
        "blue.yml: blue: the name of its workload, Deployment iris-blue, is a guess: "
        f"`kubectl -n models get deployments -l {labels}` shows it; say it with --workload blue=Deployment/NAME"
    ]


def test_the_command_line_names_workloads() -> None:
    for key in ("blue", "iris/blue", "iris"):
        choices = Choices(None, {key: ("StatefulSet", "models-blue")})
        endpoint, resource, findings = only(part(version=version(labels=LABELS, is_guess=True)), choices=choices)
        workload = endpoint.deployments[0].workload
        assert workload == Pods(namespace="default", kind="StatefulSet", name="models-blue")
        assert (resource.comments, findings.warnings) == (("From blue.yml.",), [])
    assert problems(part(), choices=Choices(None, {"grean": ("Deployment", "x")})) == [
        "--workload: there is no deployment grean; there is iris/blue"
    ]
    two = problems(part(), part("green"), choices=Choices(None, {"iris": ("Deployment", "x")}))
    assert two == ["--workload: there is no deployment iris; there is iris/blue, iris/green"]


def test_a_number_of_replicas_is_told_with_what_sets_it() -> None:
    count = said(3, "num_replicas")
    told = only(part(version=version(count=count)), choices=Choices("shop", {}))[2].warnings
    assert told == [
        "a.yml: num_replicas: 3: not carried over: the number of replicas is the workload's own: "
        "`kubectl -n shop scale deployment/iris-blue --replicas=3` sets it"
    ]
    scaled = version(count=count, scaled=True, settings={"scaleSettings.maxInstances": default(2)})
    assert only(part(version=scaled))[2].warnings == [
        "a.yml: num_replicas: 3: not carried over: the load sets the number of replicas"
    ]
    assert "`kubectl scale` sets it" in only(part(version=version(count=count, labels=LABELS)))[2].warnings[0]
