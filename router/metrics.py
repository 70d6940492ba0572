"""What does Prometheus see of the router?

I/O: none. A request adds to a few plain numbers; the families that Prometheus reads are made from them, and from the
live dispatchers and connections, only when it scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from router.core.model import Load

_WAIT_BOUNDS_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
_OVERHEAD_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)


class Histogram:
    """Counts of values up to each bound, in seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_zero(self) -> None:
        self._counts[0] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        names = [*map(str, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))

    @property
    def sum(self) -> float:
        return self._sum


class Counters:
    """What happened to the requests of one deployment."""

    __slots__ = ("latency", "overhead", "queue_wait", "reply_bytes", "request_bytes", "requests")

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        self.latency = Histogram(_WAIT_BOUNDS_S)
        self.queue_wait = Histogram(_WAIT_BOUNDS_S)
        self.overhead = Histogram(_OVERHEAD_BOUNDS_S)
        self.request_bytes = 0
        self.reply_bytes = 0

    def count(self, status: int) -> None:
        self.requests[status] = self.requests.get(status, 0) + 1


class Observed(Protocol):
    """What a scrape reads; `router.server` has it."""

    def loads(self) -> Iterable[tuple[Load, Counters, int]]:
        """Each deployment's load, counters, and retries so far."""

    def unrouted(self) -> Mapping[str, Counters]:
        """Requests that ended before a deployment was chosen, by endpoint name."""

    def connections(self) -> dict[str, int]:
        """Open connections, by side (`client`, `client_idle`, `replica`)."""

    def dropped_log_lines(self) -> int: ...


class RouterCollector(Collector):
    """Makes metric families from live objects."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        deployments = list(self._observed.loads())
        yield from _request_families(deployments, self._observed.unrouted())
        yield from _load_families([load for load, _, _ in deployments])
        connections = GaugeMetricFamily("scoregate_connections", "Open connections.", labels=["side"])
        for side, count in self._observed.connections().items():
            connections.add_metric([side], count)
        yield connections
        yield CounterMetricFamily(
            "scoregate_access_log_dropped",
            "Access log lines dropped because the log could not be written fast enough.",
            value=self._observed.dropped_log_lines(),
        )


_LABELS = ["endpoint", "deployment"]


def _request_families(
    deployments: list[tuple[Load, Counters, int]], unrouted: Mapping[str, Counters]
) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "scoregate_requests", "Requests by status code; 499: the client left.", labels=[*_LABELS, "code"]
    )
    retries = CounterMetricFamily("scoregate_retries", "Requests sent again to another replica.", labels=_LABELS)
    received = CounterMetricFamily("scoregate_request_bytes", "Bytes of request bodies.", labels=_LABELS)
    sent = CounterMetricFamily("scoregate_reply_bytes", "Bytes of reply bodies.", labels=_LABELS)
    latency = HistogramMetricFamily("scoregate_request_seconds", "From head to last byte.", labels=_LABELS)
    wait = HistogramMetricFamily("scoregate_queue_wait_seconds", "Time waited for a slot.", labels=_LABELS)
    overhead = HistogramMetricFamily(
        "scoregate_overhead_seconds",
        "The router's own time with a request, without the queue.",
        labels=_LABELS,
    )
    for endpoint, ended in unrouted.items():
        for status, count in sorted(ended.requests.items()):
            requests.add_metric([endpoint, "", str(status)], count)
    for load, counters, retried in deployments:
        labels = [load.endpoint, load.deployment]
        for status, count in sorted(counters.requests.items()):
            requests.add_metric([*labels, str(status)], count)
        retries.add_metric(labels, retried)
        received.add_metric(labels, counters.request_bytes)
        sent.add_metric(labels, counters.reply_bytes)
        for family, histogram in (
            (latency, counters.latency),
            (wait, counters.queue_wait),
            (overhead, counters.overhead),
        ):
            family.add_metric(labels, histogram.buckets(), histogram.sum)
    yield from (requests, retries, received, sent, latency, wait, overhead)


def _load_families(loads: list[Load]) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily("scoregate_in_flight", "Requests in replicas now.", labels=_LABELS)
    queued = GaugeMetricFamily("scoregate_queued", "Requests waiting for a slot now.", labels=_LABELS)
    refused = CounterMetricFamily("scoregate_refused", "Requests refused for lack of room.", labels=_LABELS)
    replicas = GaugeMetricFamily("scoregate_replicas", "Replicas by state.", labels=[*_LABELS, "state"])
    utilization = GaugeMetricFamily(
        "scoregate_utilization_ratio", "(in flight + queued) / (total x concurrency).", labels=_LABELS
    )
    for load in loads:
        labels = [load.endpoint, load.deployment]
        in_flight.add_metric(labels, load.in_flight)
        queued.add_metric(labels, load.queued)
        refused.add_metric(labels, load.refused_total)
        for state in ("busy", "ready", "total"):
            replicas.add_metric([*labels, state], getattr(load, state))
        utilization.add_metric(labels, load.utilization)
    yield from (in_flight, queued, refused, replicas, utilization)
