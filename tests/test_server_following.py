"""server.py: what it follows, and what becomes of what it can't take in."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from router.config import RouterConfig
from router.core.model import Endpoint, Snapshot
from router.gate import Gate
from router.platforms.identity import NAME, new_authority
from router.platforms.memory import MemoryPlatform
from router.platforms.vault import FileVault
from router.post import only
from router.server import RouterServer
from tests.identities import open_identity
from tests.models import Model, served, until
from tests.router_process import declare, routing

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are checked by the system's clock
WRONG = Snapshot(endpoints=(Endpoint(name="wrong", auth_mode="none", deployments=()),))
RIGHT = Snapshot(endpoints=(Endpoint(name="right", auth_mode="none", deployments=()),))


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> MemoryPlatform:
    """The gate has a fault of ours: it fails where an endpoint is called `wrong`."""
    follow = Gate.follow

    def failing(gate: Gate, endpoints: tuple[Endpoint, ...]) -> None:
        if any(endpoint.name == "wrong" for endpoint in endpoints):
            raise RuntimeError("a fault of ours")
        follow(gate, endpoints)

    monkeypatch.setattr(Gate, "follow", failing)
    return MemoryPlatform()


@pytest.fixture
async def server(platform: MemoryPlatform, tmp_path: Path) -> AsyncIterator[RouterServer]:
    thresholds = gc.get_threshold()
    yield RouterServer(RouterConfig(platform="local", state_dir=tmp_path, access_log="off"), platform, only())
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_a_snapshot_that_can_not_be_taken_in_is_passed_over(
    server: RouterServer, platform: MemoryPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    following = asyncio.create_task(server._follow())
    try:
        await until(lambda: server._fleet.has_snapshot)
        platform.publish(WRONG)
        await until(lambda: "can't be taken in" in caplog.text)
        platform.publish(RIGHT)
        await until(lambda: server._fleet.snapshot == RIGHT)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_the_first_that_can_not_be_taken_in_ends_the_router(
    server: RouterServer, platform: MemoryPlatform
) -> None:
    """There is nothing to serve instead."""
    platform.publish(WRONG)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        async with asyncio.timeout(10):
            await server._follow()
    assert server.not_ready_because() is not None


async def test_a_router_follows_the_authority_of_its_installation(tmp_path: Path) -> None:
    model = Model()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            vault = FileVault(router.state.path)
            before = await open_identity(vault)
            entry = await vault.read("instance-ca")
            assert entry is not None
            await vault.write("instance-ca", msgspec.json.encode(new_authority(NOW)), entry.version)
            after = await open_identity(vault)
            asked = {"url": f"{router.place.peer}/load", "extensions": {"sni_hostname": NAME}}
            async with asyncio.timeout(20):
                while True:
                    async with httpx.AsyncClient(verify=after.client, trust_env=False) as client:
                        try:
                            assert (await client.get(**asked)).status_code == 200
                            break
                        except httpx.ConnectError:
                            await asyncio.sleep(0.05)
            async with httpx.AsyncClient(verify=before.client, trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(**asked)
