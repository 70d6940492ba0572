"""What do a deployment's workload, and what else scales it, say of it?

Pure. Deployments, StatefulSets and HorizontalPodAutoscalers as they are, and which of our deployments has which.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from router.core.model import Deployment, Pods, PodsKind, Trouble
from router.platforms.kubernetes.objects import Autoscaler, LabelSelector, Workload, shortened
from router.platforms.kubernetes.picture.index import Index

WorkloadId = tuple[str, str]
"""Kind, and namespace/name."""

_NO_TROUBLE: tuple[Trouble, ...] = ()


class Facts(Struct, frozen=True, kw_only=True):
    """Of one deployment."""

    selector: LabelSelector | None
    """None: it can have no Pods."""
    wished: int | None = None
    missing: str = ""
    """What it names and is not there."""
    troubles: tuple[Trouble, ...] = _NO_TROUBLE


def pods_of(deployment: Deployment) -> Pods:
    """In a cluster every deployment's replicas are Pods: declared_resource takes no other."""
    assert isinstance(deployment.workload, Pods)
    return deployment.workload


def workload_id(deployment: Deployment) -> WorkloadId | None:
    """None where labels alone choose its Pods."""
    pods = pods_of(deployment)
    return None if pods.kind is None else (pods.kind, f"{pods.namespace}/{pods.name}")


class Workloads:
    """Every method that changes something returns the keys of the deployments whose facts may be others by that."""

    def __init__(self) -> None:
        self._workloads: dict[WorkloadId, Workload] = {}
        self._scaled_by: dict[str, WorkloadId] = {}
        self._scalers: Index[WorkloadId] = Index()
        self._deployments: dict[str, Deployment] = {}
        self._users: Index[WorkloadId] = Index()

    def put(self, kind: PodsKind, key: str, seen: Workload | None) -> set[str]:
        if seen is None:
            self._workloads.pop((kind, key), None)
        else:
            self._workloads[kind, key] = seen
        return self._users_of((kind, key))

    def autoscaler(self, key: str, seen: Autoscaler | None) -> set[str]:
        concerned: set[str] = set()
        if (before := self._scaled_by.pop(key, None)) is not None:
            self._scalers.discard(before, key)
            concerned |= self._users_of(before)
        if seen is not None:
            scaled = seen.spec.scale_target_ref
            now = self._scaled_by[key] = (scaled.kind, f"{seen.metadata.namespace}/{scaled.name}")
            self._scalers.add(now, key)
            concerned |= self._users_of(now)
        return concerned

    def use(self, deployment: Deployment) -> set[str]:
        """It is declared, or declared otherwise."""
        concerned = self.drop(deployment.key)
        self._deployments[deployment.key] = deployment
        if (workload := workload_id(deployment)) is not None:
            self._users.add(workload, deployment.key)
            concerned |= self._users_of(workload)
        return concerned | {deployment.key}

    def drop(self, key: str) -> set[str]:
        """It is declared no more."""
        before = self._deployments.pop(key, None)
        workload = None if before is None else workload_id(before)
        if workload is None:
            return set()
        self._users.discard(workload, key)
        return self._users_of(workload)

    def facts(self, key: str) -> Facts:
        deployment = self._deployments[key]
        pods, workload = pods_of(deployment), workload_id(deployment)
        if workload is None:
            return Facts(selector=LabelSelector(match_labels=pods.selector))
        troubles = tuple(self._conflicts(deployment, workload))
        seen = self._workloads.get(workload)
        if seen is None:
            missing = f"{deployment.name}: there is no {pods.kind} {pods.name} in namespace {pods.namespace}"
            return Facts(selector=None, missing=missing, troubles=troubles)
        troubles += tuple(_failures(key, seen))
        return Facts(selector=seen.spec.selector, wished=seen.spec.replicas, troubles=troubles)

    def _conflicts(self, deployment: Deployment, workload: WorkloadId) -> Iterator[Trouble]:
        """Of several deployments that scale one workload the first by key does."""
        if deployment.scale is None:
            return
        name = f"{workload[0]} {workload[1].partition('/')[2]}"
        scalers = sorted(f"HorizontalPodAutoscaler {key.partition('/')[2]}" for key in self._scalers[workload])
        first = min(key for key in self._users[workload] if self._deployments[key].scale is not None)
        if first != deployment.key:
            scalers.append(f"the deployment {first}")
        if scalers:
            yield Trouble(deployment=deployment.key, kind="conflict", reason=f"{scalers[0]} scales {name}, too")

    def _users_of(self, workload: WorkloadId) -> set[str]:
        return set(self._users[workload])


def _failures(key: str, workload: Workload) -> Iterator[Trouble]:
    """The API server takes no more of its Pods: a quota is used up, or a policy forbids them."""
    for condition in workload.status.conditions:
        if (condition.type, condition.status, condition.reason) == ("ReplicaFailure", "True", "FailedCreate"):
            yield Trouble(
                deployment=key, kind="placement", reason=f"no Pod can be made: {shortened(condition.message)}"
            )
