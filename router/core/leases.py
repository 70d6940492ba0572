"""Which permits of a deployment has its owner lent, to whom, and who waits for one?

Pure. The owner's dispatcher gives slots to instances, itself among them, as it would to requests: one FIFO over all.
What an instance holds lives as long as its lease: while it is heard. An instance may keep a permit that it does not
use, as long as there are plenty; when somebody waits, all that is unused is recalled.

Invariants (tests/core/sharing_invariants.py, 6 to 9):
1. What all instances hold of a replica is never more than its slots, but for what was adopted.
2. A permit is lent once and comes back once.
3. No slot is free while somebody waits who would take it.
4. First come, first served, whichever instance it came to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.early import Asked
from router.core.frames import Ask, Cancel, FromOwner, GiveBack, Grant, Recall, Refuse, ToOwner
from router.core.model import Replica

CALM_S = 1.0
"""So long after a recall nobody may keep anything: whoever recalls often has nothing to spare."""
RESERVE = 4
"""One slot of so many is not for keeping: there an instance finds one without waiting for another's."""

Post = Callable[[str, FromOwner, float], None]
"""To an instance, by name, now. Whoever sends it puts the epoch in."""


class Lender:
    """The owner's side of one deployment. It lends nothing before it is opened: until then it learns who has what."""

    def __init__(self, key: str, slots_per_replica: int, max_queue_length: int, post: Post) -> None:
        self.key = key
        self.dispatcher = Dispatcher(slots_per_replica, max_queue_length)
        self.dispatcher.allot_all({}, 0.0)
        self.dispatcher.expects_slots = True
        self._post = post
        self._lent: dict[str, dict[str, list[Permit]]] = {}
        self._asks: dict[tuple[str, int], Ticket] = {}
        self._askers: dict[Ticket, tuple[str, int]] = {}
        self._paused: dict[str, float] = {}
        """Until when, by uid."""
        self._capacity = 0
        self._is_open = False
        self._recalled_at = -math.inf

    # -- what borrowers say ------------------------------------------------------------------------------------

    def hear(self, name: str, message: ToOwner, now: float) -> None:
        if isinstance(message, Ask):
            self.ask(name, message.number, now - message.age_s, frozenset(message.avoid), now)
        elif isinstance(message, Cancel):
            self.cancel(name, message.number, now)
        elif isinstance(message, GiveBack):
            self.give_back(name, message.uid, message.count, now)
        else:
            self.pause(message.uid, now + message.for_s, now)

    def ask(self, name: str, number: int, came_at: float, avoid: frozenset[str], now: float) -> None:
        """The answer is a Grant, now or later, or a Refuse."""
        if (name, number) in self._asks:
            return
        try:
            got = self.dispatcher.acquire(now, math.inf, avoid, came_at)
        except NoRoom:
            self._post(name, Refuse(0, self.key, number, self.dispatcher.estimated_wait_s()), now)
            return
        if isinstance(got, Permit):
            self._lend(name, number, got, now)
            return
        self._asks[name, number] = got
        self._askers[got] = (name, number)
        self._recall(now)

    def cancel(self, name: str, number: int, now: float) -> None:
        if (ticket := self._asks.pop((name, number), None)) is not None:
            del self._askers[ticket]
            self.dispatcher.abandon(ticket, now)

    def give_back(self, name: str, uid: str, count: int, now: float) -> None:
        """What was never lent can't come back, and is passed over."""
        permits = self._permits(name, uid)
        back = [permits.pop() for _ in range(min(count, len(permits)))]
        self._tidy(name, uid)
        for permit in back:
            self._serve(self.dispatcher.release(permit, now), now)

    def pause(self, uid: str, until: float, now: float) -> None:
        """Lend nothing of this replica for a while; but at least half of those that are ready stay."""
        if uid in self._paused:
            self._paused[uid] = max(until, self._paused[uid])
            return
        if not self.dispatcher.takes_requests(uid):
            return
        if 2 * (len(self._paused) + 1) > len(self._paused) + self.dispatcher.ready:
            return
        self._paused[uid] = until
        self.dispatcher.pause(uid)
        self._count()
        for name in [name for name, held in self._lent.items() if held.get(uid)]:
            self._post(name, Recall(0, self.key, uid), now)

    # -- who is there --------------------------------------------------------------------------------------

    def reconcile(self, name: str, held: Mapping[str, int], now: float) -> None:
        """This is what the instance has, by its own word: all else that it was lent, or asked for, is void."""
        self.forget_asks((name,), now)
        before = self._lent.pop(name, None) or {}
        for uid, count in held.items():
            self._permits(name, uid).extend(self.dispatcher.adopt(uid, now) for _ in range(count))
            self._tidy(name, uid)
        for permit in [permit for permits in before.values() for permit in permits]:
            self._serve(self.dispatcher.release(permit, now), now)

    def lapse(self, name: str, now: float) -> None:
        """Its lease is over: what it held is free."""
        self.reconcile(name, {}, now)

    def forget_asks(self, names: Collection[str], now: float) -> None:
        """Nobody is there to be answered; what these hold they may still use."""
        for name, number in [ask for ask in self._asks if ask[0] in names]:
            self.cancel(name, number, now)

    def knows(self, name: str) -> bool:
        """Whether it has something, or asks."""
        return name in self._lent or any(asker == name for asker, _ in self._asks)

    def held_by(self, name: str) -> dict[str, int]:
        return {uid: len(permits) for uid, permits in self._lent.get(name, {}).items()}

    def asked_by(self, name: str) -> list[Asked]:
        """Those of its requests that wait."""
        mine = [(number, ticket) for (asker, number), ticket in self._asks.items() if asker == name]
        return [Asked(number, ticket.came_at, ticket.avoid) for number, ticket in mine]

    # -- replicas ------------------------------------------------------------------------------------------

    def update(self, replicas: Iterable[Replica], now: float) -> None:
        known = list(replicas)
        self._serve_all(self.dispatcher.update(known, now), now)
        for uid in self._paused.keys() - {replica.uid for replica in known}:
            self._resume(uid, now)
        if self._paused and not self.dispatcher.has_ready:
            for uid in list(self._paused):
                self._resume(uid, now)
        self._count()

    def configure(self, slots_per_replica: int, max_queue_length: int, now: float) -> None:
        self._serve_all(self.dispatcher.configure(slots_per_replica, max_queue_length, now), now)
        self._count()
        if self.dispatcher.in_flight > self._capacity:
            self._recall(now)

    def open(self, slots: dict[str, int] | None, now: float) -> None:
        """So many slots of each replica may be lent from now on; None: all."""
        self._is_open = True
        self.dispatcher.expects_slots = False
        self._serve_all(self.dispatcher.allot_all(slots, now), now)
        self._count()
        if self._asks:
            self._recall(now)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def close(self, now: float) -> None:
        """Nothing more is lent, until it is opened again."""
        self._is_open = False
        self.dispatcher.expects_slots = True
        self.dispatcher.allot_all({}, now)
        self._count()

    def tick(self, now: float) -> None:
        for uid in [uid for uid, until in self._paused.items() if until <= now]:
            self._resume(uid, now)
        if self._asks and now - self._recalled_at >= CALM_S:
            self._recall(now)

    # -- inside --------------------------------------------------------------------------------------------

    def _lend(self, name: str, number: int, permit: Permit, now: float) -> None:
        uid = permit.replica.uid
        self._permits(name, uid).append(permit)
        is_calm = not self._asks and now - self._recalled_at >= CALM_S
        keeps = is_calm and RESERVE * (self._capacity - self.dispatcher.in_flight) > self._capacity
        permit.is_timed = not keeps
        self._post(name, Grant(0, self.key, number, uid, keeps), now)

    def _permits(self, name: str, uid: str) -> list[Permit]:
        return self._lent.setdefault(name, {}).setdefault(uid, [])

    def _tidy(self, name: str, uid: str) -> None:
        """Replicas and instances come and go: nothing is kept of those that have no permit."""
        if not self._lent[name][uid]:
            del self._lent[name][uid]
        if not self._lent[name]:
            del self._lent[name]

    def _serve(self, ticket: Ticket | None, now: float) -> None:
        if ticket is not None and ticket.permit is not None:
            name, number = self._askers.pop(ticket)
            del self._asks[name, number]
            self._lend(name, number, ticket.permit, now)

    def _serve_all(self, tickets: Iterable[Ticket], now: float) -> None:
        for ticket in tickets:
            self._serve(ticket, now)

    def _recall(self, now: float) -> None:
        """Somebody waits. Since the last recall nobody could keep anything, unless that is long ago."""
        if not self._is_open or now - self._recalled_at < CALM_S:
            return
        self._recalled_at = now
        for name in list(self._lent):
            self._post(name, Recall(0, self.key), now)

    def _resume(self, uid: str, now: float) -> None:
        del self._paused[uid]
        self._serve_all(self.dispatcher.resume(uid, now), now)
        self._count()

    def _count(self) -> None:
        self._capacity = self.dispatcher.capacity
