"""adoption.py: v1's workloads as endpoints, with v1's defaults (docs/contract.md, sections 5, 7 and 11)."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Deployment, Endpoint, Pods, RequestSettings, ScaleSettings
from router.platforms.kubernetes.objects import SCALE, Workload
from router.platforms.kubernetes.picture.adoption import Adoption, v1_name
from tests.platforms.kubernetes.nouns import a_v1_workload, a_workload


def nobody(key: str) -> bool:
    return False


def told(*workloads: Workload) -> Adoption:
    adoption = Adoption()
    for workload in workloads:
        adoption.put(workload.metadata.key, workload)
    return adoption


def test_a_model_of_v1_is_an_endpoint_with_the_defaults_that_it_had() -> None:
    pods = Pods(namespace="azureml-ws", kind="Deployment", name="iris-v1", port=5001)
    request = RequestSettings(request_timeout_ms=60_000, max_queue_wait_ms=500, max_concurrent_requests_per_instance=1)
    scale = ScaleSettings(min_instances=1, max_instances=10, target_utilization_percentage=70)
    deployment = Deployment(endpoint="iris", name="iris-v1", workload=pods, request=request, scale=scale)
    expected = Endpoint(name="iris", auth_mode="key", weights=(("iris-v1", 100),), deployments=(deployment,))
    assert told(a_v1_workload("iris-v1")).adopt("iris", nobody) == expected


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"isazuremlapp": "true", "webservicename": "web", "azuremlappname": "app"}, "web"),
        ({"isazuremlapp": "true", "azuremlappname": "app"}, "app"),
        ({"isazuremlapp": "True", "webservicename": "web"}, "web"),
        ({"isazuremlapp": "false", "webservicename": "web"}, None),
        ({"webservicename": "web"}, None),
        ({"isazuremlapp": "true"}, None),
        ({"isazuremlapp": "true", "webservicename": ""}, None),
        ({"isazuremlapp": "true", "webservicename": "web", "ml.azure.com/endpoint-name": "web"}, None),
        ({"isazuremlapp": "true", "azuremlappname": "app", "ml.azure.com/endpoint-name": ""}, None),
    ],
)
def test_its_labels_say_that_it_is_one_and_of_which_endpoint(labels: dict[str, str], name: str | None) -> None:
    assert v1_name(a_workload("iris", labels=labels)) == name


@pytest.mark.parametrize(("port", "expected"), [(8080, 8080), (None, 5001)])
def test_requests_go_to_the_first_port_of_its_pods(port: int | None, expected: int) -> None:
    endpoint = told(a_v1_workload("iris-v1", port=port)).adopt("iris", nobody)
    assert endpoint is not None
    workload = endpoint.deployments[0].workload
    assert isinstance(workload, Pods)
    assert workload.port == expected


@pytest.mark.parametrize(("text", "scales"), [("false", False), ("False", False), ("true", True), ("", True)])
def test_an_annotation_leaves_its_number_alone(text: str, scales: bool) -> None:
    endpoint = told(a_v1_workload("iris-v1", annotations={SCALE: text})).adopt("iris", nobody)
    assert endpoint is not None
    assert (endpoint.deployments[0].scale is not None) is scales


def test_of_several_versions_the_first_one_created_has_all_the_traffic() -> None:
    adoption = told(a_v1_workload("aaa", age=2), a_v1_workload("bbb", age=1), a_v1_workload("ccc", age=3))
    endpoint = adoption.adopt("iris", nobody)
    assert endpoint is not None
    assert endpoint.weights == (("bbb", 100), ("aaa", 0), ("ccc", 0))
    assert [deployment.name for deployment in endpoint.deployments] == ["bbb", "aaa", "ccc"]
    assert list(adoption.refused("iris", nobody)) == []


def test_what_a_resource_declares_is_left_out() -> None:
    adoption = told(a_v1_workload("aaa", age=1), a_v1_workload("bbb", age=2))
    endpoint = adoption.adopt("iris", lambda key: key == "azureml-ws/aaa")
    assert endpoint is not None
    assert endpoint.weights == (("bbb", 100),)
    assert adoption.adopt("iris", lambda key: True) is None
    assert list(adoption.refused("iris", lambda key: True)) == []


def test_of_two_namespaces_the_older_has_the_name_and_the_other_is_told() -> None:
    adoption = told(
        a_v1_workload("aaa", namespace="azureml-b", age=2), a_v1_workload("bbb", namespace="azureml-a", age=1)
    )
    endpoint = adoption.adopt("iris", nobody)
    assert endpoint is not None
    assert endpoint.weights == (("bbb", 100),)
    (why,) = adoption.refused("iris", nobody)
    assert why == "Deployment azureml-b/aaa is not adopted: another namespace has an older iris"


@pytest.mark.parametrize(
    ("workload", "endpoint", "says"),
    [
        ("iris-v1", "ab", "metadata.name: 'ab', but it must be 3 to 32 letters"),
        ("iris.v1", "iris", "spec.deployments[0].name: 'iris.v1', but it must be 3 to 32 letters"),
        ("i" * 32, "e" * 31, "must be at most 62 characters together with the endpoint's name"),
    ],
)
def test_a_name_that_breaks_the_rule_is_told_and_not_served(workload: str, endpoint: str, says: str) -> None:
    adoption = told(a_v1_workload(workload, endpoint))
    assert adoption.adopt(endpoint, nobody) is None
    (why,) = adoption.refused(endpoint, nobody)
    assert why.startswith(f"Deployment azureml-ws/{workload} is not adopted as '{endpoint}': ")
    assert says in why


def test_a_version_with_a_bad_name_takes_no_other_with_it() -> None:
    adoption = told(a_v1_workload("iris.v1", age=1), a_v1_workload("iris-v2", age=2))
    endpoint = adoption.adopt("iris", nobody)
    assert endpoint is not None
    assert endpoint.weights == (("iris-v2", 100),)
    assert len(list(adoption.refused("iris", nobody))) == 1


def test_whoever_may_be_another_by_a_change_is_named() -> None:
    adoption = Adoption()

    def put(workload: Any) -> set[str]:
        return adoption.put("azureml-ws/one", workload)

    assert put(a_workload("one", "azureml-ws")) == set()
    assert put(a_v1_workload("one", "iris")) == {"iris"}
    assert adoption.name_of("azureml-ws/one") == "iris"
    assert put(a_v1_workload("one", "rose")) == {"iris", "rose"}
    assert adoption.names == ["rose"]
    assert put(a_workload("one", "azureml-ws")) == {"rose"}
    assert (put(None), adoption.names, adoption.name_of("azureml-ws/one")) == (set(), [], None)
    assert adoption.adopt("rose", nobody) is None
