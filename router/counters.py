"""How are the requests of one deployment counted?

Pure. A request adds to a few numbers in a ledger (core/tally.py), and nothing that was added is lost with its process.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from router.core.tally import Cells, Ledger, Memory, Statuses

_WAIT_BOUNDS_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
COUNTERS, REQUESTS = "counters", "requests"
"""Kinds of names in the ledger. Labels: endpoint and deployment, and of requests the status."""

_OVERHEAD_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)


class Histogram:
    """Counts of values up to each bound, in seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...], counts: Cells, total: Cells) -> None:
        """`counts`: a cell for each bound, and one for what is above the last. `total`: one for the sum."""
        self._bounds = bounds
        self._counts = counts
        self._sum = total

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum[0] += value

    def add_zero(self) -> None:
        self._counts[0] += 1

    @property
    def bounds(self) -> tuple[str, ...]:
        return (*map(str, self._bounds), "+Inf")

    def cumulative(self) -> list[int]:
        """How many values are at most each bound, as Prometheus wants them."""
        return list(accumulate(map(int, self._counts)))

    @property
    def sum(self) -> float:
        return self._sum[0]


_REQUEST_BYTES, _REPLY_BYTES, _REFUSED, _RETRIED, _ASKED = range(5)
_WAIT_CELLS, _OVERHEAD_CELLS = len(_WAIT_BOUNDS_S) + 1, len(_OVERHEAD_BOUNDS_S) + 1


class Counters:
    """What happened to the requests of one deployment, or to those of an endpoint that came to none (`""`)."""

    __slots__ = ("_before", "_ledger", "_name", "_others", "_statuses", "latency", "overhead", "queue_wait")

    def __init__(self, ledger: Ledger, endpoint: str, deployment: str) -> None:
        self._ledger = ledger
        self._name = (COUNTERS, endpoint, deployment)
        self._statuses = Statuses(ledger, (REQUESTS, endpoint, deployment))
        self._open(ledger)
        self._before = self._others[_REFUSED], self._others[_RETRIED], self._others[_ASKED]
        """Of a predecessor."""

    def _open(self, ledger: Ledger) -> None:
        parts = ledger.open(self._name, _WAIT_CELLS, 1, _WAIT_CELLS, 1, _OVERHEAD_CELLS, 1, 5)
        self.latency = Histogram(_WAIT_BOUNDS_S, parts[0], parts[1])
        self.queue_wait = Histogram(_WAIT_BOUNDS_S, parts[2], parts[3])
        self.overhead = Histogram(_OVERHEAD_BOUNDS_S, parts[4], parts[5])
        self._others = parts[6]

    def count(self, status: int, times: int = 1) -> None:
        self._statuses.count(status, times)

    def conclude(
        self, status: int, duration_s: float, overhead_s: float, waited_s: float, request_bytes: int, reply_bytes: int
    ) -> None:
        """A request is over."""
        self._statuses.count(status)
        self.latency.add(duration_s)
        self.overhead.add(overhead_s)
        if waited_s:
            self.queue_wait.add(waited_s)
        else:
            self.queue_wait.add_zero()
        others = self._others
        others[_REQUEST_BYTES] += request_bytes
        others[_REPLY_BYTES] += reply_bytes

    def note_troubles(self, refused_total: int, retried_total: int, asked_total: int) -> None:
        """What this process has refused for lack of room, sent again, and asked another instance for, so far."""
        refused_before, retried_before, asked_before = self._before
        self._others[_REFUSED] = refused_before + refused_total
        self._others[_RETRIED] = retried_before + retried_total
        self._others[_ASKED] = asked_before + asked_total

    def forget(self) -> None:
        """The deployment is gone. A request of it may still end; its cells may be another's by then."""
        self._statuses.forget()
        self._ledger.close(self._name)
        self._open(Memory())

    @property
    def requests(self) -> dict[int, int]:
        """How many there were, by status."""
        return self._statuses.by_status()

    @property
    def request_bytes(self) -> int:
        return int(self._others[_REQUEST_BYTES])

    @property
    def reply_bytes(self) -> int:
        return int(self._others[_REPLY_BYTES])

    @property
    def refused(self) -> int:
        return int(self._others[_REFUSED])

    @property
    def retried(self) -> int:
        return int(self._others[_RETRIED])

    @property
    def asked(self) -> int:
        return int(self._others[_ASKED])
