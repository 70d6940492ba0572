"""What did the user declare?

Pure. Plain objects, as a YAML or JSON reader gives them, become the nouns of model.py, or one list of everything
that is wrong with them; and the nouns become plain objects again, with every default filled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from router.core.declaration import (
    DEFAULTS,
    Declaration,
    DeclaredDeployment,
    Metadata,
    Spec,
    problems_between_values,
)
from router.core.model import (
    Addresses,
    Deployment,
    Endpoint,
    Pods,
    Process,
    RequestSettings,
    TokenSettings,
    Workload,
)
from router.core.rules import API_VERSION, KIND, is_name
from router.core.shape import complaint, problems_of

DEFAULT_NAMESPACE = "default"
"""Where a resource is that names none, as for Kubernetes."""

_V1_REQUEST_SETTINGS = RequestSettings(request_timeout_ms=60_000)


class DeclarationError(ValueError):
    """What was declared can't be used. `problems` has one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def declared_endpoints(documents: Sequence[object]) -> tuple[Endpoint, ...]:
    """The endpoints of these documents, one each, in their order. A null is the same as nothing given.

    Raises DeclarationError with the problems of all documents, each `iris: path.to[0].field: value, but it rule`.
    """
    problems: list[str] = []
    endpoints: list[Endpoint] = []
    labels = [_label(document, number) for number, document in enumerate(documents, start=1)]
    for label, document in zip(labels, documents, strict=True):
        try:
            endpoints.append(_endpoint(document))
        except DeclarationError as error:
            problems += [f"{label}: {problem}" for problem in error.problems]
    for label, times in Counter(labels).items():
        if times > 1:
            problems.append(f"{label}: metadata.name: declared {times} times, but it must be unique")
    if problems:
        raise DeclarationError(problems)
    return tuple(endpoints)


def declared_resource(document: object, namespace: str) -> Endpoint:
    """The endpoint of one custom resource of this namespace, as the API server gives it: what it adds to `metadata`
    and `status` is left aside.

    Raises DeclarationError; also for replicas that are no Pods.
    """
    match document:
        case {"metadata": {"name": name}, **rest}:
            rest.pop("status", None)
            document = {**rest, "metadata": {"name": name, "namespace": namespace}}
    endpoint = _endpoint(document)
    problems = [
        f"spec.deployments[{index}]: {_other_way(deployment)} given, but it must be a workload: in a cluster, replicas "
        "are Pods"
        for index, deployment in enumerate(endpoint.deployments)
        if not isinstance(deployment.workload, Pods)
    ]
    if problems:
        raise DeclarationError(problems)
    return endpoint


def _other_way(deployment: Deployment) -> str:
    return "a process" if isinstance(deployment.workload, Process) else "addresses"


def _label(document: object, number: int) -> str:
    """What problems call the document: its endpoint's name, if it has a good one."""
    match document:
        case {"metadata": {"name": str(name)}} if is_name(name):
            return name
    return f"document {number}"


def _endpoint(document: object) -> Endpoint:
    if not isinstance(document, dict):
        raise DeclarationError([complaint(document, "must be a mapping")])
    given = _without_nulls(document)
    if problems := problems_of(Declaration, given):
        raise DeclarationError(problems)
    declaration = msgspec.convert(_completed(given), Declaration)
    if problems := list(problems_between_values(declaration)):
        raise DeclarationError(problems)
    name, spec = declaration.metadata.name, declaration.spec
    return Endpoint(
        name=name,
        auth_mode=spec.auth.mode,
        also_accepts=spec.auth.also_accepts,
        token=spec.auth.token or TokenSettings(),
        jwt=spec.auth.jwt,
        cors=spec.cors,
        weights=spec.weights,
        deployments=tuple(_deployment(declaration.metadata, spec, declared) for declared in spec.deployments),
        max_payload_bytes=spec.max_payload_bytes,
        forward_authorization=spec.forward_authorization,
        keys_secret=spec.auth.keys_secret,
        creates_keys=spec.auth.create_keys,
    )


def _without_nulls(value: Any) -> Any:
    """Fields without a value are left out. Nulls in lists stay, and are found to be of the wrong shape."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Settings that are given in part keep the rest of the deployment's default, not of their type's."""
    spec = document["spec"]
    v1 = any("trafficPercentile" in given or "isDefault" in given for given in spec["deployments"])
    defaults: dict[str, Struct] = {
        "requestSettings": _V1_REQUEST_SETTINGS if v1 else DEFAULTS.request,
        "readinessProbe": DEFAULTS.readiness_probe,
        "livenessProbe": DEFAULTS.liveness_probe,
    }
    plain_defaults = {name: msgspec.to_builtins(settings) for name, settings in defaults.items()}
    deployments = [
        {**given, **{name: {**default, **given.get(name, {})} for name, default in plain_defaults.items()}}
        for given in spec["deployments"]
    ]
    return {**document, "spec": {**spec, "deployments": deployments}}


def _deployment(metadata: Metadata, spec: Spec, declared: DeclaredDeployment) -> Deployment:
    workload = _workload(metadata.namespace or DEFAULT_NAMESPACE, declared)
    instances = len(workload.addresses) if isinstance(workload, Addresses) else declared.instance_count
    return Deployment(
        endpoint=metadata.name,
        name=declared.name,
        workload=workload,
        instance_count=DEFAULTS.instance_count if instances is None else instances,
        request=declared.request_settings,
        scale=spec.scale_of(declared),
        scoring_route=declared.scoring_route,
        liveness_route=declared.liveness_route,
        readiness_route=declared.readiness_route,
        readiness_probe=declared.readiness_probe,
        liveness_probe=declared.liveness_probe,
        idempotent=declared.idempotent,
        tls=declared.tls,
    )


def _workload(namespace: str, declared: DeclaredDeployment) -> Workload:
    if declared.process is not None:
        return declared.process
    if (chosen := declared.workload) is not None:
        labels = chosen.selector or {}
        return Pods(namespace=namespace, kind=chosen.kind, name=chosen.name, selector=labels, port=declared.port)
    return Addresses(addresses=declared.host_ports)


def effective_settings(endpoint: Endpoint) -> dict[str, object]:
    """The endpoint in the declared shape, every default filled in: plain objects that load again to an equal one.

    Keys are not part of it.
    """
    auth = {
        "mode": endpoint.auth_mode,
        "alsoAccepts": endpoint.also_accepts,
        "token": endpoint.token if endpoint.accepts("token") else None,
        "jwt": endpoint.jwt,
        "keysSecret": endpoint.keys_secret,
        "createKeys": endpoint.creates_keys,
    }
    spec = {
        "auth": _without_nulls(msgspec.to_builtins(auth)),
        **_without_nulls(msgspec.to_builtins({"cors": endpoint.cors})),
        "traffic": dict(endpoint.weights),
        "maxPayloadBytes": endpoint.max_payload_bytes,
        "forwardAuthorization": endpoint.forward_authorization,
        "deployments": [_effective_deployment(deployment) for deployment in endpoint.deployments],
    }
    metadata = {"name": endpoint.name}
    for deployment in endpoint.deployments:
        if isinstance(deployment.workload, Pods):
            metadata["namespace"] = deployment.workload.namespace
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _effective_deployment(deployment: Deployment) -> dict[str, object]:
    replicas: dict[str, object]
    match deployment.workload:
        case Process(command=command, env=env, working_dir=working_dir):
            process = {"command": command, "env": env, "workingDir": working_dir}
            replicas = {"process": process, **_effective_count(deployment)}
        case Addresses(addresses=addresses):
            replicas = {"addresses": addresses}
        case Pods(kind=kind, name=name, selector=selector, port=port):
            workload = {"selector": selector} if name is None else {"kind": kind, "name": name}
            replicas = {"workload": workload, "port": port, **_effective_scale(deployment)}
    settings = {
        "name": deployment.name,
        **replicas,
        "requestSettings": deployment.request,
        "scoringRoute": deployment.scoring_route,
        "livenessRoute": deployment.liveness_route,
        "readinessRoute": deployment.readiness_route,
        "readinessProbe": deployment.readiness_probe,
        "livenessProbe": deployment.liveness_probe,
        "idempotent": deployment.idempotent,
        "tls": deployment.tls,
    }
    plain: dict[str, object] = _without_nulls(msgspec.to_builtins(settings))
    return plain


def _effective_count(deployment: Deployment) -> dict[str, object]:
    """Either the one or the other may be declared."""
    return _effective_scale(deployment) or {"instanceCount": deployment.instance_count}


def _effective_scale(deployment: Deployment) -> dict[str, object]:
    return {} if deployment.scale is None else {"scaleSettings": deployment.scale}
