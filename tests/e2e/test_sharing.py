"""Several router processes, one queue and one limit: under uneven load, and while one of them is killed, hangs, comes,
goes, speaks another version or can't be reached."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from router.core.circle import LEASE_S, SILENT_S
from router.core.frames import Welcome
from router.platforms.local.state import StateDirectory
from tests.e2e.cut_wires import Cables
from tests.e2e.sharing_site import Replicas, Site, site_of
from tests.models import PATIENCE_S, until
from tests.peers.company import stranger_listening
from tests.places import a_place
from tests.router_process import RouterProcess, routing

UNEVEN = [6.0, 2.0, 1.0]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: a unix socket's must be."""
    with TemporaryDirectory(prefix="sg-") as path:
        yield Path(path)


def now() -> float:
    return asyncio.get_running_loop().time()


def excesses(replicas: Replicas, since: float = 0.0, until: float = 0.0) -> list[tuple[float, int]]:
    """Outside these times."""
    return [(at, count) for at, count in replicas.excesses if not since <= at <= until]


async def in_flight(site: Site, count: int) -> None:
    await until(lambda: site.replicas.busy >= count)


async def load_at(router: RouterProcess, scope: str = "all") -> dict[str, Any]:
    """That of all three, once each has told its own in time."""
    async with router.client() as client, asyncio.timeout(PATIENCE_S):
        told = ""
        while told != "3/3":
            reply = await client.get(f"{router.place.admin}/load", params={"scope": scope})
            told = reply.headers["x-scoregate-instances"] if scope == "all" else "3/3"
        (load,) = reply.json()
        assert isinstance(load, dict)
        return load


async def until_queued(router: RouterProcess, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await load_at(router))["queued"] != count:  # noqa: ASYNC110 - it looks at processes
            await asyncio.sleep(0.02)


async def test_uneven_load_of_three_keeps_each_limit_and_is_counted_once_by_any(tmp_path: Path) -> None:
    async with site_of(tmp_path, routers=3, replicas=6) as site:
        await site.until_agreed()
        await site.clients.load(site.ports, UNEVEN, rate=150.0, for_s=3.0)
        await site.clients.all_answered()
        total = site.clients.total(site.ports)
        assert set(total) == {"200"}
        assert site.replicas.served == total["200"] > 300
        assert site.replicas.excesses == []

        site.replicas.gate.clear()
        for port, count in zip(site.ports, (6, 4, 1), strict=True):
            for _ in range(count):
                site.clients.ask(port)
        await in_flight(site, 6)
        await until_queued(site.routers[0], 5)
        loads = await asyncio.gather(*(load_at(router) for router in site.routers))
        shown = [(load["inFlight"], load["queued"], load["busy"], sum(load["replicas"].values())) for load in loads]
        assert shown == [(6, 5, 6, 6)] * 3
        own = await asyncio.gather(*(load_at(router, "instance") for router in site.routers))
        assert sum(load["inFlight"] for load in own) == 6
        assert [load["inFlight"] + load["queued"] for load in own] == [6, 4, 1]
        site.replicas.gate.set()
        await site.clients.all_answered()
        assert site.replicas.excesses == []


@pytest.mark.parametrize("who", ["owner", "borrower"])
async def test_of_one_that_is_killed_only_its_own_requests_are_lost(tmp_path: Path, who: str) -> None:
    async with site_of(tmp_path, routers=3, replicas=6) as site:
        await site.until_agreed()
        victim = await (site.owner() if who == "owner" else site.borrower())
        left = [router for router in site.routers if router is not victim]
        killed_at = 0.0

        async def kill() -> None:
            nonlocal killed_at
            await asyncio.sleep(1.5)
            killed_at = now()
            victim.send_signal(signal.SIGKILL)

        loads = [
            site.clients.load([router.port for router in left], [2.0, 1.0], rate=90.0, for_s=5.0),
            site.clients.load([victim.port], [1.0], rate=40.0, for_s=1.5),
        ]
        await asyncio.gather(*loads, kill())
        await site.clients.all_answered()
        assert set(site.clients.total([router.port for router in left])) == {"200"}
        lost = site.clients.ends[victim.port]
        assert set(lost) <= {"200", "IncompleteReadError", "ConnectionResetError", "ConnectionRefusedError"}
        # what the killed one had begun goes on in a replica, and its slots are given again meanwhile
        assert excesses(site.replicas, killed_at, killed_at + LEASE_S) == []
        assert all(count <= 2 for _, count in site.replicas.excesses)
        site.routers = left
        await site.until_agreed()


@pytest.mark.parametrize("who", ["owner", "borrower"])
async def test_one_that_hangs_for_long_loses_nothing_and_holds_nobody_up(tmp_path: Path, who: str) -> None:
    async with site_of(tmp_path, routers=3, replicas=6) as site:
        await site.until_agreed()
        victim = await (site.owner() if who == "owner" else site.borrower())
        left = [router.port for router in site.routers if router is not victim]
        before = Counter[str]()

        async def stop() -> None:
            await asyncio.sleep(1.0)
            victim.send_signal(signal.SIGSTOP)
            await asyncio.sleep(LEASE_S)
            before.update(site.clients.total(left))
            await asyncio.sleep(1.0)
            await until(lambda: site.clients.total(left).total() > before.total() + 20)  # without it
            victim.send_signal(signal.SIGCONT)

        await asyncio.gather(site.clients.load(site.ports, [1.0, 1.0, 1.0], rate=80.0, for_s=6.0), stop())
        await site.clients.all_answered()
        assert set(site.clients.total(site.ports)) == {"200"}
        assert site.replicas.excesses == []
        await site.until_agreed()


async def test_one_that_stops_and_one_that_comes_disturb_nobody(tmp_path: Path) -> None:
    async with site_of(tmp_path, routers=2, replicas=6) as site:
        await site.until_agreed()
        leaving = await site.owner()
        (stays,) = [router for router in site.routers if router is not leaving]

        async def restart() -> None:
            await asyncio.sleep(1.0)
            leaving.send_signal(signal.SIGTERM)
            (came,) = await site.start(1)
            await site.clients.load([came.port], [1.0], rate=40.0, for_s=2.0)

        await asyncio.gather(
            site.clients.load([stays.port], [1.0], rate=80.0, for_s=6.0),
            site.clients.load([leaving.port], [1.0], rate=40.0, for_s=1.0),
            restart(),
        )
        await site.clients.all_answered()
        assert await leaving.ended() == 0
        assert set(site.clients.total(site.clients.ends)) == {"200"}
        assert site.replicas.excesses == []
        site.routers.remove(leaving)
        await site.until_agreed()
        assert b"Traceback" not in leaving.said + stays.said


async def test_beside_one_of_another_version_each_works_with_its_own_slots(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    async with site_of(tmp_path, routers=0, replicas=12, mean_s=0.01) as site:
        path = tmp_path / "new.sock"
        async with stranger_listening(path, Welcome(99, "stranger")):
            state.write_router(a_place("http://127.0.0.1:1", id="the-new-one", socket=str(path)))
            async with routing(tmp_path, "--access-log", "off") as router:
                await router.ready(12)
                await until(lambda: b"can't reach the-new-one" in router.said)
                assert b"version 99" in router.said
                site.replicas.gate.clear()
                for _ in range(20):
                    site.clients.ask(router.port)
                await in_flight(site, 1)
                await asyncio.sleep(0.5)
                reached = site.replicas.busy
                assert 1 <= reached < 12
                state.remove_router("the-new-one")
                await in_flight(site, 12)
                site.replicas.gate.set()
                await site.clients.all_answered()
        assert set(site.clients.ends[router.port]) == {"200"}
        assert site.replicas.excesses == []


async def test_two_that_cannot_reach_each_other_use_no_slot_at_once(tmp_path: Path) -> None:
    """The two meet by a wire that the test can cut; their replicas are reached by both all the time."""
    async with site_of(tmp_path, routers=2, replicas=8) as site, Cables(tmp_path) as cables:
        await site.until_agreed()
        for router in site.routers:
            await cables.lay(router)
        await until(lambda: cables.connections >= 4)
        await site.until_agreed()
        cut_at = 0.0

        async def cut() -> None:
            nonlocal cut_at
            await asyncio.sleep(1.0)
            cut_at = now()
            cables.cut()
            await asyncio.sleep(4.0)
            word = b"slots that may be in use there are left alone"
            await until(lambda: all(word in router.said for router in site.routers))
            await cables.mend()

        await asyncio.gather(site.clients.load(site.ports, [3.0, 1.0], rate=90.0, for_s=7.0), cut())
        await site.clients.all_answered()
        assert set(site.clients.total(site.ports)) == {"200"}
        assert excesses(site.replicas, cut_at, cut_at + LEASE_S + SILENT_S) == []
        await site.until_agreed()
        assert cables.connections >= 4
