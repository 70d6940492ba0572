"""between_instances.py: a real port, and who gets through it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from router.config import ConfigError, RouterConfig
from router.listening.between_instances import BetweenInstances
from router.platforms import PlatformError, identity
from router.platforms.administration import Sealed, VaultName
from router.platforms.identity import ALPN, NAME, OwnIdentity
from router.platforms.memory_administration import MemoryVault
from tests.identities import open_identity

CONFIG = RouterConfig(platform="local", state_dir=Path("nowhere"))
APP = Starlette(routes=[Route("/load", lambda _: PlainTextResponse("busy"))])
REFUSED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)


class Greeting(asyncio.Protocol):
    """How instances are answered here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"an instance")
        transport.close()


async def greeted(url: str, context: ssl.SSLContext) -> bytes:
    """What one hears that comes to work together."""
    host, _, port = url.removeprefix("https://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=NAME)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def greeted_at(path: Path) -> bytes:
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(path))
            except ConnectionError:  # bound, and does not listen yet
                await asyncio.sleep(0.01)
                continue
            try:
                return await reader.read()
            finally:
                writer.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Its path is short: a unix socket's must be."""
    with TemporaryDirectory(prefix="sg-") as path:
        yield Path(path)


@asynccontextmanager
async def serving(vault: Callable[[], MemoryVault]) -> AsyncIterator[str]:
    with BetweenInstances(CONFIG, OwnIdentity(vault), "") as between:
        assert between.path == ""
        task = asyncio.create_task(between.serve(APP, Greeting))
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
            BetweenInstances(config, OwnIdentity(MemoryVault), "").__enter__()


# -- those that work together ------------------------------------------------------------------------------------


async def test_who_says_that_it_is_an_instance_is_answered_as_one_and_all_others_get_pages() -> None:
    vault = MemoryVault()
    ours = await open_identity(vault)
    async with serving(lambda: vault) as url:
        assert await until_asked(url, ours.client) == "busy"
        assert await greeted(url, ours.peer) == b"an instance"
        for speaks in ([], ["h2"], ["h2", "http/1.1"]):
            context = (await open_identity(vault)).client
            context.set_alpn_protocols(speaks)
            assert await asked(url, context) == "busy"


async def test_no_other_installation_is_answered_as_an_instance() -> None:
    vault = MemoryVault()
    ours, stranger = await open_identity(vault), await open_identity(MemoryVault())
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    bare.set_alpn_protocols([ALPN])
    async with serving(lambda: vault) as url:
        await until_asked(url, ours.client)
        for context in (stranger.peer, bare):
            try:
                said = await greeted(url, context)
            except OSError:
                said = b""
            assert said == b""


@pytest.mark.parametrize("before", ["nothing", "a file", "a stale socket", "one that listens"])
async def test_over_the_unix_socket_instances_meet_before_the_vault_is_open(folder: Path, before: str) -> None:
    path = folder / "peers" / "0.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        if before == "a file":
            path.touch()
        elif before != "nothing":
            other.bind(str(path))
        if before == "one that listens":
            other.listen()
        with BetweenInstances(CONFIG, OwnIdentity(Locked), str(path)) as between:
            assert between.path == str(path)
            task = asyncio.create_task(between.serve(APP, Greeting))
            assert await greeted_at(path) == b"an instance"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not path.exists()


async def test_whoever_took_its_place_keeps_its_socket(folder: Path) -> None:
    path = folder / "0.sock"
    with BetweenInstances(CONFIG, OwnIdentity(Locked), str(path)) as old:
        ending = asyncio.create_task(old.serve(APP, Greeting))
        await greeted_at(path)
        with BetweenInstances(CONFIG, OwnIdentity(Locked), str(path)) as new:
            serving = asyncio.create_task(new.serve(APP, Greeting))
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
            assert await greeted_at(path) == b"an instance"
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    assert not path.exists()


async def test_where_there_can_be_no_unix_socket_it_says_so_and_has_its_port(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "file").touch()
    for path in (folder / "file" / "0.sock", folder / ("x" * 120)):
        caplog.clear()
        vault = MemoryVault()
        with BetweenInstances(CONFIG, OwnIdentity(lambda vault=vault: vault), str(path)) as between:  # type: ignore[misc]
            assert between.path == ""
            assert f"instances here meet over TLS: can't listen on {path}: " in caplog.text
            task = asyncio.create_task(between.serve(APP, Greeting))
            assert await until_asked(between.url, (await open_identity(vault)).client) == "busy"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
