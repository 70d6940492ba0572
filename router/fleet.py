"""What is served right now, and how is it going?

I/O: none itself. Follows snapshots: swaps the route table whole, and keeps for each deployment, from its first to its
last snapshot, one `LiveDeployment`: its slots and queue, its retry budget, its counters.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from router.admission import Admission
from router.core.model import Deployment, Endpoint, Load, Replica, Snapshot, Trouble
from router.core.retries import RetryBudget
from router.core.routes import RouteTable
from router.core.sharing import Sharing
from router.core.tally import MOMENTARY, Ledger
from router.counters import Counters
from router.pressure import Pressure
from router.replica_tls import Secured, secured
from router.tls import TlsError
from router.upstream import Upstream

LOADS = MOMENTARY + "load"
"""Kind of a load's name in the ledger; labels are endpoint and deployment. Cells: in flight, queued, busy."""

_log = logging.getLogger("scoregate.router")


class LiveDeployment:
    """One deployment while it is served."""

    __slots__ = (
        "_is_noted",
        "_ledger",
        "_noted_asks",
        "_now",
        "_told",
        "admission",
        "budget",
        "counters",
        "is_retired",
        "leaving",
        "noun",
        "replicas",
        "reply_header",
        "scoring_path",
        "secured",
    )

    def __init__(self, deployment: Deployment, pressure: Pressure, ledger: Ledger, sharing: Sharing) -> None:
        self.noun = deployment
        self.admission = Admission(deployment, pressure, sharing)
        self.budget = RetryBudget()
        self.counters = Counters(ledger, deployment.endpoint, deployment.name)
        self._ledger = ledger
        (self._now,) = ledger.open((LOADS, deployment.endpoint, deployment.name), 3)
        self._is_noted = False
        """Whether there is something else than zeros."""
        self._noted_asks = 0
        self.replicas: tuple[Replica, ...] = ()
        self.leaving: tuple[str, ...] = ()
        """uids of those replicas that are."""
        self.is_retired = False
        self.reply_header = (b"azureml-model-deployment", deployment.name.encode())
        self.scoring_path = deployment.scoring_route.path.encode()
        self.secured = _secured(deployment)
        """How its replicas are spoken to; the error, where they can't be."""
        self._told: tuple[Deployment, list[Replica], str | None] | None = None
        """What a snapshot said last; None where that may not be in force."""

    def forget(self) -> None:
        """It is served no more, and nothing of it is left."""
        self.admission.close()
        self.counters.forget()
        self._ledger.close((LOADS, self.noun.endpoint, self.noun.name))

    def retire(self) -> None:
        self.is_retired = True
        self._told = None
        self.admission.retire()

    def update(self, deployment: Deployment, replicas: list[Replica], trouble: str | None) -> None:
        """What is said again changes nothing, and costs next to nothing: most deployments, in most snapshots."""
        self.is_retired = False
        told = (deployment, replicas, trouble)
        if told == self._told:
            return
        self._told = None
        self._take(deployment, tuple(replicas), trouble)
        self._told = told

    def _take(self, deployment: Deployment, replicas: tuple[Replica, ...], trouble: str | None) -> None:
        if deployment.tls != self.noun.tls:
            self.secured = _secured(deployment)
        self.noun = deployment
        self.scoring_path = deployment.scoring_route.path.encode()
        if (port := deployment.scoring_route.port) is not None:
            replicas = tuple(replace(replica, port=port) for replica in replicas)
        self.replicas = replicas
        self.leaving = tuple(replica.uid for replica in replicas if replica.leaving)
        self.admission.update(deployment, replicas, trouble)

    def note_troubles(self) -> None:
        """In the counters."""
        dispatcher, asks = self.admission.dispatcher, self.admission.asked_total
        self.counters.note_troubles(dispatcher.refused_total, self.budget.retries_total, asks)
        self._noted_asks = asks

    def note_load(self) -> None:
        """In the ledger, for the other workers' eyes. Most deployments have no request, and cost next to nothing."""
        dispatcher = self.admission.dispatcher
        is_busy = bool(dispatcher.in_flight or dispatcher.queued)
        if is_busy or self._is_noted or self.admission.asked_total != self._noted_asks:
            self._now[0], self._now[1], self._now[2] = dispatcher.in_flight, dispatcher.queued, dispatcher.busy
            self._is_noted = is_busy
            self.note_troubles()

    @property
    def is_empty(self) -> bool:
        dispatcher = self.admission.dispatcher
        return not dispatcher.in_flight and not dispatcher.queued

    def load(self) -> Load:
        dispatcher = self.admission.dispatcher
        concurrency = self.noun.request.max_concurrent_requests_per_instance
        total = dispatcher.total
        slots = total * concurrency
        return Load(
            endpoint=self.noun.endpoint,
            deployment=self.noun.name,
            concurrency=concurrency,
            in_flight=dispatcher.in_flight,
            queued=dispatcher.queued,
            busy=dispatcher.busy,
            ready=self.admission.ready,
            starting=sum(not replica.ready and not replica.leaving for replica in self.replicas),
            total=total,
            refused_total=dispatcher.refused_total,
            arrived_total=dispatcher.arrived_total,
            finished_total=dispatcher.finished_total,
            held_seconds_total=round(dispatcher.held_s_total, 3),
            utilization=round((dispatcher.in_flight + dispatcher.queued) / slots, 4) if slots else 0.0,
            replicas=dispatcher.in_flight_by_replica(),
        )


class Fleet:
    """All deployments, by key."""

    def __init__(self, upstream: Upstream, ledger: Ledger, sharing: Sharing) -> None:
        """`sharing`: with which other instances the slots are shared."""
        self._upstream = upstream
        self._ledger = ledger
        self._sharing = sharing
        self.pressure = Pressure()
        self.table = RouteTable()
        self._endpoints: tuple[Endpoint, ...] = ()
        self._declared: dict[str, Deployment] = {}
        self.live: dict[str, LiveDeployment] = {}
        self._leaving: set[str] = set()
        self.snapshot = Snapshot()
        """What was followed last."""
        self.unrouted: dict[str, Counters] = {}
        """Requests that ended before a deployment was chosen, by endpoint name; "" where not even that was known."""
        self.has_snapshot = False

    def follow(self, snapshot: Snapshot) -> None:
        replicas: dict[str, list[Replica]] = defaultdict(list)
        for replica in snapshot.replicas:
            replicas[replica.deployment].append(replica)
        self._follow_endpoints(snapshot.endpoints)
        self._upstream.follow(snapshot.replicas)
        self._leaving = {replica.uid for replica in snapshot.replicas if replica.leaving}
        troubles = {each.deployment: each.reason for each in snapshot.troubles if _is_in_vain(each, replicas)}
        for key, live in self.live.items():
            if (deployment := self._declared.get(key)) is None:
                live.retire()
            else:
                live.update(deployment, replicas[key], troubles.get(key))
        self.forget_retired()
        self.snapshot = snapshot
        self.has_snapshot = True

    def _follow_endpoints(self, endpoints: tuple[Endpoint, ...]) -> None:
        """A table that is right is kept: replicas come and go far more often than endpoints."""
        if endpoints == self._endpoints:
            return
        declared = {deployment.key: deployment for endpoint in endpoints for deployment in endpoint.deployments}
        for key, deployment in declared.items():
            if key not in self.live:
                self.live[key] = LiveDeployment(deployment, self.pressure, self._ledger, self._sharing)
        self.table, self._declared, self._endpoints = RouteTable(endpoints), declared, endpoints

    def forget_retired(self) -> None:
        """A deployment that is declared no more serves those it has taken in, with the replicas it had, and is gone
        after the last."""
        for key in [key for key, live in self.live.items() if live.is_retired and live.is_empty]:
            self.live.pop(key).forget()

    def count_unrouted(self, endpoint: str, status: int) -> None:
        """A request that ended before a deployment was chosen."""
        counters = self.unrouted.get(endpoint)
        if counters is None:
            counters = self.unrouted[endpoint] = Counters(self._ledger, endpoint, "")
        counters.count(status)

    def note_loads(self) -> None:
        for live in self.live.values():
            live.note_load()

    def loads(self) -> list[Load]:
        return [live.load() for live in self.live.values()]

    def drained(self) -> set[str]:
        """uids of leaving replicas with nothing in flight."""
        in_flight: set[str] = set()
        for live in self.live.values():
            if live.is_retired:
                in_flight.update(replica.uid for replica in live.replicas)
            elif live.leaving:
                busy = live.admission.dispatcher.in_flight_by_replica()
                in_flight.update(uid for uid in live.leaving if busy.get(uid))
        return self._leaving - in_flight

    def is_settled(self, told: Collection[str]) -> bool:
        """Whether, before the next snapshot, nobody can drain but those `told`, and nothing is to be forgotten."""
        return self._leaving <= set(told) and not any(live.is_retired for live in self.live.values())


def _secured(deployment: Deployment) -> Secured | TlsError | None:
    if deployment.tls is None:
        return None
    try:
        return secured(deployment.tls)
    except TlsError as error:
        _log.error("no replica of %s can be reached: %s", deployment.key, error)
        return error


def _is_in_vain(trouble: Trouble, replicas: Mapping[str, Sequence[Replica]]) -> bool:
    """Whether to wait for a first replica is: none can start, or none is there and none can be placed."""
    if trouble.kind == "placement":
        return all(replica.leaving for replica in replicas.get(trouble.deployment, ()))
    return trouble.kind == "start"
