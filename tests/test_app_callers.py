"""app.py, step 4: who is let in, what it costs those who are not, and what is said of everyone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from router.app import CANCELS
from router.core.auth import digest, hashed
from router.core.claims import Verified
from router.core.errors import Forbidden, Unauthorized
from router.core.model import JwtSettings, KeyHashes, NamedHash, RateLimit
from tests.front import SCORE, Front, bearer, front, keys
from tests.gates import NOW_S, unsigned
from tests.models import until

JWT = {"auth_mode": "jwt", "jwt": JwtSettings(issuer="https://issuer.example", audiences=("iris",))}
TOKEN = unsigned("https://issuer.example")


def named(**settings: Any) -> dict[str, Any]:
    plain = hashed("primary-key-of-iris", "secondary-key-of-iris")
    batch = NamedHash(name="batch", digest=digest(b"key-of-batch"), **settings)
    return {"auth_mode": "key", "keys": KeyHashes(plain.primary, plain.secondary, (batch,))}


def counted(one: Front) -> dict[str, dict[int, int]]:
    return {caller.consumer: caller.requests for _, caller in one.gated.gate.callers() if caller.requests}


async def test_each_request_counts_for_its_consumer_whatever_becomes_of_it(tmp_path: Path) -> None:
    async with front(log=tmp_path / "log", **named()) as one, one.client() as client:
        for key in ("primary-key-of-iris", "key-of-batch", "key-of-batch", "wrong"):
            await client.post(SCORE, headers=bearer(key))
        await client.get("/api/v1/endpoint/iris/status/500", headers=bearer("key-of-batch"))
        await client.post(SCORE, headers={**bearer("key-of-batch"), "azureml-model-deployment": "red"})
        assert counted(one) == {"primary": {200: 1}, "batch": {200: 2, 500: 1, 404: 1}}
        records = await one.records()
    assert [record.get("consumer") for record in records] == ["primary", "batch", "batch", None, "batch", "batch"]
    assert "key-of" not in str(records)


async def test_over_its_rate_limit_a_key_is_429_and_costs_neither_slot_nor_model(tmp_path: Path) -> None:
    limit = RateLimit(requests_per_second=0.01, burst=2)
    async with front(log=tmp_path / "log", **named(rate_limit=limit)) as one, one.client() as client:
        replies = [await client.post(SCORE, headers=bearer("key-of-batch")) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
        assert 95 <= int(replies[-1].headers["retry-after"]) <= 100
        assert replies[-1].json()["error"]["code"] == "TooManyRequests"
        assert (await client.post(SCORE, headers=bearer("primary-key-of-iris"))).status_code == 200
        assert one.models["blue"].begun == 3
        assert one.fleet.unrouted["iris"].requests == {429: 2}
        assert one.statuses() == {200: 3}
        assert counted(one)["batch"] == {200: 2, 429: 2}
        records = await one.records()
    assert [(record["status"], record["consumer"]) for record in records][2:4] == [(429, "batch")] * 2


@pytest.mark.parametrize("credential", ["wrong", "key-of-batch"])
async def test_who_is_not_let_in_is_told_before_the_body_is_read(credential: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer " + credential.encode()), (b"content-length", b"5")]
    scope = {"type": "http", "method": "POST", "path": SCORE, "headers": headers, "query_string": b""}
    limit = RateLimit(requests_per_second=0.01)
    async with front(**named(rate_limit=limit)) as one, one.client() as client:
        await client.post(SCORE, headers=bearer("key-of-batch"))
        await one.app({**scope, "extensions": {CANCELS: {}}}, receive, send)
        assert sent[0]["status"] == (429 if credential == "key-of-batch" else 401)
        assert one.fleet.loads()[0].arrived_total == 1


# -- tokens ----------------------------------------------------------------------------------------------------


async def test_a_token_lets_in_and_does_not_reach_the_model(tmp_path: Path) -> None:
    async with front(log=tmp_path / "log", **JWT) as one, one.client() as client:
        one.gated.issuers.take(TOKEN)
        for _ in range(3):
            assert (await client.post(SCORE, headers=bearer(TOKEN.decode()))).status_code == 200
        assert one.gated.issuers.asked == 1
        assert counted(one) == {"jwt": {200: 3}}
        assert TOKEN.decode() not in str(one.models["blue"].asked)
        records = await one.records()
    assert {record["consumer"] for record in records} == {"jwt"}
    assert TOKEN.decode() not in str(records)


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (Unauthorized("The token is refused.", presented=True), 'Bearer error="invalid_token"'),
        (Forbidden("It lacks a scope.", scopes=("a",)), 'Bearer error="insufficient_scope", scope="a"'),
    ],
)
async def test_a_token_that_is_refused_is_told_why(error: Any, challenge: str) -> None:
    async with front(**JWT) as one, one.client() as client:
        one.gated.issuers.bad[TOKEN] = error
        reply = await client.post(SCORE, headers=bearer(TOKEN.decode()), content=b"data")
        assert (reply.status_code, reply.json()["error"]["message"]) == (error.status, error.message)
        assert reply.headers["www-authenticate"] == challenge
        assert one.models["blue"].begun == 0
        assert counted(one) == {}


@pytest.fixture
async def fetching() -> AsyncIterator[tuple[Front, asyncio.Event, asyncio.Task[Any]]]:
    """A front, and a request that waits for keys until the event is set."""
    come = asyncio.Event()
    async with front(**JWT) as one, one.client() as client:
        issuers = one.gated.issuers
        issuers.hidden[TOKEN] = Verified("somebody", "", NOW_S, NOW_S + 60)
        fetch = issuers.fetch

        async def wait(endpoint: Any) -> None:
            issuers.fetched += 1
            await come.wait()
            await fetch(endpoint)

        issuers.fetch = wait  # type: ignore[method-assign]
        asking = asyncio.create_task(client.post(SCORE, headers=bearer(TOKEN.decode()), content=b"[1]"))
        await until(lambda: issuers.fetched == 1)
        yield one, come, asking
        come.set()
        await asyncio.gather(asking, return_exceptions=True)


Fetching = tuple[Front, asyncio.Event, "asyncio.Task[Any]"]


async def test_while_keys_are_fetched_no_slot_is_taken_and_then_it_is_served(fetching: Fetching) -> None:
    one, come, asking = fetching
    assert one.fleet.loads()[0].arrived_total == 0
    come.set()
    reply = await asking
    assert (reply.status_code, reply.content) == (200, b"[1]")
    assert counted(one) == {"jwt": {200: 1}}


async def test_a_deployment_that_goes_while_keys_are_fetched_gets_nothing(fetching: Fetching) -> None:
    one, come, asking = fetching
    one.models["green"] = one.models.pop("blue")
    one._ports["green"] = one._ports.pop("blue")
    one.publish(**JWT)
    assert "iris/blue" not in one.fleet.live
    come.set()
    reply = await asking
    assert (reply.status_code, reply.headers["azureml-model-deployment"]) == (200, "green")


async def test_an_endpoint_that_wants_keys_by_then_takes_no_token(fetching: Fetching) -> None:
    one, come, asking = fetching
    one.publish(**keys())
    come.set()
    reply = await asking
    assert (reply.status_code, reply.json()["error"]["message"]) == (401, "Endpoint iris wants a key, not a token.")
    assert one.models["blue"].begun == 0


async def test_a_client_that_leaves_while_keys_are_fetched_leaves_nothing(fetching: Fetching) -> None:
    one, come, asking = fetching
    asking.cancel()
    await asyncio.wait((asking,))
    assert one.fleet.unrouted["iris"].requests == {499: 1}
    come.set()
    assert one.fleet.loads()[0].arrived_total == 0
