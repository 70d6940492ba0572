"""What do the tests of administration share?"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.administration.office import Office, open_office


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with open_office() as opened:
        yield opened


@pytest.fixture
async def client(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.client() as made:
        yield made


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    """A test may set it, for the process."""
    loggers = logging.getLogger("scoregate")
    before = loggers.level
    yield
    loggers.setLevel(before)
