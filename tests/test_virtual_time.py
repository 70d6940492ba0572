"""The clock that the tests own: does it jump, keep order, and tell when nothing can happen any more?"""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_time import Deadlock, armed, now, on_virtual_time, run


@on_virtual_time
async def test_the_clock_stands_at_exactly_the_timer_that_fired() -> None:
    seen: list[float] = []
    loop = asyncio.get_running_loop()
    for moment in (0.3, 86_400.0, 0.1, 200_000.7):
        loop.call_at(moment, lambda: seen.append(now()))
    await asyncio.sleep(300_000.0)
    assert seen == [0.1, 0.3, 86_400.0, 200_000.7]
    assert now() == 300_000.0
    assert armed() == []


@on_virtual_time
async def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(5.0, loop.stop)
    assert armed() == [timer]
    timer.cancel()
    await asyncio.sleep(7.0)
    assert now() == 7.0


def test_a_deadlock_is_an_error() -> None:
    async def waits_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(waits_for_ever())


def test_a_callback_that_fails_fails_the_test() -> None:
    async def fails_aside() -> None:
        asyncio.get_running_loop().call_later(1.0, [].pop)
        await asyncio.sleep(2.0)

    with pytest.raises(AssertionError, match="pop from empty list"):
        run(fails_aside())
