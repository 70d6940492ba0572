"""What do the autoscaler's tests speak of?

Pure. One endpoint, its deployments, replicas and routers, as short as they can be said.
"""

from __future__ import annotations

from typing import Any

from autoscaler.observation import Decision, Observation
from router.core.model import (
    Deployment,
    Endpoint,
    Instance,
    Load,
    Process,
    Replica,
    RequestSettings,
    ScaleSettings,
    Snapshot,
)

KEY = "iris/blue"
ROUTER = Instance(id="router-1", admin="http://127.0.0.1:9001")


def deployment(name: str = "blue", *, concurrency: int = 1, **scale: Any) -> Deployment:
    """`scale`: its settings; without a word of `max_instances`, up to 10."""
    return Deployment(
        endpoint="iris",
        name=name,
        workload=Process(command=("model",)),
        request=RequestSettings(max_concurrent_requests_per_instance=concurrency),
        scale=ScaleSettings(**{"max_instances": 10, **scale}),
    )


def fixed(name: str = "green") -> Deployment:
    return Deployment(endpoint="iris", name=name, workload=Process(command=("model",)))


def replicas(*uids: str, key: str = KEY, **state: bool) -> tuple[Replica, ...]:
    return tuple(
        Replica(uid=uid, deployment=key, host="127.0.0.1", port=5001, **{"ready": True, **state}) for uid in uids
    )


def snapshot(*deployments: Deployment, **more: Any) -> Snapshot:
    """With one router, unless told otherwise."""
    endpoint = Endpoint(name="iris", deployments=deployments)
    return Snapshot(endpoints=(endpoint,), **{"instances": (ROUTER,), **more})


def load(in_flight: int = 0, queued: int = 0, name: str = "blue", **by_replica: int) -> Load:
    return Load(
        endpoint="iris",
        deployment=name,
        concurrency=1,
        in_flight=in_flight,
        queued=queued,
        busy=0,
        ready=0,
        starting=0,
        total=0,
        refused_total=0,
        arrived_total=0,
        finished_total=0,
        held_seconds_total=0.0,
        utilization=0.0,
        replicas=by_replica,
    )


def seen(at_s: float = 0.0, wished: int = 1, **figures: Any) -> Observation:
    return Observation(at_s=at_s, wished=wished, **{"ready": wished, **figures})


def decision(replicas: int = 1, reason: str = "so it is") -> Decision:
    return Decision(replicas=replicas, need=replicas, reason=reason)
