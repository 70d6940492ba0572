"""admin.py: what operators, Prometheus and the autoscaler see on the internal port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Gauge

from router.admin import admin_app
from router.core.loads import Gathered
from router.core.model import InstanceStanding, Load
from router.load_page import GENERATION_HEADER, INSTANCES_HEADER, MAX_LOAD_WAIT_MS
from router.platforms import UP_TO_DATE, Standing
from router.pressure import Pressure
from tests.administration.office import Office
from tests.models import served, until
from tests.virtual_time import armed, now, on_virtual_time, settle

PAGES = ("/", "/healthz", "/readyz", "/metrics", "/load", "/instances", "/openapi.json", "/.well-known/jwks.json")

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
    arrived_total=20,
    finished_total=9,
    held_seconds_total=4.5,
    utilization=0.6667,
    replicas={"blue-1": 2, "blue-2": 1},
)

STANDING = InstanceStanding(
    id="7-1", name="7-1", is_self=True, up=True, silent_for_s=0.0, owns=2, view_agrees=True, in_flight=3
)


class Administered:
    """What the pages show, as a test says it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.loads = [LOAD]
        self.pressure = Pressure()
        self.stands = UP_TO_DATE

    def standing(self) -> Standing:
        return self.stands

    def not_ready_because(self) -> str | None:
        return self.reason

    def load(self) -> list[Load]:
        return self.loads

    async def load_of_all(self) -> Gathered:
        return Gathered([*self.loads, replace(LOAD, deployment="of-another")], 2, 3)

    async def standings(self) -> list[InstanceStanding]:
        return [STANDING]


@pytest.fixture
def administered() -> Administered:
    return Administered()


def asking(administered: Administered) -> httpx.AsyncClient:
    registry = CollectorRegistry()
    Gauge("answer", "Of everything.", registry=registry).set(42)
    transport = httpx.ASGITransport(admin_app(administered, registry, Office().desk))
    return httpx.AsyncClient(transport=transport, base_url="http://internal")


@pytest.fixture
async def client(administered: Administered) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(administered) as made:
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


async def test_a_platform_that_is_away_is_told_and_is_no_reason_to_go_elsewhere(
    client: httpx.AsyncClient, administered: Administered
) -> None:
    administered.stands = Standing(41.7, "pods: no answer within 10 s")
    reply = await client.get("/readyz")
    assert reply.status_code == 200
    assert reply.text == "ready, with what was known 42 s ago: pods: no answer within 10 s\n"


async def test_a_router_that_is_not_ready_is_alive(client: httpx.AsyncClient, administered: Administered) -> None:
    administered.reason = "it is stopping"
    assert (await client.get("/healthz")).status_code == 200


async def test_instances_are_told_as_the_one_that_answers_sees_them(client: httpx.AsyncClient) -> None:
    reply = await client.get("/instances")
    assert reply.headers["content-type"] == "application/json"
    (told,) = reply.json()
    assert told == {
        "id": "7-1",
        "name": "7-1",
        "isSelf": True,
        "up": True,
        "silentForS": 0.0,
        "owns": 2,
        "viewAgrees": True,
        "inFlight": 3,
    }


async def test_the_load_has_camel_case_keys_and_reads_back_to_what_it_was(client: httpx.AsyncClient) -> None:
    reply = await client.get("/load?scope=instance")
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
            "arrivedTotal": 20,
            "finishedTotal": 9,
            "heldSecondsTotal": 4.5,
            "utilization": 0.6667,
            "replicas": {"blue-1": 2, "blue-2": 1},
        }
    ]
    assert msgspec.json.decode(reply.content, type=list[Load]) == [LOAD]


async def test_no_deployment_is_an_empty_list(client: httpx.AsyncClient, administered: Administered) -> None:
    administered.loads = []
    assert (await client.get("/load?scope=instance")).json() == []


@pytest.mark.parametrize("query", ["", "?scope=all"])
async def test_the_load_is_that_of_all_instances_and_says_how_many_answered(
    client: httpx.AsyncClient, query: str
) -> None:
    reply = await client.get(f"/load{query}")
    assert [load["deployment"] for load in reply.json()] == ["blue", "of-another"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers[INSTANCES_HEADER] == "2/3"
    assert GENERATION_HEADER not in reply.headers


@pytest.mark.parametrize("query", ["scope=instance", "wait_ms=0", "since=0", "scope=instance&wait_ms=0&since=0"])
async def test_the_load_of_one_instance_is_its_own(client: httpx.AsyncClient, query: str) -> None:
    """Whose else could it wait for?"""
    reply = await client.get(f"/load?{query}")
    assert [load["deployment"] for load in reply.json()] == ["blue"]
    assert reply.headers[GENERATION_HEADER] == "0"
    assert INSTANCES_HEADER not in reply.headers


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("scope=", "scope is ''; it must be instance or all."),
        ("scope=" + "x" * 50, f"scope is '{'x' * 40}'; it must be instance or all."),
        ("scope=all&since=0", "wait_ms and since are for the load of one instance: scope is 'all'."),
        ("scope=all&wait_ms=1", "wait_ms and since are for the load of one instance: scope is 'all'."),
    ],
)
async def test_a_scope_that_can_not_be_is_400_with_the_rule(
    client: httpx.AsyncClient, query: str, message: str
) -> None:
    reply = await client.get(f"/load?{query}")
    assert (reply.status_code, reply.json()["error"]) == (400, {"code": "BadRequest", "message": message})


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


# -- the load when a queue forms -------------------------------------------------------------------------------


async def asked(client: httpx.AsyncClient, query: str) -> asyncio.Task[httpx.Response]:
    task = asyncio.create_task(client.get(f"/load?{query}"))
    await settle()
    return task


@on_virtual_time
async def test_the_load_is_told_after_the_wait_when_no_queue_forms() -> None:
    administered = Administered()
    async with asking(administered) as client:
        task = await asked(client, "wait_ms=2500")
        administered.loads = []
        reply = await task
        assert (now(), reply.json()) == (2.5, []), "the load of then"
        assert reply.headers[GENERATION_HEADER] == "0"
        await settle()
        assert armed() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


@on_virtual_time
async def test_everybody_who_waits_is_told_as_soon_as_a_queue_forms() -> None:
    administered = Administered()
    async with asking(administered) as client:
        tasks = [await asked(client, query) for query in ("wait_ms=60000", "wait_ms=60000&since=0", "wait_ms=10000")]
        await asyncio.sleep(1.0)
        administered.pressure.rise()
        replies = await asyncio.gather(*tasks)
        assert now() == 1.0
        assert [reply.headers[GENERATION_HEADER] for reply in replies] == ["1", "1", "1"]
        await settle()
        assert armed() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


@on_virtual_time
async def test_a_queue_that_formed_since_the_last_answer_is_told_at_once() -> None:
    administered = Administered()
    async with asking(administered) as client:
        known = (await client.get("/load?scope=instance")).headers[GENERATION_HEADER]
        administered.pressure.rise()
        reply = await client.get(f"/load?wait_ms=60000&since={known}")
        assert (now(), reply.headers[GENERATION_HEADER]) == (0.0, "1")
        await client.get("/load?wait_ms=3000&since=1")
        assert now() == 3.0


@pytest.mark.parametrize("query", ["?scope=instance", "?wait_ms=0", "?since=0", "?wait_ms=0&since=0"])
@on_virtual_time
async def test_without_a_wait_the_load_is_told_at_once(query: str) -> None:
    async with asking(Administered()) as client:
        reply = await client.get(f"/load{query}")
        assert (reply.status_code, now()) == (200, 0.0)
        assert reply.headers[GENERATION_HEADER] == "0"


@on_virtual_time
async def test_when_the_router_ends_nobody_waits() -> None:
    administered = Administered()
    async with asking(administered) as client:
        task = await asked(client, "wait_ms=60000")
        administered.pressure.close()
        assert (await task).status_code == (await client.get("/load?wait_ms=60000")).status_code == 200
        assert now() == 0.0


@pytest.mark.parametrize("value", ["-1", "60001", "1.5", "1e3", "", "%2b1", "1_000", "soon", "%d9%a1", "9" * 5_000])
async def test_a_wait_that_can_not_be_is_400_with_the_value_and_the_rule(client: httpx.AsyncClient, value: str) -> None:
    reply = await client.get(f"/load?wait_ms={value}")
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "BadRequest"
    shown = reply.request.url.params["wait_ms"][:40]
    assert error["message"] == f"wait_ms is {shown!r}; it must be a whole number from 0 to {MAX_LOAD_WAIT_MS}."


async def test_a_generation_that_can_not_be_is_400(client: httpx.AsyncClient) -> None:
    reply = await client.get("/load?wait_ms=10&since=x")
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith("since is 'x'; it must be a whole number from 0 to ")


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(administered: Administered) -> None:
    """On a real socket; `served` ends only when no connection and no task is left."""
    waiting = administered.pressure._waiting
    async with served(admin_app(administered, CollectorRegistry(), Office().desk)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /load?wait_ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: len(waiting) == 1)
        writer.transport.abort()
        await until(lambda: not waiting)


async def test_a_client_that_waits_is_told_on_a_connection_that_it_goes_on_using(administered: Administered) -> None:
    async with (
        served(admin_app(administered, CollectorRegistry(), Office().desk)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        for generation in (1, 2):
            task = asyncio.create_task(client.get("/load?wait_ms=60000"))
            await until(lambda: len(administered.pressure._waiting) == 1)
            administered.pressure.rise()
            assert (await task).headers[GENERATION_HEADER] == str(generation)
