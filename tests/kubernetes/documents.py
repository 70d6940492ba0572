"""Which objects do tests put into a cluster?

Pure. The least that a real API server accepts of each kind.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

MANUAL = {"test-kubelet/manual": "true"}
"""On a Pod of the real control plane: it is bound to a node, and the test writes its status."""

_CONTAINERS = [{"name": "model", "image": "model:1"}]


def metadata(name: str, namespace: str | None = None, **more: Any) -> Document:
    return {"name": name, **({} if namespace is None else {"namespace": namespace}), **more}


def pod(name: str, namespace: str | None = None, **labels: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, namespace, labels=labels, annotations=MANUAL),
        "spec": {"containers": _CONTAINERS},
    }


def workload(kind: str, name: str, namespace: str | None = None, replicas: int = 1, **labels: str) -> Document:
    """A Deployment or a StatefulSet, of Pods with these labels."""
    labels = labels or {"app": name}
    template = {"metadata": {"labels": labels, "annotations": MANUAL}, "spec": {"containers": _CONTAINERS}}
    spec: Document = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata(name, namespace), "spec": spec}


def secret(name: str, namespace: str | None = None, kind: str = "scoregate.io/keys", **data: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, namespace),
        "type": kind,
        "stringData": data,
    }


def lease(name: str, namespace: str | None = None, holder: str = "a", **spec: Any) -> Document:
    kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    return {**kind, "metadata": metadata(name, namespace), "spec": {"holderIdentity": holder, **spec}}


def autoscaler(name: str, kind: str, workload_name: str, namespace: str | None = None) -> Document:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": workload_name}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 3}
    head = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}
    return {**head, "metadata": metadata(name, namespace), "spec": spec}


def event(name: str, namespace: str, about: str, **more: Any) -> Document:
    """Of an InferenceEndpoint."""
    involved = {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint", "name": about, "namespace": namespace}
    head = {"apiVersion": "v1", "kind": "Event", "metadata": metadata(name, namespace)}
    return {**head, "involvedObject": involved, "reason": "Missing", "message": "m", "type": "Warning", **more}


def endpoint(name: str, namespace: str | None = None, **spec: Any) -> Document:
    head = {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint"}
    return {**head, "metadata": metadata(name, namespace), "spec": spec}
