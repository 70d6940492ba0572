"""Which loads are the laws compared on?

I/O: reads the recorded trace, once. A scenario is what arrives when, and how long each request takes; all else of it is
calculated from a seed, so that every law meets the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

from msgspec import Struct

from bench import arrivals as arriving
from bench.arrivals import Line
from bench.trace import Traced, read_trace

COLD_STARTS_S = (0.0, 2.0, 10.0, 30.0, 120.0)
SEED = 7
TRACE = Path(__file__).parent / "traces" / "azure-llm-code-2023.csv"

MEAN_S = 0.5
"""How long a request takes on average, where the trace does not say."""
FULL_BY = 0.7
"""A scenario begins with the replicas that its first moment keeps busy by so much."""
WINDOW_S = 60.0
"""Most laws hold what they have for so long."""
BEFORE_TOKENS_S, PER_TOKEN_S = 0.1, 0.02
TAIL = 1.5
"""Pareto's shape: at 2 and below there is no variance."""


class Scenario(Struct, frozen=True, kw_only=True):
    seconds: float
    arrivals: Sequence[float]
    """Seconds from the start, in order; at least one."""
    services_s: Sequence[float]
    initial: int
    """Replicas that are there, ready, when it begins."""
    concurrency: int = 1
    flaps: tuple[tuple[float, float], ...] = ()
    """A replica is not ready from then, for so many seconds."""
    deaths: tuple[float, ...] = ()
    """A replica is gone, with what it holds, and the platform starts another."""
    seed: int = SEED
    """For what the platform leaves to chance."""


def exponential(mean_s: float, count: int, seed: int) -> list[float]:
    chance = Random(seed)
    return [chance.expovariate(1 / mean_s) for _ in range(count)]


def pareto(mean_s: float, shape: float, count: int, seed: int) -> list[float]:
    """Heavy-tailed. `shape` > 1."""
    chance = Random(seed)
    least_s = mean_s * (shape - 1) / shape
    return [least_s * chance.paretovariate(shape) for _ in range(count)]


def step(seed: int) -> Scenario:
    return _made(arriving.step(4, 24, 600, 1800, seed), 1800, 4, seed)


def ramp(seed: int) -> Scenario:
    return _made(arriving.ramp(2, 30, 300, 900, 1800, seed), 1800, 2, seed)


def spike(seed: int) -> Scenario:
    """Two of 20 s, 15 times as high as what is between them."""
    lines = [Line(600, 4, 4), Line(20, 60, 60), Line(780, 4, 4), Line(20, 60, 60), Line(380, 4, 4)]
    return _made(arriving.along(lines, 1800, seed), 1800, 4, seed)


def sawtooth(seed: int) -> Scenario:
    """As long as the window that most laws hold: each tooth comes when they are about to let go."""
    return _made(arriving.sawtooth(2, 24, WINDOW_S, 1800, seed), 1800, 2, seed)


def day(seed: int) -> Scenario:
    """A day in an hour, in straight lines of half a minute: a quiet night, and humps of ten minutes."""
    marks = [_rate_of_day(30.0 * number) for number in range(121)]
    lines = [Line(30, before, after) for before, after in pairwise(marks)]
    return _made(arriving.along(lines, 3600, seed), 3600, marks[0], seed)


def on_off(seed: int) -> Scenario:
    """Two minutes of load, three of none."""
    return _made(arriving.on_off(16, 120, 180, 3600, seed), 3600, 16, seed)


def heavy_tailed(seed: int) -> Scenario:
    moments = arriving.poisson(8, 3600, seed)
    return _made(moments, 3600, 8, seed, pareto(MEAN_S, TAIL, len(moments), seed + 1))


def flapping(seed: int) -> Scenario:
    """A steady load, a replica that is unwell for 5 s in every 20, and three that die."""
    steady = _made(arriving.poisson(8, 1800, seed), 1800, 8, seed)
    return Scenario(
        seconds=steady.seconds,
        arrivals=steady.arrivals,
        services_s=steady.services_s,
        initial=steady.initial,
        flaps=tuple((float(moment), 5.0) for moment in range(60, 1800, 20)),
        deaths=(500.0, 900.0, 1300.0),
        seed=seed,
    )


def trace(seed: int) -> Scenario:
    """An hour of real requests: nothing of them is left to chance."""
    recorded = _recorded()
    return Scenario(
        seconds=3600.0,
        arrivals=[request.at_s for request in recorded],
        services_s=[BEFORE_TOKENS_S + PER_TOKEN_S * (request.generated_tokens or 0) for request in recorded],
        initial=1,
        seed=seed,
    )


SCENARIOS: dict[str, Callable[[int], Scenario]] = {
    "step": step,
    "ramp": ramp,
    "spike": spike,
    "sawtooth": sawtooth,
    "day": day,
    "on-off": on_off,
    "heavy-tailed": heavy_tailed,
    "flapping": flapping,
    "trace": trace,
}
"""By name; each is made of a seed."""


def _made(
    moments: list[float], seconds: float, first_per_s: float, seed: int, services_s: list[float] | None = None
) -> Scenario:
    return Scenario(
        seconds=float(seconds),
        arrivals=moments,
        services_s=exponential(MEAN_S, len(moments), seed + 1) if services_s is None else services_s,
        initial=max(1, math.ceil(first_per_s * MEAN_S / FULL_BY)),
        seed=seed,
    )


def _rate_of_day(at_s: float) -> float:
    turn = 2 * math.pi * at_s / 3600
    return 6.0 - 5.0 * math.cos(turn) + 3.0 * math.sin(3 * turn) ** 2


@cache
def _recorded() -> list[Traced]:
    with TRACE.open(encoding="utf-8", newline="") as file:
        return read_trace(file, TRACE.name)
