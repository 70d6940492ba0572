"""What may a test of any folder ask for, and what does none leave behind?"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.closing import ClosingLoop
from tests.kubernetes.cluster import cluster

__all__ = ["cluster"]

# A run is one that can be repeated, on however slow a machine: SCOREGATE_RANDOM_EXAMPLES=1 looks for new examples.
settings.register_profile("scoregate", deadline=None, derandomize="SCOREGATE_RANDOM_EXAMPLES" not in os.environ)
settings.load_profile("scoregate")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    return {"asyncio": ClosingLoop}


@pytest.fixture(autouse=True)
def levels_of_loggers() -> Iterator[None]:
    """An administrator may change them for the whole process."""
    ours = logging.getLogger("scoregate")
    before = ours.level
    yield
    ours.setLevel(before)
