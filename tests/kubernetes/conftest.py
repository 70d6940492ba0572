"""What the fake's own tests ask for: one that runs, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.plain import PlainClient


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        yield server


@pytest.fixture
async def client(server: FakeApiServer) -> AsyncIterator[PlainClient]:
    async with PlainClient(Path(server.kubeconfig)) as client:
        yield client
