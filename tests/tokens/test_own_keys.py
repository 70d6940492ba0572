"""Are there keys when tokens are wanted, the same for all, and always the right ones?"""

from __future__ import annotations

import asyncio
import itertools
import json

import jwt
import pytest
from msgspec.structs import replace

from router.core.errors import Unauthorized, Unavailable
from router.core.signing import PUBLISH_AHEAD_S, RETENTION_S, ROTATION_S
from router.platforms.administration import Conflict, Unfit
from router.tokens import key_pair
from router.tokens.issuers import KeysNeeded
from router.tokens.own import REFRESH_S
from tests.core.nouns import an_endpoint
from tests.tokens.instances import DAY_S, EPOCH_S, Instance, clock, kept_in, parts, running
from tests.tokens.vaults import OddVault
from tests.virtual_time import now, on_virtual_time, settle


@on_virtual_time
async def test_while_no_endpoint_takes_tokens_the_vault_is_not_looked_at() -> None:
    vault = OddVault()
    one = Instance(vault, [an_endpoint("iris", auth_mode="key")])
    task = asyncio.create_task(one.own.run())
    await asyncio.sleep(DAY_S)
    assert (vault.reads, vault.writes) == (0, 0)
    assert (one.own.jwks(), one.own.signing_keys()) == ({"keys": []}, [])
    with pytest.raises(Unavailable, match="no signing key yet"):
        one.issue()
    with pytest.raises(Unfit, match="no endpoint has taken tokens"):
        await one.own.rotate()
    one.own.follow([replace(an_endpoint("iris"), also_accepts=("token",))])
    await settle()
    await one.revocations.refresh()
    one.verify(one.issue())
    task.cancel()


@on_virtual_time
async def test_instances_that_start_at_once_end_up_with_one_key() -> None:
    vault = OddVault()
    instances = [Instance(OddVault(vault.vault)) for _ in range(5)]
    for each in instances:
        each.vault.answers_after_s = 0.1
    async with running(*instances):
        await asyncio.sleep(5)
        (key,) = (await kept_in(vault))["keys"]
        assert all([view.kid for view in each.own.signing_keys()] == [key["kid"]] for each in instances)
        for one in instances:
            token = one.issue()
            for other in instances:
                other.verify(token)


@on_virtual_time
async def test_a_restart_keeps_the_key() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        token = one.issue()
    again = Instance(vault)
    async with running(again):
        again.verify(token)
        assert len((await kept_in(vault))["keys"]) == 1
    assert vault.writes == 1


@on_virtual_time
async def test_keys_follow_each_other_by_themselves_and_go_when_they_are_over() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        (first,) = one.own.signing_keys()
        token = one.issue()
        await asyncio.sleep(ROTATION_S - PUBLISH_AHEAD_S - 1)
        assert len(one.own.signing_keys()) == 1
        await asyncio.sleep(2)
        assert one.own.signing_keys()[0].kid == first.kid
        assert parts(one.issue())[0]["kid"] == first.kid
        await asyncio.sleep(PUBLISH_AHEAD_S)
        second = one.own.signing_keys()[1]
        assert parts(one.issue())[0]["kid"] == second.kid
        assert one.own.generation == 0
        await asyncio.sleep(DAY_S + RETENTION_S + 1)
        assert [key.kid for key in one.own.signing_keys()] == [second.kid]
        assert [key["kid"] for key in (await kept_in(vault))["keys"]] == [second.kid], "the vault keeps an old key"
        assert one.own.generation == 1
        with pytest.raises(Unauthorized):
            await one.admit(token)


@on_virtual_time
async def test_a_key_that_is_over_signs_nothing_more_even_while_the_vault_still_has_it() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        await one.own.rotate()
        old = key_pair.opened(json.dumps(await kept_in(vault)).encode()).keys.keys[0]
        vault.refusal = "read-only"
        await asyncio.sleep(PUBLISH_AHEAD_S + DAY_S + RETENTION_S)
        claims = parts(one.issue())[1]
        (pair,) = (pair for kid, pair in one.own._ring.value.pairs.items() if kid == old.kid)
        forged = jwt.encode(claims, pair.private, algorithm="ES256", headers={"kid": old.kid}).encode()
        with pytest.raises(Unauthorized, match="a key that is over"):
            one.verify(forged)
        assert old.kid not in [key["kid"] for key in one.own.jwks()["keys"]]


@on_virtual_time
async def test_views_of_keys_say_when_they_sign_and_nothing_secret() -> None:
    one = Instance(OddVault())
    async with running(one):
        await asyncio.sleep(10)
        await one.own.rotate()
        first, second = one.own.signing_keys()
    assert (first.created_at_s, first.signs_from_s) == (EPOCH_S, EPOCH_S)
    assert first.signs_until_s == second.signs_from_s == EPOCH_S + 10 + PUBLISH_AHEAD_S
    assert first.verifies_until_s == second.signs_from_s + DAY_S + RETENTION_S
    assert (second.created_at_s, second.signs_until_s, second.verifies_until_s) == (EPOCH_S + 10, None, None)
    shown = repr(one.own.signing_keys()) + repr(one.own._ring.value) + json.dumps(one.own.jwks())
    assert all(key["privateJwk"]["d"] not in shown for key in (await kept_in(one.vault))["keys"])


@on_virtual_time
async def test_there_is_one_next_key_at_a_time() -> None:
    one = Instance(OddVault())
    async with running(one):
        await one.own.rotate()
        with pytest.raises(Conflict, match="made already"):
            await one.own.rotate()


@on_virtual_time
async def test_rotation_under_load_refuses_no_good_token() -> None:
    """Three instances that hear of changes late, tokens of each at each, a rotation whenever there can be one."""
    vault = OddVault()
    instances = [Instance(OddVault(vault.vault)) for _ in range(3)]
    for number, each in enumerate(instances):
        each.vault.tells_after_s = 50.0 * number
        each.vault.answers_after_s = 0.01
    tokens: list[tuple[float, bytes]] = []
    async with running(*instances):
        await asyncio.sleep(PUBLISH_AHEAD_S)
        for step in range(120):
            await asyncio.sleep(29)
            one = instances[step % 3]
            tokens.append((clock() + DAY_S - 1, one.issue()))
            if step % 6 == 0:
                await one.own.rotate()
            for each, (_, token) in itertools.product(instances, tokens[-40::4]):
                each.verify(token)
        for end_s, token in tokens:
            await asyncio.sleep(end_s - clock())
            for each in instances:
                each.verify(token)
    signers = {parts(token)[0]["kid"] for _, token in tokens}
    assert len(signers) == 21


@on_virtual_time
async def test_a_key_that_was_not_heard_of_yet_is_looked_for_once_for_all_who_wait() -> None:
    vault = OddVault()
    late = OddVault(vault.vault)
    late.tells_after_s = 3_600.0
    other = Instance(late)
    async with running(other):
        await asyncio.sleep(10)
        other_reads = late.reads
        vault.put("signing-keys", None)
        one = Instance(vault)
        async with running(one):
            token = one.issue()
            late.answers_after_s = 0.1
            with pytest.raises(KeysNeeded):
                other.verify(token)
            await asyncio.gather(*(other.admit(token) for _ in range(50)))
    assert late.reads == other_reads + 1


@on_virtual_time
async def test_strangers_make_the_vault_be_read_at_a_bounded_rate() -> None:
    vault = OddVault()
    one, stranger = Instance(vault), Instance(OddVault())
    async with running(one, stranger):
        await asyncio.sleep(10)
        before = vault.reads
        for _ in range(100):
            await asyncio.sleep(0.1)
            with pytest.raises(Unauthorized, match="not known"):
                await one.admit(stranger.issue())
        assert vault.reads - before <= 11


@on_virtual_time
async def test_a_caller_who_leaves_does_not_take_the_answer_from_others() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        token = one.issue()
        restarted = Instance(vault)
        await restarted.revocations.refresh()
        vault.answers_after_s = 1.0
        leaving = asyncio.create_task(restarted.admit(token))
        await settle()
        staying = asyncio.create_task(restarted.admit(token))
        await settle()
        leaving.cancel()
        await staying
        restarted.verify(token)


@on_virtual_time
async def test_a_vault_that_hangs_holds_nobody_up() -> None:
    vault = OddVault()
    vault.answers_after_s = 3_600.0
    one = Instance(vault)
    await one.own.refresh()
    assert now() == REFRESH_S


@on_virtual_time
async def test_a_slow_change_holds_no_look_up() -> None:
    vault = OddVault()
    one = Instance(vault)
    async with running(one):
        vault.answers_after_s = 4.0
        rotation = asyncio.create_task(one.own.rotate())
        await settle()
        started_s = now()
        await one.own.refresh()
        assert now() - started_s <= REFRESH_S
        await rotation
        assert len(one.own.signing_keys()) == 2
