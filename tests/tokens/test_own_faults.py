"""What becomes of tokens of our own when the vault fails, or holds what can't be?"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from router.core import signing
from router.core.errors import Unauthorized, Unavailable
from router.core.signing import ROTATION_S
from router.platforms import PlatformError
from router.platforms.vault import FileVault
from router.tokens import key_pair
from router.tokens.entry import LONGEST_PAUSE_S
from tests.tokens.instances import DAY_S, Instance, clock, kept_in, running
from tests.tokens.vaults import OddVault
from tests.virtual_time import on_virtual_time, settle


@on_virtual_time
async def test_a_vault_out_of_reach_at_the_start_costs_tokens_alone_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vault = OddVault()
    good = Instance(OddVault(vault.vault))
    async with running(good):
        token = good.issue()
    vault.fault = "no network to vault-1.internal"
    one = Instance(vault)
    task = asyncio.create_task(one.own.run())
    await asyncio.sleep(3_600)
    with pytest.raises(Unavailable, match="no signing key yet: no network"):
        one.issue()
    with pytest.raises(Unavailable, match="can't be read at present") as refusal:
        await one.admit(token)
    assert "vault-1.internal" not in refusal.value.message
    assert [record.getMessage() for record in caplog.records] == ["no network to vault-1.internal"]
    assert vault.reads < 200
    vault.fault = ""
    await asyncio.sleep(LONGEST_PAUSE_S)
    await one.revocations.refresh()
    one.verify(token)
    one.verify(one.issue())
    task.cancel()


@on_virtual_time
async def test_a_vault_that_fails_later_changes_nothing_for_keys_that_are_known() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        token = one.issue()
        vault.fault = "no network"
        await asyncio.sleep(DAY_S - 10)
        one.verify(token)
        one.verify(one.issue())
        with pytest.raises(PlatformError, match="no network"):
            await one.own.rotate()


@on_virtual_time
async def test_a_vault_that_takes_nothing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    vault = OddVault()
    vault.refusal = "secrets is forbidden"
    one = Instance(vault)
    async with running(one):
        await asyncio.sleep(3_600)
        with pytest.raises(Unavailable, match="no signing key yet: secrets is forbidden"):
            one.issue()
        assert caplog.messages == ["the signing keys can't be seen to: secrets is forbidden"]
        vault.refusal = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        one.verify(one.issue())


@on_virtual_time
async def test_a_broken_entry_keeps_the_last_good_keys_and_is_never_written_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        token = one.issue()
        good = json.dumps(await kept_in(vault)).encode()
        broken = good[:-9]
        vault.put("signing-keys", broken)
        await asyncio.sleep(ROTATION_S)
        assert caplog.messages == [
            "signing-keys in the vault can't be used: Input data was truncated; mend it, or remove it to begin anew; "
            "going on with what it was before"
        ]
        one.verify(one.issue())
        with pytest.raises(PlatformError, match="signing-keys in the vault can't be used"):
            await one.own.rotate()
        sealed = await vault.vault.read("signing-keys")
        assert sealed is not None
        assert sealed.content == broken
        private = json.loads(good)["keys"][0]["privateJwk"]["d"]
        assert private not in caplog.text
        vault.put("signing-keys", good)
        await settle()
        assert one.own.generation == 0
        with pytest.raises(Unauthorized, match="expired"):
            one.verify(token)


@on_virtual_time
async def test_an_entry_that_is_broken_from_the_start_issues_nothing_until_it_is_mended() -> None:
    vault = OddVault()
    vault.put("signing-keys", b'{"keys":[')
    one = Instance(vault)
    async with running(one):
        await asyncio.sleep(3_600)
        with pytest.raises(Unavailable, match="can't be used"):
            one.issue()
        assert vault.writes == 0
        keys = signing.first(clock(), DAY_S, key_pair.made)
        vault.put("signing-keys", signing.encoded(keys))
        await settle()
        one.verify(one.issue())


@on_virtual_time
async def test_removing_the_entry_begins_anew_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """What is to be done when a private key got out."""
    vault = OddVault()
    one, other = Instance(vault), Instance(OddVault(vault.vault))
    async with running(one, other):
        token = one.issue()
        vault.put("signing-keys", None)
        await settle()
        assert one.own.generation > 0
        for each in (one, other):
            with pytest.raises(Unauthorized):
                await each.admit(token)
            each.verify(one.issue())
    assert any("all signing keys were removed or replaced" in message for message in caplog.messages)


async def test_a_private_key_is_in_one_file_and_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On real files and real time."""
    caplog.set_level(logging.DEBUG)
    one = Instance(FileVault(tmp_path))
    tasks = [asyncio.create_task(each.run()) for each in (one.own, one.revocations)]
    try:
        async with asyncio.timeout(20):
            while not one.own.jwks()["keys"]:  # noqa: ASYNC110 - tasks of its own bring it about
                await asyncio.sleep(0.01)
            await one.revocations.refresh()
            token = one.issue()
            one.verify(token)
            await one.own.rotate()
            await one.revocations.revoke_all("iris", clock())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    check_files(tmp_path, caplog.text, token.decode())


def check_files(folder: Path, logged: str, token: str) -> None:
    entry = folder / "vault" / "signing-keys"
    secrets = [key["privateJwk"]["d"] for key in json.loads(entry.read_bytes())["keys"]]
    assert len(secrets) == 2
    others = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path != entry]
    for secret in (*secrets, token):
        assert secret not in logged
        assert all(secret.encode() not in content for content in others)
