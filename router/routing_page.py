"""How much work has this router process done, and what did it cost?

I/O: reads the process's CPU time, and what the kernel lets it use. A page of the port between instances.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from router.core.model import Routing

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1, _PERIOD_V1 = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))


class Timed(Protocol):
    """As `Histogram` of router.counters."""

    @property
    def bounds(self) -> tuple[str, ...]: ...

    @property
    def sum(self) -> float: ...

    def cumulative(self) -> list[int]: ...


class Routed(Protocol):
    """Whose work it is; `router.server` has it."""

    def routing(self) -> Routing: ...


def routing_page(routed: Routed) -> Callable[[Request], Awaitable[Response]]:
    async def routing(_: Request) -> Response:
        """This process's own work, for who decides how many of them there should be."""
        return Response(msgspec.json.encode(routed.routing()), media_type="application/json")

    return routing


def routing_of(overheads: Iterable[Timed], most_workers: int) -> Routing:
    """`overheads`: one for each deployment. They have the same bounds."""
    buckets: dict[str, int] = {}
    seconds = 0.0
    for each in overheads:
        seconds += each.sum
        for bound, count in zip(each.bounds, each.cumulative(), strict=True):
            buckets[bound] = buckets.get(bound, 0) + count
    return Routing(
        routed_total=max(buckets.values(), default=0),
        route_seconds_total=seconds,
        route_buckets=buckets,
        cpu_seconds_total=time.process_time(),
        cpus=usable_cpus(),
        most_workers=most_workers,
    )


def usable_cpus() -> float:
    """Of those that the scheduler gives it, as many as its cgroup has time for."""
    cpus = float(len(os.sched_getaffinity(0)))
    return min(cpus, quota) if (quota := _quota()) is not None else cpus


def _quota() -> float | None:
    """CPUs, by cgroup v2 or v1; None where there is no limit, or none that can be read."""
    try:
        if _QUOTA.exists():
            quota_us, period_us = _QUOTA.read_text().split()
        else:
            quota_us, period_us = _QUOTA_V1.read_text(), _PERIOD_V1.read_text()
        share = int(quota_us) / int(period_us)
    except (OSError, ValueError, ZeroDivisionError):  # `max` is no number: no limit
        return None
    return share if share > 0 else None
