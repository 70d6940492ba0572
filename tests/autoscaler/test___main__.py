"""__main__.py: an autoscaler process follows what runs, scales it, is one of several, and stops when it is told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import router
from autoscaler.journal import journal_file, journals, read
from autoscaler.records import Decided
from router.core.model import Snapshot
from router.platforms.local.state import StateDirectory
from tests.autoscaler.nouns import KEY, deployment, load, replicas, snapshot
from tests.places import a_place

ROOT = str(Path(router.__file__).parent.parent)
WITHIN_S = 30.0


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


@asynccontextmanager
async def autoscaling(state: StateDirectory) -> AsyncIterator[asyncio.subprocess.Process]:
    words = ["-m", "autoscaler", "run", "--platform", "local", "--state-dir", str(state.path)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCOREGATE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=PIPE, stderr=PIPE, env={**clean, "PYTHONPATH": ROOT}
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it looks at what another process writes
        await asyncio.sleep(0.02)


async def said(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stderr is not None
    while words not in (line := (await process.stderr.readline()).decode()):
        assert line, "it ended"


@asynccontextmanager
async def busy_router(state: StateDirectory) -> AsyncIterator[None]:
    """Three requests in flight, in the words of a router that runs in this process."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = msgspec.json.encode([load(3, 0)])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        state.write_router(a_place(url, url))
        yield


def running(wished: int) -> Snapshot:
    uids = [f"blue-{number}" for number in range(wished)]
    return replace(snapshot(deployment(), wished={KEY: wished}, replicas=replicas(*uids)), instances=())


async def test_it_scales_what_runs_records_why_and_ends_cleanly(state: StateDirectory) -> None:
    state.write_snapshot(running(1))
    async with busy_router(state), autoscaling(state) as process:
        await until(lambda: state.read_wish("iris", "blue") is not None)
        wish = state.read_wish("iris", "blue")
        assert wish is not None
        assert wish.replicas == 5
        file = journal_file(journals(state.path), KEY)
        await until(lambda: any(isinstance(each, Decided) and each.outcome == "ask" for each in read(file)))
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_of_two_one_leads_and_the_other_takes_over(state: StateDirectory, number: signal.Signals) -> None:
    async with autoscaling(state) as first:
        await said(first, "scaling")
        async with autoscaling(state) as second:
            await said(second, "another autoscaler leads")
            first.send_signal(number)
            assert await first.wait() == 0
            await said(second, "scaling")
            second.send_signal(number)
            assert await second.wait() == 0
