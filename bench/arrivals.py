"""When do requests arrive, if their rate goes this way or that?

Pure. Each function gives the moments of all requests in order, in seconds from the start, below `seconds`. With a seed
they are a Poisson process of that rate, the same for the same seed; with None they come at even gaps.

A rate is a chain of straight lines. Its integral is how many requests to expect by a moment; a request arrives where
the integral passes the next mark: 0, 1, 2 and so on, or random marks whose gaps are exponential with mean 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, count, cycle, repeat
from math import sqrt
from random import Random  # house: only seeded ones, no chance from outside
from typing import NamedTuple

ROUNDING = 1e-9
"""In requests: a mark so close to the end of a line belongs to the next one."""


class Line(NamedTuple):
    """A rate that goes from one value to another in a straight line."""

    seconds: float
    from_per_s: float
    to_per_s: float

    @property
    def expected(self) -> float:
        return self.seconds * (self.from_per_s + self.to_per_s) / 2

    def passes(self, mark: float) -> float:
        """The second at which so many are to be expected. 0 <= mark < expected."""
        if mark <= 0.0:
            return 0.0
        slope = (self.to_per_s - self.from_per_s) / self.seconds
        return 2 * mark / (self.from_per_s + sqrt(max(0.0, self.from_per_s**2 + 2 * slope * mark)))

    def cut(self, seconds: float) -> Line:
        """Only its first `seconds`."""
        if seconds >= self.seconds:
            return self
        slope = (self.to_per_s - self.from_per_s) / self.seconds
        return Line(seconds, self.from_per_s, self.from_per_s + slope * seconds)


def constant(rate_per_s: float, seconds: float) -> list[float]:
    return along([Line(seconds, rate_per_s, rate_per_s)], seconds, None)


def poisson(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    return along([Line(seconds, rate_per_s, rate_per_s)], seconds, seed)


def step(before_per_s: float, after_per_s: float, at_s: float, seconds: float, seed: int | None) -> list[float]:
    return along([_flat(at_s, before_per_s), _flat(seconds, after_per_s)], seconds, seed)


def ramp(
    from_per_s: float, to_per_s: float, at_s: float, for_s: float, seconds: float, seed: int | None
) -> list[float]:
    """Level, then a slope that begins at `at_s` and lasts `for_s`, then level again."""
    return along([_flat(at_s, from_per_s), Line(for_s, from_per_s, to_per_s), _flat(seconds, to_per_s)], seconds, seed)


def spike(
    rate_per_s: float, peak_per_s: float, at_s: float, for_s: float, seconds: float, seed: int | None
) -> list[float]:
    return along([_flat(at_s, rate_per_s), _flat(for_s, peak_per_s), _flat(seconds, rate_per_s)], seconds, seed)


def on_off(rate_per_s: float, on_s: float, off_s: float, seconds: float, seed: int | None) -> list[float]:
    """Again and again, on first. `on_s` and `off_s` are not both 0."""
    return along(cycle([_flat(on_s, rate_per_s), _flat(off_s, 0.0)]), seconds, seed)


def sawtooth(low_per_s: float, high_per_s: float, period_s: float, seconds: float, seed: int | None) -> list[float]:
    """Rises from low to high within each period, then falls at once. `period_s` > 0."""
    return along(repeat(Line(period_s, low_per_s, high_per_s)), seconds, seed)


def along(lines: Iterable[Line], seconds: float, seed: int | None) -> list[float]:
    """Any other chain of lines; it may go on for ever, what is after `seconds` is cut off."""
    marks = _marks(seed)
    mark, passed, began_s = next(marks), 0.0, 0.0
    moments = []
    for line in _cut(lines, seconds):
        while mark - passed < line.expected - ROUNDING:
            moments.append(began_s + line.passes(mark - passed))
            mark = next(marks)
        passed += line.expected
        began_s += line.seconds
    return moments


def _flat(seconds: float, rate_per_s: float) -> Line:
    return Line(seconds, rate_per_s, rate_per_s)


def _cut(lines: Iterable[Line], seconds: float) -> Iterator[Line]:
    left_s = seconds
    for line in lines:
        if left_s <= 0.0:
            return
        yield line.cut(left_s)
        left_s -= line.seconds


def _marks(seed: int | None) -> Iterator[float]:
    if seed is None:
        return map(float, count())
    chance = Random(seed)
    return accumulate(chance.expovariate(1.0) for _ in count())
