"""What do the routers' words on their own work say together?

Pure. Of each process, the growth of its totals over the last window. A process that began anew, at the same place and
maybe under the same id, has totals that are smaller than before: what it said earlier is another's, and is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from router.core.model import Routing

_P99 = 0.99
_TOTALS = ("routed_total", "route_seconds_total", "cpu_seconds_total")


class Figures(NamedTuple):
    """Of all processes together, over the window."""

    requests: int
    mean_ms: float
    p99_ms: float
    cpus_used: float


class SelfObserver:
    """`report` what each says, ask for the `figures`. Times are seconds of the caller's clock, and go forward."""

    def __init__(self, window_s: float, valid_s: float) -> None:
        """`valid_s`: who has said nothing for so long is missing."""
        self._window_s = window_s
        self._valid_s = valid_s
        self._words: dict[str, deque[tuple[float, Routing]]] = {}

    def restart(self) -> None:
        """What was is not comparable to what will be."""
        self._words.clear()

    def report(self, instance: str, routing: Routing, at_s: float) -> None:
        words = self._words.setdefault(instance, deque())
        if words and _began_anew(words[-1][1], routing):
            words.clear()
        words.append((at_s, routing))
        while len(words) > 2 and words[1][0] <= at_s - self._window_s:
            words.popleft()

    def figures(self, instances: Collection[str], at_s: float) -> Figures | None:
        """None unless each of these has told of a whole window, and lately. Others are forgotten."""
        self._words = {name: words for name, words in self._words.items() if name in instances}
        if not instances or len(self._words) < len(instances):
            return None
        told = [(words[0], words[-1]) for words in self._words.values()]
        if any(not self._covers(first[0], last[0], at_s) for first, last in told):
            return None
        grown = [(first, last) for (_, first), (_, last) in told]
        requests = sum(last.routed_total - first.routed_total for first, last in grown)
        seconds = sum(last.route_seconds_total - first.route_seconds_total for first, last in grown)
        cpus = sum(
            (last.cpu_seconds_total - first.cpu_seconds_total) / (last_s - first_s)
            for (first_s, first), (last_s, last) in told
        )
        p99_ms = 1000 * quantile_s(_grown_buckets(grown), _P99)
        return Figures(requests, 1000 * seconds / requests if requests else 0.0, p99_ms, cpus)

    def _covers(self, first_s: float, last_s: float, now: float) -> bool:
        return now - last_s <= self._valid_s and last_s - first_s >= self._window_s


def quantile_s(buckets: Mapping[str, int], quantile: float) -> float:
    """As Prometheus estimates it: evenly within a bucket. Beyond the last bound it is that bound; 0 for none.
    `buckets`: cumulative counts by bound, the smallest first."""
    below_s, below = 0.0, 0
    wanted = quantile * max(buckets.values(), default=0)
    if not wanted:
        return 0.0
    for text, count in buckets.items():
        bound_s = float(text)
        if count >= wanted:
            return below_s if bound_s == inf else below_s + (bound_s - below_s) * (wanted - below) / (count - below)
        below_s, below = bound_s, count
    return below_s


def _grown_buckets(grown: Sequence[tuple[Routing, Routing]]) -> dict[str, int]:
    """By bound, in order. Who has none yet has not routed anything."""
    bounds: Iterable[str] = dict.fromkeys(bound for _, last in grown for bound in last.route_buckets)
    return {
        bound: sum(last.route_buckets.get(bound, 0) - first.route_buckets.get(bound, 0) for first, last in grown)
        for bound in sorted(bounds, key=float)
    }


def _began_anew(before: Routing, after: Routing) -> bool:
    return any(getattr(after, name) < getattr(before, name) for name in _TOTALS)
