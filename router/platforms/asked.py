"""Is there what an administrator speaks of, and can it be as asked?

Pure. What all platforms refuse alike, in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.core.model import (
    Addresses,
    Deployment,
    Endpoint,
    Hold,
    Pods,
    Process,
    Replica,
    Snapshot,
    Workload,
)
from router.platforms.administration import Conflict, Unfit, Unknown

LATEST_S = 253_402_214_400
"""Seconds since the epoch: before the year 10000, what a calendar can show."""
_MOST_NAMED = 20
_OTHER_WAYS: dict[type[Workload], str] = {
    Addresses: "edit its addresses",
    Process: "change its instanceCount",
    Pods: "scale its workload",
}


def endpoint_of(snapshot: Snapshot, name: str) -> Endpoint:
    """Raises Unknown."""
    for endpoint in snapshot.endpoints:
        if endpoint.name == name:
            return endpoint
    raise Unknown(f"there is no endpoint {name[:40]!r}: known are {_some(each.name for each in snapshot.endpoints)}")


def keyed_endpoint_of(snapshot: Snapshot, name: str) -> Endpoint:
    """Raises Unknown, also for one that takes no keys."""
    endpoint = endpoint_of(snapshot, name)
    if not endpoint.accepts("key"):
        raise Unknown(f"endpoint {name} has no keys: its auth.mode is {endpoint.auth_mode}")
    return endpoint


def deployment_of(snapshot: Snapshot, endpoint: str, name: str) -> Deployment:
    """Raises Unknown."""
    noun = endpoint_of(snapshot, endpoint)
    for deployment in noun.deployments:
        if deployment.name == name:
            return deployment
    known = _some(each.name for each in noun.deployments)
    raise Unknown(f"endpoint {endpoint} has no deployment {name[:40]!r}: known are {known}")


def replica_of(snapshot: Snapshot, uid: str) -> Replica:
    """Raises Unknown."""
    for replica in snapshot.replicas:
        if replica.uid == uid:
            return replica
    raise Unknown(f"there is no replica {uid[:400]!r}: known are {_some(each.uid for each in snapshot.replicas)}")


def whole_traffic(endpoint: Endpoint, traffic: Mapping[str, int]) -> dict[str, int]:
    """Percent for every deployment, in their order; 0 for those that are not named. Raises Unfit."""
    names = [deployment.name for deployment in endpoint.deployments]
    for name, percent in traffic.items():
        if name not in names:
            raise Unfit(
                f"traffic is given for {name[:40]!r}, but the deployments of {endpoint.name} are {_some(names)}"
            )
        if not 0 <= percent <= 100:
            raise Unfit(f"traffic of {name} is {percent}, but it must be 0 to 100")
    if sum(traffic.values()) not in (0, 100):
        raise Unfit(f"traffic of {endpoint.name} sums to {sum(traffic.values())}, but it must sum to 100, or to 0")
    return {name: traffic.get(name, 0) for name in names}


def check_present(endpoint: str, present: Mapping[str, int], expected: Mapping[str, int] | None) -> None:
    """Raises Conflict where the traffic is another than expected."""
    if expected is not None and _shares(expected) != _shares(present):
        shares = ", ".join(f"{name} {percent}" for name, percent in present.items())
        raise Conflict(f"the traffic of {endpoint} is another by now: {shares}")


def check_hold(deployment: Deployment, hold: Hold | None) -> None:
    """Raises Conflict where no load sets the number, Unfit."""
    if deployment.scale is None:
        way = _OTHER_WAYS[type(deployment.workload)]
        raise Conflict(f"{deployment.key} has a fixed number of replicas, which nothing scales: {way} instead")
    if hold is None:
        return
    if hold.replicas != deployment.allowed(hold.replicas):
        bounds = f"{deployment.scale.min_instances} to {deployment.scale.max_instances}"
        raise Unfit(
            f"{deployment.key} can't have {hold.replicas} replicas: its minInstances to maxInstances is {bounds}"
        )
    if not 0 <= hold.until_s <= LATEST_S:
        raise Unfit(f"{deployment.key} can't be held until second {hold.until_s:g}: it must be before the year 10000")


def _shares(traffic: Mapping[str, int]) -> dict[str, int]:
    """Without those that get none: who names them says no more."""
    return {name: percent for name, percent in traffic.items() if percent}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMED} more" if listed[_MOST_NAMED:] else ""
    return (", ".join(listed[:_MOST_NAMED]) or "none") + more
