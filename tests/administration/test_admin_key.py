"""administration/admin_key.py: made once, the same for all, and never without one that was known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.administration.admin_key import AdminKey
from router.administration.refusals import Refusal
from router.core.auth import is_key
from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Sealed, VaultName
from router.platforms.memory_administration import MemoryVault
from tests.virtual_time import now, on_virtual_time, settle


class OddVault(MemoryVault):
    """`away`, `locked`: why it can't be read, or written. `first`: the key of another router, which is faster."""

    def __init__(self) -> None:
        super().__init__()
        self.away: PlatformError | None = None
        self.locked: PlatformError | None = None
        self.first: bytes | None = None
        self.writes = 0

    async def read(self, name: VaultName) -> Sealed | None:
        if self.away is not None:
            raise self.away
        return await super().read(name)

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        self.writes += 1
        if self.locked is not None:
            raise self.locked
        if self.first is not None:
            faster, self.first = self.first, None
            await super().write(name, faster, version)
        await super().write(name, content, version)

    def remove(self) -> None:
        del self._entries["admin-key"]
        self._changed.set()
        self._changed = asyncio.Event()


@asynccontextmanager
async def following(vault: MemoryVault) -> AsyncIterator[AdminKey]:
    key = AdminKey(vault)
    task = asyncio.create_task(key.run())
    await settle()
    try:
        yield key
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kept(vault: MemoryVault) -> bytes:
    sealed = await vault.read("admin-key")
    assert sealed is not None
    return sealed.content


@on_virtual_time
async def test_the_first_start_makes_it_and_the_next_one_keeps_it() -> None:
    vault = MemoryVault()
    async with following(vault) as key:
        made = await kept(vault)
        assert is_key(made.decode())
        assert len(made) == 43
        assert key.opens(made)
        assert not key.opens(made[:-1])
    async with following(vault) as again:
        assert again.opens(made)
    assert await kept(vault) == made


@on_virtual_time
async def test_two_routers_that_start_at_once_have_one_key() -> None:
    vault = OddVault()
    vault.first = b"the-key-that-another-router-made"
    async with following(vault) as key:
        assert await kept(vault) == b"the-key-that-another-router-made"
        assert key.opens(b"the-key-that-another-router-made")


@on_virtual_time
async def test_a_changed_key_counts_and_the_old_one_no_longer() -> None:
    vault = MemoryVault()
    async with following(vault) as key:
        old = await kept(vault)
        await vault.write("admin-key", b"chosen-by-the-operator\n", "1")
        await settle()
        assert key.opens(b"chosen-by-the-operator")
        assert not key.opens(old)


@on_virtual_time
async def test_a_removed_key_is_made_anew() -> None:
    vault = OddVault()
    async with following(vault) as key:
        old = await kept(vault)
        vault.remove()
        await settle()
        new = await kept(vault)
        assert new != old
        assert key.opens(new)
        assert not key.opens(old)


@pytest.mark.parametrize("content", [b"", b" \n"])
@on_virtual_time
async def test_an_entry_that_is_empty_is_filled(content: bytes) -> None:
    vault = MemoryVault()
    await vault.write("admin-key", content, None)
    async with following(vault) as key:
        assert key.opens(await kept(vault))
        assert not key.opens(b"")


@pytest.mark.parametrize("content", [b"too-short", b"with a space in the middle", b"\xff" * 40, b"x" * 257])
@on_virtual_time
async def test_what_can_not_be_a_key_is_not_written_over_and_shuts_nobody_out(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    vault = OddVault()
    async with following(vault) as key:
        good = await kept(vault)
        await vault.write("admin-key", content, "1")
        await asyncio.sleep(600)
        assert key.opens(good), "the last that was known"
        assert await kept(vault) == content
    async with following(vault) as fresh:
        with pytest.raises(Refusal, match="16 to 256 printable ASCII") as refused:
            fresh.opens(content)
        assert refused.value.status == 503
    assert "admin-key in the vault can't be used" in caplog.text
    assert repr(content)[2:-1] not in caplog.text


@on_virtual_time
async def test_while_the_vault_is_away_nobody_gets_in_and_nothing_ends(caplog: pytest.LogCaptureFixture) -> None:
    vault = OddVault()
    vault.away = PlatformError("the API server does not answer")
    async with following(vault) as key:
        with pytest.raises(Refusal, match="the API server does not answer") as refused:
            key.opens(b"any-key-at-all-that-somebody-tries")
        assert (refused.value.status, refused.value.code) == (503, "PlatformUnavailable")
        await asyncio.sleep(3_600)
        vault.away = None
        await asyncio.sleep(120)
        assert key.opens(await kept(vault))
    assert caplog.text.count("the API server does not answer") == 1


@on_virtual_time
async def test_a_vault_that_goes_away_later_takes_no_key_with_it() -> None:
    vault = OddVault()
    async with following(vault) as key:
        made = await kept(vault)
        vault.away = PlatformError("the disk is gone")
        await asyncio.sleep(3_600)
        assert key.opens(made)


@pytest.mark.parametrize("error", [NotPermitted("no right to update Secrets"), Conflict("always another")])
@on_virtual_time
async def test_a_key_that_can_not_be_made_is_tried_again_ever_more_rarely(
    error: PlatformError, caplog: pytest.LogCaptureFixture
) -> None:
    vault = OddVault()
    vault.locked = error
    async with following(vault) as key:
        with pytest.raises(Refusal, match="The administrator's key is not known: "):
            key.opens(b"any-key-at-all-that-somebody-tries")
        await asyncio.sleep(600)
        tries = vault.writes
        await asyncio.sleep(600)
        assert 0 < vault.writes - tries <= 10 * 20 + 20
        assert caplog.text.count("no administrator's key can be made") == 1
        vault.locked = None
        await asyncio.sleep(60)
        assert key.opens(await kept(vault))
        assert now() < 1_300


@on_virtual_time
async def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vault = MemoryVault()
    async with following(vault) as key:
        made = (await kept(vault)).decode()
        assert made not in caplog.text
        assert made not in repr(key)
    assert "making the administrator's key" in caplog.text
