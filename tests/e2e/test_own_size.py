"""Do routers tell the autoscaler of their own work, and does their number follow its wish?

Real router processes. That the law asks for a step takes minutes; here it is played (tests/autoscaler has it whole).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from autoscaler.self_feed import SelfFeed
from router.core.model import Instance
from router.platforms.identity import OwnIdentity
from router.platforms.local.state import RouterPlace, StateDirectory
from router.platforms.sizing import FileSizing, RouterSize
from router.platforms.vault import FileVault
from tests.front import SCORE
from tests.models import PATIENCE_S, Model, served
from tests.router_process import declare, routing


def instances(places: list[RouterPlace]) -> list[Instance]:
    return [Instance(id=place.id, admin=place.admin, peer=place.peer) for place in places]


async def until_there(state: StateDirectory, count: int) -> list[RouterPlace]:
    async with asyncio.timeout(2 * PATIENCE_S):
        while len(places := state.living_routers()) != count:  # noqa: ASYNC110 - it looks at processes
            await asyncio.sleep(0.05)
    return places


async def test_a_router_tells_what_it_routed_and_what_that_cost(tmp_path: Path) -> None:
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            feed = SelfFeed(OwnIdentity(lambda: FileVault(router.state.path)).client)
            (asked,) = instances([router.place])
            before = (await feed.ask([asked]))[asked.id]
            async with router.client() as client:
                for _ in range(20):
                    assert (await client.post(SCORE, content=b"{}")).status_code == 200
            after = (await feed.ask([asked]))[asked.id]
    assert after.routed_total - before.routed_total == 20
    assert 0 < after.route_seconds_total - before.route_seconds_total < 20
    assert after.route_buckets["+Inf"] == after.routed_total
    assert after.cpu_seconds_total > before.cpu_seconds_total > 0
    assert 0 < after.cpus <= (os.cpu_count() or 1)
    assert after.most_workers == 1


async def test_on_one_machine_workers_come_and_go_with_the_wish(tmp_path: Path) -> None:
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with routing(tmp_path, "--access-log", "off", "--max-workers", "2", waits=False) as router:
            await until_there(router.state, 1)
            sizing = FileSizing(router.state.path, lambda: len(router.state.living_routers()))
            assert (await sizing.stand()).size == RouterSize(workers=1)
            await sizing.resize(RouterSize(workers=2))
            places = await until_there(router.state, 2)
            feed = SelfFeed(OwnIdentity(lambda: FileVault(router.state.path)).client)
            async with asyncio.timeout(PATIENCE_S):
                while len(words := await feed.ask(instances(places))) < 2:  # noqa: ASYNC110 - it asks processes
                    await asyncio.sleep(0.1)
            assert {word.most_workers for word in words.values()} == {2}
            await sizing.resize(RouterSize(workers=1))
            await until_there(router.state, 1)
            router.send_signal()
            assert await router.ended() == 0
