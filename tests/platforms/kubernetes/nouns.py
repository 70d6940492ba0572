"""What does the API server say, as short as it can be said?

Pure. Objects are decoded from its JSON, as they come: a test says what is special of one.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from router.platforms.kubernetes.keys_secret import KeysSecret
from router.platforms.kubernetes.objects import Autoscaler, EndpointObject, Pod, Workload

T = TypeVar("T")

PRIMARY, SECONDARY = "primary-key-of-the-tests", "secondary-key-of-the-tests"
CREATED = "2026-01-01T00:00:{:02}Z"


def decoded(kind: type[T], document: dict[str, Any]) -> T:
    return msgspec.json.decode(msgspec.json.encode(document), type=kind)


def metadata(name: str, namespace: str = "models", *, uid: str = "", age: int = 0, **more: Any) -> dict[str, Any]:
    """`age`: created so many seconds after the first."""
    created = CREATED.format(age)
    return {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "creationTimestamp": created, **more}


def pod_document(
    name: str,
    namespace: str = "models",
    *,
    labels: dict[str, str] | None = None,
    ip: str = "10.0.0.1",
    ready: bool = True,
    phase: str = "Running",
    leaving: bool = False,
    conditions: tuple[dict[str, str], ...] = (),
    containers: tuple[dict[str, Any], ...] = (),
    first: tuple[dict[str, Any], ...] = (),
    **meta: Any,
) -> dict[str, Any]:
    """`first`: the statuses of its init containers."""
    labels = {"app": "iris"} if labels is None else labels
    meta = metadata(name, namespace, labels=labels, **meta)
    if leaving:
        meta["deletionTimestamp"] = CREATED.format(59)
    is_ready = {"type": "Ready", "status": "True" if ready else "False", "lastProbeTime": None}
    status = {"phase": phase, "conditions": [is_ready, *conditions], "containerStatuses": list(containers)}
    status["initContainerStatuses"] = list(first)
    if ip:
        status["podIP"] = ip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": []}, "status": status}


def a_pod(name: str, namespace: str = "models", **more: Any) -> Pod:
    return decoded(Pod, pod_document(name, namespace, **more))


def unschedulable(message: str = "0/3 nodes are available: 3 Insufficient cpu.") -> dict[str, str]:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


def waiting(reason: str, message: str = "", *, name: str = "model", restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": message}}}


def running(name: str = "model", *, restarts: int = 0, ended: dict[str, Any] | None = None) -> dict[str, Any]:
    """`ended`: how it did the last time."""
    last = {} if ended is None else {"terminated": ended}
    state = {"running": {"startedAt": CREATED.format(1)}}
    return {"name": name, "restartCount": restarts, "state": state, "lastState": last}


def ended(after_s: int = 2, *, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    times = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (began, began + timedelta(seconds=after_s)))
    return {"reason": reason, "exitCode": code, **dict(zip(("startedAt", "finishedAt"), times, strict=True))}


def a_workload(
    name: str,
    namespace: str = "models",
    *,
    selector: dict[str, Any] | None = None,
    replicas: int = 1,
    port: int | None = 5001,
    conditions: tuple[dict[str, str], ...] = (),
    **meta: Any,
) -> Workload:
    """Chooses Pods labelled `app: <name>`, unless told otherwise."""
    ports = [] if port is None else [{"containerPort": port}]
    template = {"metadata": {"creationTimestamp": None}, "spec": {"containers": [{"name": "model", "ports": ports}]}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}} if selector is None else selector,
        "template": template,
    }
    document = {"metadata": metadata(name, namespace, **meta), "spec": spec, "status": {"conditions": list(conditions)}}
    return decoded(Workload, document)


def a_v1_workload(name: str, endpoint: str = "iris", namespace: str = "azureml-ws", **more: Any) -> Workload:
    labels = {"isazuremlapp": "true", "azuremlappname": endpoint, "webservicename": endpoint}
    return a_workload(name, namespace, **{"labels": labels, **more})


def a_deployment(name: str = "blue", workload: str = "iris", **more: Any) -> dict[str, Any]:
    """As a resource declares it."""
    return {"name": name, "workload": {"kind": "Deployment", "name": workload}, **more}


def a_resource(
    name: str,
    namespace: str = "models",
    *deployments: dict[str, Any],
    auth: dict[str, Any] | None = None,
    status: Any = None,
    traffic: dict[str, int] | None = None,
    **meta: Any,
) -> EndpointObject:
    """Without a deployment: `blue`, which the Deployment of the same name has."""
    declared = list(deployments) or [a_deployment(workload=name)]
    spec: dict[str, Any] = {"auth": {"mode": "none"} if auth is None else auth, "deployments": declared}
    if traffic is not None:
        spec["traffic"] = traffic
    document = {"metadata": metadata(name, namespace, **meta), "spec": spec, "status": status}
    return decoded(EndpointObject, {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint", **document})


def an_autoscaler(name: str, workload: str, namespace: str = "models", kind: str = "Deployment") -> Autoscaler:
    scaled = {"apiVersion": "apps/v1", "kind": kind, "name": workload}
    return decoded(Autoscaler, {"metadata": metadata(name, namespace), "spec": {"scaleTargetRef": scaled}})


def a_secret(
    name: str,
    primary: str | None = PRIMARY,
    secondary: str | None = SECONDARY,
    *,
    more: dict[str, bytes] | None = None,
    **meta: Any,
) -> KeysSecret:
    """`more`: its other entries."""
    keys = {"primaryKey": primary, "secondaryKey": secondary}
    given = {field: key.encode() for field, key in keys.items() if key is not None} | (more or {})
    data = {field: base64.b64encode(content).decode() for field, content in given.items()}
    return decoded(KeysSecret, {"metadata": metadata(name, **meta), "type": "scoregate.io/keys", "data": data})
