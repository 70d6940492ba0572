"""A real Prometheus, with the shipped configuration and rules, before a real router: every query of the dashboard and
every recording rule has an answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from router.core.model import Addresses, Deployment, Endpoint, Replica, RequestSettings, ScaleSettings, Snapshot
from router.platforms.local.state import StateDirectory
from tests.certificates import Authority
from tests.deploy.rules import dashboard, filled, needs_promtool, promtool, queries, rules
from tests.deploy.scraping import Watching, configured, found, needs_prometheus, watching
from tests.front import SCORE
from tests.models import Model, served
from tests.router_process import RouterProcess, routing

ANSWERS_WITHIN_S = 60.0
METRIC = re.compile(r"(?:\w+:)?scoregate_\w+(?::\w+)?")
STATUS = "/api/v1/endpoint/iris/status/"


def declared(port: int) -> Snapshot:
    """The deployment `blue` that may be scaled: what the dashboard shows of the autoscaler is there, too."""
    blue = Deployment(
        endpoint="iris",
        name="blue",
        workload=Addresses(addresses=()),
        request=RequestSettings(request_timeout_ms=60_000, max_queue_wait_ms=60_000, max_queue_length=1),
        scale=ScaleSettings(max_instances=3),
    )
    iris = Endpoint(name="iris", auth_mode="none", weights=(("blue", 100),), deployments=(blue,))
    replica = Replica(uid="blue-1", deployment="iris/blue", host="127.0.0.1", port=port, ready=True)
    return Snapshot(endpoints=(iris,), replicas=(replica,))


@asynccontextmanager
async def busy_router(folder: Path) -> AsyncIterator[RouterProcess]:
    """Before one replica that takes one request at a time, under requests that succeed, fail, wait and are refused,
    until it closes."""
    model = Model()
    async with served(model) as port:
        StateDirectory(folder / "state").write_snapshot(declared(port))
        authority = Authority()
        folder_of_pair = authority.certify().write(folder / "tls")
        https = ("--tls-dir", str(folder_of_pair), "--tls-port", "0")
        async with routing(folder, "--access-log", "off", *https, platform="local") as router:
            await router.ready()
            context = authority.trusting()
            context.check_hostname = False
            async with router.client(verify=context) as client:
                traffic = asyncio.create_task(_requests(client))
                try:
                    yield router
                finally:
                    traffic.cancel()
                    await asyncio.gather(traffic, return_exceptions=True)


async def _requests(client: httpx.AsyncClient) -> None:
    """Over and over: one is served, one waits, one is refused; one of the model's failures; one for nobody."""
    while True:
        replies = await asyncio.gather(*(client.post(SCORE, content=b"0123456789") for _ in range(3)))
        assert {reply.status_code for reply in replies} <= {200, 503}
        assert (await client.get(STATUS + "500")).status_code == 500
        assert (await client.get("/elsewhere")).status_code == 404
        await asyncio.sleep(0.05)


async def unanswered(prometheus: Watching, asked: dict[str, str]) -> dict[str, str]:
    """Those of `asked` (PromQL by what it is for) that have no number by the time all should have one."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while asked:
                asked = {what: expr for what, expr in asked.items() if not await prometheus.numbers(expr)}
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    return asked


@needs_promtool
@needs_prometheus
async def test_every_query_of_the_dashboard_and_every_recording_rule_has_an_answer(tmp_path: Path) -> None:
    async with busy_router(tmp_path) as router:
        address = router.place.admin.removeprefix("http://")
        config = configured(
            tmp_path,
            found(address),
            found(router.place.public.removeprefix("https://"), port_name="http"),
            found("127.0.0.1:9", phase="Succeeded", pod="router-0"),
        )
        code, said = await asyncio.to_thread(promtool, "check", "config", config)
        assert code == 0, said
        async with watching(config) as prometheus:
            assert await unanswered(prometheus, _everything_asked()) == {}
            await _what_is_scraped_is_what_the_relabelling_keeps(prometheus, address)
            await _numbers_are_of_this_traffic(prometheus)
            await _variables_offer_what_there_is(prometheus, address)
            groups = (await prometheus.asked("rules"))["groups"]
            unwell = {rule["name"]: rule for group in groups for rule in group["rules"] if rule["health"] != "ok"}
            assert unwell == {}


def _everything_asked() -> dict[str, str]:
    """PromQL by what it is for: each recording rule; each metric of an alert, which is silent for ever if it is spelled
    wrongly; each query of the dashboard, with all chosen, and with this endpoint only."""
    asked = {rule.name: rule.name for rule in rules() if not rule.is_alert}
    for rule in rules():
        asked |= {f"{name} of {rule.name}": name for name in METRIC.findall(rule.expr)}
    for query in queries():
        asked[f"{query.panel}: {query.expr}"] = filled(query.expr)
        asked[f"{query.panel} of iris: {query.expr}"] = filled(query.expr, endpoint="iris", namespace="scoregate")
    return asked


async def _what_is_scraped_is_what_the_relabelling_keeps(prometheus: Watching, address: str) -> None:
    up = await prometheus.numbers("up")
    names = {"__name__": "up", "job": "scoregate", "instance": address, "namespace": "scoregate", "pod": "router-1"}
    assert up == [(names, 1.0)]


async def _numbers_are_of_this_traffic(prometheus: Watching) -> None:
    """Of each code some; no 5xx but 503 and 500; the endpoint's own label is not overwritten."""
    codes = await prometheus.numbers("sum by (endpoint, deployment, code) (scoregate_requests_total)")
    told = {(labels.get("endpoint"), labels.get("deployment"), labels["code"]) for labels, _ in codes}
    assert told >= {("iris", "blue", "200"), ("iris", "blue", "500"), ("iris", "blue", "503"), (None, None, "404")}
    ((_, most),) = await prometheus.numbers("deployment:scoregate_max_replicas:max")
    ((_, behind),) = await prometheus.numbers("scoregate_platform_behind_seconds")
    assert (most, behind) == (3, 0)


async def _variables_offer_what_there_is(prometheus: Watching, address: str) -> None:
    offered = {}
    for variable in dashboard()["templating"]["list"]:
        if match := re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", "")):
            values = await prometheus.asked(f"label/{match[2]}/values", **{"match[]": filled(match[1])})
            offered[variable["name"]] = values
    assert offered == {"namespace": ["scoregate"], "endpoint": ["iris"], "deployment": ["blue"], "router": [address]}
