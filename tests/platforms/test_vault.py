"""vault.py: who may look, what is refused, and what is followed."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from contextlib import aclosing
from pathlib import Path

import pytest

from router.platforms import PlatformError
from router.platforms.administration import Conflict
from router.platforms.vault import MAX_ENTRY_BYTES, FileVault

PATIENCE_S = 20.0


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return FileVault(tmp_path / "state")


async def content(vault: FileVault) -> bytes | None:
    sealed = await vault.read("admin-key")
    return None if sealed is None else sealed.content


async def test_reading_makes_nothing(vault: FileVault) -> None:
    assert await vault.read("admin-key") is None
    assert not vault.folder.parent.exists()


async def test_only_the_owner_gets_at_it_whatever_was_there(vault: FileVault) -> None:
    before = os.umask(0)
    try:
        vault.folder.mkdir(parents=True, mode=0o755)
        (vault.folder / "admin-key").write_bytes(b"old")
        (vault.folder / "admin-key").chmod(0o644)
        sealed = await vault.read("admin-key")
        assert sealed is not None
        await vault.write("admin-key", b"new", sealed.version)
    finally:
        os.umask(before)
    assert stat.S_IMODE(vault.folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in vault.folder.iterdir()} == {
        ".lock": 0o600,
        "admin-key": 0o600,
    }


async def test_what_others_may_read_is_read_with_a_warning(vault: FileVault, caplog: pytest.LogCaptureFixture) -> None:
    await vault.write("admin-key", b"known to many", None)
    assert (await content(vault), caplog.text) == (b"known to many", "")
    (vault.folder / "admin-key").chmod(0o640)
    assert [await content(vault) for _ in range(3)] == [b"known to many"] * 3
    vault.folder.chmod(0o705)
    assert await content(vault) == b"known to many"
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.text.count("admin-key is open to others") == 1
    assert "chmod -R go=" in caplog.text
    assert "many" not in caplog.text


@pytest.mark.parametrize("opened", ["admin-key", "."])
async def test_what_everybody_may_write_is_refused(vault: FileVault, opened: str) -> None:
    await vault.write("admin-key", b"secret", None)
    path = vault.folder / opened
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(PlatformError, match="can be written by everybody") as caught:
        await vault.read("admin-key")
    assert "secret'" not in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "pipe", "giant", "file in the way"])
async def test_what_is_no_entry_is_named_and_hangs_nothing(vault: FileVault, kind: str) -> None:
    path = vault.folder / "admin-key"
    vault.folder.parent.mkdir()
    if kind == "file in the way":
        vault.folder.write_bytes(b"")
    else:
        vault.folder.mkdir(mode=0o700)
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "giant":
        with path.open("wb") as file:
            file.truncate(MAX_ENTRY_BYTES + 1)
        path.chmod(0o600)
    async with asyncio.timeout(PATIENCE_S):
        for ask in (vault.read("admin-key"), vault.write("admin-key", b"new", None)):
            with pytest.raises(PlatformError, match=r"vault"):
                await ask


async def test_more_than_an_entry_holds_is_not_written(vault: FileVault) -> None:
    with pytest.raises(PlatformError, match=f"admin-key has {MAX_ENTRY_BYTES + 1} bytes"):
        await vault.write("admin-key", b"x" * (MAX_ENTRY_BYTES + 1), None)
    await vault.write("admin-key", b"x" * MAX_ENTRY_BYTES, None)
    assert len(await content(vault) or b"") == MAX_ENTRY_BYTES


async def test_a_version_is_of_what_it_holds(vault: FileVault) -> None:
    """So that one that was put back from a backup is the same again."""
    await vault.write("admin-key", b"one", None)
    first = await vault.read("admin-key")
    assert first is not None
    await vault.write("admin-key", b"two", first.version)
    with pytest.raises(Conflict):
        await vault.write("admin-key", b"three", first.version)
    (vault.folder / "admin-key").write_bytes(b"one")
    assert await vault.read("admin-key") == first


async def test_a_full_disk_loses_nothing(vault: FileVault, monkeypatch: pytest.MonkeyPatch) -> None:
    await vault.write("admin-key", b"one", None)
    first = await vault.read("admin-key")
    assert first is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PlatformError, match="No space left on device"):
            await vault.write("admin-key", b"two", first.version)
    assert await vault.read("admin-key") == first
    assert sorted(path.name for path in vault.folder.iterdir()) == [".lock", "admin-key"]


async def test_what_can_not_be_read_is_told_once_and_the_last_stays(
    vault: FileVault, caplog: pytest.LogCaptureFixture
) -> None:
    path = vault.folder / "admin-key"
    await vault.write("admin-key", b"one", None)
    async with asyncio.timeout(PATIENCE_S), aclosing(vault.follow("admin-key")) as following:
        assert (await anext(following) or (b"",))[0] == b"one"
        upcoming = asyncio.ensure_future(anext(following))
        path.unlink()
        path.mkdir(mode=0o700)
        while "it is not a file" not in caplog.text:  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # two more looks
        assert not upcoming.done()
        assert caplog.text.count("it is not a file; going on with what was read before") == 1
        path.rmdir()
        assert await upcoming is None
        path.write_bytes(b"two")
        path.chmod(0o600)
        assert (await anext(following) or (b"",))[0] == b"two"


async def test_what_could_never_be_read_is_not_taken_for_none(vault: FileVault) -> None:
    """Whoever hears that there is none makes a new one."""
    path = vault.folder / "admin-key"
    path.mkdir(parents=True, mode=0o700)
    async with asyncio.timeout(PATIENCE_S), aclosing(vault.follow("admin-key")) as following:
        upcoming = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.5)
        assert not upcoming.done()
        path.rmdir()
        assert await upcoming is None


async def test_what_did_not_change_is_not_read_again(vault: FileVault, monkeypatch: pytest.MonkeyPatch) -> None:
    await vault.write("admin-key", b"one", None)
    reads, read = [], vault.read
    monkeypatch.setattr(vault, "read", lambda name: reads.append(name) or read(name))
    async with aclosing(vault.follow("admin-key")) as following:
        await anext(following)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):  # three looks
                await anext(following)
    assert reads == ["admin-key"]


async def test_a_touch_is_no_change(vault: FileVault) -> None:
    await vault.write("admin-key", b"one", None)
    async with asyncio.timeout(PATIENCE_S), aclosing(vault.follow("admin-key")) as following:
        await anext(following)
        upcoming = asyncio.ensure_future(anext(following))
        (vault.folder / "admin-key").touch()
        await asyncio.sleep(0.5)
        assert not upcoming.done()
        (vault.folder / "admin-key").write_bytes(b"two")
        assert (await upcoming or (b"",))[0] == b"two"
