"""Do all instances refuse what one of them was told to refuse, also after a restart?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.core.claims import Verified
from router.core.errors import Unavailable
from router.core.revoked import MOST_IDS, Revoked, encoded
from router.platforms import PlatformError
from router.platforms.administration import Unfit
from router.tokens.entry import LONGEST_PAUSE_S
from router.tokens.revocations import Revocations
from tests.tokens.vaults import OddVault
from tests.virtual_time import now, on_virtual_time, settle

EPOCH_S = 1_800_000_000.0
DAY_S = 86_400.0


def clock() -> float:
    return EPOCH_S + now()


def a_token(issued_at_s: float = EPOCH_S, token_id: str = "one") -> Verified:
    return Verified("somebody", token_id, issued_at_s, issued_at_s + DAY_S)


@asynccontextmanager
async def running(*instances: Revocations) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in instances]
    await settle()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@on_virtual_time
async def test_no_token_is_taken_until_it_is_known_which_are_revoked() -> None:
    vault = OddVault()
    vault.fault = "no network to vault-1.internal"
    revocations = Revocations(vault, clock)
    async with running(revocations):
        with pytest.raises(Unavailable, match="which ones are revoked") as refusal:
            revocations.is_revoked("iris", a_token())
        assert refusal.value.status == 503
        assert "vault-1.internal" not in refusal.value.message
        with pytest.raises(Unavailable):
            revocations.issued_at_s("iris", EPOCH_S)
        vault.fault = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        assert not revocations.is_revoked("iris", a_token())


@on_virtual_time
async def test_one_look_is_enough_and_fails_quietly(caplog: pytest.LogCaptureFixture) -> None:
    vault = OddVault()
    revocations = Revocations(vault, clock)
    vault.fault = "no network"
    await revocations.refresh()
    vault.fault = ""
    with pytest.raises(Unavailable):
        revocations.is_revoked("iris", a_token())
    await revocations.refresh()
    assert not revocations.is_revoked("iris", a_token())
    assert caplog.messages == ["no network"]


@on_virtual_time
async def test_every_instance_and_every_later_one_refuses_what_was_revoked() -> None:
    vault = OddVault()
    one, other = Revocations(vault, clock), Revocations(OddVault(vault.vault), clock)
    async with running(one, other):
        before = one.generation, other.generation
        await one.revoke("iris", "one", EPOCH_S + DAY_S)
        await settle()
        assert (one.generation, other.generation) == (before[0] + 1, before[1] + 1)
        for each in (one, other):
            assert each.is_revoked("iris", a_token(token_id="one"))
            assert not each.is_revoked("iris", a_token(token_id="two"))
        await other.revoke_all("iris", clock())
        assert other.is_revoked("iris", a_token(token_id="two"))
        await settle()
        assert one.is_revoked("iris", a_token(token_id="two"))
    restarted = Revocations(vault, clock)
    await restarted.refresh()
    assert restarted.is_revoked("iris", a_token(token_id="two"))


@on_virtual_time
async def test_revocations_at_once_by_several_instances_all_count() -> None:
    vault = OddVault()
    instances = [Revocations(OddVault(vault.vault), clock) for _ in range(4)]
    await asyncio.gather(
        *(each.revoke("iris", f"{n}-{m}", EPOCH_S + DAY_S) for n, each in enumerate(instances) for m in range(5)),
        instances[0].revoke_all("other", clock()),
    )
    fresh = Revocations(vault, clock)
    await fresh.refresh()
    assert all(fresh.is_revoked("iris", a_token(token_id=f"{n}-{m}")) for n in range(4) for m in range(5))
    assert fresh.is_revoked("other", a_token())


@on_virtual_time
async def test_a_revocation_is_in_force_here_when_it_is_done() -> None:
    vault = OddVault()
    vault.tells_after_s = 3_600.0
    revocations = Revocations(vault, clock)
    async with running(revocations):
        await revocations.revoke_all("iris", clock())
        assert revocations.is_revoked("iris", a_token(clock()))
        assert not revocations.is_revoked("iris", a_token(revocations.issued_at_s("iris", clock())))


@on_virtual_time
async def test_ids_are_forgotten_when_their_tokens_are_over() -> None:
    vault = OddVault()
    revocations = Revocations(vault, clock)
    await revocations.revoke("iris", "one", EPOCH_S + 60)
    await asyncio.sleep(DAY_S)
    await revocations.revoke("iris", "two", clock() + 60)
    sealed = await vault.read("revocations")
    assert sealed is not None
    assert (b'"one"' in sealed.content, b'"two"' in sealed.content) == (False, True)


@on_virtual_time
async def test_what_can_not_be_revoked_is_unfit_and_changes_nothing() -> None:
    vault = OddVault()
    full = encoded({"iris": Revoked(None, {f"token-{n}": EPOCH_S + DAY_S for n in range(MOST_IDS)})})
    vault.put("revocations", full)
    revocations = Revocations(vault, clock)
    with pytest.raises(Unfit, match="revoke all tokens of iris instead"):
        await revocations.revoke("iris", "one", EPOCH_S + DAY_S)
    with pytest.raises(Unfit, match="1 to 255 printable"):
        await revocations.revoke("iris", "", EPOCH_S + DAY_S)
    assert vault.writes == 0
    await revocations.revoke_all("iris", clock())
    assert revocations.is_revoked("iris", a_token(token_id="one"))


@on_virtual_time
async def test_a_broken_entry_keeps_what_was_revoked_in_force_and_is_not_written_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    vault = OddVault()
    revocations = Revocations(vault, clock)
    async with running(revocations):
        await revocations.revoke("iris", "one", EPOCH_S + DAY_S)
        vault.put("revocations", b'{"iris":{"ids":{"one"')
        await settle()
        assert revocations.is_revoked("iris", a_token(token_id="one"))
        with pytest.raises(PlatformError, match="revocations in the vault can't be used: Input data was truncated"):
            await revocations.revoke("iris", "two", EPOCH_S + DAY_S)
    sealed = await vault.read("revocations")
    assert sealed is not None
    assert sealed.content == b'{"iris":{"ids":{"one"'
    assert len(caplog.messages) == 1
    fresh = Revocations(vault, clock)
    await fresh.refresh()
    with pytest.raises(Unavailable):
        fresh.is_revoked("iris", a_token())


@on_virtual_time
async def test_a_vault_that_takes_nothing_says_so_and_nothing_is_revoked() -> None:
    vault = OddVault()
    vault.refusal = "the vault is read-only"
    revocations = Revocations(vault, clock)
    with pytest.raises(PlatformError, match="read-only"):
        await revocations.revoke_all("iris", clock())
    assert not revocations.is_revoked("iris", a_token())
