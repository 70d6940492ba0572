"""A key is regenerated while requests run: not one wrong 401, on a router process of its own.

A regenerated key counts from one snapshot on, and no client can know when that comes. What it can know: a reply that it
has tells what any request sent after that must get.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from router.core.keys import regenerated
from router.platforms.keys import KeyStore
from tests.front import SCORE, bearer
from tests.models import PATIENCE_S, Model, served, until
from tests.router_process import RouterProcess, declare, routing

CLIENTS = 8
TURNS = 4


@dataclass
class Asked:
    """Requests with one key: when each was sent and answered, and how."""

    replies: list[tuple[float, float, int]] = field(default_factory=list)

    async def ask(self, client: httpx.AsyncClient, key: str) -> int:
        sent = perf_counter()
        status = (await client.post(SCORE, headers=bearer(key), content=b"[1]")).status_code
        self.replies.append((sent, perf_counter(), status))
        return status

    @property
    def statuses(self) -> set[int]:
        return {status for _, _, status in self.replies}

    def sent_after(self, moment: float) -> set[int]:
        return {status for sent, _, status in self.replies if sent > moment}

    def first(self, status: int) -> float:
        """When the first such reply was there."""
        return min(answered for _, answered, known in self.replies if known == status)


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[RouterProcess]:
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port, mode="key", maxConcurrentRequestsPerInstance=0)
        async with routing(tmp_path, "--access-log", "off") as one:
            await one.ready()
            yield one


async def test_a_key_that_is_regenerated_under_load_opens_or_not_and_never_both(router: RouterProcess) -> None:
    store = KeyStore(router.state.path)
    secondary = Asked()
    async with router.client() as client:
        for turn in range(TURNS):
            old, new = store.read("iris").primary_key, f"fresh-primary-key-{turn}"
            olds, news = Asked(), Asked()
            clients = [asyncio.create_task(_alternate(client, old, new, olds, news)) for _ in range(CLIENTS)]
            steady = asyncio.create_task(_go_on(client, store.read("iris").secondary_key, secondary))
            await until(lambda olds=olds: len(olds.replies) > CLIENTS)  # type: ignore[misc]
            assert (olds.statuses, news.statuses) == ({200}, {401}), "nothing has changed yet"
            await asyncio.to_thread(store.change, "iris", partial(regenerated, which="primary", key=new))
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*clients)
            steady.cancel()
            await asyncio.wait((steady,))
            assert olds.statuses == news.statuses == {200, 401}
            assert news.sent_after(olds.first(401)) == {200}, "the new one opens as soon as the old one does not"
            assert olds.sent_after(news.first(200)) == {401}, "the old one does not as soon as the new one opens"
    assert secondary.statuses == {200}
    assert len(secondary.replies) > TURNS


async def _alternate(client: httpx.AsyncClient, old: str, new: str, olds: Asked, news: Asked) -> None:
    """Until the old key is refused, and a little further."""
    further = 5
    while further:
        status = await olds.ask(client, old)
        await news.ask(client, new)
        further -= status == 401


async def _go_on(client: httpx.AsyncClient, key: str, asked: Asked) -> None:
    while True:
        await asked.ask(client, key)
