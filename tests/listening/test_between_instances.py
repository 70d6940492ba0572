"""between_instances.py: a real port, and who gets through it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from router.config import ConfigError, RouterConfig
from router.listening.between_instances import BetweenInstances
from router.platforms import PlatformError, identity
from router.platforms.administration import Sealed, VaultName
from router.platforms.identity import NAME, OwnIdentity
from router.platforms.memory_administration import MemoryVault
from tests.identities import open_identity

APP = Starlette(routes=[Route("/load", lambda _: PlainTextResponse("busy"))])
REFUSED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)


@asynccontextmanager
async def serving(vault: Callable[[], MemoryVault]) -> AsyncIterator[str]:
    config = RouterConfig(platform="local", state_dir=Path("nowhere"))
    with BetweenInstances(config, OwnIdentity(vault)) as between:
        task = asyncio.create_task(between.serve(APP))
        try:
            yield between.url
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def asked(url: str, context: ssl.SSLContext | bool) -> str:
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        reply = await client.get(f"{url}/load", extensions={"sni_hostname": NAME})
        return reply.text


async def until_asked(url: str, context: ssl.SSLContext) -> str:
    """It listens as soon as it knows who it is."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await asked(url, context)
            except httpx.ConnectError:
                await asyncio.sleep(0.01)


async def test_instances_of_the_installation_are_let_in_and_nobody_else() -> None:
    vault = MemoryVault()
    ours, stranger = await open_identity(vault), await open_identity(MemoryVault())
    async with serving(lambda: vault) as url:
        assert url.startswith("https://127.0.0.1:")
        assert await until_asked(url, ours.client) == "busy"
        with pytest.raises(REFUSED):
            await asked(url, stranger.client)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname = False
        bare.verify_mode = ssl.CERT_NONE
        with pytest.raises(REFUSED):
            await asked(url, bare)
        with pytest.raises(REFUSED):
            await asked(url.replace("https:", "http:"), False)
        assert await asked(url, ours.client) == "busy"


class Locked(MemoryVault):
    """Can't be read until `opens` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.opens = False

    async def read(self, name: VaultName) -> Sealed | None:
        if not self.opens:
            raise PlatformError("the vault is out of reach")
        return await super().read(name)


async def test_while_it_does_not_know_itself_it_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(identity, "TRY_AGAIN_S", 0.01)
    vault = Locked()
    async with serving(lambda: vault) as url:
        async with asyncio.timeout(10):
            while "trying again" not in caplog.text:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        with pytest.raises(httpx.ConnectError):
            await asked(url, True)
        assert caplog.text.count("the vault is out of reach") == 1
        vault.opens = True
        ours = await open_identity(vault)
        assert await until_asked(url, ours.client) == "busy"


async def test_a_port_in_use_is_told_with_its_option() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = RouterConfig(platform="local", state_dir=Path("nowhere"), peer_port=port)
        with pytest.raises(ConfigError, match=rf"Can't listen on 127\.0\.0\.1:{port}: .* Choose another --peer-port"):
            BetweenInstances(config, OwnIdentity(MemoryVault)).__enter__()
