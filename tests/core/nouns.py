"""Which replicas, deployments and endpoints do the tests speak of?"""

from __future__ import annotations

from collections.abc import Iterable

from router.core.auth import hashed
from router.core.model import Addresses, AuthMode, Deployment, Endpoint, Replica, RequestSettings, ScaleSettings

PRIMARY, SECONDARY = "primary-key-of-the-tests", "secondary-key-of-the-tests"


def a_replica(uid: str, *, ready: bool = True, leaving: bool = False) -> Replica:
    return Replica(uid=uid, deployment="iris/blue", host="127.0.0.1", port=5001, ready=ready, leaving=leaving)


def replicas_of(uids: Iterable[str]) -> list[Replica]:
    return [a_replica(uid) for uid in uids]


def a_deployment(
    name: str = "blue",
    *,
    endpoint: str = "iris",
    concurrency: int = 1,
    min_instances: int | None = None,
    **settings: int,
) -> Deployment:
    """`min_instances`: it scales, from so many on."""
    request = RequestSettings(max_concurrent_requests_per_instance=concurrency, **settings)
    scale = None if min_instances is None else ScaleSettings(min_instances=min_instances, max_instances=10)
    workload = Addresses(("127.0.0.1:5001",))
    return Deployment(endpoint=endpoint, name=name, workload=workload, request=request, scale=scale)


def an_endpoint(
    name: str = "iris", *, weights: dict[str, int] | None = None, auth_mode: AuthMode = "key", has_keys: bool = True
) -> Endpoint:
    """An endpoint with one deployment for each weight."""
    weights = {"blue": 100} if weights is None else weights
    return Endpoint(
        name=name,
        auth_mode=auth_mode,
        keys=hashed(PRIMARY, SECONDARY) if has_keys else None,
        weights=tuple(weights.items()),
        deployments=tuple(a_deployment(each, endpoint=name) for each in weights),
    )
