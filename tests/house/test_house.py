"""Does the house keep its own rules?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house.laws import EVERYWHERE, IN_THE_PACKAGES, Law, Source

ROOT = Path(__file__).parents[2]
PACKAGES = ("router", "autoscaler")
FOLDERS = (*PACKAGES, "tests", "bench", "examples")


def sources(folders: Iterable[str]) -> list[Source]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files]


def offences(law: Law, folders: Iterable[str]) -> list[str]:
    return [offence for source in sources(folders) for offence in law(source)]


@pytest.mark.parametrize("law", EVERYWHERE, ids=lambda law: law.__name__)
def test_every_file_keeps_the_law(law: Law) -> None:
    assert offences(law, FOLDERS) == []


@pytest.mark.parametrize("law", IN_THE_PACKAGES, ids=lambda law: law.__name__)
def test_every_file_that_ships_keeps_the_law(law: Law) -> None:
    assert offences(law, PACKAGES) == []


def test_the_files_are_found() -> None:
    found = {source.path for source in sources(FOLDERS)}
    assert {"router/app.py", "router/core/dispatch.py", "tests/house/laws.py", "bench/__main__.py"} <= found
