"""How is a workload told how many Pods it should have, and which of them should go first?

I/O: the scale subresource of Deployments and StatefulSets; annotations of Pods. Each write asks first whether this
process still leads, and names the version, or the uid, of the object that it means: a write that comes too late is lost
once another has written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from router.core.model import Pods
from router.platforms import PlatformError
from router.platforms.kubernetes.api import MERGE_PATCH, Api, ApiError
from router.platforms.kubernetes.objects import DELETION_COST, DRAINED, LEAVE_ORDER
from router.platforms.kubernetes.picture.members import pod_uid

TRIES = 5
"""A workload's status is written while its Pods come and go, and each time its version changes."""
WRITES_AT_ONCE = 16
ORDER_WITHIN_S = 3.0
"""For all annotations together: an order that is not complete is better than no scale-down."""
FIRST_COST = -1_000_000
"""Of the Pod that should leave first; each next one's is one higher. A Pod without a cost has 0."""


log = logging.getLogger("scoregate.platform")


class _Size(Struct, frozen=True):
    replicas: int = 0
    """Left out where it is 0."""


class _Version(Struct, frozen=True, rename="camel"):
    resource_version: str


class _Scale(Struct, frozen=True):
    metadata: _Version
    spec: _Size = _Size()


async def scale(api: Api, workload: Pods, replicas: int, *, leads: Callable[[], bool]) -> None:
    """Returns once the workload is to have that many replicas. Raises PlatformError for labels alone, for a workload
    that is not there, for who does not lead, and for a workload that others never stop writing; ApiError for the rest.
    """
    if workload.kind is None or workload.name is None:
        raise PlatformError(f"Pods chosen by labels in namespace {workload.namespace} have no workload to scale")
    path = f"/apis/apps/v1/namespaces/{workload.namespace}/{workload.kind.lower()}s/{workload.name}/scale"
    for _ in range(TRIES):
        try:
            present = msgspec.json.decode(await api.read(path), type=_Scale)
            if present.spec.replicas == replicas:
                return
            _only_a_leader(leads, f"scale {_told(workload)} to {replicas}")
            change = {"metadata": present.metadata, "spec": {"replicas": replicas}}
            await api.write("PATCH", path, change, content_type=MERGE_PATCH)
            return
        except ApiError as error:
            if error.status == 404:
                raise PlatformError(f"there is no {_told(workload)} to scale") from error
            if error.status != 409:
                raise
        except msgspec.MsgspecError as error:
            raise PlatformError(f"GET {path}: no Scale came: {error}") from error
    raise PlatformError(
        f"{_told(workload)} was not scaled to {replicas}: in each of {TRIES} tries something else wrote to it, too"
    )


class Leaver(Protocol):
    """A Pod of the workload; its uid is its replica's."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def ready(self) -> bool: ...
    @property
    def leaving(self) -> bool: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...


class _Change(NamedTuple):
    pod: Leaver
    cost: int | None
    """None for none any more."""


async def order_leaving(
    api: Api,
    workload: Pods,
    pods: Iterable[Leaver],
    leave_first: Sequence[str],
    count: int,
    *,
    leads: Callable[[], bool],
) -> None:
    """Before `count` of the Pods leave: say which, through pod-deletion-cost. A StatefulSet has an order of its own.

    Those that are not ready, or drained by hand, go first; then those named in `leave_first`, by uid. Who else goes is
    left to the cluster. A cost that somebody else set stays: a Pod with one below 0 counts among the first to leave,
    another one is spared. What can't be written is logged, and delays the scale-down by ORDER_WITHIN_S at most.
    Raises PlatformError for who does not lead.
    """
    if workload.kind != "Deployment":
        return
    changes = list(_changes([pod for pod in pods if not pod.leaving], leave_first, count))
    if not changes:
        return
    faults: list[str] = []
    left = iter(changes)
    try:
        async with asyncio.timeout(ORDER_WITHIN_S):
            await asyncio.gather(*(_write(api, left, faults, leads) for _ in changes[:WRITES_AT_ONCE]))
    except TimeoutError:
        log.warning("%s: which Pods go first is not said to all within %g s", _told(workload), ORDER_WITHIN_S)
    _only_a_leader(leads, f"say which Pods of {_told(workload)} go first")
    if faults:
        of = f"{len(faults)} of {len(changes)} Pods"
        log.warning("%s: which go first could not be said to %s, such as: %s", _told(workload), of, faults[0])


async def _write(api: Api, changes: Iterable[_Change], faults: list[str], leads: Callable[[], bool]) -> None:
    """Takes from `changes`, as others do, until none is left."""
    for pod, cost in changes:
        if not leads():
            return
        text = None if cost is None else str(cost)
        metadata = {"uid": pod_uid(pod.uid), "annotations": {DELETION_COST: text, LEAVE_ORDER: text}}
        # Annotations through the status: the right to patch a Pod itself would be one to change its image.
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        try:
            await api.write("PATCH", path, {"metadata": metadata}, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status != 404:  # one that is gone has left
                faults.append(str(error))


def _changes(pods: Sequence[Leaver], leave_first: Sequence[str], count: int) -> Iterable[_Change]:
    """The order within equals is that of `pods`."""
    turns = {uid: turn for turn, uid in enumerate(leave_first)}
    going = [pod for pod in pods if not _serves(pod) or _theirs(pod) < 0 or (pod.uid in turns and not _is_theirs(pod))]
    going.sort(key=lambda pod: (_serves(pod), _theirs(pod), turns.get(pod.uid, len(turns))))
    going = going[:count]
    costs = {pod.uid: FIRST_COST + turn for turn, pod in enumerate(going)}
    for pod in pods:
        cost = costs.get(pod.uid)
        if not _is_theirs(pod) and pod.annotations.get(DELETION_COST) != (None if cost is None else str(cost)):
            yield _Change(pod, cost)


def _serves(pod: Leaver) -> bool:
    return pod.ready and pod.annotations.get(DRAINED) != "true"


def _is_theirs(pod: Leaver) -> bool:
    cost = pod.annotations.get(DELETION_COST)
    return cost is not None and cost != pod.annotations.get(LEAVE_ORDER)


def _theirs(pod: Leaver) -> int:
    """The cost that somebody else set; 0 for none, and for one that says nothing to Kubernetes either."""
    if not _is_theirs(pod):
        return 0
    try:
        return int(pod.annotations[DELETION_COST])
    except ValueError:
        return 0


def _only_a_leader(leads: Callable[[], bool], what: str) -> None:
    if not leads():
        raise PlatformError(f"can't {what}: this process no longer leads")


def _told(workload: Pods) -> str:
    return f"{workload.kind} {workload.name} in namespace {workload.namespace}"
