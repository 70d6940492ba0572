"""self_loop.py: who leads looks, asks the law, resizes and records; nobody else does, and nothing ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from autoscaler.records import Outcome
from autoscaler.self_loop import SelfScaler
from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen
from autoscaler.self_scaling import LOOK_S, SLOW_FOR_S, WINDOW_S
from router.core.model import Instance, Routing, Snapshot
from router.platforms import PlatformError
from router.platforms.memory import MemoryPlatform, MemorySizing
from router.platforms.sizing import RouterSize, RouterStand
from tests.virtual_time import now, on_virtual_time, settle

UNTIL_UP_S = WINDOW_S + SLOW_FOR_S


class Sizing(MemorySizing):
    """Notes what it is asked for; `refusal` is what it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[RouterSize] = []
        self.refusal: Exception | None = None
        self.looks = 0

    async def stand(self) -> RouterStand:
        self.looks += 1
        return await super().stand()

    async def resize(self, size: RouterSize) -> None:
        self.asked.append(size)
        if self.refusal is not None:
            raise self.refusal
        await super().resize(size)


class Scene:
    """A machine with one slow router, which may have four workers. It stands for feed and journal, too."""

    def __init__(self) -> None:
        self.platform = MemoryPlatform()
        self.platform.sizing = self.sizing = Sizing()
        self.leads = True
        self.silent: set[str] = set()
        self.mean_s = 0.004
        self.busy = 0.9
        self.cpus = 8.0
        self.most_workers = 4
        self.lines: list[tuple[SizeSeen, SizeDecision, Outcome, str]] = []
        self.full = False
        self.routers(1)

    def routers(self, count: int, serving: int | None = None) -> None:
        self.platform.publish(
            Snapshot(
                instances=tuple(
                    Instance(id=f"r{number}", admin="", peer="https://x", serves=number < (serving or count))
                    for number in range(count)
                )
            )
        )

    async def ask(self, instances: Sequence[Instance]) -> Mapping[str, Routing]:
        return {each.id: self._word() for each in instances if each.id not in self.silent}

    def _word(self) -> Routing:
        routed = int(1000 * now())
        return Routing(
            routed_total=routed,
            route_seconds_total=routed * self.mean_s,
            route_buckets={"0.01": routed, "+Inf": routed},
            cpu_seconds_total=self.busy * now(),
            cpus=self.cpus,
            most_workers=self.most_workers,
        )

    def append_size(
        self, settings: SelfScaling, seen: SizeSeen, decision: SizeDecision, outcome: Outcome, fault: str
    ) -> None:
        self.lines.append((seen, decision, outcome, fault))
        if self.full:
            raise OSError("the disk is full")

    @asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[Scene]:
        scaler = SelfScaler(self.platform, lambda: self.leads, self, self, SelfScaling(**settings))
        task = asyncio.create_task(scaler.run())
        await settle()
        yield self
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_virtual_time
async def test_a_slow_router_gets_one_worker_more_and_then_time() -> None:
    async with Scene().running() as scene:
        await asyncio.sleep(UNTIL_UP_S + 1)
        assert scene.sizing.asked == [RouterSize(workers=2)]
        scene.routers(2)
        await asyncio.sleep(WINDOW_S)
        assert scene.sizing.asked == [RouterSize(workers=2)]
        await asyncio.sleep(SLOW_FOR_S + LOOK_S)
        assert scene.sizing.asked == [RouterSize(workers=2), RouterSize(workers=3)]
    outcomes = [outcome for _, _, outcome, _ in scene.lines]
    assert outcomes.count("ask") == 2
    assert scene.lines[0][0].begins
    assert not any(seen.begins for seen, *_ in scene.lines[1:])


@on_virtual_time
async def test_until_the_new_one_is_there_nothing_moves() -> None:
    async with Scene().running() as scene:
        await asyncio.sleep(1000)
        assert scene.sizing.asked == [RouterSize(workers=2)]
        assert "a change is under way: 1 of 2" in scene.lines[-1][1].reason


@on_virtual_time
async def test_one_that_does_not_serve_yet_is_not_there_yet() -> None:
    scene = Scene()
    async with scene.running():
        await asyncio.sleep(UNTIL_UP_S + 1)
        scene.routers(2, serving=1)
        await asyncio.sleep(LOOK_S)
        assert "1 of 2" in scene.lines[-1][1].reason


@on_virtual_time
async def test_a_silent_one_holds_everything() -> None:
    scene = Scene()
    scene.silent = {"r0"}
    async with scene.running():
        await asyncio.sleep(500)
    assert scene.sizing.asked == []


@pytest.mark.parametrize(("cpus", "most_workers"), [(1.9, 4), (8.0, 1), (0.5, 4)])
def test_no_more_workers_than_are_allowed_or_than_there_are_cpus(cpus: float, most_workers: int) -> None:
    @on_virtual_time
    async def run() -> None:
        scene = Scene()
        scene.cpus, scene.most_workers = cpus, most_workers
        async with scene.running():
            await asyncio.sleep(500)
        assert scene.sizing.asked == []
        assert scene.lines == [], "there is nothing to decide"

    run()


@on_virtual_time
async def test_whoever_does_not_lead_does_nothing_and_begins_anew_when_it_does() -> None:
    scene = Scene()
    scene.leads = False
    async with scene.running():
        await asyncio.sleep(200)
        assert (scene.sizing.looks, scene.lines) == (0, [])
        scene.leads = True
        await asyncio.sleep(WINDOW_S + 1)
        scene.leads = False
        await asyncio.sleep(LOOK_S)
        scene.leads = True
        await asyncio.sleep(UNTIL_UP_S)
        assert scene.sizing.asked == []
        await asyncio.sleep(LOOK_S + 1)
        assert scene.sizing.asked == [RouterSize(workers=2)]
    assert sum(seen.begins for seen, *_ in scene.lines) == 2


@on_virtual_time
async def test_a_refusal_is_said_and_recorded_and_tried_again() -> None:
    async with Scene().running() as scene:
        scene.sizing.refusal = PlatformError("no right to")
        await asyncio.sleep(UNTIL_UP_S + LOOK_S + 1)
        assert scene.sizing.asked == [RouterSize(workers=2)] * 2
        scene.sizing.refusal = None
        await asyncio.sleep(LOOK_S)
        assert [fault for *_, fault in scene.lines][-3:] == ["", "no right to", "no right to"]
        await asyncio.sleep(LOOK_S)
        assert scene.lines[-1][3] == ""


def test_a_failure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_time
    async def run() -> None:
        async with Scene().running() as scene:
            scene.sizing.refusal = RuntimeError("ours")
            await asyncio.sleep(UNTIL_UP_S + 5 * LOOK_S)

    caplog.set_level(logging.INFO, "scoregate.autoscaler")
    run()
    (said,) = caplog.records
    assert "ours" in said.getMessage()
    assert said.exc_info is not None


@on_virtual_time
async def test_a_full_disk_keeps_nobody_from_growing() -> None:
    scene = Scene()
    scene.full = True
    async with scene.running():
        await asyncio.sleep(UNTIL_UP_S + 1)
    assert scene.sizing.asked == [RouterSize(workers=2)]


def test_what_something_else_scales_is_left_alone_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_time
    async def run() -> None:
        scene = Scene()
        scene.sizing.present = RouterStand(RouterSize(), has_pods=True, conflict="an HPA scales it, too")
        async with scene.running():
            await asyncio.sleep(500)
        assert scene.sizing.asked == []
        assert {outcome for _, _, outcome, _ in scene.lines} == {"conflict"}

    run()
    assert [message for message in caplog.messages if "an HPA scales it, too" in message] == [
        "the router's own size, trying again: the routers are left alone: an HPA scales it, too"
    ]


@on_virtual_time
async def test_in_a_cluster_the_settings_say_how_many_workers() -> None:
    scene = Scene()
    scene.cpus, scene.most_workers = 1.0, 1
    scene.sizing.present = RouterStand(RouterSize(), has_pods=True)
    async with scene.running(max_workers=2):
        await asyncio.sleep(UNTIL_UP_S + 1)
    assert scene.sizing.asked == [RouterSize(workers=2)]
