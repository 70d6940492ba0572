"""kinds.py: what a document is, and what it looks like if it is none that is known."""

from __future__ import annotations

from typing import Any

import pytest

from router.migrate.kinds import kind_of

SCHEMA = "https://azuremlschemas.azureedge.net/latest/"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"computeType": "aks"}, "v1"),
        ({"computeType": "AKS", "name": "iris", "scoringUri": "http://x"}, "v1"),
        ({"autoScaler": {}}, "v1"),
        ({"cpu_cores": 1}, "v1"),
        ({"scoring_timeout_ms": 1}, "v1"),
        ({"name": "iris", "versions": {}}, "v1"),
        ({"$schema": SCHEMA + "kubernetesOnlineDeployment.schema.json"}, "deployment"),
        ({"$schema": SCHEMA + "managedOnlineDeployment.schema.json", "name": "blue"}, "deployment"),
        ({"$schema": SCHEMA + "managedOnlineEndpoint.schema.json", "name": "blue", "endpoint_name": "x"}, "deployment"),
        ({"$schema": SCHEMA + "kubernetesOnlineEndpoint.schema.json", "name": "iris"}, "endpoint"),
        ({"name": "blue", "endpoint_name": "iris"}, "deployment"),
        ({"name": "iris", "auth_mode": "key"}, "endpoint"),
        ({"name": "iris", "compute": "azureml:k8s"}, "endpoint"),
    ],
)
def test_the_kind_of_a_document(document: dict[str, Any], kind: str) -> None:
    assert kind_of(document) == kind


@pytest.mark.parametrize(
    ("document", "looks"),
    [
        (None, "is no mapping, but NoneType"),
        ("text", "is no mapping, but text"),
        ([1], "is no mapping, but a list"),
        ({}, "is of no known kind, with nothing in it"),
        ({"b": 1, "a": 2}, "is of no known kind, with a, b in it"),
        ({"name": "iris", "tags": {}}, "is of no known kind, with name, tags in it"),
        ({7: 1}, "is of no known kind, with 7 in it"),
        ({"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint"}, "looks like an InferenceEndpoint already"),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, "looks like a Kubernetes object of kind Deployment"),
        ({"entryScript": "score.py", "runtime": "python"}, "looks like a v1 inferenceconfig.json"),
        ({"properties": {"endpointComputeType": "Kubernetes"}}, "looks like a resource of Azure's resource manager"),
        ({"resources": [{"type": "Microsoft"}]}, "looks like a resource of Azure's resource manager"),
        ({"$schema": SCHEMA + "batchEndpoint.schema.json"}, "looks like a batch endpoint or deployment"),
        ({"$schema": SCHEMA + "commandJob.schema.json"}, "looks like a document of commandJob.schema.json"),
        ({"computeType": "ACI"}, "looks like an Azure Container Instance"),
        ({"computeType": "iot"}, "looks like a configuration for iot"),
    ],
)
def test_what_else_it_looks_like(document: object, looks: str) -> None:
    with pytest.raises(ValueError, match=r"known are: a v1 deploymentconfig\.json, ") as caught:
        kind_of(document)
    assert str(caught.value).startswith(looks)
