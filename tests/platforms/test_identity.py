"""Two processes of one installation find each other, and nobody else: real handshakes, on sockets of this machine."""

from __future__ import annotations

import asyncio
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from router.platforms import PlatformError, identity
from router.platforms.identity import NAME, Authority, Identity, OwnIdentity, new_authority, open_identity
from router.platforms.memory_administration import MemoryVault

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
    one, other = await open_identity(vault, NOW), await open_identity(vault, NOW)
    assert await handshake(one.server, other.client) == b"hello"
    assert await handshake(other.server, one.client) == b"hello"


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1), timedelta(hours=12)])
async def test_clocks_that_differ_part_no_installation(ahead: timedelta) -> None:
    """Times here say who has begun, not who belongs: a clock is set right at any moment."""
    vault = MemoryVault()
    one, other = await open_identity(vault, NOW + ahead), await open_identity(vault, NOW)
    assert await handshake(one.server, other.client) == b"hello"
    assert await handshake(other.server, one.client) == b"hello"


async def test_two_that_start_at_once_have_one_authority() -> None:
    vault = MemoryVault()
    one, other = await asyncio.gather(open_identity(vault, NOW), open_identity(vault, NOW))
    assert await handshake(one.server, other.client) == b"hello"


async def test_another_installation_is_nobody() -> None:
    one, stranger = await open_identity(MemoryVault(), NOW), await open_identity(MemoryVault(), NOW)
    with pytest.raises(ssl.SSLError):
        await handshake(one.server, stranger.client)
    with pytest.raises(ssl.SSLError):
        await handshake(stranger.server, one.client)


async def test_who_shows_no_certificate_gets_nothing() -> None:
    """In TLS 1.3 the client learns it with its first read."""
    one = await open_identity(MemoryVault(), NOW)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    try:
        said = await handshake(one.server, bare)
    except (ssl.SSLError, ConnectionError):
        said = b""
    assert said == b""


async def test_a_name_of_somebody_else_is_refused() -> None:
    one = await open_identity(MemoryVault(), NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(one.server, one.client, "router.example.com")


async def test_only_tls_1_3() -> None:
    one = await open_identity(MemoryVault(), NOW)
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
        await open_identity(vault, NOW)
    assert "hunter2" not in str(caught.value)
    entry = await vault.read("instance-ca")
    assert entry is not None
    assert entry.content == content


async def test_nothing_of_it_is_on_a_disk_or_left_open() -> None:
    vault = MemoryVault()
    await open_identity(vault, NOW)
    before = len(os.listdir("/proc/self/fd"))
    await open_identity(vault, NOW)
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


def test_an_authority_tells_nothing_of_itself() -> None:
    authority = new_authority(NOW)
    assert "BEGIN" not in repr(authority)
