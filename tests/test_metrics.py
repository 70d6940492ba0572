"""metrics.py: what Prometheus sees adds up with what was sent, and is text that Prometheus takes."""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from msgspec import structs
from prometheus_client import ProcessCollector
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from router import __version__
from router.core.auth import Caller
from router.core.model import Addresses, Deployment, Load, ScaleSettings
from router.core.tally import Memory
from router.counters import Counters
from router.metrics import RouterCollector, registry_of
from router.platforms import Standing
from tests.front import SCORE
from tests.models import Model, served
from tests.router_process import RouterProcess, declare, routing, score

STATUS = "/api/v1/endpoint/iris/status/"
BLUE = {"endpoint": "iris", "deployment": "blue"}
COLOURS = ("blue", "green")
STATES = ("busy", "ready", "starting", "total")
NOBODY = {"endpoint": "", "deployment": ""}


class Site(NamedTuple):
    router: RouterProcess
    model: Model


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A router before one replica that takes one request at a time, with room for one more in the queue."""
    model = Model()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port, maxQueueLength=1)
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            yield Site(router, model)
        model.gate.set()


async def scrape(site: Site, accept: str = "text/plain") -> httpx.Response:
    async with site.router.client() as client:
        return await client.get(f"{site.router.place.admin}/metrics", headers={"accept": accept})


Value = Callable[..., float]


async def values(site: Site) -> Value:
    """`value(name, **labels)` of one scrape; NaN for a sample that is not there."""
    families = plain_text((await scrape(site)).text)
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    return lambda name, **labels: found.get(("scoregate_" + name, frozenset(labels.items())), math.nan)


async def traffic(site: Site) -> None:
    """3 scored of 10 bytes each; two failures of the model's; one nobody's; one too large."""
    async with site.router.client() as client:
        for _ in range(3):
            assert (await client.post(SCORE, content=b"0123456789")).status_code == 200
        for _ in range(2):
            assert (await client.get(STATUS + "500")).status_code == 500
        assert (await client.get("/elsewhere")).status_code == 404
    async with site.router.wire() as (reader, writer):
        writer.write(score().replace(b"Content-Length: 2", b"Content-Length: 104857601"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_after_traffic_the_counters_add_up_with_what_was_sent(site: Site) -> None:
    await traffic(site)
    value = await values(site)
    assert value("requests_total", code="200", **BLUE) == 3
    assert value("requests_total", code="500", **BLUE) == 2
    assert value("requests_total", code="404", **NOBODY) == 1
    assert value("requests_total", code="413", endpoint="iris", deployment="") == 1
    assert value("request_bytes_total", **BLUE) == 30
    assert value("reply_bytes_total", **BLUE) == 30 + 2 * len("the model says so")
    assert value("retries_total", **BLUE) == value("refused_total", **BLUE) == 0
    for histogram in ("request_seconds", "queue_wait_seconds", "overhead_seconds"):
        assert value(f"{histogram}_count", **BLUE) == value(f"{histogram}_bucket", le="+Inf", **BLUE) == 5
    assert value("queue_wait_seconds_sum", **BLUE) == 0, "nobody waited"
    assert 0 < value("overhead_seconds_sum", **BLUE) < value("request_seconds_sum", **BLUE)
    assert value("access_log_dropped_total") == 0
    assert value("build_info", version=__version__) == 1
    assert value("platform_behind_seconds") == 0, "a file is never behind"


async def test_the_gauges_show_who_is_served_and_who_waits(site: Site) -> None:
    site.model.gate.clear()
    async with site.router.client() as client:
        first = asyncio.create_task(client.post(SCORE))
        await site.router.until_load(inFlight=1)
        second = asyncio.create_task(client.post(SCORE))
        await site.router.until_load(queued=1)
        assert (await client.post(SCORE)).status_code == 503
        value = await values(site)
        assert value("in_flight", **BLUE) == value("queued", **BLUE) == value("refused_total", **BLUE) == 1
        assert [value("replicas", state=state, **BLUE) for state in STATES] == [1, 1, 0, 1]
        assert value("utilization_ratio", **BLUE) == 2.0, "(1 in flight + 1 queued) / (1 replica x 1)"
        assert value("requests_total", code="503", **BLUE) == 1
        assert [value("connections", side=side) for side in ("client", "client_idle", "replica")] == [3, 1, 1]
        site.model.gate.set()
        assert [reply.status_code for reply in await asyncio.gather(first, second)] == [200, 200]
        value = await values(site)
        assert value("in_flight", **BLUE) == value("queued", **BLUE) == value("utilization_ratio", **BLUE) == 0
        assert value("replicas", state="busy", **BLUE) == 0
        assert value("queue_wait_seconds_count", **BLUE) == 3
        assert value("queue_wait_seconds_sum", **BLUE) > 0, "one waited"
        assert value("connections", side="client_idle") == 3


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_prometheus_own_check_finds_nothing_to_complain_about(site: Site) -> None:
    await traffic(site)
    text = (await scrape(site)).content
    command = ["promtool", "check", "metrics"]
    checked = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


async def test_openmetrics_says_the_same(site: Site) -> None:
    await traffic(site)
    reply = await scrape(site, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics(reply.text)}
    assert families["scoregate_requests"].type == "counter"
    assert families["scoregate_request_seconds"].type == "histogram"
    scored = [sample.value for sample in families["scoregate_requests"].samples if sample.labels["code"] == "200"]
    assert scored == [3]
    names = {family.name for family in plain_text((await scrape(site)).text)}
    assert {name for name in names if not name.startswith(("scoregate_", "process_"))} == set()
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= names
    # The older format has no `info`, and its parser keeps the name as it is written.
    assert {name.replace("scoregate_build_info", "scoregate_build") for name in names} == set(families)


class Observed:
    """Live objects as a test makes them."""

    def __init__(self, *live: tuple[Load, Counters], declared: tuple[Deployment, ...] = ()) -> None:
        self.live = live
        self.declared = declared
        self.ended = {"": none("", ""), "iris": none("iris", "")}
        self.behind_s = 0.0
        self.called: dict[str, list[Caller]] = {}
        self.certified_until_s: float | None = None

    def loads(self) -> tuple[tuple[Load, Counters], ...]:
        return self.live

    def deployments(self) -> tuple[Deployment, ...]:
        return self.declared

    def standing(self) -> Standing:
        return Standing(self.behind_s, "the API server does not answer" if self.behind_s else "")

    def unrouted(self) -> dict[str, Counters]:
        return self.ended

    def instances(self) -> dict[str, int]:
        return {"up": 3, "missing": 1}

    def connections(self) -> dict[str, int]:
        return {"client": 5}

    def callers(self) -> Iterator[tuple[str, Caller]]:
        return ((endpoint, each) for endpoint, callers in self.called.items() for each in callers)

    def verifications(self) -> dict[str, int]:
        return {"cached": 7, "verified": 2, "refused": 0}

    def known_tokens(self) -> int:
        return 2

    def certificate_expires_at_s(self) -> float | None:
        return self.certified_until_s

    def failed_handshakes(self) -> int:
        return 4

    def dropped_log_lines(self) -> int:
        return 9


def none(endpoint: str, deployment: str) -> Counters:
    return Counters(Memory(), endpoint, deployment)


def load_of(deployment: str) -> Load:
    return Load(
        endpoint="iris",
        deployment=deployment,
        concurrency=1,
        in_flight=4,
        queued=3,
        busy=2,
        ready=5,
        starting=1,
        total=6,
        refused_total=8,
        arrived_total=20,
        finished_total=9,
        held_seconds_total=4.5,
        utilization=1.5,
        replicas={},
    )


def values_of(observed: Observed) -> Value:
    registry = registry_of(observed, ProcessCollector(registry=None))

    def value(name: str, **labels: str) -> float:
        found = registry.get_sample_value("scoregate_" + name, labels)
        return math.nan if found is None else found

    return value


def test_families_are_made_of_live_objects_at_each_scrape() -> None:
    counters = none("iris", "blue")
    value = values_of(Observed((load_of("blue"), counters)))
    assert math.isnan(value("requests_total", code="200", **BLUE))
    counters.count(200)
    counters.count(200)
    counters.note_troubles(0, 7, 5)
    counters.queue_wait.add(0.3)
    expected = {"requests_total": (2, {"code": "200"}), "retries_total": (7, {}), "in_flight": (4, {})}
    expected |= {"queued": (3, {}), "refused_total": (8, {}), "utilization_ratio": (1.5, {})}
    expected |= {"queue_wait_seconds_sum": (0.3, {}), "queue_wait_seconds_bucket": (1, {"le": "0.5"})}
    for name, (number, labels) in expected.items():
        assert value(name, **BLUE | labels) == number, name
    assert [value("replicas", state=state, **BLUE) for state in STATES] == [2, 5, 1, 6]
    assert value("asks_total", **BLUE) == 5
    assert [value("instances", state=state) for state in ("up", "missing")] == [3, 1]
    assert value("connections", side="client") == 5
    assert value("access_log_dropped_total") == 9


def test_what_the_autoscaler_may_do_is_shown_where_it_may() -> None:
    scale = ScaleSettings(min_instances=2, max_instances=8, target_utilization_percentage=60)
    blue, green = (Deployment(endpoint="iris", name=name, workload=Addresses(addresses=())) for name in COLOURS)
    value = values_of(Observed(declared=(structs.replace(blue, scale=scale), green)))
    assert [value(f"{bound}_replicas", **BLUE) for bound in ("min", "max")] == [2, 8]
    assert value("target_utilization_ratio", **BLUE) == 0.6
    assert math.isnan(value("max_replicas", endpoint="iris", deployment="green")), "its number is fixed"


def test_each_consumer_has_its_requests_and_nobody_who_needs_no_credential() -> None:
    observed = Observed()
    batch, token, anybody = (Caller(Memory(), "iris", consumer) for consumer in ("batch", "token", ""))
    observed.called = {"iris": [batch, token, anybody], "rose": [Caller(Memory(), "rose", "batch")]}
    for caller, status in ((batch, 200), (batch, 429), (batch, 429), (token, 200), (anybody, 200)):
        caller.count(status)
    family = next(
        each
        for each in registry_of(observed, ProcessCollector(registry=None)).collect()
        if each.name == "scoregate_consumer_requests"
    )
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"endpoint": "iris", "consumer": "batch", "code": "200"}, 1),
        ({"endpoint": "iris", "consumer": "batch", "code": "429"}, 2),
        ({"endpoint": "iris", "consumer": "token", "code": "200"}, 1),
    ]


def test_it_is_counted_how_tokens_were_judged() -> None:
    value = values_of(Observed())
    results = ("cached", "verified", "refused")
    assert [value("token_verifications_total", result=result) for result in results] == [7, 2, 0]
    assert value("known_tokens") == 2


def test_where_clients_speak_tls_its_certificates_end_is_known() -> None:
    observed = Observed()
    value = values_of(observed)
    assert math.isnan(value("certificate_expires_timestamp_seconds"))
    assert math.isnan(value("failed_handshakes_total"))
    observed.certified_until_s = 1_800_000_000.5
    assert value("certificate_expires_timestamp_seconds") == 1_800_000_000.5
    assert value("failed_handshakes_total") == 4


def test_it_is_said_how_far_the_platform_is_behind() -> None:
    observed = Observed()
    value = values_of(observed)
    observed.behind_s = 75.5
    assert value("platform_behind_seconds") == 75.5


def test_requests_may_go_on_between_two_families() -> None:
    """What comes and goes meanwhile is in the next scrape."""
    observed = Observed((load_of("blue"), none("iris", "blue")))
    families = RouterCollector(observed).collect()
    next(families)
    observed.ended["new"] = none("new", "")
    observed.live = ()
    queued = next(family for family in families if family.name == "scoregate_queued")
    assert [sample.labels for sample in queued.samples] == [BLUE]
