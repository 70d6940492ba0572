"""What does an administrator find in a cluster?

I/O: none itself. An endpoint `iris` with the deployments blue, which scales, and green, which does not, its workloads,
a Pod of each, and its keys.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from router.core.keys import Keys, regenerated
from router.core.model import Hold, Replica
from router.platforms.kubernetes import KubernetesPlatform
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer

PRIMARY, SECONDARY, FRESH = "0123456789abcdef", "fedcba9876543210", "a-fresh-key-of-the-tests"
TWO = Keys(PRIMARY, SECONDARY)
HELD = Hold(replicas=3, until_s=1_790_000_000.0)


def spec(**more: Any) -> dict[str, Any]:
    scaled = {"scaleSettings": {"minInstances": 1, "maxInstances": 4}}
    deployments = [
        {"name": "blue", "workload": {"kind": "Deployment", "name": "iris-blue"}, **scaled},
        {"name": "green", "workload": {"kind": "Deployment", "name": "iris-green"}},
    ]
    return {"traffic": {"blue": 90, "green": 10}, "deployments": deployments, **more}


def fill(server: FakeApiServer) -> None:
    for name in ("blue", "green"):
        server.put("deployments", documents.workload("Deployment", f"iris-{name}", "models"))
        server.put("pods", documents.pod(f"{name}-1", "models", app=f"iris-{name}"))
        server.make_ready(f"{name}-1", "models")
    server.put("secrets", keys_secret(note="mine"))
    server.put("inferenceendpoints", documents.endpoint("iris", "models", **spec()))
    server.put("secrets", documents.secret("scoregate-vault", "home", "scoregate.io/vault"))


def keys_secret(**more: str) -> dict[str, Any]:
    return documents.secret("iris-keys", "models", primaryKey=PRIMARY, secondaryKey=SECONDARY, **more)


def data(server: FakeApiServer) -> dict[str, str]:
    """Of the Secret with the keys."""
    secret = server.get("secrets", "iris-keys", "models")
    assert secret is not None
    return {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}


def resource(server: FakeApiServer) -> dict[str, Any]:
    found = server.get("inferenceendpoints", "iris", "models")
    assert found is not None
    return found


def adopt(server: FakeApiServer) -> None:
    """Beside it an endpoint `rose` of Azure ML's v1."""
    labels = {"isazuremlapp": "true", "azuremlappname": "rose", "webservicename": "rose"}
    workload = documents.workload("Deployment", "rose", "models")
    server.put("deployments", {**workload, "metadata": {**workload["metadata"], "labels": labels}})
    server.put("secrets", documents.secret("rose-keys", "models", primaryKey=PRIMARY, secondaryKey=SECONDARY))


def patches(server: FakeApiServer) -> list[tuple[str, Any]]:
    return [(asked.path, json.loads(asked.body)) for asked in server.requests if asked.method not in ("GET",)]


def is_patch(method: str, path: str) -> bool:
    return method == "PATCH"


def replica(platform: KubernetesPlatform, deployment: str = "iris/blue") -> Replica:
    (found,) = (each for each in platform.snapshot.replicas if each.deployment == deployment)
    return found


def to_fresh(keys: Keys) -> Keys:
    return regenerated(keys, "primary", FRESH)
