"""What does one know of an entry, and who changes it, when the vault is odd or others change it, too?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.platforms import PlatformError
from router.platforms.administration import Conflict
from router.tokens.entry import ANSWER_S, LONGEST_PAUSE_S, MOST_TRIES, BadEntry, Entry
from tests.tokens.vaults import OddVault
from tests.virtual_time import now, on_virtual_time, settle

NAME = "revocations"


class Watched:
    """An entry that is a number, and what was told of it."""

    def __init__(self, vault: OddVault) -> None:
        self.told: list[int | None] = []
        self.entry = Entry(vault, NAME, int, lambda number: str(number).encode(), self._note)

    def _note(self) -> None:
        self.told.append(self.entry.value)


@asynccontextmanager
async def running(entry: Entry[int]) -> AsyncIterator[None]:
    task = asyncio.create_task(entry.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def plus_one(number: int | None) -> int:
    return (number or 0) + 1


@on_virtual_time
async def test_before_it_is_read_nothing_is_known() -> None:
    watched = Watched(OddVault())
    assert (watched.entry.known, watched.entry.value) == (False, None)
    assert watched.entry.trouble == "revocations in the vault has not been read yet"


@on_virtual_time
async def test_an_entry_that_is_not_there_is_known_to_be_none() -> None:
    watched = Watched(OddVault())
    await watched.entry.read()
    assert (watched.entry.known, watched.entry.value, watched.entry.trouble) == (True, None, "")
    assert watched.told == [None]


@on_virtual_time
async def test_what_others_change_is_followed_and_told_once() -> None:
    vault = OddVault()
    watched = Watched(vault)
    async with running(watched.entry):
        for content in (b"1", b"2", b"2", None, b"3"):
            vault.put(NAME, content)
            await settle()
    assert watched.told == [None, 1, 2, None, 3]


@on_virtual_time
async def test_two_who_change_it_at_once_both_have_their_way() -> None:
    vault = OddVault()
    vaults = [OddVault(vault.vault) for _ in range(5)]
    for each in vaults:
        each.answers_after_s = 0.1
    entries = [Watched(each).entry for each in vaults]
    await asyncio.gather(*(entry.change(plus_one) for entry in entries for _ in range(3)))
    sealed = await vault.read(NAME)
    assert sealed is not None
    assert sealed.content == b"15"
    assert sum(each.writes for each in vaults) > 15, "nobody was in anybody's way"


@on_virtual_time
async def test_a_change_that_is_none_writes_nothing() -> None:
    vault = OddVault()
    await Watched(vault).entry.change(lambda _: None)
    assert vault.writes == 0


@on_virtual_time
async def test_what_the_change_raises_is_raised_and_nothing_written() -> None:
    vault = OddVault()
    vault.put(NAME, b"1")
    entry = Watched(vault).entry

    def refuse(_: int | None) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await entry.change(refuse)
    assert vault.writes == 0
    await entry.change(plus_one)
    assert entry.value == 2


@on_virtual_time
async def test_who_loses_every_time_gives_up() -> None:
    vault = OddVault()
    vault.put(NAME, b"1")

    def be_slow(number: int | None) -> int:
        vault.put(NAME, b"%d" % plus_one(number))
        return 0

    with pytest.raises(Conflict, match="20 times"):
        await Watched(vault).entry.change(be_slow)
    sealed = await vault.read(NAME)
    assert sealed is not None
    assert sealed.content == b"%d" % (MOST_TRIES + 1)


@on_virtual_time
async def test_a_change_is_in_force_here_when_it_is_done() -> None:
    vault = OddVault()
    vault.tells_after_s = 100.0
    watched = Watched(vault)
    async with running(watched.entry):
        await watched.entry.change(plus_one)
        assert watched.entry.value == 1
        await watched.entry.change(plus_one)
        await asyncio.sleep(1_000)
    assert watched.told == [None, 1, 2], "a late word brought back what was changed since"


@on_virtual_time
async def test_what_was_read_stays_through_a_failure_which_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    vault = OddVault()
    vault.put(NAME, b"1")
    watched = Watched(vault)
    async with running(watched.entry):
        vault.fault = "the disk is gone"
        vault.put(NAME, b"2")
        await asyncio.sleep(1_000)
        assert (watched.entry.value, watched.entry.trouble) == (1, "the disk is gone")
        vault.fault = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        assert (watched.entry.value, watched.entry.trouble) == (2, "")
    assert caplog.messages == [
        "the disk is gone; going on with what it was before",
        "revocations in the vault is read again",
    ]


@on_virtual_time
async def test_a_vault_out_of_reach_at_first_is_tried_again_ever_more_seldom() -> None:
    vault = OddVault()
    vault.fault = "no network"
    vault.put(NAME, b"1")
    watched = Watched(vault)
    async with running(watched.entry):
        await asyncio.sleep(3.5)
        assert vault.reads == 3  # at 0, 1 and 3 s
        await asyncio.sleep(3_600)
        assert 60 < vault.reads < 70
        assert not watched.entry.known
        vault.fault = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        assert watched.told == [1]
        vault.fault = "no network, again"
        before = vault.reads
        vault.put(NAME, b"2")
        await asyncio.sleep(3.5)
        assert vault.reads == before + 3, "the pauses begin anew"


@on_virtual_time
async def test_one_that_can_not_be_followed_is_looked_at_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    vault = OddVault()
    vault.deafness = "watch is forbidden"
    watched = Watched(vault)
    async with running(watched.entry):
        await asyncio.sleep(3_600)
        vault.put(NAME, b"1")
        await asyncio.sleep(LONGEST_PAUSE_S)
        assert watched.told == [None, 1]
        assert caplog.messages == [
            "revocations in the vault can't be followed, and is looked at now and then: watch is forbidden"
        ]
        assert vault.reads < 80
        vault.deafness = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        vault.put(NAME, b"2")
        await settle()
        assert watched.told == [None, 1, 2]


@on_virtual_time
async def test_one_that_can_not_be_understood_is_told_and_followed_until_it_is_mended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vault = OddVault()
    vault.put(NAME, b"1")
    watched = Watched(vault)
    async with running(watched.entry):
        vault.put(NAME, b"one")
        await asyncio.sleep(1_000)
        assert watched.entry.value == 1
        assert "revocations in the vault can't be used: invalid literal" in watched.entry.trouble
        vault.put(NAME, b"2")
        await settle()
        assert (watched.entry.value, watched.entry.trouble) == (2, "")
    assert watched.told == [1, 2]
    assert len(caplog.messages) == 1
    assert vault.reads < 10


@on_virtual_time
async def test_one_that_was_never_understood_is_mended_at_once() -> None:
    vault = OddVault()
    vault.put(NAME, b"one")
    watched = Watched(vault)
    async with running(watched.entry):
        await asyncio.sleep(1_000)
        assert not watched.entry.known
        vault.put(NAME, b"1")
        await settle()
        assert watched.entry.value == 1


@on_virtual_time
async def test_one_that_can_not_be_understood_is_never_written_over() -> None:
    vault = OddVault()
    vault.put(NAME, b"1")
    entry = Watched(vault).entry
    await entry.read()
    vault.put(NAME, b"one")
    with pytest.raises(BadEntry, match="mend it, or remove it"):
        await entry.change(plus_one)
    sealed = await vault.read(NAME)
    assert (sealed and sealed.content, vault.writes, entry.value) == (b"one", 0, 1)
    vault.put(NAME, None)
    await entry.change(plus_one)
    assert entry.value == 1


@on_virtual_time
async def test_a_vault_that_hangs_is_not_waited_for() -> None:
    vault = OddVault()
    vault.answers_after_s = 3_600.0
    entry = Watched(vault).entry
    with pytest.raises(PlatformError, match="did not show its revocations within 5 s"):
        await entry.read()
    assert now() == ANSWER_S
    assert "did not show" in entry.trouble


@on_virtual_time
async def test_a_write_that_hangs_or_is_refused_says_so() -> None:
    vault = OddVault()
    vault.refusal = "read-only"
    entry = Watched(vault).entry
    with pytest.raises(PlatformError, match="read-only"):
        await entry.change(plus_one)
    assert (entry.value, entry.trouble) == (None, "")

    def hang(number: int | None) -> int:
        vault.answers_after_s = 3_600.0
        return plus_one(number)

    vault.refusal = ""
    with pytest.raises(PlatformError, match="did not take its revocations within 5 s"):
        await entry.change(hang)


@on_virtual_time
async def test_what_an_entry_holds_is_not_in_its_repr() -> None:
    vault = OddVault()
    vault.put(NAME, b"123456789")
    entry = Watched(vault).entry
    await entry.read()
    assert "123456789" not in repr(entry) + repr(vars(entry)["_sealed"])
