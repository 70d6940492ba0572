"""members.py: which Pod is a replica, of whom, in which order; and what keeps a deployment from more."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Replica, Trouble
from router.platforms.kubernetes.objects import LabelSelector
from router.platforms.kubernetes.picture.members import CANT_START, Membership
from tests.platforms.kubernetes.nouns import a_pod, ended, running, unschedulable, waiting

KEY = "iris/blue"


def choosing(key: str = KEY, **labels: str) -> Membership:
    membership = Membership()
    membership.choose(key, 5001, "models", LabelSelector(match_labels=labels or {"app": "iris"}))
    return membership


def told(*names: str, **state: Any) -> Membership:
    membership = choosing()
    for name in names:
        membership.pod(f"models/{name}", a_pod(name, **state))
    return membership


def replicas(membership: Membership, key: str = KEY) -> tuple[Replica, ...]:
    membership.look()
    return membership.of(key).replicas


def troubles(membership: Membership) -> tuple[Trouble, ...]:
    membership.look()
    return membership.of(KEY).troubles


def test_a_pod_is_a_replica_under_its_uid_at_its_address_and_the_declared_port() -> None:
    (replica,) = replicas(told("one", ip="10.0.0.9"))
    assert replica == Replica(uid="uid-one", deployment=KEY, host="10.0.0.9", port=5001, ready=True)


@pytest.mark.parametrize(
    ("state", "ready", "leaving", "host"),
    [
        ({"ready": False}, False, False, "10.0.0.1"),
        ({"leaving": True}, False, True, "10.0.0.1"),
        ({"phase": "Pending", "ip": "", "ready": False}, False, False, ""),
        ({"phase": "Pending"}, False, False, "10.0.0.1"),
    ],
)
def test_one_that_starts_or_leaves_is_a_replica_that_takes_nothing(
    state: dict[str, Any], ready: bool, leaving: bool, host: str
) -> None:
    (replica,) = replicas(told("one", **state))
    assert (replica.ready, replica.leaving, replica.host) == (ready, leaving, host)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_one_that_has_finished_is_none(phase: str) -> None:
    membership = told("one")
    assert len(replicas(membership)) == 1
    membership.pod("models/one", a_pod("one", phase=phase))
    assert replicas(membership) == ()
    assert membership.pods_of(KEY) == []


def test_the_oldest_comes_first_also_when_it_is_told_last() -> None:
    membership = choosing()
    for name, age in (("c", 3), ("a", 1), ("d", 3), ("b", 2)):
        membership.pod(f"models/{name}", a_pod(name, age=age))
    assert [replica.uid for replica in replicas(membership)] == ["uid-a", "uid-b", "uid-c", "uid-d"]


def test_a_new_pod_under_an_old_name_is_another_replica() -> None:
    membership = told("iris-0", uid="first", age=1)
    membership.pod("models/other", a_pod("other", age=2))
    membership.pod("models/iris-0", a_pod("iris-0", uid="second", age=3))
    assert [replica.uid for replica in replicas(membership)] == ["uid-other", "second"]


def test_labels_and_selectors_change_who_belongs() -> None:
    membership = told("one")
    membership.pod("models/one", a_pod("one", labels={"app": "rose"}))
    assert replicas(membership) == ()
    membership.choose(KEY, 5001, "models", LabelSelector(match_labels={"app": "rose"}))
    assert len(replicas(membership)) == 1
    membership.choose(KEY, 5001, "models", None)
    assert replicas(membership) == ()


def test_a_changed_port_is_that_of_every_replica() -> None:
    membership = told("one", "two")
    membership.choose(KEY, 8080, "models", LabelSelector(match_labels={"app": "iris"}))
    assert [replica.port for replica in replicas(membership)] == [8080, 8080]


def test_what_an_event_does_not_concern_stays_the_same_object() -> None:
    membership = told("one", "two")
    before = replicas(membership)
    membership.pod("models/one", a_pod("one", annotations={"mine": "other"}, containers=(running(),)))
    assert replicas(membership) is before
    membership.pod("models/one", a_pod("one", ready=False))
    after = replicas(membership)
    assert after[1] is before[1]
    assert not after[0].ready


def test_what_a_replica_does_not_show_makes_no_other_replica() -> None:
    membership = told("one", "two")
    before = replicas(membership)
    membership.pod("models/one", a_pod("one", annotations={"scoregate.io/leave-order": "-1"}))
    membership.pod("models/two", a_pod("two", ready=False))
    after = replicas(membership)
    assert after[0] is before[0]
    assert after[1] != before[1]


def test_a_pod_of_two_deployments_has_a_uid_in_each() -> None:
    membership = told("one")
    membership.choose("iris/aqua", 5001, "models", LabelSelector(match_labels={"app": "iris"}))
    assert replicas(membership, "iris/aqua")[0].uid == "uid-one"
    assert replicas(membership, KEY)[0].uid == "uid-one@iris/blue"
    assert [member.uid for member in membership.pods_of(KEY)] == ["uid-one@iris/blue"]
    membership.pod("models/one", a_pod("one", ready=False))
    assert replicas(membership, KEY)[0].uid == "uid-one@iris/blue"
    membership.forget("iris/aqua")
    assert replicas(membership, KEY)[0].uid == "uid-one"


def test_a_deployment_whose_port_changes_may_lose_its_pods_to_another_at_once() -> None:
    membership = told("one")
    membership.choose("iris/aqua", 5001, "models", LabelSelector(match_labels={"app": "iris"}))
    membership.choose("iris/aqua", 8080, "models", LabelSelector(match_labels={"app": "rose"}))
    assert replicas(membership, KEY)[0].uid == "uid-one"
    assert replicas(membership, "iris/aqua") == ()


def test_a_pod_that_can_not_be_placed_is_a_trouble_and_no_replica() -> None:
    membership = told("one", "two", phase="Pending", ip="", ready=False, conditions=(unschedulable(),))
    reason = "Pod one can't be placed: 0/3 nodes are available: 3 Insufficient cpu."
    assert troubles(membership) == (Trouble(deployment=KEY, kind="placement", reason=reason),)
    assert replicas(membership) == ()
    assert [member.name for member in membership.pods_of(KEY)] == ["one", "two"]
    membership.pod("models/one", a_pod("one", phase="Pending", ip="", ready=False))
    membership.pod("models/two", None)
    assert (len(replicas(membership)), troubles(membership)) == (1, ())


def test_one_that_waits_for_its_turn_to_be_placed_is_no_trouble() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}
    membership = told("one", phase="Pending", ip="", ready=False, conditions=(condition,))
    assert (troubles(membership), len(replicas(membership))) == ((), 1)


@pytest.mark.parametrize("reason", sorted(CANT_START))
def test_a_container_that_can_not_start_is_a_trouble_while_no_pod_is_ready(reason: str) -> None:
    broken = a_pod("one", ready=False, containers=(running("log"), waiting(reason, "x" * 300)))
    membership = choosing()
    membership.pod("models/one", broken)
    (trouble,) = troubles(membership)
    assert (trouble.deployment, trouble.kind) == (KEY, "start")
    assert trouble.reason == f"container model of Pod one can't start: {reason}: {'x' * 199}…"
    membership.pod("models/two", a_pod("two"))
    assert troubles(membership) == ()
    membership.pod("models/two", a_pod("two", leaving=True))
    assert troubles(membership) == (trouble,)


def test_a_loop_of_crashes_is_one_trouble_also_while_the_container_runs() -> None:
    membership = choosing()
    found = []
    for restarts, status in (
        (1, waiting("CrashLoopBackOff", restarts=1)),
        (2, running(restarts=2, ended=ended(2, reason="OOMKilled", code=137))),
        (2, {**running(restarts=2, ended=ended()), "state": {"terminated": ended(3, code=2)}}),
    ):
        membership.pod("models/one", a_pod("one", ready=False, containers=(running("log"), status)))
        found += [(restarts, each.kind, each.reason.partition("can't start: ")[2]) for each in troubles(membership)]
    assert found == [
        (1, "start", "CrashLoopBackOff"),
        (2, "start", "it has ended soon 2 times, last with OOMKilled (exit code 137)"),
        (2, "start", "it has ended soon 3 times, last with Error (exit code 2)"),
    ]
    membership.pod("models/one", a_pod("one", containers=(running(restarts=3, ended=ended()),)))
    assert troubles(membership) == ()


@pytest.mark.parametrize(
    "status",
    [
        running(restarts=1, ended=ended(2)),  # once is no loop
        running(restarts=2, ended=ended(600)),  # it had run for long
        {**running(restarts=2, ended=ended(2)), "ready": True},  # a container beside the model's, that runs by now
        {"name": "first", "restartCount": 2, "state": {"terminated": ended(2, code=0)}},  # what ran before has run
        running(restarts=2, ended={"exitCode": 1}),  # who knows how long
    ],
)
def test_what_ended_and_was_started_anew_starts(status: dict[str, Any]) -> None:
    assert troubles(told("one", ready=False, containers=(status,))) == ()


def test_an_init_container_counts_and_a_wait_that_ends_by_itself_does_not() -> None:
    membership = told("one", ready=False, containers=(waiting("ContainerCreating"), waiting("PodInitializing")))
    assert troubles(membership) == ()
    membership.pod("models/one", a_pod("one", ready=False, first=(waiting("ImagePullBackOff", name="fetch"),)))
    assert [trouble.reason for trouble in troubles(membership)] == [
        "container fetch of Pod one can't start: ImagePullBackOff"
    ]


def test_one_that_leaves_is_nobodys_trouble_and_is_not_asked_to_leave_again() -> None:
    membership = told("one", leaving=True, containers=(waiting("CrashLoopBackOff"),), conditions=(unschedulable(),))
    assert troubles(membership) == ()
    assert membership.pods_of(KEY) == []


def test_one_that_is_drained_takes_nothing_new_and_stays_a_pod_of_its_deployment() -> None:
    note = {"scoregate.io/drained": "true"}
    membership = told("one", annotations=note)
    (replica,) = replicas(membership)
    assert (replica.ready, replica.leaving) == (True, True)
    assert [member.name for member in membership.pods_of(KEY)] == ["one"]
    membership.pod("models/one", a_pod("one"))
    assert [each.leaving for each in replicas(membership)] == [False]


def test_a_pod_is_found_by_any_of_its_replicas() -> None:
    membership = told("one", "two")
    for uid in ("uid-two", "uid-two@rose/blue"):
        found = membership.find(uid)
        assert found is not None
        assert (found.namespace, found.name) == ("models", "two")
    assert membership.find("two") is membership.find("") is None


def test_the_oldest_speaks_for_all() -> None:
    membership = choosing()
    for name, age in (("late", 9), ("early", 1), ("between", 5)):
        broken = a_pod(name, age=age, ready=False, containers=(waiting("ErrImagePull"),), conditions=(unschedulable(),))
        membership.pod(f"models/{name}", broken)
    assert all("Pod early" in trouble.reason for trouble in troubles(membership))
    assert [trouble.kind for trouble in troubles(membership)] == ["placement", "start"]


def test_only_the_annotations_that_are_read_are_kept() -> None:
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-1", "scoregate.io/leave-order": "-1"}
    membership = told("one", annotations={**cost, "k8s.v1.cni.cncf.io/network-status": "x" * 1000})
    (member,) = membership.pods_of(KEY)
    assert (member.namespace, member.name, member.annotations) == ("models", "one", cost)


def test_a_deployment_that_nobody_declared_has_no_pods() -> None:
    membership = told("one")
    assert membership.pods_of("rose/blue") == []
    membership.forget("rose/blue")
    membership.forget(KEY)
    membership.pod("models/one", a_pod("one", ready=False))
    membership.pod("models/one", None)
    membership.pod("models/one", None)
    assert membership.pods_of(KEY) == []
