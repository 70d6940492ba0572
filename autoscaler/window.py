"""What do the last so many seconds say together?

Pure. Each window forgets as it is told, so that what it costs hardly depends on its length.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil


class Highest:
    """The highest value of the window. `window_s` may change; what a shorter one forgot stays forgotten."""

    __slots__ = ("_falling", "window_s")

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._falling: deque[tuple[float, int]] = deque()  # a value that a later one outdoes can't be highest again

    def add(self, at_s: float, value: int) -> int:
        falling = self._falling
        while falling and falling[0][0] <= at_s - self.window_s:
            falling.popleft()
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((at_s, value))
        return falling[0][1]


class Lasting:
    """Which value was reached for so long within the window? Takes one sample each `period_s` at most."""

    __slots__ = ("_in_order", "_period_s", "_samples", "_window_s")

    def __init__(self, window_s: float, period_s: float) -> None:
        self._window_s = window_s
        self._period_s = period_s
        self._samples: deque[tuple[float, int]] = deque()
        self._in_order: list[int] = []

    def add(self, at_s: float, value: int) -> None:
        """One that comes before its time is not counted: each sample stands for a period."""
        samples, in_order = self._samples, self._in_order
        if samples and at_s - samples[-1][0] < 0.9 * self._period_s:
            return
        samples.append((at_s, value))
        insort(in_order, value)
        while samples[0][0] <= at_s - self._window_s:
            in_order.pop(bisect_left(in_order, samples.popleft()[1]))

    def reached_for(self, seconds: float) -> int:
        """The highest value that was there, or exceeded, for that long in all; 0 when none was."""
        count = max(1, ceil(seconds / self._period_s))
        return self._in_order[-count] if count <= len(self._in_order) else 0


class Mean:
    """The mean of the window's values; of those there are while it is not full, and 0 of none."""

    __slots__ = ("_sum", "_values", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._values: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, at_s: float, value: int) -> None:
        self._values.append((at_s, value))
        self._sum += value
        while self._values[0][0] <= at_s - self._window_s:
            self._sum -= self._values.popleft()[1]

    @property
    def mean(self) -> float:
        return self._sum / len(self._values) if self._values else 0.0


class Rate:
    """How fast a counter grew over the window, in 1/s; over what there is of it while it is not full."""

    __slots__ = ("_totals", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._totals: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, total: int) -> None:
        totals = self._totals
        totals.append((at_s, total))
        while len(totals) > 1 and totals[1][0] <= at_s - self._window_s:
            totals.popleft()

    @property
    def per_s(self) -> float:
        if len(self._totals) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._totals[0], self._totals[-1]
        return (last - first) / (last_s - first_s)
