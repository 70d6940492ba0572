"""Which simulated runs are there, and what came of each, and of all seeds together?

Pure. A run is one load with one seed, played under every policy and in every layout, so that ratios are of the very
same requests.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import product
from math import sqrt

from msgspec import Struct
from msgspec.structs import replace

from bench.dispatch.load import LENGTHS, Load, quantile, requests_of
from bench.dispatch.play import Layout, share_one_queue
from bench.dispatch.policies import POLICIES

IDEAL = "ideal"
WARM_UP = 0.1
"""This share of the requests, the first ones, is played and not counted."""
TAIL = tuple(10 ** (-each / 10) for each in range(26))
"""Shares of requests that may wait longer: from all to 3 of 1,000."""
REPLICAS = (6, 12, 48)
SHARES = (0.7, 0.9)
SHORT_S = (0.02, 0.05)
LOW_SHARES = (0.1, 0.3, 0.5)
LAYOUTS = tuple(
    Layout(pods=pods, workers=6 // pods, far_s=far_s, near_s=far_s / 10)
    for far_s in (0.0005, 0.00025)
    for pods in (3, 6)
)
"""A link of 0.5 ms one way, and one of 0.5 ms there and back."""
ONE_SEED = 1


class Wait(Struct, frozen=True, kw_only=True):
    """In seconds; NaN where nobody was served."""

    p50_s: float
    p99_s: float
    mean_s: float

    @classmethod
    def of(cls, waits_s: Sequence[float]) -> Wait:
        counted = sorted(waits_s[int(WARM_UP * len(waits_s)) :]) or [float("nan")]
        return cls(p50_s=quantile(counted, 0.5), p99_s=quantile(counted, 0.99), mean_s=statistics.fmean(counted))


def tail_of(waits_s: Sequence[float]) -> list[float]:
    """Empty where nobody was served."""
    counted = sorted(waits_s[int(WARM_UP * len(waits_s)) :])
    return [quantile(counted, 1 - longer) for longer in TAIL] if counted else []


class Shared(Struct, frozen=True, kw_only=True):
    """Ours in one layout."""

    layout: Layout
    wait: Wait
    messages_per_request: float
    at_once: float
    """Share of requests."""
    most_in_flight: int


class Result(Struct, frozen=True, kw_only=True):
    load: Load
    waits: dict[str, Wait]
    """By policy."""
    shared: list[Shared]


class Estimate(Struct, frozen=True, kw_only=True):
    """A mean over seeds, and how far off it may be: its standard error. NaN where there are too few."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        error = statistics.stdev(values) / sqrt(len(values)) if len(values) > 1 else float("nan")
        return cls(mean=statistics.fmean(values) if values else float("nan"), error=error)


class Cell(Struct, frozen=True, kw_only=True):
    """One load under one policy, all seeds. Ratios are to the ideal queue, each of one seed."""

    load: Load
    policy: str
    layout: Layout | None
    """Of ours."""
    p50_ms: Estimate
    p99_ms: Estimate
    ratio: Estimate
    """Of the p99."""
    messages_per_request: float = 0.0
    at_once: float = 0.0
    most_in_flight: int = 0


def loads(requests: int, seeds: int) -> list[Load]:
    """Every number of replicas, load and kind of service; then shorter services, at one of each, which show what a link
    costs against them; then low loads, where nearly nobody waits, which show how often a round trip is needed."""
    kinds = [
        Load(replicas=replicas, share=share, lengths=lengths, requests=requests)
        for lengths, replicas, share in product(LENGTHS, REPLICAS, SHARES)
    ]
    kinds += [Load(replicas=12, share=0.9, mean_s=mean_s, requests=requests) for mean_s in SHORT_S]
    kinds += [Load(replicas=48, share=share, requests=requests) for share in LOW_SHARES]
    return [replace(kind, seed=ONE_SEED + seed) for kind in kinds for seed in range(seeds)]


def play(load: Load) -> Result:
    requests = requests_of(load)
    waits = {name: Wait.of(policy(requests, load.replicas)) for name, policy in POLICIES.items()}
    return Result(load=load, waits=waits, shared=[_share(load, layout) for layout in LAYOUTS])


def _share(load: Load, layout: Layout) -> Shared:
    played = share_one_queue(requests_of(load), load.replicas, layout)
    return Shared(
        layout=layout,
        wait=Wait.of(played.waits_s),
        messages_per_request=played.messages / load.requests,
        at_once=played.at_once / load.requests,
        most_in_flight=played.most_in_flight,
    )


def cells_of(results: Iterable[Result]) -> list[Cell]:
    """In the order of the results; of each load first all policies, then ours in all layouts."""
    by_kind: dict[Load, list[Result]] = {}
    for result in results:
        by_kind.setdefault(replace(result.load, seed=ONE_SEED), []).append(result)
    return [cell for kind, group in by_kind.items() for cell in _cells(kind, group)]


def _cells(kind: Load, group: Sequence[Result]) -> Iterable[Cell]:
    ideal = [result.waits[IDEAL] for result in group]
    for policy in group[0].waits:
        yield _cell(kind, policy, None, ideal, [result.waits[policy] for result in group])
    for number, one in enumerate(group[0].shared):
        shared = [result.shared[number] for result in group]
        cell = _cell(kind, "ours", one.layout, ideal, [each.wait for each in shared])
        yield replace(
            cell,
            messages_per_request=statistics.fmean(each.messages_per_request for each in shared),
            at_once=statistics.fmean(each.at_once for each in shared),
            most_in_flight=max(each.most_in_flight for each in shared),
        )


def _cell(kind: Load, policy: str, layout: Layout | None, ideal: Sequence[Wait], waits: Sequence[Wait]) -> Cell:
    return Cell(
        load=kind,
        policy=policy,
        layout=layout,
        p50_ms=Estimate.of([1000 * wait.p50_s for wait in waits]),
        p99_ms=Estimate.of([1000 * wait.p99_s for wait in waits]),
        ratio=Estimate.of([wait.p99_s / best.p99_s for wait, best in zip(waits, ideal, strict=True) if best.p99_s]),
    )
