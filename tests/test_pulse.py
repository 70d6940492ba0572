"""pulse.py: who looks every so often wakes with all the others that are due, and never twice for one moment."""

from __future__ import annotations

import asyncio
import time

import uvloop

from router.pulse import pulse
from tests.virtual_time import armed, now, on_virtual_time, settle


async def looks(every_s: float, times: list[float], takes_s: float = 0.0) -> None:
    while True:
        await pulse(every_s)
        times.append(round(now(), 6))
        await asyncio.sleep(takes_s)


@on_virtual_time
async def test_all_that_is_due_at_one_moment_has_one_timer() -> None:
    await asyncio.sleep(0.03)
    told: list[list[float]] = [[], [], []]
    tasks = []
    for every_s, times in zip((0.1, 0.1, 0.2), told, strict=True):
        tasks.append(asyncio.create_task(looks(every_s, times)))
        await asyncio.sleep(0.01)
    assert len(armed()) == 2
    await asyncio.sleep(0.55)
    assert told == [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.2, 0.4, 0.6]]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@on_virtual_time
async def test_who_is_late_misses_what_was_between_and_is_in_step_again() -> None:
    times: list[float] = []
    looking = asyncio.create_task(looks(0.1, times, takes_s=0.25))
    await asyncio.sleep(0.95)
    looking.cancel()
    assert times == [0.1, 0.4, 0.7]


@on_virtual_time
async def test_one_that_is_cancelled_leaves_the_others_waiting() -> None:
    first, second = (asyncio.create_task(pulse(0.1)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert (first.cancelled(), second.done()) == (True, False)
    await asyncio.sleep(0.1)
    assert second.done()
    assert armed() == []


def test_it_is_never_woken_twice_for_one_moment_also_where_the_clock_has_whole_milliseconds() -> None:
    async def twenty() -> list[float]:
        times = []
        for _ in range(20):
            await pulse(0.01)
            times.append(asyncio.get_running_loop().time())
        return times

    for factory in (uvloop.new_event_loop, asyncio.new_event_loop):
        began = time.monotonic()
        with asyncio.Runner(loop_factory=factory) as runner:
            times = runner.run(twenty())
        steps = [round(at * 1000) // 10 for at in times]
        assert steps == sorted(set(steps))
        assert time.monotonic() - began > 0.18


def test_two_loops_have_nothing_to_do_with_each_other() -> None:
    for _ in range(2):
        with asyncio.Runner() as runner:
            runner.run(asyncio.wait_for(pulse(0.01), 10))
