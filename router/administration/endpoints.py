"""What is served, and how does an administrator change how much of it?

I/O: the platform's administration, which keeps every change. What is shown is what this router follows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from router.administration.operation import Answer, Call, Operation, Whole
from router.administration.parts import Parts
from router.administration.shapes import Scale, Traffic
from router.administrator.shapes import DeploymentView, Drained, EndpointView, HoldView, ReplicaView
from router.core.declare import effective_settings
from router.core.model import Deployment, Endpoint, Hold
from router.platforms.administration import Conflict, Unfit

MAX_DECISIONS = 1_000

_ENDPOINT = "/endpoints/{endpoint}"
_DEPLOYMENT = "/endpoints/{endpoint}/deployments/{deployment}"


async def list_endpoints(parts: Parts, call: Call) -> Answer:
    return Answer([endpoint_view(endpoint) for endpoint in parts.snapshot.endpoints])


async def show_endpoint(parts: Parts, call: Call) -> Answer:
    return Answer(endpoint_view(parts.endpoint(call.path["endpoint"])))


async def show_deployment(parts: Parts, call: Call) -> Answer:
    deployment = _deployment(parts, call)
    return Answer(await _deployment_view(parts, deployment, _hold(parts, deployment, call.now_s)))


async def list_replicas(parts: Parts, call: Call) -> Answer:
    deployment = _deployment(parts, call)
    load = await parts.load_of(deployment)
    in_flight = {} if load is None else load.replicas
    replicas = [
        ReplicaView(
            uid=replica.uid,
            host=replica.host,
            port=replica.port,
            ready=replica.ready,
            leaving=replica.leaving,
            in_flight=in_flight.get(replica.uid, 0),
        )
        for replica in parts.snapshot.replicas
        if replica.deployment == deployment.key
    ]
    return Answer(replicas)


async def list_decisions(parts: Parts, call: Call) -> Answer:
    deployment = _deployment(parts, call)
    decisions = await parts.administration.decisions(deployment.endpoint, deployment.name, call.query["last"])
    return Answer(decisions)


async def set_traffic(parts: Parts, call: Call) -> Answer:
    wish: Traffic = call.body
    endpoint = parts.endpoint(call.path["endpoint"])
    present = _traffic(endpoint)
    call.told |= {"endpoint": endpoint.name, "from": present}
    if wish.version not in (None, traffic_version(present)):
        raise Conflict(f"the traffic of {endpoint.name} is {_shown(present)} by now: read it again")
    if unknown := sorted(wish.traffic.keys() - present.keys()):
        raise Unfit(f"traffic is for {unknown[0][:40]!r}, but it must be for {', '.join(present)}")
    expected = None if wish.version is None else dict(endpoint.weights)
    call.told["to"] = wish.traffic
    await parts.administration.set_traffic(endpoint.name, wish.traffic, expected)
    weights = tuple((name, wish.traffic.get(name, 0)) for name in present)
    return Answer(endpoint_view(replace(endpoint, weights=weights)))


async def hold_scale(parts: Parts, call: Call) -> Answer:
    wish: Scale = call.body
    return await _held(parts, call, Hold(replicas=wish.replicas, until_s=call.now_s + wish.for_seconds))


async def release_scale(parts: Parts, call: Call) -> Answer:
    return await _held(parts, call, None)


async def drain(parts: Parts, call: Call) -> Answer:
    return await _drained(parts, call, True)


async def undo_drain(parts: Parts, call: Call) -> Answer:
    return await _drained(parts, call, False)


async def _held(parts: Parts, call: Call, hold: Hold | None) -> Answer:
    deployment = _deployment(parts, call)
    before, after = _hold(parts, deployment, call.now_s), _hold_view(hold)
    call.told |= {"deployment": deployment.key, "from": before, "to": after}
    await parts.administration.hold(deployment.endpoint, deployment.name, hold)
    return Answer(await _deployment_view(parts, deployment, after))


async def _drained(parts: Parts, call: Call, drained: bool) -> Answer:
    replica = parts.replica(call.path["uid"])
    call.told |= {"replica": replica.uid, "from": replica.leaving, "to": drained}
    await parts.administration.drain(replica.uid, drained)
    return Answer(Drained(uid=replica.uid, drained=drained))


def endpoint_view(endpoint: Endpoint) -> EndpointView:
    traffic = _traffic(endpoint)
    return EndpointView(
        name=endpoint.name,
        auth_mode=endpoint.auth_mode,
        also_accepts=list(endpoint.also_accepts),
        traffic=traffic,
        traffic_version=traffic_version(traffic),
        deployments=[deployment.name for deployment in endpoint.deployments],
        scoring_path=f"/api/v1/endpoint/{endpoint.name}/score",
    )


def traffic_version(traffic: Mapping[str, int]) -> str:
    """The same for the same weights, in whichever order, whether a 0 is written or not."""
    text = json.dumps({name: percent for name, percent in traffic.items() if percent}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _traffic(endpoint: Endpoint) -> dict[str, int]:
    """Percent of every deployment."""
    weights = dict(endpoint.weights)
    return {deployment.name: weights.get(deployment.name, 0) for deployment in endpoint.deployments}


def _shown(traffic: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {percent}" for name, percent in traffic.items())


def _deployment(parts: Parts, call: Call) -> Deployment:
    return parts.deployment(call.path["endpoint"], call.path["deployment"])


async def _deployment_view(parts: Parts, deployment: Deployment, hold: HoldView | None) -> DeploymentView:
    alone = replace(parts.endpoint(deployment.endpoint), deployments=(deployment,), weights=())
    [settings] = effective_settings(alone)["spec"]["deployments"]  # type: ignore[index]  # a plain object
    return DeploymentView(
        endpoint=deployment.endpoint,
        name=deployment.name,
        load=await parts.load_of(deployment),
        settings=settings,
        hold=hold,
        troubles=[
            {"kind": trouble.kind, "reason": trouble.reason}
            for trouble in parts.snapshot.troubles
            if trouble.deployment == deployment.key
        ],
    )


def _hold(parts: Parts, deployment: Deployment, now_s: float) -> HoldView | None:
    """That counts now."""
    hold = parts.snapshot.holds.get(deployment.key)
    return _hold_view(hold) if hold is not None and now_s < hold.until_s else None


def _hold_view(hold: Hold | None) -> HoldView | None:
    if hold is None:
        return None
    return HoldView(replicas=hold.replicas, until=datetime.fromtimestamp(hold.until_s, UTC))


OPERATIONS = (
    Operation(
        method="GET",
        path="/endpoints",
        name="listEndpoints",
        summary="All endpoints.",
        act=list_endpoints,
        reply=list[EndpointView],
    ),
    Operation(
        method="GET",
        path=_ENDPOINT,
        name="showEndpoint",
        summary="One endpoint.",
        act=show_endpoint,
        reply=EndpointView,
    ),
    Operation(
        method="PUT",
        path=f"{_ENDPOINT}/traffic",
        name="setTraffic",
        summary="Split an endpoint's traffic over its deployments, in percent.",
        act=set_traffic,
        reply=EndpointView,
        body=Traffic,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="GET",
        path=_DEPLOYMENT,
        name="showDeployment",
        summary="One deployment: its load, its settings in effect, and what keeps it from its replicas.",
        act=show_deployment,
        reply=DeploymentView,
    ),
    Operation(
        method="GET",
        path=f"{_DEPLOYMENT}/replicas",
        name="listReplicas",
        summary="Its replicas.",
        act=list_replicas,
        reply=list[ReplicaView],
    ),
    Operation(
        method="GET",
        path=f"{_DEPLOYMENT}/decisions",
        name="listDecisions",
        summary="What the autoscaler decided last, the newest last.",
        act=list_decisions,
        reply=list[dict],  # type: ignore[type-arg]  # a law's own
        query={"last": Whole(1, MAX_DECISIONS, 20)},
        also=(409, 422),
    ),
    Operation(
        method="PUT",
        path=f"{_DEPLOYMENT}/scale",
        name="holdScale",
        summary="Set its number of replicas by hand, for a while.",
        act=hold_scale,
        reply=DeploymentView,
        body=Scale,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="DELETE",
        path=f"{_DEPLOYMENT}/scale",
        name="releaseScale",
        summary="Let the load set its number of replicas again.",
        act=release_scale,
        reply=DeploymentView,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="POST",
        path="/replicas/{uid:path}/drain",
        name="drainReplica",
        summary="Send a replica nothing new; it finishes what it has, and stays.",
        act=drain,
        reply=Drained,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="DELETE",
        path="/replicas/{uid:path}/drain",
        name="undoDrain",
        summary="Send it requests again.",
        act=undo_drain,
        reply=Drained,
        also=(409, 422),
        is_audited=True,
    ),
)
