"""Which router do commands administer?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.administered import Administered, administered
from tests.models import Model


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Administered]:
    async with administered(tmp_path, blue=Model("blue"), green=Model("green")) as one:
        yield one
