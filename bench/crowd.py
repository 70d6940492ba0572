"""What does the API server say of a cluster with thousands of Pods?

Pure. Made-up objects of the size and shape that real ones have: a Pod is some 6 KB of JSON, of which a router reads a
tenth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

NAMESPACE = "models"
PAGE = 500
"""Objects in one page of a list."""

_CREATED = "2026-01-01T00:00:00Z"


def workload_name(number: int) -> str:
    return f"model-{number:05}"


def pod_name(number: int, workloads: int) -> str:
    """Pods are dealt to the workloads in turn."""
    return f"{workload_name(number % workloads)}-7c9f8d6b5f-{number:05}"


def pod_json(number: int, workloads: int, *, ready: bool = True, version: int = 1) -> bytes:
    """`version`: what the API server counts up with each change."""
    name, app = pod_name(number, workloads), workload_name(number % workloads)
    meta = _metadata(name, version, labels={"app": app, "pod-template-hash": "7c9f8d6b5f", "tier": "inference"})
    meta["generateName"] = f"{app}-7c9f8d6b5f-"
    meta["annotations"] = {"prometheus.io/scrape": "true", "k8s.v1.cni.cncf.io/network-status": "[{}]" * 40}
    meta["managedFields"] = [_managed(manager) for manager in ("kube-controller-manager", "kubelet")]
    return msgspec.json.encode({"metadata": meta, "spec": _pod_spec(app), "status": _pod_status(number, ready=ready)})


def pages(pods: int, workloads: int) -> Iterator[bytes]:
    """The list of all Pods, as it comes."""
    for first in range(0, pods, PAGE):
        items = b",".join(pod_json(number, workloads) for number in range(first, min(first + PAGE, pods)))
        yield b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[%b]}' % items


def workload_json(number: int, replicas: int) -> bytes:
    name = workload_name(number)
    template = {"metadata": {"labels": {"app": name}}, "spec": _pod_spec(name)}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return msgspec.json.encode({"metadata": _metadata(name), "spec": spec, "status": {"replicas": replicas}})


def endpoint_json(number: int) -> bytes:
    """Of an endpoint with one deployment, which has the workload of the same number."""
    workload = {"kind": "Deployment", "name": workload_name(number)}
    deployment = {"name": "blue", "workload": workload, "scaleSettings": {"maxInstances": 100}}
    spec = {"auth": {"mode": "none"}, "deployments": [deployment]}
    meta = _metadata(workload_name(number))
    return msgspec.json.encode(
        {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint", "metadata": meta, "spec": spec}
    )


def _metadata(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    fixed = {"namespace": NAMESPACE, "uid": f"6f0b7a52-3c1e-4d7a-9a4e-{name}", "creationTimestamp": _CREATED}
    return {"name": name, "resourceVersion": str(version), **fixed, **more}


def _managed(manager: str) -> dict[str, Any]:
    """Who wrote which field: the largest part of a Pod."""
    fields = {f"f:{field}": {".": {}, "f:name": {}, "f:value": {}, "f:valueFrom": {}} for field in _FIELDS}
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": _CREATED, "fieldsV1": fields}


_FIELDS = [f'k:{{"containerPort":{port},"protocol":"TCP"}}' for port in range(5001, 5018)]


def _pod_spec(app: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/", "port": 5001, "scheme": "HTTP"}, "periodSeconds": 10, "failureThreshold": 30}
    container = {
        "name": "model",
        "image": f"registry.example/models/{app}@sha256:{'0' * 64}",
        "ports": [{"containerPort": 5001, "protocol": "TCP"}],
        "env": [{"name": f"AZUREML_SETTING_{number}", "value": "x" * 24} for number in range(12)],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    }
    tolerated = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return {
        "containers": [container],
        "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "nodeName": "node-0042",
        "tolerations": [{"key": key, "operator": "Exists", "tolerationSeconds": 300} for key in tolerated],
    }


def _pod_status(number: int, *, ready: bool) -> dict[str, Any]:
    kinds = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    is_so = "True" if ready else "False"
    conditions = [
        {
            "type": kind,
            "status": is_so if "Ready" in kind else "True",
            "lastProbeTime": None,
            "lastTransitionTime": _CREATED,
        }
        for kind in kinds
    ]
    container = {"name": "model", "ready": ready, "restartCount": 0, "state": {"running": {"startedAt": _CREATED}}}
    ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return {"phase": "Running", "podIP": ip, "conditions": conditions, "containerStatuses": [container]}
