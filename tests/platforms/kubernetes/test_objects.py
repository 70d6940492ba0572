"""objects.py: what the API server really sends is read, and keys are shown to nobody."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rich.pretty import pretty_repr

from router.core.auth import hashed
from router.platforms.kubernetes.objects import BadKeys, KeysSecret, Metadata, Pod, Workload, shortened
from tests.platforms.kubernetes.nouns import (
    PRIMARY,
    SECONDARY,
    a_pod,
    a_secret,
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


def test_a_secret_becomes_the_hashes_of_its_keys() -> None:
    assert a_secret("iris-keys").hashes() == hashed(PRIMARY, SECONDARY)
    assert a_secret("iris-keys", "p" * 16, "s" * 256).hashes() == hashed("p" * 16, "s" * 256)


@pytest.mark.parametrize(
    ("primary", "secondary", "says"),
    [
        (None, SECONDARY, "has no primaryKey"),
        (PRIMARY, None, "has no secondaryKey"),
        ("too-short", SECONDARY, "a primaryKey of 9 bytes, but it must be 16 to 256 printable ASCII"),
        (PRIMARY, "x" * 257, "a secondaryKey of 257 bytes, but it must"),
        (PRIMARY + "\n", SECONDARY, "a primaryKey of 25 bytes"),
        ("with spaces in the key", SECONDARY, "a primaryKey of 22 bytes"),
        (PRIMARY, "not-äscii-but-long", "a secondaryKey of 19 bytes"),
    ],
)
def test_what_is_no_key_is_named_and_never_quoted(primary: str | None, secondary: str | None, says: str) -> None:
    with pytest.raises(BadKeys, match=f"^Secret iris-keys in namespace models has .*{says[4:]}") as caught:
        a_secret("iris-keys", primary, secondary).hashes()
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert not any(key in shown for key in (primary, secondary) if key is not None)


def test_no_repr_shows_a_key_not_even_in_what_kubectl_applied() -> None:
    applied = json.dumps({"data": {"primaryKey": "cHJpbWFyeS1rZXktb2YtdGhlLXRlc3Rz"}})
    secret = a_secret("iris-keys", annotations={"kubectl.kubernetes.io/last-applied-configuration": applied})
    assert secret.metadata.annotations == {}
    for thing in (secret, secret.data, secret.metadata, [secret], {"a": secret.metadata}):
        for shown in (repr(thing), str(thing), pretty_repr(thing)):
            assert PRIMARY not in shown
            assert "cHJpbWFyeS" not in shown
    assert "models/iris-keys" in repr(secret)
    assert "models/iris-keys" in pretty_repr(secret)


def test_other_entries_of_a_secret_are_not_even_read() -> None:
    secret = decoded(KeysSecret, {"metadata": {"name": "iris"}, "data": {"tls.key": "c2VjcmV0"}})
    assert msgspec.to_builtins(secret)["data"] == {"primaryKey": None, "secondaryKey": None}


def test_metadata_show_what_an_operator_asks_for() -> None:
    shown = repr(decoded(Metadata, metadata("iris", resourceVersion="7")))
    assert shown == "Metadata(models/iris, uid='uid-iris', resource_version='7')"


def test_a_long_message_is_cut_and_a_short_one_left_alone() -> None:
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 201) == "x" * 199 + "…"
