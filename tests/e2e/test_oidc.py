"""A router process, an issuer process, and clients in between: who is let in, while keys change and the issuer dies."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.processes import free_port
from router.platforms.keys import KeyStore
from tests.front import SCORE, bearer
from tests.models import PATIENCE_S, Model, served, until
from tests.router_process import RouterProcess, declare, routing
from tests.tokens.issuer_process import IssuerProcess, issuing

CLIENTS = 4
RETRIES_WITHIN_S = 90.0
"""The issuer is asked for a key twice a minute at most; who is told to come back comes back."""
SCORES, READS = {"audience": "api://iris", "scope": "read score"}, {"audience": "api://iris", "scope": "read"}


class Site:
    def __init__(self, router: RouterProcess, issuer: IssuerProcess, client: httpx.AsyncClient) -> None:
        self.router = router
        self.issuer = issuer
        self.client = client

    async def token(self, **form: str) -> str:
        return await self.issuer.grant(self.client, **SCORES | form)

    async def score(self, credential: str) -> httpx.Response:
        return await self.client.post(self.router.place.public + SCORE, headers=bearer(credential), content=b"[1]")

    async def scored(self, credential: str) -> int:
        return (await self.score(credential)).status_code


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        issuing(free_port()) as issuer,
        served(Model()) as port,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        file = declare(tmp_path / "endpoints.yaml", port, maxConcurrentRequestsPerInstance=0)
        document: dict[str, Any] = json.loads(file.read_text())
        trusted = {"issuer": issuer.url, "audiences": ["api://iris"], "requiredScopes": ["score"]}
        document["spec"]["auth"] = {"mode": "jwt", "alsoAccepts": ["key"], "jwt": trusted}
        file.write_text(json.dumps(document))
        async with routing(tmp_path) as router:
            await router.ready()
            yield Site(router, issuer, client)


async def test_a_grant_opens_the_endpoint_through_rotation_and_outage(site: Site) -> None:
    await _who_is_let_in(site)
    await _a_rotation_under_load(site)
    await _an_outage(site)
    assert b"eyJ" not in site.router.said + site.router.printed, "no token is in a log"
    assert b"Traceback" not in site.router.said


async def _who_is_let_in(site: Site) -> None:
    good = await site.token()
    assert [await site.scored(good) for _ in range(2)] == [200, 200]
    denied = await site.score(await site.issuer.grant(site.client, **READS))
    assert denied.status_code == 403
    assert denied.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="score"'
    assert await site.scored(await site.token(audience="api://wine")) == 403
    assert await site.scored(good[:-4] + "AAAA") == 401
    assert (await site.score("no-token-and-no-key")).headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert await site.scored(KeyStore(site.router.state.path).read("iris").primary_key) == 200, "keys open it, too"


async def _a_rotation_under_load(site: Site) -> None:
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()

    async def ask_on() -> None:
        """With a token that is new, and with one that is as old as the load."""
        first = await site.token()
        while not stop.is_set():
            statuses.update([await site.scored(await site.token()), await site.scored(first)])

    clients = [asyncio.create_task(ask_on()) for _ in range(CLIENTS)]
    await until(lambda: statuses.total() > 5 * CLIENTS)
    await site.issuer.rotate("ES256", keeps=1)
    before = statuses.total()
    await until(lambda: statuses.total() > before + 10 * CLIENTS)
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*clients)
    assert set(statuses) == {200}


async def _an_outage(site: Site) -> None:
    known, unknown, denied = await site.token(), await site.token(), await site.issuer.grant(site.client, **READS)
    assert await site.scored(known) == 200
    port = site.issuer.port
    await site.issuer.kill()
    for _ in range(5):
        assert [await site.scored(each) for each in (known, unknown)] == [200, 200]
    assert await site.scored(denied) == 403
    async with issuing(port) as again:  # with keys that nobody has seen, as after a loss of all
        await again.rotate("ES256")
        await again.rotate("PS256")
        fresh = await again.grant(site.client, **SCORES)
        answers = [await site.score(fresh)]
        async with asyncio.timeout(RETRIES_WITHIN_S):
            while answers[-1].status_code == 503:
                await asyncio.sleep(float(answers[-1].headers["retry-after"]))
                answers.append(await site.score(fresh))
        assert [each.status_code for each in answers][-1] == 200
        assert len(answers) < 6
