"""What do all workers of a router show together, whichever of them is asked?

I/O: the ledgers of all workers. What is counted is summed up over all places, also those whose worker has died; what is
so at the moment, over those that live. What every worker knows alike (replicas, settings, the platform) is this one's
word.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from router.accesslog import DROPPED_LINES
from router.clients import FAILED_HANDSHAKES
from router.core.auth import CONSUMERS, Caller
from router.core.model import Deployment, Load
from router.core.tally import MOMENTARY, Cells, Ledger, Memory, Name
from router.counters import COUNTERS, REQUESTS, Counters
from router.fleet import LOADS, Fleet
from router.gate import JUDGED, VERIFICATIONS, verifications
from router.ledger import Totals
from router.metrics import Observed, Standing

CONNECTIONS = MOMENTARY + "connections"
"""Name of its cells in the ledger."""
_SIDES = ("client", "client_idle", "replica")
_KNOWN_TOKENS = len(_SIDES)
_TAKEN = MOMENTARY + "taken"
_FEW = 2


class Noted:
    """What is so at the moment with one worker, in its ledger."""

    def __init__(self, own: Observed, fleet: Fleet, ledger: Ledger) -> None:
        self._own = own
        self._fleet = fleet
        (self._cells,) = ledger.open((CONNECTIONS,), len(_SIDES) + 1)

    def note(self) -> None:
        """To be called often."""
        self._fleet.note_loads()
        connections = self._own.connections()
        for at, side in enumerate(_SIDES):
            self._cells[at] = connections[side]
        self._cells[_KNOWN_TOKENS] = self._own.known_tokens()


class Taken:
    """How many connections each worker has taken: a `listening.turns.Share`."""

    def __init__(self, ledger: Ledger, totals: Totals) -> None:
        self._totals = totals
        (self._own,) = ledger.open((_TAKEN,), 1)
        self._all: list[Cells] = []
        self._has_left = False

    def look(self, own: int) -> None:
        """So many it has. Who else there is may have changed, too: to be called often."""
        if not self._has_left:
            self._own[0] = own
        self._all = self._totals.living(_TAKEN)

    def is_ahead(self) -> bool:
        least = min((cells[0] for cells in self._all), default=math.inf)
        return self._own[0] > least + _FEW + least // 8

    def took_one(self) -> None:
        self._own[0] += 1

    def leave(self) -> None:
        self._has_left = True
        self._own[0] = math.inf


class Whole:
    """For `metrics.registry_of`: as one worker shows itself, with the figures of all."""

    def __init__(self, own: Observed, noted: Noted, totals: Totals) -> None:
        self._own = own
        self._noted = noted
        self._totals = totals

    def loads(self) -> Iterator[tuple[Load, Counters]]:
        self._noted.note()
        counted, now = self._totals.read(COUNTERS), self._totals.read(LOADS)
        by_status = self._by_status(REQUESTS)
        for load, _ in self._own.loads():
            key = (load.endpoint, load.deployment)
            counters = _counters(key, counted.get(key), by_status.get(key, {}))
            yield _together(load, now.get(key), counters.refused), counters

    def unrouted(self) -> Mapping[str, Counters]:
        return {
            endpoint: _counters((endpoint, ""), None, statuses)
            for (endpoint, deployment), statuses in self._by_status(REQUESTS).items()
            if not deployment
        }

    def deployments(self) -> Iterable[Deployment]:
        return self._own.deployments()

    def instances(self) -> Mapping[str, int]:
        return self._own.instances()

    def connections(self) -> dict[str, int]:
        return dict(zip(_SIDES, self._now(), strict=False))

    def callers(self) -> Iterator[tuple[str, Caller]]:
        by_status = self._by_status(CONSUMERS)
        for endpoint, caller in self._own.callers():
            total = Caller(Memory(), endpoint, caller.consumer)
            for status, count in by_status.get((endpoint, caller.consumer), {}).items():
                total.count(status, count)
            yield endpoint, total

    def verifications(self) -> Mapping[str, int]:
        return verifications(self._totals.read(VERIFICATIONS).get((), [0.0] * len(JUDGED)))

    def known_tokens(self) -> int:
        return self._now()[_KNOWN_TOKENS]

    def certificate_expires_at_s(self) -> float | None:
        return self._own.certificate_expires_at_s()

    def failed_handshakes(self) -> int:
        return self._sum_of(FAILED_HANDSHAKES)

    def dropped_log_lines(self) -> int:
        return self._sum_of(DROPPED_LINES)

    def standing(self) -> Standing:
        return self._own.standing()

    # -- inside --------------------------------------------------------------------------------------------

    def _now(self) -> list[int]:
        self._noted.note()
        return [int(each) for each in self._totals.read(CONNECTIONS)[()]]

    def _sum_of(self, kind: str) -> int:
        return int(sum(self._totals.read(kind).get((), ())))

    def _by_status(self, kind: str) -> dict[Name, dict[int, int]]:
        found: dict[Name, dict[int, int]] = defaultdict(dict)
        for labels, (count,) in self._totals.read(kind).items():
            found[labels[:-1]][int(labels[-1])] = int(count)
        return found


class _Summed(Memory):
    """A ledger in which one name has these values."""

    def __init__(self, name: Name, values: list[float]) -> None:
        self._name = name
        self._values = values

    def open(self, name: Name, *sizes: int) -> Sequence[Cells]:
        if name != self._name:
            return super().open(name, *sizes)
        values = iter(self._values)
        return [[next(values) for _ in range(size)] for size in sizes]


def _counters(key: Name, values: list[float] | None, statuses: Mapping[int, int]) -> Counters:
    counters = Counters(Memory() if values is None else _Summed((COUNTERS, *key), values), key[0], key[1])
    for status, count in statuses.items():
        counters.count(status, count)
    return counters


def _together(load: Load, now: list[float] | None, refused: int) -> Load:
    """A replica that two workers use is busy once; which it is they don't tell each other here, so of replicas that
    take several requests no more are called busy than there are."""
    in_flight, queued, busy = map(int, now or (0, 0, 0))
    slots = load.total * load.concurrency
    return replace(
        load,
        in_flight=in_flight,
        queued=queued,
        busy=min(busy, max(load.total, load.busy)),
        refused_total=refused,
        utilization=round((in_flight + queued) / slots, 4) if slots else 0.0,
    )
