"""What does Prometheus see of the router?

I/O: none. A request adds to a few numbers in a ledger (core/tally.py); the families that Prometheus reads are
made from them, and from the live dispatchers and connections, only when it scrapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from router import __version__
from router.core.auth import Caller
from router.core.model import Deployment, Load
from router.core.tally import Memory
from router.counters import Counters, Histogram
from router.exposition import HistogramRows, Labels, Rows


class Standing(Protocol):
    """How far the platform's last snapshot can be believed."""

    @property
    def behind_s(self) -> float: ...


class Observed(Protocol):
    """What a scrape reads; `router.server` has it."""

    def loads(self) -> Iterable[tuple[Load, Counters]]:
        """Each deployment's load and counters."""

    def unrouted(self) -> Mapping[str, Counters]:
        """Requests that ended before a deployment was chosen, by endpoint name."""

    def deployments(self) -> Iterable[Deployment]:
        """As they are declared."""

    def instances(self) -> Mapping[str, int]:
        """How many there are, by state, as the process that is asked sees them, itself included."""

    def connections(self) -> dict[str, int]:
        """Open connections, by side (`client`, `client_idle`, `replica`)."""

    def callers(self) -> Iterable[tuple[str, Caller]]:
        """All consumers, each with the name of its endpoint."""

    def verifications(self) -> Mapping[str, int]:
        """How often tokens were judged, by result."""

    def known_tokens(self) -> int: ...

    def certificate_expires_at_s(self) -> float | None:
        """Seconds since the epoch; None without HTTPS."""

    def failed_handshakes(self) -> int:
        """Ever; only grows."""

    def dropped_log_lines(self) -> int: ...

    def standing(self) -> Standing: ...


def registry_of(observed: Observed, processes: Collector) -> CollectorRegistry:
    """All that a router shows: requests, replicas, platform, and its own processes."""
    registry = CollectorRegistry()
    for kind in (RouterCollector, CredentialsCollector, TlsCollector, PlatformCollector):
        registry.register(kind(observed))
    registry.register(processes)
    return registry


class RouterCollector(Collector):
    """Makes metric families from live objects, each when it is asked for."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        # Whoever iterates may let requests go on between two families: what they could change is copied first.
        deployments = [
            (Labels(endpoint=load.endpoint, deployment=load.deployment), load, counters)
            for load, counters in self._observed.loads()
        ]
        unrouted = [
            (Labels(endpoint=endpoint, deployment=""), counters)
            for endpoint, counters in self._observed.unrouted().items()
        ]
        yield _requests([*unrouted, *((labels, counters) for labels, _, counters in deployments)])
        yield _counter(
            "scoregate_retries",
            "Requests sent again to another replica.",
            ((labels, counters.retried) for labels, _, counters in deployments),
        )
        yield _counter(
            "scoregate_asks",
            "Requests that found no free slot here, and asked the deployment's owner for one.",
            ((labels, counters.asked) for labels, _, counters in deployments),
        )
        yield from _counted_families([(labels, counters) for labels, _, counters in deployments])
        yield from _load_families([(labels, load) for labels, load, _ in deployments])
        instances = self._observed.instances().items()
        yield _gauge(
            "scoregate_instances",
            "Router processes by state; missing: listed, and out of reach.",
            ((Labels(state=state), count) for state, count in instances),
        )
        connections = GaugeMetricFamily("scoregate_connections", "Open connections.", labels=["side"])
        for side, count in self._observed.connections().items():
            connections.add_metric([side], count)
        yield connections
        yield CounterMetricFamily(
            "scoregate_access_log_dropped",
            "Access log lines dropped because the log could not be written fast enough.",
            value=self._observed.dropped_log_lines(),
        )


class CredentialsCollector(Collector):
    """Who asks, and how tokens are judged. A consumer is a key by its name, or all bearers of tokens: there are as many
    as the endpoint has keys, and those of keys that are gone go with them."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        counted = [(endpoint, each.consumer, each.requests) for endpoint, each in self._observed.callers()]
        yield _counter(
            "scoregate_consumer_requests",
            "Requests by the key, or kind of token, that opened the endpoint, and status code.",
            (
                (Labels(endpoint=endpoint, consumer=consumer, code=str(status)), count)
                for endpoint, consumer, requests in counted
                for status, count in sorted(requests.items())
                if consumer
            ),
        )
        yield _counter(
            "scoregate_token_verifications",
            "Tokens by how they were judged; cached: known from an earlier request.",
            ((Labels(result=result), count) for result, count in self._observed.verifications().items()),
        )
        yield GaugeMetricFamily(
            "scoregate_known_tokens", "Tokens that are known to be good.", value=self._observed.known_tokens()
        )


class TlsCollector(Collector):
    """How clients' connections are encrypted. Nothing where none are."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        expires_at_s = self._observed.certificate_expires_at_s()
        if expires_at_s is None:
            return
        yield GaugeMetricFamily(
            "scoregate_certificate_expires_timestamp_seconds",
            "When the first certificate of the chain that is served expires.",
            value=expires_at_s,
        )
        yield CounterMetricFamily(
            "scoregate_failed_handshakes",
            "Connections of clients that ended before TLS was agreed on.",
            value=self._observed.failed_handshakes(),
        )


class PlatformCollector(Collector):
    """What the platform says, and how fresh that is."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("scoregate_build", "The router's version.", {"version": __version__})
        yield GaugeMetricFamily(
            "scoregate_platform_behind_seconds",
            "So long ago the platform was last proven up to date; 0 while nothing is wrong with it.",
            value=self._observed.standing().behind_s,
        )
        declared = [
            (Labels(endpoint=each.endpoint, deployment=each.name), each) for each in self._observed.deployments()
        ]
        scaled = [(labels, each.scale) for labels, each in declared if each.scale is not None]
        yield _gauge(
            "scoregate_min_replicas",
            "The least replicas that the autoscaler keeps.",
            ((labels, scale.min_instances) for labels, scale in scaled),
        )
        yield _gauge(
            "scoregate_max_replicas",
            "The most replicas that the autoscaler makes.",
            ((labels, scale.max_instances) for labels, scale in scaled),
        )
        yield _gauge(
            "scoregate_target_utilization_ratio",
            "The utilization that the autoscaler aims for.",
            ((labels, scale.target_utilization_percentage / 100) for labels, scale in scaled),
        )


_Figures = Iterable[tuple[Labels, float]]
_NONE = Counters(Memory(), "", "")


def _gauge(name: str, documentation: str, figures: _Figures) -> Metric:
    return _family(name, documentation, "gauge", name, figures)


def _counter(name: str, documentation: str, figures: _Figures) -> Metric:
    return _family(name, documentation, "counter", f"{name}_total", figures)


def _family(name: str, documentation: str, kind: str, sample: str, figures: _Figures) -> Metric:
    family = Metric(name, documentation, kind)
    family.samples = rows = Rows(sample)
    for labels, figure in figures:
        rows.add(labels, figure)
    return family


def _requests(counted: list[tuple[Labels, Counters]]) -> Metric:
    return _counter(
        "scoregate_requests",
        "Requests by status code; 499: the client left.",
        (
            (labels.with_(code=str(status)), count)
            for labels, counters in counted
            for status, count in sorted(counters.requests.items())
        ),
    )


def _counted_families(counted: list[tuple[Labels, Counters]]) -> Iterator[Metric]:
    for name, documentation, field in (
        ("scoregate_request_bytes", "Bytes of request bodies.", "request_bytes"),
        ("scoregate_reply_bytes", "Bytes of reply bodies.", "reply_bytes"),
    ):
        yield _counter(name, documentation, ((labels, getattr(counters, field)) for labels, counters in counted))
    for name, documentation, field in (
        ("scoregate_request_seconds", "From head to last byte.", "latency"),
        ("scoregate_queue_wait_seconds", "Time waited for a slot.", "queue_wait"),
        ("scoregate_overhead_seconds", "The router's own time with a request, without the queue.", "overhead"),
    ):
        family = Metric(name, documentation, "histogram")
        family.samples = rows = HistogramRows(name, getattr(_NONE, field).bounds)
        for labels, counters in counted:
            histogram: Histogram = getattr(counters, field)
            rows.add(labels, histogram.cumulative(), histogram.sum)
        yield family


def _load_families(loads: list[tuple[Labels, Load]]) -> Iterator[Metric]:
    def of(field: str) -> _Figures:
        return ((labels, getattr(load, field)) for labels, load in loads)

    yield _gauge("scoregate_in_flight", "Requests in replicas now.", of("in_flight"))
    yield _gauge("scoregate_queued", "Requests waiting for a slot now.", of("queued"))
    yield _counter("scoregate_refused", "Requests refused for lack of room.", of("refused_total"))
    yield _gauge(
        "scoregate_replicas",
        "Replicas by state; total: all but those that leave.",
        (
            (labels.with_(state=state), getattr(load, state))
            for labels, load in loads
            for state in ("busy", "ready", "starting", "total")
        ),
    )
    yield _gauge("scoregate_utilization_ratio", "(in flight + queued) / (total x concurrency).", of("utilization"))
