"""What may a test of any folder ask for, and what does none leave behind?"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import cluster

__all__ = ["cluster"]


@pytest.fixture(autouse=True)
def levels_of_loggers() -> Iterator[None]:
    """An administrator may change them for the whole process."""
    ours = logging.getLogger("scoregate")
    before = ours.level
    yield
    ours.setLevel(before)
