"""How does a test wait an hour in no time?

An event loop whose clock stands still while anything is ready to run, and jumps to the next timer when nothing is. A
test on it never really waits. It ends with an error if nothing could ever happen any more, or if a callback failed
where nobody saw it.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class Deadlock(RuntimeError):
    """Tasks wait, no timer is armed, nothing is ready."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of waiting, moves the loop's clock."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events: list[Any] = super().select(0)
        if not events and timeout is None:
            raise Deadlock("nothing is ready, and no timer is armed")
        if not events and timeout:
            self.loop.jump()
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its time starts at 0 and is exactly that of the timer that fires."""

    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self._now = 0.0
        self.failures: list[dict[str, Any]] = []
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def time(self) -> float:
        return self._now

    def jump(self) -> None:
        self._now = max(self._now, self._scheduled[0].when())

    def armed(self) -> list[asyncio.TimerHandle]:
        """Timers that would still fire."""
        return [timer for timer in self._scheduled if not timer.cancelled()]


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        runner.run(test)
        assert not loop.failures, loop.failures


def on_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Makes an `async` test one that runs on a loop of its own with virtual time."""

    @functools.wraps(test)
    def runs(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return runs


def now() -> float:
    return asyncio.get_running_loop().time()


def armed() -> list[asyncio.TimerHandle]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.armed()


async def settle() -> None:
    """Everything that is ready runs, and what becomes ready by it; the clock stands still."""
    for _ in range(20):
        await asyncio.sleep(0)
