"""cluster.py: what all that the API server says amounts to, in whatever order it says it."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.auth import hashed
from router.core.model import Pods, Replica, Trouble
from router.platforms import ClusterSettings
from router.platforms.kubernetes.cluster import Account, Cluster, KeysWanted, Owner
from tests.platforms.kubernetes.nouns import (
    PRIMARY,
    SECONDARY,
    a_deployment,
    a_pod,
    a_resource,
    a_secret,
    a_v1_workload,
    a_workload,
    an_autoscaler,
    unschedulable,
    waiting,
)

KEY: dict[str, Any] = {"mode": "key"}
WRONG: dict[str, Any] = {"name": "blue", "workload": {"kind": "Deployment"}}


class Told:
    """A cluster, and short ways to tell it something."""

    def __init__(self, *, adopt_v1: bool = True) -> None:
        self.cluster = Cluster(ClusterSettings(adopt_v1=adopt_v1))

    def resource(self, name: str, namespace: str = "models", *deployments: dict[str, Any], **more: Any) -> None:
        seen = a_resource(name, namespace, *deployments, **more)
        self.cluster.endpoint(seen.metadata.key, seen)

    def workload(self, name: str, namespace: str = "models", **more: Any) -> None:
        self.cluster.workload("Deployment", f"{namespace}/{name}", a_workload(name, namespace, **more))

    def v1(self, name: str, endpoint: str = "iris", namespace: str = "azureml-ws", **more: Any) -> None:
        self.cluster.workload("Deployment", f"{namespace}/{name}", a_v1_workload(name, endpoint, namespace, **more))

    def pod(self, name: str, namespace: str = "models", **more: Any) -> None:
        self.cluster.pod(f"{namespace}/{name}", a_pod(name, namespace, **more))

    def secret(self, name: str, *keys: str | None, **more: Any) -> None:
        seen = a_secret(name, *keys, **more)
        self.cluster.secret(seen.metadata.key, seen)

    @property
    def endpoints(self) -> dict[str, list[str]]:
        return {each.name: [d.name for d in each.deployments] for each in self.cluster.snapshot().endpoints}

    @property
    def replicas(self) -> list[tuple[str, str]]:
        return [(replica.deployment, replica.uid) for replica in self.cluster.snapshot().replicas]

    def account(self, key: str) -> Account:
        (account,) = (each for each in self.cluster.accounts() if f"{each.namespace}/{each.name}" == key)
        return account


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def iris(told: Told) -> Told:
    """One endpoint with a workload of three and two Pods."""
    told.resource("iris")
    told.workload("iris", replicas=3)
    told.pod("one", age=1)
    told.pod("two", age=2, ready=False)
    return told


def test_an_endpoint_its_replicas_and_the_number_that_its_workload_wants(iris: Told) -> None:
    snapshot = iris.cluster.snapshot()
    (endpoint,) = snapshot.endpoints
    assert (endpoint.name, endpoint.weights, endpoint.auth_mode) == ("iris", (("blue", 100),), "none")
    assert snapshot.replicas == (
        Replica(uid="uid-one", deployment="iris/blue", host="10.0.0.1", port=5001, ready=True),
        Replica(uid="uid-two", deployment="iris/blue", host="10.0.0.1", port=5001, ready=False),
    )
    assert (snapshot.wished, snapshot.troubles, snapshot.instances) == ({"iris/blue": 3}, (), ())


def test_nothing_new_is_the_same_snapshot(iris: Told) -> None:
    before = iris.cluster.snapshot()
    iris.resource("iris", status={"replicas": "1/2"})
    iris.workload("iris", replicas=3, annotations={"a": "b"})
    iris.pod("one", age=1, annotations={"a": "b"})
    iris.pod("other", labels={"app": "nobodys"})
    assert iris.cluster.snapshot() is before


def test_what_an_event_does_not_concern_stays_the_same_object(iris: Told) -> None:
    iris.resource("rose", "models", a_deployment(workload="rose"), a_deployment("green", "rose"), traffic={"blue": 100})
    before = iris.cluster.snapshot()
    iris.pod("two", age=2)
    after = iris.cluster.snapshot()
    assert [one is other for one, other in zip(before.endpoints, after.endpoints, strict=True)] == [True, True]
    assert after.replicas[0] is before.replicas[0]
    iris.resource("rose", "models", a_deployment(workload="rose"), a_deployment("red", "rose"), traffic={"red": 100})
    last = iris.cluster.snapshot()
    assert last.endpoints[0] is after.endpoints[0]
    assert last.endpoints[1].deployments[0] is after.endpoints[1].deployments[0]


def test_an_endpoint_with_keys_stays_the_same_object_until_they_change(told: Told) -> None:
    told.resource("iris", auth=KEY)
    told.secret("iris-keys")
    before = told.cluster.snapshot()
    told.secret("iris-keys", resourceVersion="2")
    told.resource("iris", auth=KEY, status={"replicas": "0/0"})
    told.resource("rose")
    after = told.cluster.snapshot()
    assert after is not before
    assert after.endpoints[0] is before.endpoints[0]


def test_an_endpoint_that_goes_leaves_the_number_to_the_other_that_scales_the_same_workload(told: Told) -> None:
    for name in ("iris", "rose"):
        told.resource(name, "models", a_deployment(workload="one", scaleSettings={"maxInstances": 4}))
    reason = "the deployment iris/blue scales Deployment one, too"
    assert told.cluster.snapshot().troubles == (Trouble(deployment="rose/blue", kind="conflict", reason=reason),)
    told.cluster.endpoint("models/iris", None)
    assert told.cluster.snapshot().troubles == ()


def test_endpoints_come_by_name_and_deployments_as_declared(told: Told) -> None:
    for name in ("rose", "iris", "tulip"):
        told.resource(name, "models", a_deployment("green", name), a_deployment("blue", name))
        told.workload(name)
        told.pod(name, labels={"app": name})
    assert list(told.endpoints) == ["iris", "rose", "tulip"]
    assert [key for key, _ in told.replicas] == [f"{n}/{d}" for n in told.endpoints for d in ("green", "blue")]
    assert len({uid for _, uid in told.replicas}) == 6, "each is a replica of two deployments, under two uids"


def test_a_missing_workload_leaves_the_deployment_declared_without_replicas(iris: Told) -> None:
    iris.cluster.workload("Deployment", "models/iris", None)
    snapshot = iris.cluster.snapshot()
    assert (len(snapshot.endpoints), snapshot.replicas, snapshot.wished) == (1, (), {})
    assert iris.account("models/iris").missing == ("blue: there is no Deployment iris in namespace models",)
    iris.workload("iris")
    assert iris.account("models/iris").missing == ()
    assert len(iris.replicas) == 2


def test_a_stateful_set_or_labels_alone_have_pods_as_well(told: Told) -> None:
    told.resource("iris", "models", {"name": "blue", "workload": {"kind": "StatefulSet", "name": "iris"}})
    told.resource("rose", "models", {"name": "blue", "workload": {"selector": {"app": "iris"}}, "port": 8080})
    told.cluster.workload("StatefulSet", "models/iris", a_workload("iris", replicas=2))
    told.pod("iris-0")
    snapshot = told.cluster.snapshot()
    assert [(replica.deployment, replica.port) for replica in snapshot.replicas] == [
        ("iris/blue", 5001),
        ("rose/blue", 8080),
    ]
    assert snapshot.wished == {"iris/blue": 2}


def test_troubles_come_from_the_workload_and_from_the_pods(told: Told) -> None:
    told.resource("iris", "models", a_deployment(scaleSettings={"maxInstances": 4}))
    told.workload("iris")
    told.cluster.autoscaler("models/hpa", an_autoscaler("hpa", "iris"))
    told.pod("one", ready=False, conditions=(unschedulable("no room"),))
    told.pod("two", ready=False, containers=(waiting("CrashLoopBackOff"),))
    assert [(trouble.kind, trouble.deployment) for trouble in told.cluster.snapshot().troubles] == [
        ("conflict", "iris/blue"),
        ("placement", "iris/blue"),
        ("start", "iris/blue"),
    ]
    told.cluster.autoscaler("models/hpa", None)
    told.pod("one")
    told.cluster.pod("models/two", None)
    assert told.cluster.snapshot().troubles == ()


# -- names ---------------------------------------------------------------------------------------------------


def test_of_two_namespaces_the_older_is_served_and_the_other_takes_over(told: Told) -> None:
    told.resource("iris", "young", a_deployment("green"), age=2)
    told.workload("iris", "young")
    told.pod("theirs", "young")
    assert told.endpoints == {"iris": ["green"]}
    told.resource("iris", "old", a_deployment("blue"), age=1)
    told.workload("iris", "old")
    told.pod("ours", "old")
    assert told.endpoints == {"iris": ["blue"]}
    assert told.replicas == [("iris/blue", "uid-ours")]
    young, old = told.account("young/iris"), told.account("old/iris")
    assert (young.endpoint, young.name_taken_by, old.name_taken_by) == (None, "old/iris", None)
    assert old.endpoint is told.cluster.snapshot().endpoints[0]
    told.cluster.endpoint("old/iris", None)
    assert told.replicas == [("iris/green", "uid-theirs")]
    assert told.account("young/iris").name_taken_by is None


def test_the_same_deployment_of_another_namespace_has_other_pods_and_other_keys(told: Told) -> None:
    for namespace, age in (("young", 2), ("old", 1)):
        told.resource("iris", namespace, auth=KEY, age=age)
        told.workload("iris", namespace)
        told.pod("one", namespace, uid=namespace)
    told.secret("iris-keys", namespace="young")
    assert told.replicas == [("iris/blue", "old")]
    assert told.cluster.snapshot().endpoints[0].keys is None
    told.cluster.endpoint("old/iris", None)
    assert told.replicas == [("iris/blue", "young")]
    assert told.cluster.snapshot().endpoints[0].keys == hashed(PRIMARY, SECONDARY)


def test_the_last_good_declaration_is_served_and_the_account_lists_the_problems(iris: Told) -> None:
    before = iris.cluster.snapshot()
    iris.resource("iris", "models", WRONG, generation=5, status={"a": 1})
    assert iris.cluster.snapshot() is before
    account = iris.account("models/iris")
    assert (account.endpoint, account.generation, account.status) == (before.endpoints[0], 5, {"a": 1})
    assert len(account.problems) == 1
    iris.resource("rose", "models", WRONG)
    rose = iris.account("models/rose")
    assert (rose.endpoint, rose.keys, rose.secret) == (None, "unused", "")
    assert list(iris.endpoints) == ["iris"]


def test_an_endpoint_that_goes_takes_all_with_it(iris: Told) -> None:
    iris.cluster.endpoint("models/iris", None)
    iris.cluster.endpoint("models/iris", None)
    snapshot = iris.cluster.snapshot()
    assert (snapshot.endpoints, snapshot.replicas, snapshot.wished, snapshot.troubles) == ((), (), {}, ())
    assert list(iris.cluster.accounts()) == []


# -- keys ----------------------------------------------------------------------------------------------------


def test_keys_open_as_soon_as_they_are_there_and_never_after(told: Told) -> None:
    def keys() -> Any:
        return told.cluster.snapshot().endpoints[0].keys

    told.resource("iris", auth=KEY)
    assert (keys(), told.account("models/iris").keys) == (None, "missing")
    told.secret("iris-keys")
    assert keys() == hashed(PRIMARY, SECONDARY)
    assert (told.account("models/iris").keys, told.account("models/iris").secret) == ("ready", "iris-keys")
    told.secret("iris-keys", "another-key-of-the-tests")
    assert keys() == hashed("another-key-of-the-tests", SECONDARY)
    told.secret("iris-keys", None)
    account = told.account("models/iris")
    assert (keys(), account.keys) == (hashed("another-key-of-the-tests", SECONDARY), "bad")
    assert account.keys_problem == "Secret iris-keys in namespace models has no primaryKey"
    told.cluster.secret("models/iris-keys", None)
    assert (keys(), told.account("models/iris").keys) == (None, "missing")


def test_another_secret_may_be_named_and_one_may_serve_two(told: Told) -> None:
    for name in ("iris", "rose"):
        told.resource(name, auth={"mode": "key", "keysSecret": "ours"})
    told.secret("ours")
    assert [each.keys for each in told.cluster.snapshot().endpoints] == [hashed(PRIMARY, SECONDARY)] * 2
    told.resource("rose", auth={"mode": "key", "keysSecret": "mine"})
    assert [each.keys is None for each in told.cluster.snapshot().endpoints] == [False, True]


def test_secrets_that_are_missing_are_wanted_for_those_that_are_served(told: Told) -> None:
    told.resource("iris", auth=KEY, uid="u")
    told.resource("open")
    told.resource("rose", auth={"mode": "key", "createKeys": False, "keysSecret": "mine"}, uid="r")
    told.resource("iris", "young", auth=KEY, age=5)
    told.v1("tulip-v1", "Tulip")
    kind = ("scoregate.io/v1", "InferenceEndpoint")
    assert told.cluster.keys_wanted() == [
        KeysWanted("azureml-ws", "tulip-keys", "Tulip", True, None),
        KeysWanted("models", "iris-keys", "iris", True, Owner(*kind, "iris", "u")),
        KeysWanted("models", "mine", "rose", False, Owner(*kind, "rose", "r")),
    ]
    told.secret("iris-keys", "short")
    told.secret("tulip-keys", namespace="azureml-ws")
    assert [wanted.secret for wanted in told.cluster.keys_wanted()] == ["mine"]


def test_no_key_can_be_found_in_it(told: Told) -> None:
    told.resource("iris", auth=KEY)
    told.secret("iris-keys", annotations={"kubectl.kubernetes.io/last-applied-configuration": PRIMARY})
    told.secret("other-keys", "short-key")
    held = [told.cluster.snapshot(), list(told.cluster.accounts()), vars(told.cluster), vars(told.cluster._keyring)]
    assert not any(key in repr(held) for key in (PRIMARY, SECONDARY, "short-key"))


# -- v1 ------------------------------------------------------------------------------------------------------


def test_v1_is_adopted_until_a_resource_says_something_of_it(told: Told) -> None:
    told.v1("iris-v1")
    told.pod("one", "azureml-ws", labels={"app": "iris-v1"})
    assert told.replicas == [("iris/iris-v1", "uid-one")]
    assert list(told.cluster.accounts()) == []
    told.resource("iris")
    assert (told.endpoints, told.replicas) == ({"iris": ["blue"]}, [])
    told.cluster.endpoint("models/iris", None)
    told.resource("rose", "azureml-ws", a_deployment(workload="iris-v1"))
    assert told.replicas == [("rose/blue", "uid-one")]
    assert list(told.endpoints) == ["rose"]
    told.resource("rose", "azureml-ws", a_deployment(workload="other"))
    assert list(told.endpoints) == ["iris", "rose"]
    told.cluster.workload("Deployment", "azureml-ws/iris-v1", None)
    assert list(told.endpoints) == ["rose"]


def test_a_resource_of_that_name_counts_also_while_it_is_not_served(told: Told) -> None:
    told.v1("iris-v1")
    told.resource("iris", "models", WRONG)
    assert told.endpoints == {}
    assert told.cluster.left_out() == []


def test_who_wants_no_adoption_gets_none() -> None:
    told = Told(adopt_v1=False)
    told.v1("iris-v1")
    assert (told.endpoints, told.cluster.left_out()) == ({}, [])


def test_what_is_not_adopted_is_said(told: Told) -> None:
    told.v1("iris.v1")
    told.v1("good", "rose", age=2)
    told.v1("good", "rose", "azureml-other", age=1)
    reasons = told.cluster.left_out()
    assert len(reasons) == 2
    assert reasons[0].startswith("Deployment azureml-ws/iris.v1 is not adopted as 'iris': ")
    assert reasons[1] == "Deployment azureml-ws/good is not adopted: another namespace has an older rose"


# -- who scales, who routes ----------------------------------------------------------------------------------


def test_where_a_number_can_be_set_and_whose_pods_may_leave(iris: Told) -> None:
    iris.resource("rose", "models", {"name": "blue", "workload": {"selector": {"app": "iris"}}})
    assert iris.cluster.scalable("iris/blue") == Pods(namespace="models", kind="Deployment", name="iris")
    assert iris.cluster.scalable("rose/blue") is None
    assert iris.cluster.scalable("iris/green") is None
    members = iris.cluster.pods_of("iris/blue")
    assert [(member.uid, member.name, member.ready) for member in members] == [
        ("uid-one", "one", True),
        ("uid-two", "two", False),
    ]
    assert [member.uid for member in iris.cluster.pods_of("rose/blue")] == [
        uid for key, uid in iris.replicas if key == "rose/blue"
    ]


def test_routers_are_instances_and_the_snapshot_stays_while_they_do(told: Told) -> None:
    told.cluster.routers.put("gate/router", a_pod("router", "gate"))
    before = told.cluster.snapshot()
    assert [each.id for each in before.instances] == ["uid-router/0#0"]
    told.cluster.routers.put("gate/router", a_pod("router", "gate", resourceVersion="2"))
    assert told.cluster.snapshot() is before
    told.cluster.routers.put("gate/router", None)
    assert told.cluster.snapshot().instances == ()


def test_a_trouble_of_one_deployment_is_not_anothers(iris: Told) -> None:
    iris.resource("rose", "models", a_deployment(workload="rose"))
    iris.pod("three", ready=False, conditions=(unschedulable("no room"),))
    reason = "Pod three can't be placed: no room"
    assert iris.cluster.snapshot().troubles == (Trouble(deployment="iris/blue", kind="placement", reason=reason),)
