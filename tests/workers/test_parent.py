"""parent.py: the workers that shall run do run, and when the parent ends, none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.config import ConfigError, RouterConfig
from router.platforms import ClusterSettings
from router.workers import crew, parent
from router.workers.parent import Parent
from tests.models import until
from tests.router_process import ROOT


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "_WORKER", "tests.workers.a_worker")
    monkeypatch.setattr(crew, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setenv("PYTHONPATH", ROOT)


class Running:
    """A parent in a task of the test's."""

    def __init__(self, folder: Path, workers: int, most: int) -> None:
        self.folder = folder
        config = RouterConfig(
            platform="local", state_dir=folder, port=0, admin_port=0, workers=workers, max_workers=most
        )
        self.task = asyncio.create_task(Parent(config, ClusterSettings()).run())

    @property
    def workers(self) -> list[tuple[int, int]]:
        """Number and process id of each."""
        found = [tuple(map(int, file.name.split("-"))) for file in self.folder.glob("[0-9]-*")]
        return [(index, pid) for index, pid in sorted(found) if _lives(pid)]

    def inherited(self) -> set[str]:
        """What each was told of the sockets."""
        return {file.read_text() for file in self.folder.glob("[0-9]-*")}

    async def until(self, *indices: int) -> None:
        await until(lambda: [index for index, _ in self.workers] == list(indices) and "" not in self.inherited())

    def wish(self, text: str) -> None:
        (self.folder / "new").write_text(text)
        (self.folder / "new").replace(self.folder / "workers.json")


def _lives(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def running(folder: Path, workers: int = 2, most: int = 0) -> AsyncIterator[Running]:
    one = Running(folder, workers, most)
    try:
        yield one
    finally:
        if not one.task.done():
            one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)
        await until(lambda: one.workers == [])


async def test_workers_have_the_parents_sockets_and_end_with_it_on_sigterm(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.until(0, 1)
        assert len(one.inherited()) == 1
        assert one.workers[0][1] != os.getpid()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await one.task == 0
        assert one.workers == []


async def test_a_killed_worker_is_replaced_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as one:
        await one.until(0, 1)
        (_, first), (_, second) = one.workers
        os.kill(first, signal.SIGKILL)
        await until(lambda: one.workers[:1] not in ([], [(0, first)], [(1, second)]))
        assert one.workers[1] == (1, second)
        assert f"worker 0, process {first}, has ended by SIGKILL" in caplog.text


async def test_one_that_ran_well_is_replaced_without_waiting_for_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "RAN_WELL_S", 0.0)
    async with running(tmp_path, 1) as one:
        await one.until(0)
        monkeypatch.setattr(parent, "_LOOK_S", 3600.0)
        await asyncio.sleep(0.5)
        ((_, first),) = one.workers
        os.kill(first, signal.SIGKILL)
        await until(lambda: one.workers not in ([], [(0, first)]))
        os.kill(os.getpid(), signal.SIGTERM)
        assert await one.task == 0


async def test_as_many_workers_are_there_as_the_file_wishes_within_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "workers.json").write_text('{"workers": 3}')
    async with running(tmp_path, 1, 3) as one:
        await one.until(0)
        await asyncio.sleep(0.3)
        await one.until(0)
        one.wish('{"workers": 99}')
        await one.until(0, 1, 2)
        for nonsense in ("{", '{"workers": 0}', '{"workers": "2"}', "[]"):
            one.wish(nonsense)
            await until(lambda: "workers.json can't be read" in caplog.text)
            caplog.clear()
            await one.until(0, 1, 2)
        one.wish('{"workers": 1}')
        await one.until(0)


async def test_a_silent_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crew, "SILENT_S", 0.5)
    async with running(tmp_path) as one:
        await one.until(0, 1)
        (_, hung), _ = one.workers
        os.kill(hung, signal.SIGSTOP)
        await until(lambda: not _lives(hung))
        await one.until(0, 1)
        assert f"worker 0, process {hung}, hangs" in caplog.text


async def test_workers_that_cannot_start_are_not_tried_again(tmp_path: Path) -> None:
    tmp_path.joinpath("fails").touch()
    async with running(tmp_path) as one:
        async with asyncio.timeout(20):
            assert await one.task == 1
        assert one.workers == []


async def test_a_worker_that_ends_by_itself_later_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.until(0, 1)
        await asyncio.sleep(0.3)
        (_, first), _ = one.workers
        os.kill(first, signal.SIGTERM)
        await until(lambda: [index for index, pid in one.workers if pid != first] == [0, 1])


async def test_whatever_ends_the_parent_leaves_no_worker(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.until(0, 1)
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.task
        await until(lambda: one.workers == [])


async def test_figures_of_an_earlier_run_are_gone(tmp_path: Path) -> None:
    old = tmp_path / "ledgers" / "0.0"
    old.parent.mkdir()
    old.touch()
    async with running(tmp_path) as one:
        await one.until(0, 1)
        assert os.listdir(old.parent) == []


async def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = RouterConfig(platform="local", state_dir=tmp_path, port=other.getsockname()[1], workers=2)
        with pytest.raises(ConfigError, match="Choose another --port"):
            await Parent(config, ClusterSettings()).run()
    assert os.listdir(tmp_path) == []
