"""Where do the sockets of these tests lie?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Its path is short: a unix socket's must be."""
    with TemporaryDirectory(prefix="sg-") as path:
        yield Path(path)
