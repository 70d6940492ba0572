"""What do the routers' reports and the platform's snapshots say together of one deployment?

Pure. Gauges are the sum of every router's last word, while it is not too old. Counters only grow here, although a
router's start again at 0 with it: what is added is the growth since the same router's report before. A replica's start
is measured from the snapshot that first had it to the one that first had it ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from autoscaler.observation import Observation
from router.core.model import Load, Replica, Trouble

STARTS_REMEMBERED = 5
"""The measured start time is the median of so many starts, so that one slow pull of an image does not count."""

_COUNTERS = ("arrived_total", "finished_total", "held_seconds_total", "refused_total")
_OF_FINISHED = ("finished_total", "held_seconds_total")


class Observer:
    """One deployment. Times are seconds of the caller's clock."""

    def __init__(self, reports_valid_s: float) -> None:
        """`reports_valid_s`: a router that has said nothing for so long is missing."""
        self._valid_s = reports_valid_s
        self._reports: dict[str, tuple[float, Load]] = {}
        self._has_heard = False
        self._totals: dict[str, float] = dict.fromkeys(_COUNTERS, 0)
        self._first_seen: dict[str, float] = {}
        self._started: set[str] = set()
        self._starts_s: list[float] = []
        self._replicas: Sequence[Replica] = ()
        self._instances: frozenset[str] = frozenset()
        self._aside: frozenset[str] = frozenset()
        self._wished = 0
        self._trouble: Trouble | None = None

    def follow(
        self,
        replicas: Sequence[Replica],
        wished: int | None,
        instances: Iterable[str],
        trouble: Trouble | None,
        now: float,
        aside: frozenset[str] = frozenset(),
    ) -> None:
        """The platform says so. `wished`: None where it knows no number; then it is what there is. `aside`: those of
        the instances that take no requests now. What they still have counts; that they are silent says nothing."""
        # One that is ready when it is first seen has started; how long that took, nobody saw.
        self._started |= {each.uid for each in replicas if each.ready and each.uid not in self._first_seen}
        self._replicas = replicas
        self._wished = sum(not replica.leaving for replica in replicas) if wished is None else wished
        self._instances, self._aside = frozenset(instances), aside
        self._trouble = trouble
        self._reports = {name: report for name, report in self._reports.items() if name in self._instances}
        self._first_seen = {replica.uid: self._first_seen.get(replica.uid, now) for replica in replicas}
        self._started &= self._first_seen.keys()
        for replica in replicas:
            if replica.ready and not replica.leaving and replica.uid not in self._started:
                self._started.add(replica.uid)
                self._starts_s = [*self._starts_s, now - self._first_seen[replica.uid]][-STARTS_REMEMBERED:]

    def report(self, instance: str, load: Load, at_s: float) -> None:
        """A router's word on this deployment."""
        before = self._reports.get(instance)
        is_first_of_all, self._has_heard = not self._has_heard, True
        for name in _COUNTERS:
            value = getattr(load, name)
            # What came before a router's first word is no news; but how long requests took, nobody else says yet.
            first = 0 if name in _OF_FINISHED and is_first_of_all else value
            known = first if before is None else getattr(before[1], name)
            self._totals[name] += value - known if value >= known else value
        self._reports[instance] = (at_s, load)

    def observe(self, now: float) -> Observation:
        fresh = {name: load for name, (at_s, load) in self._reports.items() if now - at_s <= self._valid_s}
        present, serving = fresh.values(), self._instances - self._aside
        heard = [at_s for name, (at_s, _) in self._reports.items() if name in fresh or name in serving]
        starting = [each for each in self._replicas if not each.ready and not each.leaving]
        starting = [each for each in starting if each.uid not in self._started]  # one that fell ill does not start
        return Observation(
            at_s=now,
            wished=self._wished,
            ready=sum(each.ready and not each.leaving for each in self._replicas),
            starting=tuple(sorted((now - self._first_seen[each.uid] for each in starting), reverse=True)),
            leaving=sum(each.leaving for each in self._replicas),
            in_flight=sum(load.in_flight for load in present),
            queued=sum(load.queued for load in present),
            arrived_total=int(self._totals["arrived_total"]),
            finished_total=int(self._totals["finished_total"]),
            held_seconds_total=self._totals["held_seconds_total"],
            refused_total=int(self._totals["refused_total"]),
            start_s=median(self._starts_s) if self._starts_s else None,
            heard_s=fmean(heard) if heard else None,
            complete=bool(serving) and serving <= fresh.keys(),
            trouble=self._trouble,
        )
