"""private_files.py: whole or not at all, for its owner only, one at a time."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from router.platforms import PlatformError
from router.platforms.private_files import locked, make_private_folder, version, write_whole


@pytest.fixture(params=[0o000, 0o022, 0o077])
def _umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("lasting", [False, True])
def test_only_the_owner_gets_at_what_is_written(tmp_path: Path, lasting: bool) -> None:
    file = tmp_path / "a" / "b" / "file"
    for content in (b"one", b"two"):
        write_whole(file, content, lasting=lasting)
        assert file.read_bytes() == content
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with locked(tmp_path / "a" / "lock"):
        assert stat.S_IMODE((tmp_path / "a" / "lock").stat().st_mode) == 0o600
    for folder in (file.parent, file.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_version_differs_whenever_a_file_was_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert version(file) is None
    seen = set()
    for _ in range(5):
        write_whole(file, b"the same")
        os.utime(file, ns=(1, 1))
        (keep := tmp_path / f"kept-{len(seen)}").hardlink_to(file)
        seen.add(version(keep))
    assert len(seen) == 5


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    file = tmp_path / "file"
    write_whole(file, b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if fails == "write":
        write = os.fdopen
        monkeypatch.setattr("builtins.open", lambda *args: Full(write(*args)))
    else:
        monkeypatch.setattr(os, fails, full)
    with pytest.raises(PlatformError, match=r"file can't be written: No space left on device"):
        write_whole(file, b"after", lasting=True)
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


class Full:
    """A file on a disk that has no room."""

    def __init__(self, file) -> None:
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, _: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    for ask in (make_private_folder, lambda folder: write_whole(folder / "file", b"")):
        with pytest.raises(PlatformError, match=r"state can't be made: .*Choose another --state-dir"):
            ask(tmp_path / "state" / "keys")
    with pytest.raises(PlatformError, match="can't be made"), locked(tmp_path / "state" / "keys" / "lock"):
        pass


def test_a_lock_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(PlatformError, match=r"lock can't be opened"), locked(tmp_path / "lock"):
        pass


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, order = threading.Event(), []

    def second() -> None:
        inside.wait()
        with locked(tmp_path / "lock"):
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with locked(tmp_path / "lock"):
        inside.set()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_who_holds_a_lock_for_too_long_stops_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for within_s in (0.0, 0.05):
        with (
            locked(lock),
            pytest.raises(PlatformError, match="lock is held by another process"),
            locked(lock, within_s),
        ):
            pytest.fail("two are inside")
    with locked(lock, 0.0):
        pass


def test_a_lock_is_given_back_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "lock"):
        raise RuntimeError
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
