"""Which requests come when, to which instance, and how long does each take?

Pure. The same for the same seed, so that every policy gets the very same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import exp
from random import Random  # house: only seeded ones, no chance from outside
from typing import NamedTuple

from msgspec import Struct

SIGMA = 1.5
"""Of the lognormal service times: their variance is 8.5 times that of exponential ones."""


class Request(NamedTuple):
    at_s: float
    instance: int
    length_s: float
    """Of its work in a replica."""


class Load(Struct, frozen=True, kw_only=True):
    """Poisson arrivals, on instance i+1 of n with weight i+1: the last gets n times what the first gets."""

    replicas: int
    share: float
    """Of all replicas' time that the work takes, 0 to 1."""
    lengths: str = "exponential"
    """One of LENGTHS."""
    mean_s: float = 0.1
    instances: int = 6
    requests: int = 50_000
    seed: int = 1

    @property
    def rate_per_s(self) -> float:
        return self.share * self.replicas / self.mean_s


Draw = Callable[[Random, float], float]

LENGTHS: dict[str, Draw] = {
    "exponential": lambda chance, mean_s: chance.expovariate(1 / mean_s),
    "constant": lambda _, mean_s: mean_s,
    "heavy-tailed": lambda chance, mean_s: mean_s * exp(-(SIGMA**2) / 2) * chance.lognormvariate(0.0, SIGMA),
}
"""Each draws one length with this mean."""


def requests_of(load: Load) -> list[Request]:
    """In the order of their arrival."""
    gaps, places, lengths = (Random(f"{load.seed} {what}") for what in ("gaps", "places", "lengths"))
    draw = LENGTHS[load.lengths]
    moments = accumulate(gaps.expovariate(load.rate_per_s) for _ in range(load.requests))
    weights = list(accumulate(range(1, load.instances + 1)))
    instances = places.choices(range(load.instances), cum_weights=weights, k=load.requests)
    return [
        Request(moment, instance, draw(lengths, load.mean_s))
        for moment, instance in zip(moments, instances, strict=True)
    ]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order, of which there is at least one: the smallest that this share is not above."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
