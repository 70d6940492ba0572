"""Is it time to look again?

Pure.
"""

from __future__ import annotations

from math import inf

EARLY_S = 1e-6
"""Sums of floating-point seconds come a hair early."""


class Pace:
    """One look in each period. Whoever is shown more answers with what they said before."""

    __slots__ = ("_next_s", "_period_s")

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = -inf

    def due(self, at_s: float) -> bool:
        """Whether this is a look; then the next is a period later."""
        if at_s + EARLY_S < self._next_s:
            return False
        self._next_s = at_s + self._period_s
        return True
