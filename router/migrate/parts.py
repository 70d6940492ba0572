"""What does one document say of one endpoint?

Pure. Documents of every kind come to this one shape, in which those of one endpoint are put together (endpoints.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from router.migrate.fields import Findings, Given

WORKLOAD = "what the workload is made of; the workload stays as it is"
PROBES = "the kubelet probes Pods, as their template says, and traffic follows a Pod's Ready condition"
INSIGHTS = "use the router's metrics and access log instead"
COLLECTING = "the router keeps no bodies; let the model collect what it is to collect"
LABELS = "set labels and annotations of the InferenceEndpoint yourself, if anything reads them"
OTHER_TOKENS = (
    "becomes auth.mode token: Azure ML's tokens are not known here, clients are refused until they send one that "
    "`scoregate token ENDPOINT` gives"
)
NO_ISSUER = (
    "not carried over: clients need a key until auth.mode is jwt, with auth.jwt.issuer "
    "(https://login.microsoftonline.com/<tenant>/v2.0) and auth.jwt.audiences, which are not in this file"
)
NO_SCALING = "the number of replicas is fixed"
AZURE = "of Azure alone, nothing in a cluster reads it"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One deployment. `settings` by its path in a declared deployment, `requestSettings.requestTimeoutMs`."""

    name: str
    file: str
    settings: dict[str, Given]
    workload: str
    """The likely name of its Kubernetes Deployment."""
    is_guess: bool
    """Nobody said how that name is made."""
    labels: dict[str, str] = field(default_factory=dict)
    """By which its Pods are known; none where that is unknown."""
    scaled: bool
    """The load sets the number of replicas."""
    count: Given | None = None
    """The number of replicas that was said."""
    splits_the_v1_way: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    file: str
    endpoint: str
    namespace: Given | None = None
    auth: Given | None = None
    """`key` or `none`."""
    traffic: Given | None = None
    is_endpoint: bool = False
    """Says what only one document of an endpoint may say."""
    version: Version | None = None


def whole(given: Given) -> Given:
    """1.0 is 1: JSON writers differ."""
    is_whole = isinstance(given.value, float) and given.value.is_integer()
    return given._replace(value=int(given.value)) if is_whole else given


def default(value: Any) -> Given:
    """What was not said, but held."""
    return Given(value, "", "")


def boolean(given: Given | None, findings: Findings) -> bool | None:
    """None where nothing, or nothing right, was said."""
    if given is None or isinstance(given.value, bool):
        return None if given is None else given.value
    findings.problems.append(given.complaint("must be true or false"))
    return None


def text(given: Given | None, findings: Findings) -> str | None:
    if given is None or isinstance(given.value, str):
        return None if given is None else given.value
    findings.problems.append(given.complaint("must be text"))
    return None
