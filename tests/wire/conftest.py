"""A stage for each dialogue: `stage` as it comes, `open_stage` with settings of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.wire.stage import Stage

OpenStage = Callable[..., Awaitable[Stage]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["tcp", "tls"])
def over(request: pytest.FixtureRequest) -> str:
    """What clients speak HTTP over."""
    return str(request.param)


@pytest.fixture
async def open_stage(over: str) -> AsyncIterator[OpenStage]:
    async with AsyncExitStack() as stages:

        async def open_one(**settings: Any) -> Stage:
            return await stages.enter_async_context(Stage(**{"tls": over == "tls"} | settings))

        yield open_one


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    return await open_stage()
