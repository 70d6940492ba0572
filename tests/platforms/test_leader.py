"""leader.py: of all that want to lead, one does, for as long as it lives and holds on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

import router
from router.platforms import PlatformError
from router.platforms.local import leader
from router.platforms.local.leader import leadership

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "RETRY_S", 0.02)


async def test_one_leads_and_the_other_takes_over_when_it_stops(tmp_path: Path) -> None:
    file = tmp_path / "autoscaler.lock"
    async with aclosing(leadership(file)) as other:
        async with aclosing(leadership(file)) as one:
            assert await anext(one) is True
            assert await anext(other) is False
            waiting = asyncio.ensure_future(anext(other))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        async with asyncio.timeout(PATIENCE_S):
            assert await waiting is True


async def test_its_word_comes_once(tmp_path: Path) -> None:
    async with aclosing(leadership(tmp_path / "lock")) as one:
        assert await anext(one) is True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(one)


ALONE = """
import asyncio, sys
from pathlib import Path
from router.platforms.local.leader import leadership

async def run():
    async for leads in leadership(Path(sys.argv[1])):
        print(leads, flush=True)

asyncio.run(run())
"""


async def test_one_that_is_killed_leads_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    alone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ALONE, file),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(router.__file__).parent.parent)},
    )
    assert alone.stdout is not None
    assert await alone.stdout.readline() == b"True\n"
    async with aclosing(leadership(file)) as one, asyncio.timeout(PATIENCE_S):
        assert await anext(one) is False
        alone.kill()
        assert await anext(one) is True
    await alone.wait()


async def test_a_file_that_is_removed_makes_no_second_leader_for_long(tmp_path: Path) -> None:
    """Whoever locks the next file leads; the first steps back, and does not take it for its own."""
    file = tmp_path / "lock"
    async with aclosing(leadership(file)) as one, aclosing(leadership(file)) as other, asyncio.timeout(PATIENCE_S):
        assert await anext(one) is True
        file.unlink()
        assert await anext(other) is True
        assert await anext(one) is False


async def test_a_file_that_can_not_be_opened_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    async with aclosing(leadership(tmp_path / "lock")) as one:
        with pytest.raises(PlatformError, match="lock can't be opened: "):
            await anext(one)
