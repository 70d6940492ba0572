"""admin.py: what operators, Prometheus and the autoscaler see on the internal port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge

from router.admin import admin_app
from router.core.model import Load

PAGES = ("/", "/healthz", "/readyz", "/metrics", "/load")

LOAD = Load(
    endpoint="iris",
    deployment="blue",
    concurrency=2,
    in_flight=3,
    queued=1,
    busy=2,
    ready=2,
    starting=1,
    total=3,
    refused_total=7,
    utilization=0.6667,
    replicas={"blue-1": 2, "blue-2": 1},
)


class Administered:
    """What the pages show, as a test says it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.loads = [LOAD]

    def not_ready_because(self) -> str | None:
        return self.reason

    def load(self) -> list[Load]:
        return self.loads


@pytest.fixture
def administered() -> Administered:
    return Administered()


@pytest.fixture
async def client(administered: Administered) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    Gauge("answer", "Of everything.", registry=registry).set(42)
    transport = httpx.ASGITransport(admin_app(administered, registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as made:
        yield made


async def test_readiness_is_503_with_the_reason_until_there_is_none(
    client: httpx.AsyncClient, administered: Administered
) -> None:
    administered.reason = "no endpoints are known yet"
    reply = await client.get("/readyz")
    assert (reply.status_code, reply.text) == (503, "not ready: no endpoints are known yet\n")
    administered.reason = None
    reply = await client.get("/readyz")
    assert (reply.status_code, reply.text) == (200, "ready\n")


async def test_a_router_that_is_not_ready_is_alive(client: httpx.AsyncClient, administered: Administered) -> None:
    administered.reason = "it is stopping"
    assert (await client.get("/healthz")).status_code == 200


async def test_the_load_has_camel_case_keys_and_reads_back_to_what_it_was(client: httpx.AsyncClient) -> None:
    reply = await client.get("/load")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == [
        {
            "endpoint": "iris",
            "deployment": "blue",
            "concurrency": 2,
            "inFlight": 3,
            "queued": 1,
            "busy": 2,
            "ready": 2,
            "starting": 1,
            "total": 3,
            "refusedTotal": 7,
            "utilization": 0.6667,
            "replicas": {"blue-1": 2, "blue-2": 1},
        }
    ]
    assert msgspec.json.decode(reply.content, type=list[Load]) == [LOAD]


async def test_no_deployment_is_an_empty_list(client: httpx.AsyncClient, administered: Administered) -> None:
    administered.loads = []
    assert (await client.get("/load")).json() == []


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("", "text/plain"), ("text/html", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")],
)
async def test_metrics_come_as_the_scraper_asks(client: httpx.AsyncClient, accept: str, content_type: str) -> None:
    reply = await client.get("/metrics", headers={"accept": accept})
    assert reply.headers["content-type"].startswith(content_type)
    assert "\nanswer 42.0\n" in reply.text
    assert reply.text.endswith("# EOF\n") == ("openmetrics" in content_type)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_pages_are_read_only(client: httpx.AsyncClient, page: str, method: str) -> None:
    assert (await client.request(method, page)).status_code == 405


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_answers_get_and_head_alike(client: httpx.AsyncClient, page: str) -> None:
    get, head = await client.get(page), await client.head(page)
    assert get.status_code == head.status_code == 200
    assert head.headers["content-length"] == get.headers["content-length"] != "0"
    assert head.content == b""


async def test_the_first_page_lists_the_others_and_anything_else_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).json() == {"pages": list(PAGES[1:])}
    assert (await client.get("/api/v1/endpoint/iris/score")).status_code == 404
