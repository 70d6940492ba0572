"""Do the books balance after a storm of tasks?

The same as through the dispatcher alone, but as the router lives it: 20,000 tasks that wait, are cancelled and time
out on virtual time, replicas that refuse connections and are left out, snapshots that bring and take them, have
requests held for a first one, or say that there will be none.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from router.admission import Admission
from router.core.dispatch import Permit, Ticket, _Seat
from router.core.errors import ReplicaClosed, ReplicaUnreachable, RouterError, Unavailable
from router.core.sharing import Sharing
from router.pressure import Pressure
from tests.core.nouns import a_deployment, a_replica
from tests.virtual_time import armed, on_virtual_time

REQUESTS = 20_000
UIDS = [f"r{number}" for number in range(12)]


class Storm:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.pressure = Pressure()
        self.admission = Admission(a_deployment(concurrency=2), self.pressure, Sharing("here", lambda: None))
        self.slots = 2
        self.min_instances = 1
        self.may_take: set[str] = set()
        self.seats: Counter[str] = Counter()
        self.waiters: dict[asyncio.Task[None], None] = {}  # oldest first
        dispatcher = self.admission.dispatcher
        self.do_grant, self.do_release = dispatcher._grant, dispatcher.release
        dispatcher._grant = self.grant  # type: ignore[method-assign]
        dispatcher.release = self.release  # type: ignore[method-assign]
        self.books: Counter[str] = Counter()

    async def run(self) -> None:
        self.snapshot()
        churn = asyncio.create_task(self.churn())
        async with asyncio.TaskGroup() as group:
            for _ in range(REQUESTS):
                await asyncio.sleep(self.chance.expovariate(14.0))
                task = group.create_task(self.request())
                if self.chance.random() < 0.2:
                    asyncio.get_running_loop().call_later(self.chance.uniform(0.0, 1.5), task.cancel)
        churn.cancel()
        await asyncio.wait([churn])

    # -- requests ------------------------------------------------------------------------------------------

    async def request(self) -> None:
        self.books["arrived"] += 1
        outcome = "cancelled"
        try:
            outcome = await self.walk()
        finally:
            self.books[outcome] += 1

    async def walk(self) -> str:
        tried: frozenset[str] = frozenset()
        while True:
            try:
                self.books["asked"] += 1
                got = self.admission.acquire(tried)
                permit = got if isinstance(got, Permit) else await self.wait(got)
            except Unavailable:
                return "refused"
            error = await self.serve(permit)
            if error is None:
                return "served"
            if not error.nothing_sent:
                return "failed"
            tried |= {permit.replica.uid}

    async def wait(self, ticket: Ticket) -> Permit:
        task = asyncio.current_task()
        assert task is not None
        is_held = not self.min_instances and not self.admission.dispatcher.has_ready
        waits_s = ticket.deadline - ticket.came_at
        is_behind_held = not is_held and waits_s > 1.0
        assert waits_s == pytest.approx(3.0 if is_held or is_behind_held else 0.5)
        assert not is_behind_held or self.admission.dispatcher.queued > 1
        self.books["held"] += is_held
        self.books["behind held"] += is_behind_held
        self.waiters[task] = None
        try:
            return await self.admission.wait(ticket)
        finally:
            del self.waiters[task]

    async def serve(self, permit: Permit) -> RouterError | None:
        try:
            error = self.fate()
            await asyncio.sleep(0.0 if error else self.chance.expovariate(1.0))
            if error is None:
                self.admission.succeeded(permit)
            else:
                self.admission.failed(permit, error)
            return error
        finally:
            self.admission.release(permit)

    def grant(self, seat: _Seat, now: float, waited_s: float) -> Permit:
        """In the moment in which a slot is given, not when its task hears of it."""
        uid = seat.replica.uid
        self.books["granted"] += 1
        self.seats[uid] += 1
        assert uid in self.may_take
        assert self.seats[uid] <= self.slots
        return self.do_grant(seat, now, waited_s)

    def release(self, permit: Permit, now: float) -> Ticket | None:
        self.books["released"] += 1
        self.seats[permit.replica.uid] -= 1
        if self.waiters and self.chance.random() < 0.05:  # the next one leaves in the moment of the hand-over
            leaver = next(iter(self.waiters))
            if self.chance.random() < 0.5:
                leaver.cancel()
            else:
                asyncio.get_running_loop().call_soon(leaver.cancel)
        return self.do_release(permit, now)

    def fate(self) -> RouterError | None:
        roll = self.chance.random()
        if roll < 0.02:
            return ReplicaUnreachable("refused")
        return ReplicaClosed() if roll < 0.06 else None

    # -- replicas ------------------------------------------------------------------------------------------

    async def churn(self) -> None:
        while True:
            await asyncio.sleep(self.chance.expovariate(2.0))
            self.snapshot()

    def snapshot(self) -> None:
        chance = self.chance
        if chance.random() < 0.2:
            self.slots = chance.choice((1, 2, 3))
        self.min_instances = chance.randint(0, 1)
        deployment = a_deployment(
            concurrency=self.slots,
            min_instances=self.min_instances,
            max_queue_length=30,
            max_cold_start_wait_ms=3_000,
        )
        nouns = [
            a_replica(uid, ready=chance.random() < 0.8, leaving=chance.random() < 0.1)
            for uid in chance.sample(UIDS, chance.randint(0, len(UIDS)))
        ]
        self.may_take = {noun.uid for noun in nouns if noun.ready and not noun.leaving}
        self.admission.update(deployment, nouns, "no memory" if chance.random() < 0.2 else None)


KINDS = ("served", "failed", "refused", "cancelled", "held", "behind held")


@pytest.mark.parametrize("seed", range(2))
@on_virtual_time
async def test_the_books_balance_after_a_storm_of_tasks(seed: int) -> None:
    storm = Storm(seed)
    await storm.run()
    books, dispatcher = storm.books, storm.admission.dispatcher
    assert books["arrived"] == REQUESTS
    assert books["granted"] == books["released"]
    assert books["served"] + books["failed"] + books["refused"] + books["cancelled"] == REQUESTS
    assert min(books[each] for each in KINDS) > REQUESTS // 200
    assert (dispatcher.in_flight, dispatcher.queued, dispatcher.busy) == (0, 0, 0)
    assert not any(storm.seats.values())
    assert not storm.admission._waiting
    assert (dispatcher.arrived_total, dispatcher.finished_total) == (books["asked"], books["released"])
    assert storm.pressure.generation > 100
    storm.admission.update(a_deployment(), (), None)
    assert dispatcher.in_flight_by_replica() == {}
    storm.admission.close()
    await asyncio.sleep(100.0)
    assert armed() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
