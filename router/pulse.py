"""When does what looks again and again look next?

I/O: the event loop's clock. To wake up costs an idle process more than most of what it wakes up for. Whatever looks
every so often waits here: at multiples of its own pause, so that all that is due at one moment is woken by one timer.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

_Waiting = dict[int, list[asyncio.Future[None]]]
"""By the millisecond in which they are due."""

_all: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting] = WeakKeyDictionary()
"""One that is closed while something waits stays: those that wait know it. A process has one loop."""


async def pulse(every_s: float) -> None:
    """Until the next multiple of so many seconds, in whole milliseconds of the loop's clock. Whoever was late misses
    those between."""
    loop = asyncio.get_running_loop()
    every_ms = round(every_s * 1000)
    at_ms = (round(loop.time() * 1000) // every_ms + 1) * every_ms
    waiting = _all.setdefault(loop, {})
    if at_ms not in waiting:
        waiting[at_ms] = []
        loop.call_at(at_ms / 1000, _wake, waiting, at_ms)
    woken: asyncio.Future[None] = loop.create_future()
    waiting[at_ms].append(woken)
    await woken


def _wake(waiting: _Waiting, at_ms: int) -> None:
    for woken in waiting.pop(at_ms):
        if not woken.done():  # it was cancelled meanwhile
            woken.set_result(None)
