"""Has there been no room for a request since somebody last looked?

I/O: futures and a timer of the event loop only. A generation number grows when a queue forms or a request finds no
room. Who waits for the next one says which it knows, so none is lost between two looks.
"""

from __future__ import annotations

import asyncio
import math

APART_S = 0.05
"""Two generations are at least so far apart: a queue that forms and drains a hundred times a second is no reason to be
asked for the load as often. The first is told at once, what follows it within this time when the time is over."""


class Pressure:
    """One router's, over all its deployments."""

    __slots__ = ("_due", "_is_closed", "_quiet_until", "_waiting", "generation")

    def __init__(self) -> None:
        self.generation = 0
        self._quiet_until = -math.inf
        self._due: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_closed = False

    def rise(self) -> None:
        """A queue has formed, or a request found no room in one."""
        if self._due is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._quiet_until:
                self._tell()
            else:
                self._due = loop.call_at(self._quiet_until, self._tell)

    async def wait(self, since: int | None, within_s: float) -> None:
        """Until the generation is another than `since` (None: than now's), or that time has passed.

        Any other number counts, not only a smaller one: it may be of the router that was here before.
        """
        if self._is_closed or (since is not None and since != self.generation):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=within_s)
        finally:
            self._waiting.discard(future)

    def release(self) -> None:
        """Whoever waits now goes on, though nothing has risen."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """The router ends: nobody waits any more."""
        self._is_closed = True
        if self._due is not None:
            self._due.cancel()
        self.release()

    def _tell(self) -> None:
        self._due = None
        self._quiet_until = asyncio.get_running_loop().time() + APART_S
        self.generation += 1
        self.release()
