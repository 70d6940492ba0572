"""Which runs are there, and what came of each?

I/O: processes of its own, one for each job; the recorded trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from itertools import product
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from autoscaler.laws import LAWS
from bench.pool import played
from bench.sim.scenarios import SCENARIOS, SEED, Scenario
from bench.sim.world import Outcome, World
from router.core.model import ScaleSettings

OURS = "scoregate"
RIVALS = tuple(name for name in LAWS if name != OURS)

BOUNDS = ScaleSettings(min_instances=1, max_instances=200)
"""Of every run; all else is as it ships, but for the knobs."""
DEFAULT_PERCENT = BOUNDS.target_utilization_percentage
RIVAL_PERCENTS = (30, 50, 70, 90, 100)
OUR_PERCENTS = (30, 40, 50, 60, 70, 80, 90, 100)
OUR_WINDOWS_S = (3.0, 20.0, 60.0, 300.0, 900.0)
ALWAYS = 1e6
"""Starts that a replica is worth keeping, where the window alone shall say how long it is kept."""
OUR_STARTS = (BOUNDS.scale_down_starts, ALWAYS)
QUICK_PERCENTS = (30, 50, 70, 90)
QUICK_WINDOWS_S = (3.0, 60.0, 300.0)


class Knobs(NamedTuple):
    """What is set by hand. A rival has but the first; None is what ships."""

    percent: int = DEFAULT_PERCENT
    window_s: float | None = None
    starts: float | None = None

    @property
    def label(self) -> str:
        if self.window_s is None:
            return f"{self.percent} %"
        return f"{self.percent} %, {self.window_s:g} s" + (" always" if self.starts == ALWAYS else "")

    def settings(self) -> ScaleSettings:
        settings = replace(BOUNDS, target_utilization_percentage=self.percent)
        if self.window_s is not None:
            settings = replace(settings, scale_down_window=self.window_s)
        if self.starts is not None:
            settings = replace(settings, scale_down_starts=self.starts)
        return settings


DEFAULT = Knobs()


class Run(Struct, frozen=True, kw_only=True):
    scenario: str
    cold_start_s: float
    law: str
    knobs: Knobs = DEFAULT
    seed: int = SEED


class Result(Struct, frozen=True, kw_only=True):
    run: Run
    outcome: Outcome


def knobs_of(law: str, *, quick: bool) -> list[Knobs]:
    """A rival's one knob is its percentage. Ours are the percentage, and how long what was needed is kept. What ships
    is among them."""
    if law != OURS:
        return [Knobs(percent) for percent in RIVAL_PERCENTS]
    percents = QUICK_PERCENTS if quick else OUR_PERCENTS
    windows_s = QUICK_WINDOWS_S if quick else OUR_WINDOWS_S
    return [DEFAULT, *(Knobs(*each) for each in product(percents, windows_s, OUR_STARTS))]


def runs_of(
    scenarios: Sequence[str], cold_starts_s: Sequence[float], laws: Sequence[str], *, quick: bool, seed: int
) -> list[Run]:
    return [
        Run(scenario=scenario, cold_start_s=cold_start_s, law=law, knobs=knobs, seed=seed)
        for scenario, cold_start_s, law in product(scenarios, cold_starts_s, laws)
        for knobs in knobs_of(law, quick=quick)
    ]


@cache
def _scenario(name: str, seed: int) -> Scenario:
    return SCENARIOS[name](seed)


def play(run: Run) -> Result:
    scenario = _scenario(run.scenario, run.seed)
    law = LAWS[run.law](run.knobs.settings(), scenario.concurrency)
    return Result(run=run, outcome=World(scenario, law, cold_start_s=run.cold_start_s).run())


def play_all(runs: Sequence[Run], jobs: int, done: Callable[[], None]) -> list[Result]:
    """In the order of the runs, of which there is at least one. `done` is called after each. Ends its processes
    however it ends itself."""
    results = {}
    with closing(played(play, runs, jobs, chunk=2)) as numbered:
        for number, result in numbered:
            results[number] = result
            done()
    return [results[number] for number in range(len(runs))]
