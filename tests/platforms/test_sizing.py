"""sizing.py: on one machine the wished number of workers is in a file, and nothing else is taken for it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from router.platforms import PlatformError
from router.platforms.sizing import FileSizing, RouterSize, RouterStand


async def test_while_nobody_wished_it_is_what_there_is(tmp_path: Path) -> None:
    assert await FileSizing(tmp_path, lambda: 3).stand() == RouterStand(RouterSize(workers=3))
    assert await FileSizing(tmp_path, lambda: 0).stand() == RouterStand(RouterSize(workers=1))
    assert os.listdir(tmp_path) == []


async def test_a_wish_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    await FileSizing(tmp_path, lambda: 1).resize(RouterSize(workers=4))
    assert (await FileSizing(tmp_path, lambda: 1).stand()).size == RouterSize(workers=4)
    file = tmp_path / "workers.json"
    assert file.read_bytes() == b'{"workers":4}'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_one_machine_has_no_pods(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="2 Pods of the router: this is one machine"):
        await FileSizing(tmp_path, lambda: 1).resize(RouterSize(pods=2))
    assert not (await FileSizing(tmp_path, lambda: 1).stand()).has_pods


@pytest.mark.parametrize("content", ["", "{}", '{"workers": 0}', '{"workers": "2"}', "[2]", "\udcff"])
async def test_a_file_that_says_no_number_is_told_with_its_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "workers.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PlatformError, match=f"{file} can't be read: .*Remove it"):
        await FileSizing(tmp_path, lambda: 1).stand()


def test_a_size_is_so_many_processes() -> None:
    assert RouterSize(workers=3, pods=4).processes == 12
