"""pressure.py, on virtual time: no queue that forms is missed between two looks, and nobody is left waiting."""

from __future__ import annotations

import asyncio

import pytest

from router.pressure import APART_S, Pressure
from tests.virtual_time import armed, now, on_virtual_time, settle


async def waiting(pressure: Pressure, since: int | None = None, within_s: float = 60.0) -> asyncio.Task[float]:
    """Done with the moment in which its wait was over."""

    async def wait() -> float:
        await pressure.wait(since, within_s)
        return now()

    task = asyncio.create_task(wait())
    await settle()
    return task


@pytest.mark.parametrize("since", [None, 0])
@on_virtual_time
async def test_a_wait_without_pressure_ends_with_its_time(since: int | None) -> None:
    pressure = Pressure()
    assert await (await waiting(pressure, since, 7.0)) == 7.0
    assert pressure.generation == 0
    assert armed() == []


@on_virtual_time
async def test_everybody_who_waits_goes_on_at_once() -> None:
    pressure = Pressure()
    tasks = [await waiting(pressure) for _ in range(5)]
    await asyncio.sleep(3.0)
    pressure.rise()
    assert await asyncio.gather(*tasks) == [3.0] * 5
    assert pressure.generation == 1
    assert armed() == []


@on_virtual_time
async def test_what_rose_between_two_looks_is_not_lost() -> None:
    pressure = Pressure()
    pressure.rise()
    assert await (await waiting(pressure, since=0)) == 0.0
    later = await waiting(pressure, since=1, within_s=9.0)
    assert not later.done()
    assert await later == 9.0


@on_virtual_time
async def test_one_who_says_nothing_waits_for_the_next() -> None:
    pressure = Pressure()
    pressure.rise()
    task = await waiting(pressure)
    await asyncio.sleep(2.0)
    assert not task.done()
    pressure.rise()
    assert await task == 2.0


@on_virtual_time
async def test_a_generation_of_another_router_is_not_waited_with() -> None:
    assert await (await waiting(Pressure(), since=1_000)) == 0.0


@on_virtual_time
async def test_what_rises_too_soon_after_another_is_told_when_the_time_is_over() -> None:
    pressure = Pressure()
    pressure.rise()
    await asyncio.sleep(APART_S / 2)
    for _ in range(100):
        pressure.rise()
    assert pressure.generation == 1
    assert await (await waiting(pressure, since=1)) == APART_S
    assert pressure.generation == 2
    assert armed() == []


@on_virtual_time
async def test_pressure_without_end_is_told_as_often_as_that_and_no_more() -> None:
    pressure = Pressure()
    for _ in range(1_000):
        pressure.rise()
        await asyncio.sleep(0.001)
    assert pressure.generation == pytest.approx(1.0 / APART_S, abs=1)


@on_virtual_time
async def test_one_who_leaves_is_forgotten() -> None:
    pressure = Pressure()
    leaver, stayer = await waiting(pressure), await waiting(pressure)
    leaver.cancel()
    await settle()
    assert len(pressure._waiting) == 1
    pressure.rise()
    await stayer
    assert not pressure._waiting
    assert armed() == []


@on_virtual_time
async def test_a_release_ends_the_waits_that_are_and_none_that_comes() -> None:
    pressure = Pressure()
    before = await waiting(pressure)
    pressure.release()
    pressure.release()
    assert await before == 0.0
    assert pressure.generation == 0
    assert await (await waiting(pressure, within_s=4.0)) == 4.0


@on_virtual_time
async def test_a_close_ends_the_waits_that_are_and_all_that_come() -> None:
    pressure = Pressure()
    pressure.rise()
    pressure.rise()
    before = await waiting(pressure)
    pressure.close()
    assert await before == 0.0
    assert await (await waiting(pressure)) == 0.0
    assert armed() == []


@on_virtual_time
async def test_nothing_rises_after_a_close() -> None:
    pressure = Pressure()
    pressure.close()
    pressure.rise()
    assert (pressure.generation, armed()) == (0, [])
