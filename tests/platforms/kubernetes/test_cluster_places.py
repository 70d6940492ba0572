"""cluster.py: where administration finds what concerns an endpoint, and what it has set."""

from __future__ import annotations

import pytest

from router.core.model import Hold
from tests.platforms.kubernetes.nouns import a_deployment
from tests.platforms.kubernetes.test_cluster import Told

HOLD = {"scoregate.io/hold.blue": '{"replicas":3,"untilS":99}'}


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_declared_endpoint_has_a_resource_and_a_secret_beside_it(told: Told) -> None:
    told.resource("iris", "models", auth={"mode": "key", "keysSecret": "mine"}, uid="u")
    place = told.cluster.place_of("iris")
    assert place is not None
    assert (place.endpoint.name, place.namespace, place.secret, place.resource_uid) == ("iris", "models", "mine", "u")
    told.resource("rose")
    rose = told.cluster.place_of("rose")
    assert rose is not None
    assert rose.secret == ""
    assert told.cluster.place_of("lily") is None


def test_an_adopted_endpoint_has_no_resource(told: Told) -> None:
    told.v1("iris-v1")
    place = told.cluster.place_of("iris")
    assert place is not None
    assert (place.namespace, place.secret, place.resource_uid) == ("azureml-ws", "iris-keys", None)


def test_holds_are_those_of_the_object_that_has_the_name(told: Told) -> None:
    told.resource("iris", "models", annotations=HOLD, age=1)
    assert told.cluster.snapshot().holds == {"iris/blue": Hold(replicas=3, until_s=99)}
    told.resource("iris", "older", age=0)
    assert told.cluster.snapshot().holds == {}
    told.cluster.endpoint("older/iris", None)
    assert list(told.cluster.snapshot().holds) == ["iris/blue"]
    told.resource("iris", "models", age=1)
    assert told.cluster.snapshot().holds == {}


def test_the_account_of_an_object_has_what_it_sets_by_hand(told: Told) -> None:
    told.resource("iris", "models", annotations=HOLD)
    told.resource("rose")
    accounts = {each.name: each.holds for each in told.cluster.accounts()}
    assert accounts == {"iris": {"blue": Hold(replicas=3, until_s=99)}, "rose": {}}


def test_a_hold_of_a_deployment_that_is_not_there_holds_nothing(told: Told) -> None:
    told.resource("iris", "models", a_deployment("green"), annotations=HOLD)
    assert told.cluster.snapshot().holds == {}


def test_a_hold_that_changes_leaves_everything_else_as_it_was(told: Told) -> None:
    told.resource("iris")
    told.workload("iris")
    told.pod("one")
    before = told.cluster.snapshot()
    told.resource("iris", annotations=HOLD)
    after = told.cluster.snapshot()
    assert before != after
    assert before.endpoints[0] is after.endpoints[0]
    assert before.replicas[0] is after.replicas[0]


def test_a_hold_that_can_not_be_read_is_told_until_it_is_mended(told: Told) -> None:
    told.resource("iris", annotations={"scoregate.io/hold.blue": "three"})
    (why,) = told.cluster.left_out()
    assert "scoregate.io/hold.blue" in why
    told.resource("iris", annotations=HOLD)
    assert told.cluster.left_out() == []


def test_a_pod_is_found_by_its_replica(told: Told) -> None:
    told.pod("one")
    found = told.cluster.pod_of("uid-one")
    assert found is not None
    assert found.name == "one"
    assert told.cluster.pod_of("uid-two") is None
