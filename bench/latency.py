"""How long did it take, for half of the requests, for nearly all, at worst?

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec


class Quantiles(msgspec.Struct, frozen=True):
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def quantiles(seconds: Sequence[float]) -> Quantiles | None:
    """Each is a value that was measured: the lowest that at least so many per cent are not above. None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    ranks = (ceil(len(ordered) * percent / 100) - 1 for percent in (50, 90, 99, 100))
    return Quantiles(*(ordered[rank] * 1e3 for rank in ranks))
