"""May this consumer ask once more, and if not, when?

Pure. A token bucket: full after a rest, one token less for each request that is taken, filled evenly. Each router
process has buckets of its own, so that behind N of them a consumer gets up to N times its limit.

Invariants:
1. In any T seconds at most burst + T x rate requests are taken.
2. A request that is refused costs nothing: however fast refused ones come, those that keep the limit are taken.
3. Who comes back after the seconds that were said is taken, if nobody else used the same bucket meanwhile.
"""

from __future__ import annotations

import math

from router.core.model import RateLimit

MAX_WAIT_S = 86_400.0
"""The longest that is ever told: a limit may be next to nothing."""

_WHOLE = 1.0 - 1e-9
"""A token: filled in steps, it may miss one by what floats lose."""


class Bucket:
    """One consumer's. `now_s`: of a clock that never goes back; where it does, nothing is filled meanwhile."""

    __slots__ = ("_at_s", "_burst", "_left", "limit")

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._burst = float(limit.burst or max(1, math.ceil(limit.requests_per_second)))
        self._left = self._burst
        self._at_s = -math.inf
        """When so much was left: the last request that was taken."""

    def take(self, now_s: float) -> float:
        """0 where the request is taken; else it is not, and the next would be in so many seconds."""
        rate = self.limit.requests_per_second
        left = min(self._burst, self._left + max(0.0, now_s - self._at_s) * rate)
        if left < _WHOLE:
            return min((1.0 - left) / rate, MAX_WAIT_S)
        self._left = left - 1.0
        self._at_s = max(self._at_s, now_s)
        return 0.0
