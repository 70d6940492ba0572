"""What becomes of these requests under this law?

Pure. One deployment on virtual time: the real dispatcher, observer and law, and a platform whose replicas take their
time to start, fail and return. Several routers share the one dispatcher, as its owner and its peers would; each reports
its own requests, late by a delay.

The queue has no bound and no deadline, so that every law serves the same requests: what a law does badly shows as
waiting, and never as requests refused.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import ceil, inf
from random import Random  # house: only a seeded one, no chance from outside

from msgspec import Struct

from autoscaler.observation import Law
from autoscaler.observer import Observer
from bench.sim.replicas import Replicas
from bench.sim.scenarios import Scenario
from router.core.dispatch import Dispatcher, Permit, Ticket
from router.core.model import Load

LATE_S = 1.0
"""A request that waited longer for a slot is late."""
PUSH_GAP_S = 0.1
"""A queue that forms is told at once, but not more often than this; what comes sooner is told when it has passed."""
REPORTS_VALID_S = 5.0
START_SPREAD = 0.1
"""Start times differ by so much, as a share of the mean, either way."""


class Outcome(Struct, frozen=True, kw_only=True):
    """How one law did on one scenario."""

    requests: int
    unserved: int
    """Requests that still waited at the end; so far is how long they count to have waited."""
    late_share: float
    mean_wait_s: float
    p99_wait_s: float
    replica_hours: float
    changes: int
    """Decisions that changed the wished number."""


class _Router:
    """What one router counts."""

    __slots__ = ("arrived", "finished", "held_s", "in_flight", "name", "queued")

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = self.queued = self.arrived = self.finished = 0
        self.held_s = 0.0

    def load(self) -> Load:
        return Load(
            endpoint="sim",
            deployment="sim",
            concurrency=1,
            in_flight=self.in_flight,
            queued=self.queued,
            busy=self.in_flight,
            ready=0,
            starting=0,
            total=0,
            refused_total=0,
            arrived_total=self.arrived,
            finished_total=self.finished,
            held_seconds_total=self.held_s,
            utilization=0.0,
            replicas={},
        )


class World:
    """One run: `World(...).run()`. The same arguments give the same outcome."""

    def __init__(
        self, scenario: Scenario, law: Law, *, cold_start_s: float, routers: int = 2, report_delay_s: float = 0.05
    ) -> None:
        self._scenario = scenario
        self._law = law
        self._cold_start_s = cold_start_s
        self._delay_s = report_delay_s
        self._chance = Random(scenario.seed)
        self._observer = Observer(REPORTS_VALID_S)
        self._routers = [_Router(f"router-{number}") for number in range(routers)]
        self._dispatcher = Dispatcher(scenario.concurrency, len(scenario.arrivals) + 1)
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._numbers = count()
        self._replicas = Replicas()
        self._wished = scenario.initial
        self._changes = 0
        self._push_at = -inf
        self._waiting: dict[Ticket, int] = {}
        self._serving: dict[str, dict[int, Permit]] = {}
        self._waits: list[float | None] = [None] * len(scenario.arrivals)
        self.now = 0.0

    def run(self) -> Outcome:
        scenario = self._scenario
        self._start(scenario.initial, ready=True)
        self._publish()
        self._at(0.0, self._tick)
        for moment, length_s in scenario.flaps:
            self._at(moment, self._fall_ill, length_s)
        for moment in scenario.deaths:
            self._at(moment, self._die)
        for index, arrival in enumerate(scenario.arrivals):
            self._pass_time(arrival)
            self._arrive(index)
        self._pass_time(scenario.seconds)
        return self._outcome()

    def _pass_time(self, until: float) -> None:
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, event, arguments = heapq.heappop(events)
            event(*arguments)
        self.now = until

    def _at(self, moment: float, event: Callable[..., None], *arguments: object) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), event, arguments))

    def _outcome(self) -> Outcome:
        pairs = zip(self._waits, self._scenario.arrivals, strict=True)
        waits = sorted(self.now - arrival if wait is None else wait for wait, arrival in pairs)
        return Outcome(
            requests=len(waits),
            unserved=self._waits.count(None),
            late_share=sum(wait > LATE_S for wait in waits) / len(waits),
            mean_wait_s=sum(waits) / len(waits),
            p99_wait_s=waits[ceil(0.99 * len(waits)) - 1],
            replica_hours=self._replicas.seconds(self.now) / 3600,
            changes=self._changes,
        )

    # -- requests ------------------------------------------------------------------------------------------

    def _router_of(self, index: int) -> _Router:
        return self._routers[index % len(self._routers)]

    def _arrive(self, index: int) -> None:
        router = self._router_of(index)
        router.arrived += 1
        got = self._dispatcher.acquire(self.now, inf)
        if isinstance(got, Permit):
            self._serve(index, got)
            return
        self._waiting[got] = index
        router.queued += 1
        if len(self._waiting) == 1 and self._push_at < self.now:  # else one is due, and will tell of this queue, too
            self._push_at = max(self.now, self._push_at + PUSH_GAP_S)
            self._at(self._push_at, self._report)

    def _serve(self, index: int, permit: Permit) -> None:
        if self._waits[index] is None:  # one whose replica died has waited before, and is not late twice
            self._waits[index] = self.now - self._scenario.arrivals[index]
        self._router_of(index).in_flight += 1
        self._serving.setdefault(permit.replica.uid, {})[index] = permit
        self._at(self.now + self._scenario.services_s[index], self._finish, index, permit)

    def _finish(self, index: int, permit: Permit) -> None:
        if permit.seat is None:  # its replica died in the meantime
            return
        router = self._router_of(index)
        router.finished += 1
        router.held_s += self.now - permit.granted_at
        self._give_back(index, permit)

    def _give_back(self, index: int, permit: Permit) -> None:
        uid = permit.replica.uid
        self._router_of(index).in_flight -= 1
        del self._serving[uid][index]
        ticket = self._dispatcher.release(permit, self.now)
        if ticket is not None:
            self._hand(ticket)
        elif not self._serving[uid] and self._replicas.is_leaving(uid):
            self._replicas.forget(uid, self.now)
            self._publish()

    def _hand(self, ticket: Ticket) -> None:
        index = self._waiting.pop(ticket)
        self._router_of(index).queued -= 1
        assert ticket.permit is not None
        self._serve(index, ticket.permit)

    # -- replicas ------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """After all that changes replicas: the dispatcher and the observer see them together."""
        replicas = list(self._replicas)
        for ticket in self._dispatcher.update(replicas, self.now):
            self._hand(ticket)
        self._observer.follow(replicas, self._wished, [router.name for router in self._routers], None, self.now)

    def _start(self, number: int, *, ready: bool = False) -> None:
        for _ in range(number):
            uid = self._replicas.add(self.now, ready=ready)
            if not ready:
                spread = self._chance.uniform(1 - START_SPREAD, 1 + START_SPREAD)
                self._at(self.now + self._cold_start_s * spread, self._turn, uid, True)

    def _turn(self, uid: str, ready: bool) -> None:
        if uid in self._replicas:
            self._replicas.turn(uid, ready=ready)
            self._publish()

    def _fall_ill(self, length_s: float) -> None:
        """The longest serving replica takes nothing new for a while; what it has it finishes."""
        uid = self._replicas.first_ready()
        if uid is not None:
            self._turn(uid, False)
            self._at(self.now + length_s, self._turn, uid, True)

    def _die(self) -> None:
        """The longest serving replica is gone with what it held; its requests are sent again."""
        uid = self._replicas.first_ready()
        if uid is None:
            return
        lost = list(self._serving.get(uid, {}).items())
        self._replicas.forget(uid, self.now)
        self._start(1)
        self._publish()
        for index, permit in lost:
            self._give_back(index, permit)
            self._arrive(index)

    # -- decisions -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._report()
        self._at(self.now + self._law.period_s, self._tick)

    def _report(self) -> None:
        reports = [(router.name, router.load()) for router in self._routers]
        self._at(self.now + self._delay_s, self._decide, reports, self.now)

    def _decide(self, reports: list[tuple[str, Load]], reported_at: float) -> None:
        for name, load in reports:
            self._observer.report(name, load, reported_at)
        decision = self._law.decide(self._observer.observe(self.now))
        if decision.replicas != self._wished:
            self._changes += 1
            self._scale(decision.replicas)

    def _scale(self, wished: int) -> None:
        """Those that have not started go first, then those with the least in flight; of equals the newest."""
        self._wished = wished
        staying = self._replicas.staying()
        self._start(max(0, wished - len(staying)))
        order = sorted(reversed(staying), key=lambda each: (each.ready, len(self._serving.get(each.uid, ()))))
        for each in order[: max(0, len(staying) - wished)]:
            self._replicas.leave(each.uid)
            if not self._serving.get(each.uid):
                self._replicas.forget(each.uid, self.now)
        self._publish()
