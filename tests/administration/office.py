"""Where does administration take place in a test?

I/O: none; all is in memory, and requests go through httpx's ASGI transport. Two endpoints, `iris` with keys and tokens
and `wine` with neither, on a platform in memory; the internal port's app as the server puts it together, with the real
tokens and revocations; a clock that the test sets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from router.admin import admin_app
from router.administration import Desk
from router.administration.access import Access
from router.administration.parts import Parts
from router.core.keys import Keys
from router.core.loads import Gathered
from router.core.model import InstanceStanding, Load, Snapshot, Trouble
from router.platforms import UP_TO_DATE, Standing
from router.platforms.administration import Vault
from router.platforms.memory import MemoryPlatform
from router.pressure import Pressure
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations
from tests.core.nouns import PRIMARY, SECONDARY, a_deployment, a_replica, an_endpoint

ADMIN_KEY = "the-administrators-key-of-the-tests"
NOW_S = 1_800_000_000.5
ROOT = "/admin/v1"
IRIS = f"{ROOT}/endpoints/iris"
BLUE = f"{IRIS}/deployments/blue"
SECRETS = (ADMIN_KEY, PRIMARY, SECONDARY)


def a_snapshot() -> Snapshot:
    iris = replace(
        an_endpoint("iris", weights={"blue": 90, "green": 10}),
        also_accepts=("token",),
        deployments=(a_deployment("blue", min_instances=1), a_deployment("green")),
    )
    return Snapshot(
        endpoints=(iris, an_endpoint("wine", auth_mode="none", has_keys=False)),
        replicas=(a_replica("iris/blue@10.0.0.1:5001#1"), a_replica("two", ready=False)),
        troubles=(Trouble(deployment="iris/blue", kind="placement", reason="no room"),),
    )


def a_load(**numbers: int) -> Load:
    counts = dict.fromkeys(("queued", "starting", "refused_total", "arrived_total", "finished_total"), 0)
    return Load(
        endpoint="iris",
        deployment="blue",
        concurrency=1,
        in_flight=1,
        busy=1,
        ready=1,
        total=1,
        held_seconds_total=1.5,
        utilization=1.0,
        replicas={"iris/blue@10.0.0.1:5001#1": 1},
        **{**counts, **numbers},
    )


class Office:
    """`has_snapshot`: whether the router knows one; `loads` what it serves."""

    def __init__(self, vault: Vault | None = None) -> None:
        self.now_s = NOW_S
        self.platform = MemoryPlatform(a_snapshot())
        self.administration = self.platform.administration
        self.administration.kept["iris"] = Keys(PRIMARY, SECONDARY)
        self.vault: Any = vault or self.administration.vault
        self.has_snapshot = True
        self.loads = [a_load()]
        self.pressure = Pressure()
        self.revocations = Revocations(self.vault, self.clock)
        self.tokens = OwnTokens(self.vault, self.revocations, self.clock)
        self.access = Access(self.vault)
        parts = Parts(self, self.administration, self.tokens, self.revocations)
        self.desk = Desk(parts, self.access, self.clock)
        self.app = admin_app(self, CollectorRegistry(), self.desk)

    def clock(self) -> float:
        return self.now_s

    @property
    def snapshot(self) -> Snapshot | None:
        return self.platform.snapshot if self.has_snapshot else None

    def load(self) -> list[Load]:
        return self.loads

    async def load_of_all(self) -> Gathered:
        return Gathered(self.loads, 1, 1)

    async def standings(self) -> list[InstanceStanding]:
        return []

    def not_ready_because(self) -> str | None:
        return None

    def standing(self) -> Standing:
        return UP_TO_DATE

    def client(self, key: str | None = ADMIN_KEY, address: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 40_000))
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9001", headers=headers)

    async def follow(self) -> None:
        """Keep up with the vault, as the server does. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.access.run())
            tasks.create_task(self.revocations.run())
            tasks.create_task(self.tokens.run())


@asynccontextmanager
async def open_office(office: Office | None = None) -> AsyncIterator[Office]:
    """With the administrator's key of the tests, and all known that the vault holds."""
    office = office or Office()
    await office.vault.write("admin-key", ADMIN_KEY.encode(), None)
    office.tokens.follow(a_snapshot().endpoints)
    following = asyncio.create_task(office.follow())
    try:
        await until(lambda: bool(office.tokens.signing_keys()) and office.access._key._entry.known)
        await office.revocations.refresh()
        yield office
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - tasks of the app's own bring it about
            await asyncio.sleep(0)


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The audit lines so far, without their times and client; each is checked to be one line without a secret."""
    lines = [record.getMessage() for record in caplog.records if record.name == "scoregate.audit"]
    for line in lines:
        assert line.isprintable()
        assert line.isascii()
        assert not any(secret in line for secret in SECRETS)
    told = [json.loads(line) for line in lines]
    for each in told:
        assert each.pop("time").endswith("Z")
        assert each.pop("client") == "127.0.0.1"
    return told
