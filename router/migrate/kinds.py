"""Of which kind is this document?

Pure. By what only documents of that kind hold; `$schema`, where it is given, has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from router.migrate.fields import Take, plain
from router.migrate.v1 import TABLE as V1
from router.migrate.v2 import ENDPOINT

Kind = Literal["v1", "endpoint", "deployment"]

KNOWN = (
    "known are: a v1 deploymentconfig.json, the keyword arguments of a v1 deploy_configuration(...), a v1 webservice "
    "as webservice.serialize() gives it, a v2 online endpoint, a v2 online deployment"
)
_V1_MARKS = {path.partition(".")[0] for path, fate in V1.items() if isinstance(fate, Take)} - {"name", "namespace"}
_ENDPOINT_MARKS = set(ENDPOINT) - {"$schema", "name", "type", "kind", "id", "tags", "properties", "description"}
_OTHER_COMPUTES = {"aci": "an Azure Container Instance", "local": "a local container"}


def kind_of(document: object) -> Kind:
    """Raises ValueError that says what the document looks like instead."""
    if not isinstance(document, dict):
        raise ValueError(f"is no mapping, but {_article(type(document).__name__)}; {KNOWN}")
    if (other := _other(document)) is not None:
        raise ValueError(f"looks like {other}; {KNOWN}")
    if (kind := _by_schema(document)) is not None:
        return kind
    names = set(map(str, document))
    if "endpoint_name" in names:
        return "deployment"
    if names & (_V1_MARKS | {"computeType", "containerResourceRequirements", "cpu_cores", "versions"}):
        return "v1"
    if "name" in names and names & _ENDPOINT_MARKS:
        return "endpoint"
    some = ", ".join(plain(name) for name in sorted(names)[:5])
    raise ValueError(f"is of no known kind, with {some or 'nothing'} in it; {KNOWN}")


def _by_schema(document: Mapping[Any, Any]) -> Kind | None:
    schema = str(document.get("$schema", "")).lower()
    if "onlinedeployment" in schema:
        return "deployment"
    if "onlineendpoint" in schema:  # some give a deployment the schema of its endpoint
        return "deployment" if "endpoint_name" in document else "endpoint"
    return None


def _other(document: Mapping[Any, Any]) -> str | None:
    """What is often given instead, by its name."""
    schema = str(document.get("$schema", ""))
    compute = str(document.get("computeType", "")).lower()
    match document:
        case {"apiVersion": str(version), "kind": "InferenceEndpoint"} if version.startswith("scoregate.io/"):
            return "an InferenceEndpoint already"
        case {"apiVersion": str(), "kind": str(kind)}:
            return f"a Kubernetes object of kind {plain(kind)}"
        case {"entryScript": _} | {"entry_script": _}:
            return "a v1 inferenceconfig.json, which says how the model's image is made"
        case {"properties": {"endpointComputeType": _} | {"authMode": _}} | {"resources": [{"type": _}, *_]}:
            return "a resource of Azure's resource manager: save what `az ml online-deployment show` prints instead"
    if "batch" in schema.lower():
        return "a batch endpoint or deployment, which no router serves"
    if schema and "online" not in schema.lower():
        return f"a document of {plain(schema.rpartition('/')[2])}"
    return _OTHER_COMPUTES.get(compute, f"a configuration for {plain(compute)}") if compute not in ("", "aks") else None


def _article(name: str) -> str:
    return {"str": "text", "list": "a list", "int": "a number", "float": "a number"}.get(name, name)
