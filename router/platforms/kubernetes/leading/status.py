"""What does the status of an InferenceEndpoint say?

Pure. The numbers that `kubectl` shows, and the conditions (conditions.py); what of them is worth a write; and the
Events that tell of a change: one where a condition turns bad, or is bad for another reason, and one where it is bad no
longer. A new endpoint is not ready yet, and that is no Event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.core.model import Deployment, Snapshot, Trouble
from router.platforms.kubernetes.cluster import Account
from router.platforms.kubernetes.leading.conditions import NO_COUNT, Condition, Count, KeysFault, conditions_of, is_bad

POINTS = 5
"""A change of a utilization by fewer percentage points is not worth a write; a fall to 0 always is."""


News = Literal["none", "utilization", "more"]


class DeploymentStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One deployment of the endpoint."""

    name: str
    """As it is declared."""
    ready: int
    """Replicas that take requests."""
    total: int
    """Replicas that are ready or may become so; those that are leaving are not counted."""
    wished: int | None = None
    """Replicas that its workload is asked to have; nothing where labels alone choose the Pods."""
    utilization_percentage: int | None = None
    """(in flight + queued) / (replicas x concurrency), as last seen; nothing where it is not measured."""


class EndpointStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is, as against what is wanted. What it can't say is null, never empty text: API servers of Kubernetes 1.20
    refuse that where text is wanted."""

    observed_generation: int = 0
    """The generation of the declaration that was looked at last."""
    url_path: str | None = None
    """Where it is called, below the router's address; nothing while it is not served."""
    replicas: str | None = None
    """Ready and total replicas of all its deployments, as `2/3`."""
    ready_replicas: int = 0
    """Replicas that take requests."""
    total_replicas: int = 0
    """Replicas that are ready or may become so; those that are leaving are not counted."""
    utilization: str | None = None
    """The mean of its deployments' utilization, each counted as often as it has replicas; nothing where none is
    measured."""
    keys_secret: str | None = None
    """The Secret that holds its keys, in its namespace; nothing where it wants no keys."""
    deployments: tuple[DeploymentStatus, ...] = ()
    """Its deployments, in the order in which they are declared."""
    conditions: tuple[Condition, ...] = ()
    """Whether all is well, and if not, why."""


class Event(NamedTuple):
    """As `kubectl describe` shows it."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def counted(snapshot: Snapshot) -> dict[str, Count]:
    """By deployment key, in one pass: a snapshot is far larger than what one endpoint has of it."""
    ready: defaultdict[str, int] = defaultdict(int)
    total: defaultdict[str, int] = defaultdict(int)
    troubles: defaultdict[str, list[Trouble]] = defaultdict(list)
    for replica in snapshot.replicas:
        if not replica.leaving:
            total[replica.deployment] += 1
            ready[replica.deployment] += replica.ready
    for trouble in snapshot.troubles:
        troubles[trouble.deployment].append(trouble)
    return {
        key: Count(ready.get(key, 0), total.get(key, 0), snapshot.wished.get(key), tuple(troubles.get(key, ())))
        for key in total.keys() | snapshot.wished.keys() | troubles.keys()
    }


def status_of(
    account: Account,
    before: EndpointStatus,
    counts: Mapping[str, Count],
    utilization: Mapping[str, float],
    now: datetime,
    keys_fault: KeysFault | None = None,
) -> EndpointStatus:
    """As `conditions_of`; `utilization` is a ratio by deployment key."""
    conditions = conditions_of(account, before.conditions, counts, now, keys_fault)
    endpoint = account.endpoint
    if endpoint is None:
        return EndpointStatus(observed_generation=account.generation, conditions=conditions)
    deployments = tuple(
        _deployment(each, counts.get(each.key, NO_COUNT), utilization.get(each.key)) for each in endpoint.deployments
    )
    ready, total = sum(each.ready for each in deployments), sum(each.total for each in deployments)
    return EndpointStatus(
        observed_generation=account.generation,
        url_path=url_path(endpoint.name),
        replicas=f"{ready}/{total}",
        ready_replicas=ready,
        total_replicas=total,
        utilization=_mean(deployments),
        keys_secret=account.secret or None,
        deployments=deployments,
        conditions=conditions,
    )


def url_path(endpoint: str) -> str:
    return f"/api/v1/endpoint/{endpoint}/score"


def read_status(raw: object) -> EndpointStatus:
    """What an object says in its `status`. What can't be understood is as if it were not there."""
    if not isinstance(raw, dict):
        return EndpointStatus()
    try:
        return msgspec.convert(raw, EndpointStatus)
    except msgspec.ValidationError:
        given = raw.get("conditions")
        read = [_read_condition(each) for each in given] if isinstance(given, list) else []
        return EndpointStatus(conditions=tuple(each for each in read if each is not None))


def news(before: EndpointStatus, after: EndpointStatus) -> News:
    """What of `after` the object doesn't say yet, as far as it is worth a write."""
    if before == after:
        return "none"
    if _without_utilization(before) != _without_utilization(after):
        return "more"
    if before.deployments == after.deployments:  # and so the mean of them was not ours
        return "more"
    steps = zip(before.deployments, after.deployments, strict=True)
    told = any(_is_worth_telling(old.utilization_percentage, new.utilization_percentage) for old, new in steps)
    return "utilization" if told else "none"


def events_of(before: EndpointStatus, after: EndpointStatus) -> list[Event]:
    """What happened between the two, by their conditions."""
    told = {each.type: each for each in before.conditions}
    events = []
    for each in after.conditions:
        old = told.get(each.type)
        if is_bad(each):
            is_new = each.type != "Ready" if old is None else (old.status, old.reason) != (each.status, each.reason)
            if is_new:
                events.append(Event("Warning", each.reason, _in_one_line(each.message)))
        elif old is not None and is_bad(old):
            events.append(Event("Normal", each.reason, _in_one_line(each.message)))
    return events


def _deployment(deployment: Deployment, count: Count, ratio: float | None) -> DeploymentStatus:
    return DeploymentStatus(
        name=deployment.name,
        ready=count.ready,
        total=count.total,
        wished=count.wished,
        utilization_percentage=None if ratio is None else round(100 * ratio),
    )


def _mean(deployments: Sequence[DeploymentStatus]) -> str | None:
    known = [
        (each.utilization_percentage, each.total) for each in deployments if each.utilization_percentage is not None
    ]
    replicas = sum(total for _, total in known)
    return f"{round(sum(percent * total for percent, total in known) / replicas)}%" if replicas else None


def _without_utilization(status: EndpointStatus) -> EndpointStatus:
    deployments = tuple(replace(each, utilization_percentage=None) for each in status.deployments)
    return replace(status, utilization=None, deployments=deployments)


def _is_worth_telling(old: int | None, new: int | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(new - old) >= POINTS or (new == 0 and old != 0)


def _read_condition(raw: object) -> Condition | None:
    try:
        return msgspec.convert(raw, Condition)
    except msgspec.ValidationError:
        return None


def _in_one_line(message: str) -> str:
    """As tables of Events show it."""
    return "".join(f"{line} " if line.endswith((".", ":")) else f"{line}; " for line in message.split("\n")).rstrip(
        "; "
    )
