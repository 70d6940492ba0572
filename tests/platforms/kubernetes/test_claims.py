"""claims.py: whose a name is, and what is in force while an object says something wrong."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Hold, Pods, ScaleSettings
from router.platforms.kubernetes.objects import EndpointObject
from router.platforms.kubernetes.picture.claims import Claim, Claims, kept
from tests.platforms.kubernetes.nouns import a_deployment, a_resource

WRONG: dict[str, Any] = {"name": "blue", "workload": {"kind": "Deployment"}}


def put(claims: Claims, seen: EndpointObject) -> Claim:
    _, now = claims.put(seen.metadata.key, seen)
    assert now is not None
    return now


def test_what_a_resource_declares_is_an_endpoint_of_its_namespace() -> None:
    scale = {"maxInstances": 4}
    claim = put(Claims(), a_resource("iris", "models", a_deployment(scaleSettings=scale), generation=3, uid="u"))
    assert (claim.key, claim.uid, claim.generation, claim.problems) == ("models/iris", "u", 3, ())
    assert claim.endpoint is not None
    (deployment,) = claim.endpoint.deployments
    assert deployment.workload == Pods(namespace="models", kind="Deployment", name="iris", port=5001)
    assert deployment.scale == ScaleSettings(max_instances=4)
    assert list(claim.workloads) == [("Deployment", "models/iris")]


def test_a_status_is_handed_on_and_makes_no_other_endpoint() -> None:
    claims = Claims()
    first = put(claims, a_resource("iris"))
    second = put(claims, a_resource("iris", status={"replicas": "1/1"}, resourceVersion="9"))
    assert second.endpoint is first.endpoint
    assert (first.status, second.status) == ({}, {"replicas": "1/1"})
    assert put(claims, a_resource("iris", status="nonsense")).status == {}


def test_the_last_good_declaration_stays_in_force_with_the_problems_of_the_new_one() -> None:
    claims = Claims()
    good = put(claims, a_resource("iris")).endpoint
    wrong = put(claims, a_resource("iris", "models", WRONG, generation=2))
    assert (wrong.endpoint, wrong.generation) == (good, 2)
    assert wrong.problems == (
        "spec.deployments[0].workload: name missing, but it must have kind and name, or a selector",
    )
    still = put(claims, a_resource("iris", "models", WRONG, status={}, generation=2))
    assert (still.endpoint, still.problems) == (good, wrong.problems)
    mended = put(claims, a_resource("iris", "models", a_deployment("green")))
    assert mended.endpoint is not None
    assert (mended.endpoint.deployments[0].name, mended.problems) == ("green", ())


def test_what_never_was_good_is_nothing_and_a_new_object_inherits_nothing() -> None:
    claims = Claims()
    assert put(claims, a_resource("iris", "models", WRONG)).endpoint is None
    put(claims, a_resource("iris", uid="old"))
    assert put(claims, a_resource("iris", "models", WRONG, uid="new")).endpoint is None


def test_a_process_or_addresses_are_told_to_be_of_another_platform() -> None:
    for way in ({"process": {"command": ["model"]}}, {"addresses": ["10.0.0.1:5001"]}):
        claim = put(Claims(), a_resource("iris", "models", {"name": "blue", **way}))
        assert claim.endpoint is None
        (problem,) = claim.problems
        assert problem.startswith("spec.deployments[0]: ")
        assert "must be a workload" in problem


def test_a_spec_that_is_no_mapping_is_a_problem_and_no_crash() -> None:
    seen = a_resource("iris")
    for spec in (None, [], "text", {"deployments": {}}):
        assert put(Claims(), EndpointObject(metadata=seen.metadata, spec=spec)).problems


def test_a_name_is_the_oldests_also_while_it_declares_nothing_good() -> None:
    claims = Claims()
    for resource in (
        a_resource("iris", "b", age=2),
        a_resource("iris", "c", WRONG, age=1),
        a_resource("iris", "a", age=2),
    ):
        put(claims, resource)
    owners = []
    while (owner := claims.owner("iris")) is not None:
        owners.append(owner.key)
        claims.put(owner.key, None)
    assert owners == ["c/iris", "a/iris", "b/iris"]
    assert (list(claims), claims.put("a/iris", None)) == ([], (None, None))


def test_what_is_equal_stays_the_same_object() -> None:
    one = put(Claims(), a_resource("iris", "models", a_deployment(), a_deployment("green"), traffic={"blue": 100}))
    same = put(Claims(), a_resource("iris", "models", a_deployment(), a_deployment("green"), traffic={"blue": 100}))
    other = put(Claims(), a_resource("iris", "models", a_deployment("green"), a_deployment("red"), a_deployment()))
    assert one.endpoint is not None
    assert same.endpoint is not None
    assert other.endpoint is not None
    assert kept(same.endpoint, one.endpoint) is one.endpoint
    assert kept(one.endpoint, None) is one.endpoint
    mixed = kept(other.endpoint, one.endpoint)
    assert mixed == other.endpoint
    assert mixed.deployments[2] is one.endpoint.deployments[0]
    assert mixed.deployments[0] is one.endpoint.deployments[1]


def test_numbers_set_by_hand_are_read_from_annotations() -> None:
    claims = Claims()
    notes = {"scoregate.io/hold.blue": '{"replicas":3,"untilS":1790000000.5}', "scoregate.io/holder": "?", "a": "b"}
    claim = put(claims, a_resource("iris", annotations=notes))
    assert (claim.holds, claim.bad_holds) == ({"blue": Hold(replicas=3, until_s=1790000000.5)}, ())
    after = put(claims, a_resource("iris", resourceVersion="9"))
    assert (after.holds, after.endpoint) == ({}, claim.endpoint)


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "{", '{"replicas":"3","untilS":1}', '{"replicas":-1,"untilS":1}', "{}"),
        *('{"replicas":1,"untilS":253402300800}', '{"replicas":1,"untilS":1e300}', '{"replicas":1,"untilS":-1}'),
    ],
)
def test_one_that_says_nothing_usable_is_told_and_holds_up_no_other(text: str) -> None:
    notes = {"scoregate.io/hold.blue": text, "scoregate.io/hold.green": '{"replicas":0,"untilS":1}'}
    claim = put(Claims(), a_resource("iris", annotations=notes))
    assert claim.holds == {"green": Hold(replicas=0, until_s=1)}
    (why,) = claim.bad_holds
    assert why.startswith("annotation scoregate.io/hold.blue of InferenceEndpoint models/iris is passed over, for it")
