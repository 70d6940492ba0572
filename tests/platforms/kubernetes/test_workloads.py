"""workloads.py: what is known of a deployment by its workload, and whom a change concerns."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Deployment, Pods, ScaleSettings, Trouble
from router.platforms.kubernetes.objects import LabelSelector
from router.platforms.kubernetes.picture.workloads import Workloads, workload_id
from tests.platforms.kubernetes.nouns import a_workload, an_autoscaler

IRIS = Pods(namespace="models", kind="Deployment", name="iris")
FAILURE = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: pods=2"}


def deployment(name: str = "blue", pods: Pods = IRIS, *, scales: bool = True) -> Deployment:
    scale = ScaleSettings(max_instances=4) if scales else None
    return Deployment(endpoint="iris", name=name, workload=pods, scale=scale)


def using(*deployments: Deployment) -> Workloads:
    workloads = Workloads()
    for each in deployments:
        workloads.use(each)
    return workloads


def conflicts(workloads: Workloads, key: str = "iris/blue") -> list[str]:
    return [trouble.reason for trouble in workloads.facts(key).troubles if trouble.kind == "conflict"]


def test_a_workload_says_who_its_pods_are_and_how_many_it_wants() -> None:
    workloads = using(deployment())
    assert workloads.put("Deployment", "models/iris", a_workload("iris", replicas=3)) == {"iris/blue"}
    facts = workloads.facts("iris/blue")
    assert (facts.selector, facts.wished) == (LabelSelector(match_labels={"app": "iris"}), 3)
    assert (facts.missing, facts.troubles) == ("", ())


@pytest.mark.parametrize(
    ("kind", "key"), [("StatefulSet", "models/iris"), ("Deployment", "others/iris"), ("Deployment", "models/rose")]
)
def test_another_kind_namespace_or_name_is_another_workload(kind: Any, key: str) -> None:
    workloads = using(deployment())
    assert workloads.put(kind, key, a_workload("iris")) == set()
    facts = workloads.facts("iris/blue")
    assert facts.missing == "blue: there is no Deployment iris in namespace models"
    assert (facts.selector, facts.wished) == (None, None)


def test_one_that_goes_is_missing_from_then_on() -> None:
    workloads = using(deployment())
    workloads.put("Deployment", "models/iris", a_workload("iris"))
    assert workloads.put("Deployment", "models/iris", None) == {"iris/blue"}
    assert workloads.facts("iris/blue").missing


def test_labels_alone_are_the_selector_and_no_number_is_known() -> None:
    pods = Pods(namespace="models", selector={"app": "rose"})
    workloads = using(deployment(pods=pods, scales=False))
    facts = workloads.facts("iris/blue")
    assert facts.selector == LabelSelector(match_labels={"app": "rose"})
    assert (facts.wished, facts.missing, workload_id(deployment(pods=pods))) == (None, "", None)
    assert workloads.drop("iris/blue") == set()


def test_another_autoscaler_on_what_we_scale_is_a_conflict_until_it_goes() -> None:
    workloads = using(deployment())
    workloads.put("Deployment", "models/iris", a_workload("iris"))
    assert workloads.autoscaler("models/hpa", an_autoscaler("hpa", "iris")) == {"iris/blue"}
    reason = "HorizontalPodAutoscaler hpa scales Deployment iris, too"
    assert workloads.facts("iris/blue").troubles == (Trouble(deployment="iris/blue", kind="conflict", reason=reason),)
    assert workloads.autoscaler("models/hpa", an_autoscaler("hpa", "rose")) == {"iris/blue"}
    assert conflicts(workloads) == []
    workloads.autoscaler("models/hpa", an_autoscaler("hpa", "iris"))
    assert workloads.autoscaler("models/hpa", None) == {"iris/blue"}
    assert conflicts(workloads) == []


def test_an_autoscaler_of_something_else_or_of_what_we_leave_alone_is_none_of_ours() -> None:
    workloads = using(deployment())
    workloads.autoscaler("models/a", an_autoscaler("a", "iris", kind="StatefulSet"))
    workloads.autoscaler("others/b", an_autoscaler("b", "iris", namespace="others"))
    assert conflicts(workloads) == []
    workloads.use(deployment(scales=False))
    workloads.autoscaler("models/c", an_autoscaler("c", "iris"))
    assert conflicts(workloads) == []


def test_of_two_deployments_that_scale_one_workload_the_first_by_key_does() -> None:
    workloads = using(deployment("blue"), deployment("fixed", scales=False))
    assert workloads.use(deployment("aqua")) == {"iris/aqua", "iris/blue", "iris/fixed"}
    assert conflicts(workloads, "iris/aqua") == []
    assert conflicts(workloads, "iris/blue") == ["the deployment iris/aqua scales Deployment iris, too"]
    assert conflicts(workloads, "iris/fixed") == []
    assert workloads.drop("iris/aqua") == {"iris/blue", "iris/fixed"}
    assert conflicts(workloads, "iris/blue") == []


def test_a_deployment_that_moves_to_another_workload_concerns_those_who_stay() -> None:
    workloads = using(deployment("aqua"), deployment("blue"))
    rose = Pods(namespace="models", kind="Deployment", name="rose")
    assert workloads.use(deployment("aqua", rose)) == {"iris/aqua", "iris/blue"}
    assert workloads.put("Deployment", "models/rose", None) == {"iris/aqua"}
    assert workloads.put("Deployment", "models/iris", None) == {"iris/blue"}


@pytest.mark.parametrize(
    ("change", "is_trouble"),
    [({}, True), ({"status": "False"}, False), ({"reason": "FailedDelete"}, False), ({"type": "Progressing"}, False)],
)
def test_pods_that_the_api_server_refuses_can_not_be_placed(change: dict[str, str], is_trouble: bool) -> None:
    workloads = using(deployment())
    workloads.put("Deployment", "models/iris", a_workload("iris", conditions=({**FAILURE, **change},)))
    reason = "no Pod can be made: exceeded quota: pods=2"
    expected = (Trouble(deployment="iris/blue", kind="placement", reason=reason),) if is_trouble else ()
    assert workloads.facts("iris/blue").troubles == expected


def test_nothing_stays_behind_when_all_are_gone() -> None:
    workloads = using(deployment())
    workloads.put("Deployment", "models/iris", a_workload("iris"))
    workloads.autoscaler("models/hpa", an_autoscaler("hpa", "iris"))
    workloads.drop("iris/blue")
    workloads.put("Deployment", "models/iris", None)
    workloads.autoscaler("models/hpa", None)
    assert [held for held in vars(workloads).values() if held] == []
