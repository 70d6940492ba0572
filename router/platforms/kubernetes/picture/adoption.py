"""Which workloads of Azure ML's v1 are endpoints without a resource that says so?

Pure. A Deployment that is labelled as one of its models is a version of the endpoint that its labels name, with the
defaults that v1 had; the first one created has all the traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from router.core.declare import DeclarationError, declared_resource
from router.core.model import Endpoint
from router.core.rules import API_VERSION, KIND
from router.platforms.kubernetes.objects import Workload

IS_MODEL, ENDPOINT_NAMES = "isazuremlapp", ("webservicename", "azuremlappname")
"""Labels of v1's Deployments and Pods."""
OF_V2 = "ml.azure.com/endpoint-name"
"""v2's are labelled `isazuremlapp`, too, but also so: what they are to be an InferenceEndpoint says."""


def v1_name(workload: Workload) -> str | None:
    """The name of its endpoint; None where it is no model of v1."""
    labels = workload.metadata.labels
    if labels.get(IS_MODEL, "").lower() != "true" or OF_V2 in labels:
        return None
    return next((labels[label] for label in ENDPOINT_NAMES if labels.get(label)), None)


class Adoption:
    """All Deployments that v1 left, by the endpoint that they belong to."""

    def __init__(self) -> None:
        self._by_name: defaultdict[str, dict[str, Workload]] = defaultdict(dict)
        self._names: dict[str, str] = {}

    def put(self, key: str, workload: Workload | None) -> set[str]:
        """A Deployment is this now, or gone. Returns the names of endpoints that may be others by that."""
        before = self._names.pop(key, None)
        concerned = set()
        if before is not None:
            concerned.add(before)
            del self._by_name[before][key]
            if not self._by_name[before]:
                del self._by_name[before]
        name = None if workload is None else v1_name(workload)
        if workload is not None and name is not None:
            concerned.add(name)
            self._names[key] = name
            self._by_name[name][key] = workload
        return concerned

    def name_of(self, key: str) -> str | None:
        """Of the endpoint that the Deployment belongs to."""
        return self._names.get(key)

    @property
    def names(self) -> list[str]:
        return sorted(self._by_name)

    def adopt(self, name: str, is_declared: Callable[[str], bool]) -> Endpoint | None:
        """The endpoint of that name, of all Deployments but those that some resource declares, by namespace/name."""
        versions = [_version(name, each) for group in self._free(name, is_declared)[:1] for each in group]
        good = [version for version in versions if isinstance(version, Endpoint)]
        if not good:
            return None
        deployments = tuple(each for version in good for each in version.deployments)
        weights = tuple((each.name, 0 if place else 100) for place, each in enumerate(deployments))
        return replace(good[0], deployments=deployments, weights=weights)

    def refused(self, name: str, is_declared: Callable[[str], bool]) -> Iterator[str]:
        """Why some Deployments are not served under that name, one sentence each."""
        for place, group in enumerate(self._free(name, is_declared)):
            for each in group:
                version = _version(name, each)
                if not isinstance(version, Endpoint):
                    yield f"Deployment {each.metadata.key} is not adopted as {name!r}: {'; '.join(version)}"
                elif place:
                    yield f"Deployment {each.metadata.key} is not adopted: another namespace has an older {name}"

    def _free(self, name: str, is_declared: Callable[[str], bool]) -> list[list[Workload]]:
        """Of each namespace those that no resource declares, the oldest first; the oldest namespace first."""
        by_namespace: defaultdict[str, list[Workload]] = defaultdict(list)
        for key, workload in self._by_name.get(name, {}).items():
            if not is_declared(key):
                by_namespace[workload.metadata.namespace].append(workload)
        groups = [sorted(group, key=lambda each: each.metadata.age) for group in by_namespace.values()]
        return sorted(
            groups, key=lambda group: (group[0].metadata.creation_timestamp or "", group[0].metadata.namespace)
        )


def _version(endpoint: str, workload: Workload) -> Endpoint | tuple[str, ...]:
    """As if somebody had declared it, alone; or the problems of that."""
    try:
        return declared_resource(_document(endpoint, workload), workload.metadata.namespace)
    except DeclarationError as error:
        return error.problems


def _document(endpoint: str, workload: Workload) -> dict[str, Any]:
    """With what Azure ML's v1 took for settings that nobody gave."""
    metadata = workload.metadata
    deployment = {
        "name": metadata.name,
        "workload": {"kind": "Deployment", "name": metadata.name},
        "port": workload.first_port or 5001,
        "requestSettings": {"requestTimeoutMs": 60_000, "maxQueueWaitMs": 500, "maxConcurrentRequestsPerInstance": 1},
    }
    if (metadata.notes.scale or "").lower() != "false":
        deployment["scaleSettings"] = {"minInstances": 1, "maxInstances": 10, "targetUtilizationPercentage": 70}
    spec = {"auth": {"mode": "key"}, "deployments": [deployment]}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": endpoint}, "spec": spec}
