"""What does each field of the custom resource mean, in the words that `kubectl explain` shows?

Pure. The docstring under a field is its description. Where the noun is told for every platform alike, or a name says
enough in Python, the words for a cluster are here.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

from msgspec import Struct

from router.core.declaration import Auth, DeclaredDeployment, DeclaredScale, DeclaredWorkload, Metadata, Spec
from router.core.model import (
    Cors,
    Deployment,
    JwtSettings,
    Probe,
    ReplicaTls,
    RequestSettings,
    Route,
    ScaleSettings,
    TokenSettings,
)

_KUBELETS = "Not used in a cluster: there the kubelet probes, as the Pod's own template says."

IN_A_CLUSTER: dict[type[Struct], dict[str, str]] = {
    Metadata: {
        "name": "Of the endpoint: it is served at /api/v1/endpoint/<name>/score.",
    },
    Spec: {
        "auth": "How requests prove that they may be served.",
        "traffic": "Percent of the requests for each deployment, by its name; sums to 0 or 100. One that is not named "
        "gets 0. Not given: a single deployment gets all.",
        "max_payload_bytes": "Larger request bodies are answered with 413.",
        "forward_authorization": "Whether the model sees the Authorization header of a request.",
        "cors": "What pages of other origins may do, in a browser. Not given: the model answers whatever browsers ask.",
        "deployments": "The versions behind the endpoint. Names are unique in it, and at most 62 characters together "
        "with the endpoint's.",
    },
    Auth: {
        "mode": "`key` wants `Authorization: Bearer <key>` with one of the endpoint's keys; `token` a token that this "
        "router issued to an administrator; `jwt` one of an OIDC issuer; `none` lets everybody in.",
        "also_accepts": "Other modes whose credentials open it, too; of use while clients move from one to another.",
        "token": "For how long tokens of this router are good. Only where they are accepted.",
        "jwt": "Whose tokens are taken, and which of them. Required where tokens of an issuer are accepted.",
        "keys_secret": "The Secret of type scoregate.io/keys, in the same namespace, that holds primaryKey, "
        "secondaryKey, and named.<name> for each named key. Default: <endpoint>-keys.",
        "create_keys": "Whether that Secret is made, with two new keys, where it is missing.",
    },
    DeclaredDeployment: {
        "name": "Of this version. The request header azureml-model-deployment chooses one by it.",
        "workload": "Whose Pods the replicas are: the Deployment or StatefulSet of this kind and name, or all Pods "
        "with these labels. They are in the namespace of the endpoint.",
        "port": "Where a Pod takes requests.",
        "scale_settings": "How the number of replicas follows the load. Not given: it is the workload's own "
        "spec.replicas. Only for a workload with kind and name.",
        "request_settings": "How the deployment takes requests.",
        "scoring_route": "Where on a replica /score goes.",
        "liveness_route": _KUBELETS,
        "readiness_route": _KUBELETS,
        "liveness_probe": _KUBELETS,
        "readiness_probe": _KUBELETS,
        "tls": "That replicas speak HTTPS, and how each proves who it is. Not given: plain HTTP.",
        "traffic_percentile": "The v1 way to split traffic, instead of spec.traffic: percent for this version.",
        "is_default": "The v1 way: this version gets what trafficPercentile leaves of 100. At most one is; the first, "
        "where none says so.",
    },
    DeclaredWorkload: {
        "kind": "Of the workload.",
        "name": "Of the workload.",
        "selector": "Labels that a Pod must all have, where no workload is named. At least one.",
    },
    TokenSettings: {
        "refresh_after": "A client should ask for the next token when the present one is so old. In seconds.",
        "valid_past_refresh": "So much longer the token is still taken. In seconds.",
    },
    JwtSettings: {
        "algorithms": "How a token may be signed. Default: RS256, PS256, ES256, EdDSA.",
        "ca_bundle": "PEM certificates that the issuer's own is checked with. Default: the system's.",
    },
    Cors: {
        "allow_methods": "Default: GET, POST.",
        "allow_headers": "That a page may send. Default: those that clients of an endpoint use.",
        "expose_headers": "That a page may read. Default: azureml-model-deployment, x-ms-request-id, x-request-id, "
        "retry-after.",
    },
    ReplicaTls: {
        "server_name": "The name in the replica's certificate. Default: the address of its Pod.",
        "ca_bundle": "PEM certificates that the replica's own is checked with. Default: the system's.",
    },
    RequestSettings: {
        "request_timeout_ms": "From the moment the request has a slot to the last byte of its reply; then 504. "
        "Default: 5000; 60000 where trafficPercentile or isDefault is used.",
    },
    DeclaredScale: {
        "type": "`default` is a fixed number, the same as no scaleSettings. Default: targetUtilization.",
        "min_instances": "Never fewer. 0 lets an idle deployment go to none; its next request waits for a replica. "
        "Default: 1.",
        "max_instances": "Never more. Default: 1; 10 where trafficPercentile or isDefault is used.",
    },
    Probe: {
        "initial_delay": "Seconds before the first probe.",
        "period": "Seconds between two probes.",
        "timeout": "Seconds a probe may take.",
        "success_threshold": "How many probes in a row must succeed.",
    },
    Route: {
        "path": "On the replica.",
        "port": "Default: the replica's own.",
    },
}
"""These go before docstrings, by the field's name in Python."""

TOLD_BY: dict[type[Struct], type[Struct]] = {DeclaredScale: ScaleSettings, DeclaredDeployment: Deployment}
"""Whose docstrings tell of fields that have the same name here."""

DEFAULTS_TOLD = frozenset((DeclaredScale,))
"""Whose defaults depend on other fields, so that the schema can't fill them in: their descriptions tell them."""


class Undescribed(Exception):
    """A field without a description. The message names it."""


def description_of(struct: type[Struct], field: str) -> str:
    """In one line. Raises Undescribed."""
    told = TOLD_BY.get(struct)
    words = (
        IN_A_CLUSTER.get(struct, {}).get(field)
        or docstrings_of(struct).get(field)
        or (docstrings_of(told).get(field) if told else None)
    )
    if not words:
        raise Undescribed(f"{struct.__name__}.{field} has no description: write a docstring under the field")
    if struct in DEFAULTS_TOLD and told and "Default: " not in words:
        words = f"{words.rstrip('.')}. Default: {getattr(told(), field):g}."
    return words


@cache
def docstrings_of(struct: type[Struct]) -> dict[str, str]:
    """By the field's name in Python; each in one line. Needs the source file beside the code."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)
    told: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                told[name] = " ".join(words.split())
    return told
