"""loop.py: what the law says happens, once, by the leader alone; and one deployment's failure is its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from autoscaler import scaled
from autoscaler.feed import Deliver
from autoscaler.loop import Autoscaler
from autoscaler.observation import Decision, Observation
from autoscaler.records import Outcome
from router.core.model import Deployment, Hold, Instance, Load, ScaleSettings, Snapshot, Trouble
from router.platforms import PlatformError
from router.platforms.memory import MemoryPlatform
from tests.autoscaler.nouns import KEY, ROUTER, deployment, fixed, load, replicas, snapshot
from tests.virtual_time import now, on_virtual_time, settle

TWO = snapshot(deployment(), wished={KEY: 2}, replicas=replicas("a", "b"))


class Obedient:
    """As many replicas as there are requests, or a failure where there are 13."""

    def __init__(self, settings: ScaleSettings, concurrency: int) -> None:
        self.period_s = float(settings.polling_interval)

    def decide(self, seen: Observation) -> Decision:
        need = seen.in_flight + seen.queued
        if need == 13:
            raise RuntimeError("not that number")
        return Decision(replicas=need if seen.complete else seen.wished, need=need, reason="")


@pytest.fixture(autouse=True)
def _obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scaled.LAWS, scaled.LAW, Obedient)


class Told:
    """Stands for the feed: what the loop wants asked; `say` is a router's report."""

    def __init__(self) -> None:
        self.followed: list[tuple[tuple[Instance, ...], float]] = []
        self.closed = False

    def opened(self, deliver: Deliver) -> Told:
        self._deliver = deliver
        return self

    def follow(self, instances: Iterable[Instance], period_s: float) -> None:
        self.followed.append((tuple(instances), period_s))

    async def close(self) -> None:
        self.closed = True

    async def say(self, *loads: Load, instance: str = ROUTER.id) -> None:
        self._deliver(instance, list(loads), now())
        await settle()


class Notes:
    """Stands for the journal."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float, int, Outcome, str]] = []
        self.forgotten: list[str] = []
        self.full = False

    def append(
        self, deployment: Deployment, seen: Observation, decision: Decision, outcome: Outcome, fault: str
    ) -> None:
        if self.full:
            raise OSError("the disk is full")
        self.lines.append((deployment.key, seen.at_s, decision.replicas, outcome, fault))

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


class Platform(MemoryPlatform):
    """Notes every call; `refusal` is what it answers; while `held` is clear a call takes its time; one that is deaf
    does nothing about it."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.calls: list[tuple[str, int, tuple[str, ...]]] = []
        self.refusal: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.is_deaf = False

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        self.calls.append((deployment, replicas, tuple(leave_first)))
        await self.held.wait()
        if self.refusal is not None:
            raise self.refusal
        if not self.is_deaf:
            await super().scale(endpoint, deployment, replicas, leave_first)


class Scene:
    def __init__(self, present: Snapshot) -> None:
        self.platform = Platform(present)
        self.told = Told()
        self.notes = Notes()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Scene]:
        self.loop = Autoscaler(self.platform, self.told.opened, self.notes)
        task = asyncio.create_task(self.loop.run())
        await settle()
        yield self
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert self.told.closed


def scene(present: Snapshot = TWO) -> Any:
    return Scene(present).running()


@on_virtual_time
async def test_a_queue_scales_in_the_same_moment_and_asks_once() -> None:
    async with scene() as it:
        await it.told.say(load(2, 3))
        await it.told.say(load(2, 3))
        assert it.platform.calls == [("blue", 5, ())]
        assert now() == 0.0
        await asyncio.sleep(30)
        assert it.platform.calls == [("blue", 5, ())]


@on_virtual_time
async def test_it_decides_each_polling_interval_while_nothing_happens() -> None:
    present = snapshot(deployment(polling_interval=3), wished={KEY: 2})
    async with scene(present) as it:
        await asyncio.sleep(9.5)
        assert [at_s for _, at_s, *_ in it.notes.lines] == [0.0, 3.0, 6.0, 9.0]


@on_virtual_time
async def test_less_to_do_waits_for_the_next_look_and_says_who_should_go() -> None:
    present = snapshot(deployment(), wished={KEY: 3}, replicas=replicas("a", "b", "c"))
    async with scene(present) as it:
        await it.told.say(load(3, a=1, b=1, c=1))
        await it.told.say(load(1, c=1))
        assert it.platform.calls == []
        await asyncio.sleep(1.1)
        assert it.platform.calls == [("blue", 1, ("b", "a", "c"))]


class Walked(tuple[Any, ...]):
    """Counts how often it is gone through."""

    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()


@on_virtual_time
async def test_a_snapshot_is_gone_through_once_however_many_deployments_there_are() -> None:
    present = snapshot(*(deployment(f"d{number}") for number in range(50)))
    async with scene(present) as it:
        replica, trouble = Walked(replicas("a")), Walked((Trouble(deployment=KEY, kind="start", reason="ill"),))
        it.platform.publish(replace(present, replicas=replica, troubles=trouble))
        await settle()
        assert (replica.walks, trouble.walks) == (1, 1)


@on_virtual_time
async def test_who_does_not_lead_looks_on_and_takes_over() -> None:
    async with scene() as it:
        it.platform.lead(False)
        await settle()
        written = len(it.notes.lines)
        await it.told.say(load(2, 3))
        await asyncio.sleep(3)
        assert (it.platform.calls, len(it.notes.lines)) == ([], written)
        it.platform.lead(True)
        await settle()
        await it.told.say(load(2, 3))
        assert it.platform.calls == [("blue", 5, ())]
        assert it.notes.lines[-1][3] == "ask"


@on_virtual_time
async def test_who_leads_no_longer_ends_its_call_and_begins_anew_when_it_leads_again() -> None:
    async with scene() as it:
        it.platform.held.clear()
        await it.told.say(load(5))
        it.platform.lead(False)
        await settle()
        it.platform.held.set()
        await settle()
        assert it.platform.snapshot.wished == {KEY: 2}
        it.platform.lead(True)
        await asyncio.sleep(1.1)
        assert it.platform.snapshot.wished == {KEY: 5}


@on_virtual_time
async def test_a_wish_that_another_changed_is_asked_for_again() -> None:
    async with scene() as it:
        await it.told.say(load(5))
        it.platform.publish(replace(it.platform.snapshot, wished={KEY: 2}))
        await it.told.say(load(6))
        await it.told.say(load(5))
        await asyncio.sleep(1.1)
        assert [count for _, count, _ in it.platform.calls] == [5, 6, 5]


@on_virtual_time
async def test_a_refusal_is_said_once_and_tried_again_at_each_decision(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scene() as it:
        it.platform.refusal = PlatformError("quota")
        await it.told.say(load(5))
        await asyncio.sleep(3.1)
        assert len(it.platform.calls) == 4
        assert it.notes.lines[-1][3:] == ("ask", "quota")
        assert caplog.text.count("quota") == 1
        it.platform.refusal = None
        await asyncio.sleep(2)
        assert it.platform.snapshot.wished == {KEY: 5}
        assert it.notes.lines[-1][3:] == ("keep", "")
        assert caplog.text.count("iris/blue: its scaling works again") == 1


@on_virtual_time
async def test_a_refusal_is_not_held_against_what_is_not_asked_any_more() -> None:
    async with scene() as it:
        it.platform.refusal = PlatformError("quota")
        await it.told.say(load(5))
        await it.told.say(load(2))
        await asyncio.sleep(1.1)
        assert it.notes.lines[-1][3:] == ("keep", "")


@on_virtual_time
async def test_a_platform_that_shows_nothing_of_it_is_asked_again_after_a_while() -> None:
    async with scene() as it:
        it.platform.is_deaf = True
        for _ in range(8):
            await it.told.say(load(2, 3))
            await asyncio.sleep(1)
        assert it.platform.calls == [("blue", 5, ())] * 2


@on_virtual_time
async def test_a_platform_that_hangs_has_one_call_at_a_time_and_holds_up_no_other_deployment() -> None:
    async with scene(snapshot(deployment(), deployment("red"), wished={KEY: 2, "iris/red": 2})) as it:
        it.platform.held.clear()
        await it.told.say(load(5))
        await it.told.say(load(7), load(3, name="red"))
        await asyncio.sleep(5)
        assert it.platform.calls == [("blue", 5, ()), ("red", 3, ())]
        it.platform.held.set()
        for _ in range(3):
            await it.told.say(load(7), load(3, name="red"))
            await asyncio.sleep(1)
        assert it.platform.snapshot.wished == {KEY: 7, "iris/red": 3}


@on_virtual_time
async def test_a_call_that_never_returns_is_given_up() -> None:
    async with scene() as it:
        it.platform.held.clear()
        for _ in range(15):
            await it.told.say(load(5))
            await asyncio.sleep(1)
        assert len(it.platform.calls) == 2


@on_virtual_time
async def test_what_something_else_scales_is_left_alone_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    hpa = Trouble(deployment=KEY, kind="conflict", reason="an HPA scales it")
    async with scene(replace(TWO, troubles=(hpa,))) as it:
        await it.told.say(load(2, 3))
        await asyncio.sleep(3)
        assert it.platform.calls == []
        assert {outcome for *_, outcome, _ in it.notes.lines} == {"conflict"}
        assert caplog.text.count("an HPA scales it") == 1
        it.platform.publish(TWO)
        await settle()
        await it.told.say(load(2, 3))
        assert it.platform.calls == [("blue", 5, ())]


@on_virtual_time
async def test_what_is_held_by_hand_is_asked_for_whatever_the_load_and_then_the_law_goes_on() -> None:
    today_s = time.time()  # noqa: TID251 - a hold is by the calendar
    async with scene() as it:
        await it.told.say(load(2))
        await it.platform.administration.hold("iris", "blue", Hold(replicas=7, until_s=today_s + 3600.0))
        await asyncio.sleep(1)
        await it.told.say(load(9))
        assert it.platform.calls == [("blue", 7, ())]
        await it.platform.administration.hold("iris", "blue", Hold(replicas=7, until_s=today_s - 1.0))
        await asyncio.sleep(1)
        assert it.platform.calls == [("blue", 7, ()), ("blue", 9, ())]


@on_virtual_time
async def test_a_law_that_fails_is_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async with scene(snapshot(deployment(), deployment("red"), wished={KEY: 2, "iris/red": 2})) as it:
        for _ in range(3):
            await it.told.say(load(13), load(4, name="red"))
            await asyncio.sleep(1)
        assert it.platform.calls == [("red", 4, ())]
        assert caplog.text.count("iris/blue: its law failed") == 1
        await it.told.say(load(5))
        assert it.platform.calls[-1] == ("blue", 5, ())


@on_virtual_time
async def test_a_record_that_can_not_be_written_holds_up_no_scaling(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as it:
        it.notes.full = True
        await it.told.say(load(2, 3))
        await asyncio.sleep(3)
        assert it.platform.calls == [("blue", 5, ())]
        assert caplog.text.count("the disk is full") == 1


@on_virtual_time
async def test_routers_are_asked_as_often_as_what_scales_wants_and_it_is_forgotten_when_it_goes() -> None:
    async with scene(snapshot(fixed(), replicas=replicas("g", key="iris/green"))) as it:
        await it.told.say(load(5, name="green"))
        assert it.told.followed == [((ROUTER,), 2.0)]
        it.platform.publish(snapshot(fixed(), deployment(polling_interval=9), deployment("red"), wished={KEY: 2}))
        await settle()
        assert it.told.followed[-1] == ((ROUTER,), 1.0)
        it.platform.publish(snapshot(deployment(polling_interval=9), wished={KEY: 2}))
        await settle()
        assert it.told.followed[-1] == ((ROUTER,), 2.0)
        assert it.notes.forgotten == ["iris/red"]
        await it.told.say(load(5, name="red"), load(5, name="green"))
        assert it.platform.calls == []


@on_virtual_time
async def test_the_platform_is_told_how_busy_all_are_by_the_routers_that_are_there() -> None:
    async with scene(snapshot(deployment(), fixed(), wished={KEY: 2})) as it:
        it.platform.lead(False)
        busy = [replace(load(1, 2), total=4), replace(load(1, name="green"), total=2)]
        await it.told.say(*busy)
        await asyncio.sleep(1.5)
        assert it.platform.utilization == {"iris/blue": 0.75, "iris/green": 0.5}
        it.platform.publish(replace(it.platform.snapshot, instances=()))
        await asyncio.sleep(1.5)
        assert it.platform.utilization == {}


@on_virtual_time
async def test_a_platform_that_can_not_scale_ends_it_with_its_message() -> None:
    class Static(MemoryPlatform):
        async def leadership(self) -> AsyncIterator[bool]:
            raise PlatformError("fixed addresses")
            yield False

    told = Told()
    with pytest.raises(PlatformError, match="fixed addresses"):
        await Autoscaler(Static(), told.opened, Notes()).run()
    assert told.closed


@on_virtual_time
async def test_it_says_whether_it_leads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scene() as it:
        assert it.loop.leads
        it.platform.lead(False)
        await settle()
        assert not it.loop.leads
        assert [record.getMessage().split(":")[0] for record in caplog.records] == [
            "scaling",
            "another autoscaler leads",
        ]
