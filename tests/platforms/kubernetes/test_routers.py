"""picture/routers.py: every worker of every router Pod that runs is an instance, and who this process is among them."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.model import Instance
from router.platforms.kubernetes.objects import Pod
from router.platforms.kubernetes.picture.routers import NO_POD, OwnPod, Routers
from tests.platforms.kubernetes.nouns import a_pod, ended, running, waiting

OWN = OwnPod("gate/one", ("/s/0.sock", "/s/1.sock", ""))


def a_router(name: str, workers: int | None = None, **more: Any) -> Pod:
    notes = {} if workers is None else {"scoregate.io/workers": str(workers)}
    return a_pod(name, "gate", annotations=notes, **{"containers": (running("router"),), **more})


def told(*pods: Pod, own: OwnPod = NO_POD) -> Routers:
    routers = Routers(own)
    for pod in pods:
        routers.put(pod.metadata.key, pod)
    return routers


def test_a_pod_that_says_nothing_is_one_process() -> None:
    (only,) = told(a_router("one")).instances()
    assert only == Instance(id="uid-one/0#0", admin="http://10.0.0.1:9001", peer="https://10.0.0.1:9002")


def test_each_worker_has_an_id_and_a_port_and_in_the_own_pod_a_socket() -> None:
    instances = told(a_router("two", 2, ip="fd00::7"), a_router("one", 4), own=OWN).instances()
    assert [(each.id, each.peer, each.socket) for each in instances] == [
        ("uid-one/0#0", "https://10.0.0.1:9002", "/s/0.sock"),
        ("uid-one/0#1", "https://10.0.0.1:9003", "/s/1.sock"),
        ("uid-one/0#2", "https://10.0.0.1:9004", ""),
        ("uid-one/0#3", "https://10.0.0.1:9005", ""),
        ("uid-two/0#0", "https://[fd00::7]:9002", ""),
        ("uid-two/0#1", "https://[fd00::7]:9003", ""),
    ]
    assert {each.admin for each in instances} == {"http://10.0.0.1:9001", "http://[fd00::7]:9001"}


@pytest.mark.parametrize("state", [{"ready": False}, {"leaving": True}, {"leaving": True, "ready": False}])
def test_one_that_starts_or_drains_is_there_and_does_not_serve(state: dict[str, Any]) -> None:
    (serving,), (other,) = told(a_router("one")).instances(), told(a_router("one", **state)).instances()
    assert (serving.id, serving.serves, other.id, other.serves) == ("uid-one/0#0", True, "uid-one/0#0", False)


def stopped(name: str = "router") -> dict[str, Any]:
    return {"name": name, "restartCount": 0, "state": {"terminated": ended()}}


@pytest.mark.parametrize(
    "state",
    [
        {"ip": ""},
        {"phase": "Pending"},
        {"phase": "Failed"},
        {"phase": "Succeeded"},
        {"containers": (waiting("CrashLoopBackOff", name="router"),)},
        {"containers": (stopped(), running("mesh"))},
        {"containers": (stopped("gate"), stopped("mesh"))},
    ],
)
def test_one_that_does_not_run_is_none(state: dict[str, Any]) -> None:
    assert told(a_router("one", **state)).instances() == ()


def test_whatever_container_has_the_router_where_none_has_its_name() -> None:
    assert told(a_router("one", containers=(stopped("mesh"), running("gate")))).instances()
    assert told(a_router("one", containers=())).instances()


def test_a_restart_makes_others_and_one_of_what_is_beside_it_does_not() -> None:
    def id_of(*containers: dict[str, Any]) -> str:
        return told(a_router("one", containers=containers)).instances()[0].id

    assert id_of(running("router", restarts=2), running("mesh", restarts=5)) == "uid-one/2#0"
    assert id_of(running("gate", restarts=2), running("mesh", restarts=5)) == "uid-one/7#0"


def test_it_knows_itself_whatever_is_said_of_its_number() -> None:
    routers = told(a_router("two"), own=OWN)
    assert routers.own_id(0) == ""
    routers.put("gate/one", a_router("one", phase="Pending"))
    assert (routers.own_id(0), routers.own_id(3)) == ("uid-one/0#0", "uid-one/0#3")
    routers.put("gate/one", a_router("one", containers=(running("router", restarts=1),)))
    assert routers.own_id(0) == routers.instances()[0].id == "uid-one/1#0"
    routers.put("gate/one", None)
    assert routers.own_id(0) == ""
    assert told(a_router("one")).own_id(0) == ""


def test_those_of_another_installation_in_the_namespace_are_strangers() -> None:
    def label(name: str) -> dict[str, str]:
        return {"app.kubernetes.io/instance": name}

    pods = [a_router("one", labels=label("a")), a_router("two", labels=label("a")), a_router("new", labels=label("b"))]
    assert [each.id for each in told(*pods, own=OWN).instances()] == ["uid-one/0#0", "uid-two/0#0"]
    assert len(told(*pods).instances()) == 3, "who has no Pod can't tell"
    late = told(*pods[1:], own=OWN)
    assert len(late.instances()) == 2
    late.put("gate/one", pods[0])
    assert len(late.instances()) == 2
    late.put("gate/two", None)
    late.put("gate/two", None)
    assert [each.id for each in late.instances()] == ["uid-one/0#0"]


def test_what_does_not_change_is_the_very_object_that_it_was() -> None:
    routers = told(a_router("one"), a_router("two"))
    before = routers.instances()
    routers.put("gate/one", a_router("one"))
    routers.put("gate/gone", None)
    assert routers.instances() is before
