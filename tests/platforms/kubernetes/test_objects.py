"""objects.py: what the API server really sends is read, and no more of it than is used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.platforms.kubernetes.objects import EndpointObject, Metadata, Pod, Workload, shortened
from tests.platforms.kubernetes.nouns import (
    a_pod,
    a_resource,
    a_workload,
    an_autoscaler,
    decoded,
    metadata,
)

POD_AS_SENT = b"""{
 "kind": "Pod", "apiVersion": "v1",
 "metadata": {"name": "iris-6c", "generateName": "iris-", "namespace": "models", "uid": "8e", "resourceVersion": "71",
  "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:01:00Z",
  "deletionGracePeriodSeconds": 30, "labels": {"app": "iris"},
  "annotations": {"a": "b", "scoregate.io/leave-order": "-7"},
  "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "iris", "uid": "1", "controller": true}],
  "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:podIP": {}}}}]},
 "spec": {"containers": [{"name": "model", "image": "model", "ports": [{"containerPort": 5001}], "resources": {}}]},
 "status": {"phase": "Running", "podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}], "startTime": null,
  "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00Z"}],
  "containerStatuses": [{"name": "model", "state": {"running": {"startedAt": "2026-01-01T00:00:01Z"}}, "lastState": {},
   "ready": true, "restartCount": 2, "image": "model", "imageID": "", "containerID": "test://0", "started": true}],
  "qosClass": "BestEffort"}}"""


def test_a_pod_is_read_as_it_is_sent() -> None:
    pod = msgspec.json.decode(POD_AS_SENT, type=Pod)
    assert (pod.metadata.key, pod.metadata.uid, pod.metadata.resource_version) == ("models/iris-6c", "8e", "71")
    assert (pod.metadata.labels, pod.metadata.annotations) == ({"app": "iris"}, {"scoregate.io/leave-order": "-7"})
    assert pod.metadata.deletion_timestamp == "2026-01-01T00:01:00Z"
    assert (pod.status.phase, pod.status.pod_ip) == ("Running", "10.244.0.7")
    (container,) = pod.status.container_statuses
    assert (container.name, container.restart_count, container.state.waiting) == ("model", 2, None)


def test_a_pod_that_has_only_been_made_is_read() -> None:
    pod = decoded(Pod, {"metadata": {"name": "iris", "creationTimestamp": None}, "status": {}})
    assert (pod.status.phase, pod.status.pod_ip, pod.takes_requests) == ("Pending", "", False)


@pytest.mark.parametrize(
    ("state", "takes"),
    [
        ({}, True),
        ({"ready": False}, False),
        ({"leaving": True}, False),
        ({"phase": "Pending"}, False),
        ({"phase": "Failed"}, False),
        ({"ip": ""}, False),
    ],
)
def test_requests_go_to_a_pod_that_runs_is_ready_and_stays(state: dict[str, Any], takes: bool) -> None:
    assert a_pod("iris", **state).takes_requests is takes


def test_a_workload_says_how_many_it_wants_and_which_port_comes_first() -> None:
    workload = a_workload("iris", replicas=3, port=8080)
    assert (workload.spec.replicas, workload.first_port) == (3, 8080)
    assert workload.spec.selector.match_labels == {"app": "iris"}
    assert a_workload("iris", port=None).first_port is None


def test_the_first_port_is_that_of_the_first_container_that_has_one() -> None:
    containers = [{"name": "log"}, {"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}]
    document = {"metadata": metadata("iris"), "spec": {"template": {"spec": {"containers": containers}}}}
    workload = decoded(Workload, document)
    assert (workload.first_port, workload.spec.replicas) == (1, 1)


def test_an_autoscaler_says_what_it_scales() -> None:
    scaled = an_autoscaler("hpa", "iris", kind="StatefulSet").spec.scale_target_ref
    assert (scaled.kind, scaled.name) == ("StatefulSet", "iris")


def test_the_oldest_comes_first_and_the_uid_decides_within_a_second() -> None:
    pods = [a_pod("c", uid="2", age=1), a_pod("b", uid="1", age=1), a_pod("a", uid="3", age=0)]
    assert [pod.metadata.name for pod in sorted(pods, key=lambda pod: pod.metadata.age)] == ["a", "b", "c"]


def test_metadata_show_what_an_operator_asks_for() -> None:
    shown = repr(decoded(Metadata, metadata("iris", resourceVersion="7")))
    assert shown == "Metadata(models/iris, uid='uid-iris', resource_version='7')"


def test_a_long_message_is_cut_and_a_short_one_left_alone() -> None:
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 201) == "x" * 199 + "…"


def test_all_annotations_of_an_endpoint_are_read_and_just_ours_of_others() -> None:
    notes = {"scoregate.io/hold.blue": "{}", "a": "b", "scoregate.io/drained": "true"}
    assert a_resource("iris", annotations=notes).metadata.annotations == notes
    assert a_workload("iris", annotations=notes).metadata.annotations == {"scoregate.io/drained": "true"}
    assert repr(a_resource("iris").metadata).startswith("EndpointMetadata(models/iris, ")
    assert decoded(EndpointObject, {"metadata": {"name": "iris"}}).metadata.annotations == {}


@pytest.mark.parametrize(
    ("note", "workers"),
    [("1", 1), ("4", 4), ("64", 64), ("65", 1), ("0", 1), ("-1", 1), ("", 1), ("two", 1), ("٣", 1), ("9" * 9_000, 1)],
)
def test_a_routers_pod_says_how_many_workers_it_has(note: str, workers: int) -> None:
    assert a_pod("router", annotations={"scoregate.io/workers": note}).workers == workers
    assert a_pod("router").workers == 1


@pytest.mark.parametrize(("note", "drained"), [("true", True), ("True", False), ("", False), (None, False)])
def test_a_pod_is_drained_where_that_very_word_says_so(note: str | None, drained: bool) -> None:
    annotations = {} if note is None else {"scoregate.io/drained": note}
    assert a_pod("iris", annotations=annotations).is_drained is drained
