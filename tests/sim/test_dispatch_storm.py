"""Do the dispatcher's books balance after a storm?

20,000 requests, some of which give up, while replicas come, go, return under the same uid, fall ill, are left out, and
the limit changes: on a heap of events, with nothing but the dispatcher.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import count

import pytest

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from tests.core.nouns import a_replica, replicas_of

REQUESTS = 20_000
UIDS = [f"r{number}" for number in range(12)]
NONE: frozenset[str] = frozenset()


class Storm:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = count()
        self.now = 0.0
        self.slots = 2
        self.dispatcher = Dispatcher(self.slots, 40)
        self.takes: set[str] = set()
        self.paused: set[str] = set()
        self.seats: Counter[str] = Counter()
        self.waiting: dict[Ticket, None] = {}
        self.books: Counter[str] = Counter()

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (moment, next(self.numbers), event))

    def run(self) -> None:
        self.churn()
        moment = 0.0
        for _ in range(REQUESTS):
            moment += self.chance.expovariate(14.0)
            self.at(moment, self.arrive)
        while self.events:
            self.now, _, event = heapq.heappop(self.events)
            event()
            assert self.dispatcher.queued == len(self.waiting)

    # -- requests ------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        self.books["arrived"] += 1
        avoid = frozenset(self.chance.sample(UIDS, 2)) if self.chance.random() < 0.1 else NONE
        try:
            got = self.dispatcher.acquire(self.now, self.now + self.chance.uniform(0.1, 2.0), avoid)
        except NoRoom:
            self.books["refused"] += 1
            return
        if isinstance(got, Permit):
            self.serve(got)
            return
        self.waiting[got] = None
        self.at(got.deadline, lambda: self.time_out(got))
        if self.chance.random() < 0.3:
            self.at(self.now + self.chance.uniform(0.0, 1.0), lambda: self.give_up(got))

    def serve(self, permit: Permit) -> None:
        uid = permit.replica.uid
        self.books["granted"] += 1
        self.seats[uid] += 1
        assert uid in self.takes
        assert self.seats[uid] <= self.slots
        self.at(self.now + self.chance.expovariate(1.0), lambda: self.end(permit))

    def end(self, permit: Permit) -> None:
        self.books["served"] += 1
        self.give_back(permit)
        self.hand([self.dispatcher.release(permit, self.now)])

    def give_back(self, permit: Permit) -> None:
        self.books["released"] += 1
        self.seats[permit.replica.uid] -= 1

    def hand(self, tickets: list[Ticket | None]) -> None:
        for ticket in tickets:
            if ticket is None:
                continue
            del self.waiting[ticket]
            permit = ticket.permit
            assert permit is not None
            if self.chance.random() > 0.1:
                self.serve(permit)
                continue
            self.books["granted"] += 1  # gone in the very moment of the hand-over
            self.seats[permit.replica.uid] += 1
            self.books["cancelled"] += 1
            self.give_back(permit)
            self.hand([self.dispatcher.abandon(ticket, self.now)])

    def give_up(self, ticket: Ticket) -> None:
        if ticket in self.waiting:
            del self.waiting[ticket]
            self.books["cancelled"] += 1
            assert self.dispatcher.abandon(ticket, self.now) is None

    def time_out(self, ticket: Ticket) -> None:
        if ticket in self.waiting:
            del self.waiting[ticket]
            self.books["timed out"] += 1
            self.dispatcher.expire(ticket)

    # -- replicas ------------------------------------------------------------------------------------------

    def churn(self) -> None:
        chance = self.chance
        kind = chance.choice(("replicas", "replicas", "pause", "resume", "limit", "handicap"))
        uid = chance.choice(UIDS)
        if kind == "replicas":
            self.replicas()
        elif kind == "pause" and uid in self.takes:
            self.takes.remove(uid)
            self.paused.add(uid)
            self.dispatcher.pause(uid)
        elif kind == "resume":
            self.resume(uid)
        elif kind == "limit":
            self.slots = chance.choice((1, 2, 3))
            self.hand([*self.dispatcher.configure(self.slots, chance.choice((5, 40)), self.now)])
        else:
            self.dispatcher.handicap(uid, chance.choice((1, 2, 8)))
        if self.books["arrived"] < REQUESTS:
            self.at(self.now + chance.expovariate(2.0), self.churn)

    def replicas(self) -> None:
        present = self.chance.sample(UIDS, self.chance.randint(0, len(UIDS)))
        nouns = [
            a_replica(uid, ready=self.chance.random() < 0.8, leaving=self.chance.random() < 0.1) for uid in present
        ]
        for uid in [*self.paused]:  # a pause is of those that stay
            self.resume(uid)
        self.takes = {noun.uid for noun in nouns if noun.ready and not noun.leaving}
        self.hand([*self.dispatcher.update(nouns, self.now)])

    def resume(self, uid: str) -> None:
        if uid in self.paused:
            self.paused.remove(uid)
            self.takes.add(uid)
            self.hand([*self.dispatcher.resume(uid, self.now)])


@pytest.mark.parametrize("seed", range(3))
def test_the_books_balance_after_a_storm(seed: int) -> None:
    storm = Storm(seed)
    storm.run()
    books, dispatcher = storm.books, storm.dispatcher
    assert books["arrived"] == REQUESTS
    assert books["granted"] == books["released"]
    assert books["served"] + books["refused"] + books["timed out"] + books["cancelled"] == books["arrived"]
    assert (dispatcher.in_flight, dispatcher.queued, dispatcher.busy) == (0, 0, 0)
    assert not storm.waiting
    assert not any(storm.seats.values())
    assert min(books[each] for each in ("served", "refused", "timed out", "cancelled")) > REQUESTS // 100
    dispatcher.update(replicas_of(()), storm.now)
    assert dispatcher.in_flight_by_replica() == {}
