"""How does one instance come to slots of a deployment that several share?

Pure. Each instance has a dispatcher for its own requests; it gives out what the instance holds. Where the instance is
alone that is every slot, and nothing here costs anything. Else the deployment's owner lends permits (leases.py): a
request that finds none here waits in this instance's queue, and an `Ask` waits for it in the owner's. Whatever comes
first serves it: a permit that another request left, or a `Grant`. The owner's own requests go the same way, without a
wire.

What is kept unused, and was not needed for a while, goes back by itself.

Invariants (tests/core/sharing_invariants.py, 3 and 4):
1. What is in flight here on a replica is held here, but where the owner's limit fell.
2. Every request that waits here is asked for, once, or will be at the next tick.
3. Nothing is begun with a permit whose lease is over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.frames import Ask, Cancel, FromOwner, GiveBack, Grant, Pause, Recall, Refuse, ToOwner
from router.core.model import Replica

TRIM_S = 1.0
"""What was not needed for so long goes back."""

Post = Callable[[ToOwner, float], None]
"""To the owner, now."""
_NONE: frozenset[str] = frozenset()


class Lease:
    """How long what somebody lent may be used: moved on by each sign of life."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


class Borrower:
    """One instance's side of one deployment."""

    __slots__ = (
        "_asks",
        "_last_number",
        "_lease",
        "_numbers",
        "_paused",
        "_peak",
        "_peak_before",
        "_post",
        "_refuse",
        "_refused_wait_s",
        "_trimmed_at",
        "_unasked",
        "_unkept",
        "_wake",
        "dispatcher",
        "held",
        "keeps",
        "key",
        "never_keeps",
    )

    def __init__(
        self,
        key: str,
        dispatcher: Dispatcher,
        wake: Callable[[Ticket], None],
        refuse: Callable[[Ticket, float | None], None],
    ) -> None:
        """`wake`: a ticket has its permit; `refuse`: one will get none, and its place is gone; in seconds, how long it
        would have been."""
        self.key = key
        self.dispatcher = dispatcher
        self._wake = wake
        self._refuse = refuse
        self._refused_wait_s: float | None = None
        """What the owner said last."""
        self._post: Post | None = None
        """To the owner; None where this instance is alone."""
        self._lease = Lease(float("inf"))
        self.held: dict[str, int] = {}
        """Permits by uid, used or not; empty where this instance is alone."""
        self.keeps = False
        self.never_keeps = False
        """It stops soon."""
        self._last_number = 0
        self._asks: dict[int, Ticket] = {}
        self._numbers: dict[Ticket, int] = {}
        self._unasked: dict[Ticket, None] = {}
        """Who waits without an ask, until the next tick or news of replicas."""
        self._unkept: set[str] = set()
        """Replicas that the owner wants back from all, as far as they are used here."""
        self._paused: dict[str, float] = {}
        self._peak = self._peak_before = 0
        self._trimmed_at = 0.0

    @property
    def is_alone(self) -> bool:
        return self._post is None

    @property
    def asked_total(self) -> int:
        """How often an owner was asked; again, for who waited while ownership moved."""
        return self._last_number

    # -- requests ------------------------------------------------------------------------------------------

    def acquire(self, now: float, deadline: float, avoid: frozenset[str] = _NONE) -> Permit | Ticket:
        """As the dispatcher's. Raises NoRoom."""
        if self._post is None:
            return self.dispatcher.acquire(now, deadline, avoid)
        self._mind_lease(now)
        got = self.dispatcher.acquire(now, deadline, avoid)
        if isinstance(got, Ticket):
            self._ask(got, now)
            if got.permit is None:
                if not self.dispatcher.has_ticket(got):  # refused at once
                    raise NoRoom(self._refused_wait_s)
                return got
            got = got.permit
        if self.dispatcher.in_flight > self._peak:
            self._peak = self.dispatcher.in_flight
        return got

    def release(self, permit: Permit, now: float) -> Ticket | None:
        """As the dispatcher's. What may not be kept goes back first, so that the owner says who is next."""
        post, uid = self._post, permit.replica.uid
        if post is None:
            return self.dispatcher.release(permit, now)
        may_stay = self.keeps and uid not in self._unkept
        if may_stay and now < self._lease.until and self.dispatcher.takes_requests(uid):
            ticket = self.dispatcher.release(permit, now)
            if ticket is not None:
                self._unask(ticket, now)
            return ticket
        self._hold(uid, self.held.get(uid, 0) - 1, now)
        ticket = self.dispatcher.release(permit, now)
        post(GiveBack(self.key, uid), now)
        return ticket

    def abandon(self, ticket: Ticket, now: float) -> Ticket | None:
        """As the dispatcher's."""
        if ticket.permit is not None and self._post is not None:
            permit, ticket.permit = ticket.permit, None
            return self.release(permit, now)
        served = self.dispatcher.abandon(ticket, now)
        self._unask(ticket, now)
        return served

    def expire(self, ticket: Ticket, now: float) -> None:
        """As the dispatcher's."""
        self.dispatcher.expire(ticket)
        self._unask(ticket, now)

    # -- replicas ------------------------------------------------------------------------------------------

    def update(self, replicas: Iterable[Replica], now: float) -> list[Ticket]:
        """As the dispatcher's."""
        self._mind_lease(now)
        served = self._served(self.dispatcher.update(replicas, now), now)
        self._ask_again(now)
        return served

    def configure(self, slots_per_replica: int, max_queue_length: int, now: float) -> list[Ticket]:
        """As the dispatcher's."""
        self._mind_lease(now)
        return self._served(self.dispatcher.configure(slots_per_replica, max_queue_length, now), now)

    def pause(self, uid: str, until: float, now: float) -> None:
        """It fails: nobody should get it until then. Where it is shared its owner says so, or that it can't be spared:
        what is lent all the same is used."""
        self._paused[uid] = until
        if self._post is None:
            self.dispatcher.pause(uid)
            return
        self._post(Pause(self.key, uid, until - now), now)
        if uid in self.held:
            self._unkept.add(uid)
        self._give_back(uid, now)

    def fails_still(self, uid: str, now: float) -> None:
        """It was lent although it had been said to fail: the owner should think again."""
        until = self._paused.get(uid, now)
        if until > now and self._post is not None and uid not in self._unkept:
            self.pause(uid, until, now)

    def resume(self, uid: str, now: float) -> list[Ticket]:
        """As the dispatcher's."""
        self._paused.pop(uid, None)
        self._mind_lease(now)
        return self._served(self.dispatcher.resume(uid, now), now)

    # -- what the owner says -------------------------------------------------------------------------------

    def hear(self, message: FromOwner, now: float) -> None:
        if isinstance(message, Grant):
            self.granted(message, now)
        elif isinstance(message, Refuse):
            self.refused(message)
        else:
            self.recalled(message, now)

    def granted(self, grant: Grant, now: float) -> None:
        """Whoever has waited longest gets it, as anything that comes free here; the others keep what they asked."""
        self.keeps = grant.keeps and not self.never_keeps
        asked = self._asks.pop(grant.number, None)
        if asked is not None:
            del self._numbers[asked]
        if now >= self._lease.until and self._post is not None:  # it was long on its way
            self._post(GiveBack(self.key, grant.uid), now)
            if asked is not None:
                self._unasked[asked] = None
            return
        self._unkept.discard(grant.uid)  # the owner, which knows better, lends it on
        served = self._hold(grant.uid, self.held.get(grant.uid, 0) + 1, now)
        for ticket in served:
            if ticket is asked:
                asked = None
            elif asked is not None and (number := self._numbers.pop(ticket, None)) is not None:
                self._asks[number], self._numbers[asked] = asked, number
                asked = None
            else:
                self._unask(ticket, now)
        if asked is not None and self._is_waiting(asked):
            self._unasked[asked] = None  # what came is of no use here, or not yet
        self._peak = max(self._peak, self.dispatcher.in_flight)
        if not served and not (self.keeps and self.dispatcher.takes_requests(grant.uid)):
            self._give_back(grant.uid, now)
        for ticket in served:
            self._wake(ticket)

    def refused(self, refusal: Refuse) -> None:
        ticket = self._asks.pop(refusal.number, None)
        if ticket is not None:
            del self._numbers[ticket]
            self._refused_wait_s = refusal.wait_s
            self.dispatcher.expire(ticket)
            self._refuse(ticket, refusal.wait_s)

    def recalled(self, recall: Recall, now: float) -> None:
        if recall.uid in self.held:
            self._unkept.add(recall.uid)
        if recall.uid:
            self._give_back(recall.uid, now)
            return
        self.keeps = False
        self.give_back_idle(now)

    # -- who owns it ---------------------------------------------------------------------------------------

    def stand_alone(self, now: float) -> None:
        """Every slot is this instance's own."""
        self._post = None
        self._forget_asks()
        self.held = {}
        self.dispatcher.expects_slots = False
        for uid, until in self._paused.items():
            if until > now:
                self.dispatcher.pause(uid)
        for ticket in self.dispatcher.allot_all(None, now):
            self._wake(ticket)

    def report(self, now: float) -> dict[str, int]:
        """What it holds, for whoever owns the deployment now: what is used. What was only kept was another lease's."""
        if self._post is None:
            self.held = {uid: busy for uid, busy in self.dispatcher.in_flight_by_replica().items() if busy}
            self.dispatcher.allot_all(self.held, now)
        for uid, held in list(self.held.items()):  # of most replicas nothing is held
            if held > (busy := self.dispatcher.in_flight_at(uid)):
                self._hold(uid, busy, now)
        return dict(self.held)

    def borrow_from(self, post: Post, lease: Lease, now: float) -> None:
        """There is an owner, that one, which was told what `report` said: it is asked for all who wait."""
        self._post, self._lease = post, lease
        self.keeps = False
        self._unkept.clear()
        self.dispatcher.expects_slots = True
        self._forget_asks()
        for uid, until in self._paused.items():
            self.dispatcher.resume(uid, now)
            if until > now:
                post(Pause(self.key, uid, until - now), now)
        for ticket in self.dispatcher.waiting():
            self._ask(ticket, now)

    def tick(self, now: float) -> None:
        if self._post is None:
            return
        self._ask_again(now)
        if self._paused:
            self._paused = {uid: until for uid, until in self._paused.items() if until > now}
        if now - self._trimmed_at >= TRIM_S:
            self._trim(now)

    def give_back_idle(self, now: float) -> None:
        for uid in list(self.held):
            self._give_back(uid, now)

    # -- inside --------------------------------------------------------------------------------------------

    def _ask(self, ticket: Ticket, now: float) -> None:
        assert self._post is not None
        number = self._last_number = self._last_number + 1
        self._asks[number], self._numbers[ticket] = ticket, number
        self._post(Ask(self.key, number, now - ticket.came_at, tuple(ticket.avoid)), now)

    def _ask_again(self, now: float) -> None:
        """For those who got what was of no use here, as of a replica that the owner knew first."""
        unasked, self._unasked = self._unasked, {}
        for ticket in unasked:
            if self._is_waiting(ticket):
                self._ask(ticket, now)

    def _unask(self, ticket: Ticket, now: float) -> None:
        """It waits no more."""
        self._unasked.pop(ticket, None)
        number = self._numbers.pop(ticket, None)
        if number is not None:
            del self._asks[number]
            if self._post is not None:
                self._post(Cancel(self.key, number), now)

    def _forget_asks(self) -> None:
        self._asks.clear()
        self._numbers.clear()
        self._unasked.clear()

    def _served(self, tickets: list[Ticket], now: float) -> list[Ticket]:
        for ticket in tickets:
            self._unask(ticket, now)
        return tickets

    def _mind_lease(self, now: float) -> None:
        """Nothing is begun with what is kept once the lease is over."""
        if now >= self._lease.until:
            self.give_back_idle(now)

    def _is_waiting(self, ticket: Ticket) -> bool:
        return ticket.permit is None and self.dispatcher.has_ticket(ticket)

    def _hold(self, uid: str, permits: int, now: float) -> list[Ticket]:
        self.held[uid] = permits
        if permits <= 0:
            del self.held[uid]
            self._unkept.discard(uid)
        return self.dispatcher.allot(uid, max(0, permits), now)

    def _give_back(self, uid: str, now: float, most: int = sys.maxsize) -> None:
        """What is not used of this replica."""
        held = self.held.get(uid, 0)
        count = min(most, held - self.dispatcher.in_flight_at(uid))
        if count > 0 and self._post is not None:
            self._hold(uid, held - count, now)
            self._post(GiveBack(self.key, uid, count), now)

    def _trim(self, now: float) -> None:
        """At the most so many were in use at once since the look before the last: the rest goes back."""
        self._trimmed_at = now
        spare = sum(self.held.values()) - max(self._peak, self._peak_before)
        self._peak, self._peak_before = self.dispatcher.in_flight, self._peak
        for uid in list(self.held) if spare > 0 else ():
            held = self.held[uid]
            self._give_back(uid, now, spare)
            spare -= held - self.held.get(uid, 0)
