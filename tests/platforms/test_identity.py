"""Two processes of one installation find each other, and nobody else: real handshakes, on sockets of this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from router.platforms import PlatformError, identity
from router.platforms.identity import ALPN, NAME, Authority, Identity, OwnIdentity, new_authority
from router.platforms.memory_administration import MemoryVault
from tests.identities import open_identity

REFUSED = (ssl.SSLError, ConnectionError)
NOW = datetime.now(UTC)  # noqa: TID251 - certificates are checked by the system's clock


async def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = NAME) -> bytes:
    """What the client reads over it. Raises what either side makes of it."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


async def test_processes_of_one_installation_know_each_other() -> None:
    vault = MemoryVault()
    one, other = await open_identity(vault), await open_identity(vault)
    assert await handshake(one.server, other.client) == b"hello"
    assert await handshake(other.server, one.client) == b"hello"


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), timedelta(hours=12)])
async def test_clocks_that_differ_part_no_installation(ahead: timedelta) -> None:
    """Times here say who has begun, not who belongs: a clock is set right at any moment."""
    vault = MemoryVault()
    authority = new_authority(NOW + ahead)
    await vault.write("instance-ca", msgspec.json.encode(authority), None)
    one, other = Identity(authority, NOW + ahead), await open_identity(vault)
    assert await handshake(one.server, other.client) == b"hello"
    assert await handshake(other.server, one.client) == b"hello"


async def test_two_that_start_at_once_have_one_authority() -> None:
    vault = MemoryVault()
    one, other = await asyncio.gather(open_identity(vault), open_identity(vault))
    assert await handshake(one.server, other.client) == b"hello"


async def test_another_installation_is_nobody() -> None:
    one, stranger = await open_identity(MemoryVault()), await open_identity(MemoryVault())
    with pytest.raises(ssl.SSLError):
        await handshake(one.server, stranger.client)
    with pytest.raises(ssl.SSLError):
        await handshake(stranger.server, one.client)


async def test_who_shows_no_certificate_gets_nothing() -> None:
    """In TLS 1.3 the client learns it with its first read."""
    one = await open_identity(MemoryVault())
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    try:
        said = await handshake(one.server, bare)
    except (ssl.SSLError, ConnectionError):
        said = b""
    assert said == b""


async def test_a_name_of_somebody_else_is_refused() -> None:
    one = await open_identity(MemoryVault())
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(one.server, one.client, "router.example.com")


async def test_only_tls_1_3() -> None:
    one = await open_identity(MemoryVault())
    one.client.minimum_version = ssl.TLSVersion.TLSv1_2
    one.client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(REFUSED):
        await handshake(one.server, one.client)


async def test_a_certificate_of_an_instance_signs_no_other(tmp_path: Path) -> None:
    """Who steals one can't make more of them."""
    authority = new_authority(NOW)
    stolen, stolen_key = identity._own(authority, NOW)
    forged, forged_key = identity._own(Authority(certificate=stolen, key=stolen_key), NOW)
    chain = tmp_path / "chain.pem"
    chain.write_text(f"{forged}{stolen}{forged_key}")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"invalid CA|path length|key usage"):
        await handshake(server, Identity(authority, NOW).client)


async def test_what_has_expired_is_refused() -> None:
    old = new_authority(NOW - timedelta(days=4_000))
    one = Identity(old, NOW - timedelta(days=4_000))
    with pytest.raises(REFUSED):
        await handshake(one.server, one.client)


@pytest.mark.parametrize("what", ["text", "empty", "cut", "mixed", "object"])
async def test_what_is_no_authority_is_told_and_not_shown(what: str) -> None:
    good, other = new_authority(NOW), new_authority(NOW)
    content = {
        "text": b"hunter2",
        "empty": b"{}",
        "cut": msgspec.json.encode(Authority(certificate=good.certificate, key=good.key[:-60])),
        "mixed": msgspec.json.encode(Authority(certificate=good.certificate, key=other.key)),
        "object": b'{"certificate": "hunter2", "key": 3}',
    }[what]
    vault = MemoryVault()
    await vault.write("instance-ca", content, None)
    with pytest.raises(PlatformError, match="instance-ca in the vault is no certificate authority") as caught:
        await open_identity(vault)
    assert "hunter2" not in str(caught.value)
    entry = await vault.read("instance-ca")
    assert entry is not None
    assert entry.content == content


async def test_nothing_of_it_is_on_a_disk_or_left_open() -> None:
    vault = MemoryVault()
    await open_identity(vault)
    before = len(os.listdir("/proc/self/fd"))
    await open_identity(vault)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_own_identity_is_made_once_and_tried_again_after_a_failure() -> None:
    vault, broken = MemoryVault(), MemoryVault()
    await broken.write("instance-ca", b"{}", None)
    vaults = [broken, vault]
    own = OwnIdentity(lambda: vaults.pop(0))
    with pytest.raises(PlatformError):
        await own.get()
    one, other = await asyncio.gather(own.get(), own.get())
    assert one is other
    assert await own.client() is one.client
    assert vaults == []


async def test_all_processes_take_the_authority_that_replaces_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    vault = MemoryVault()
    one, other = OwnIdentity(lambda: vault), OwnIdentity(lambda: vault)
    door, old = await one.server(), await other.client()
    assert await handshake(door, old) == b"hello"
    tasks = [asyncio.create_task(each.run()) for each in (one, other)]
    try:
        first = await vault.read("instance-ca")
        assert first is not None
        await vault.write("instance-ca", msgspec.json.encode(new_authority(NOW)), first.version)
        async with asyncio.timeout(10):
            while caplog.text.count("was replaced") < 2:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.001)
        assert await handshake(door, await other.client()) == b"hello"
        with pytest.raises(REFUSED):
            await handshake(door, old)
        with pytest.raises(REFUSED):
            assert await handshake((await a_stranger()).server, await other.client()) == b""
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def a_stranger() -> Identity:
    return await open_identity(MemoryVault())


class Emptied(MemoryVault):
    def empty(self) -> None:
        self._entries.clear()
        self._changed.set()
        self._changed = asyncio.Event()


async def test_one_that_was_removed_is_made_anew_for_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    vault = Emptied()
    one, other = OwnIdentity(lambda: vault), OwnIdentity(lambda: vault)
    door, old = await one.server(), await other.client()
    tasks = [asyncio.create_task(each.run()) for each in (one, other)]
    try:
        await asyncio.sleep(0)
        vault.empty()
        async with asyncio.timeout(10):
            while caplog.text.count("was replaced") < 2:  # noqa: ASYNC110 - the log has no event
                await asyncio.sleep(0.001)
        assert await handshake(door, await other.client()) == b"hello"
        with pytest.raises(REFUSED):
            await handshake(door, old)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_no_authority_replaces_none(caplog: pytest.LogCaptureFixture) -> None:
    vault = MemoryVault()
    own = OwnIdentity(lambda: vault)
    door, client = await own.server(), await own.client()
    task = asyncio.create_task(own.run())
    try:
        first = await vault.read("instance-ca")
        assert first is not None
        await vault.write("instance-ca", b"hunter2", first.version)
        async with asyncio.timeout(10):
            while "is no certificate authority" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert "hunter2" not in caplog.text
        assert await handshake(door, client) == b"hello"
        assert await own.client() is client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_an_authority_tells_nothing_of_itself() -> None:
    authority = new_authority(NOW)
    assert "BEGIN" not in repr(authority)


async def test_two_that_work_together_agree_on_what_they_speak_and_who_asks_for_a_page_says_http() -> None:
    vault = MemoryVault()
    one, other = await open_identity(vault), await open_identity(vault)
    assert await spoken(one.server, other.peer) == ALPN
    assert await spoken(one.server, other.client) == "http/1.1"
    assert await spoken((await a_door(vault)), other.peer) == ALPN
    with pytest.raises(ssl.SSLCertVerificationError):
        await spoken((await a_stranger()).server, other.peer)


async def a_door(vault: MemoryVault) -> ssl.SSLContext:
    """For a port that listens while the authority may change."""
    return await OwnIdentity(lambda: vault).server()


async def spoken(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """What both have agreed on while they shook hands (ALPN), as the server sees it."""
    agreed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.set_result(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=NAME)
        try:
            return await asyncio.wait_for(agreed, 10)
        finally:
            writer.close()


async def test_the_context_for_working_together_is_that_of_the_identity_of_the_moment() -> None:
    vault = MemoryVault()
    own = OwnIdentity(lambda: vault)
    assert await own.peer() is (await own.get()).peer
    assert (await own.peer()).minimum_version == ssl.TLSVersion.TLSv1_3
