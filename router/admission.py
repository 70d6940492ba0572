"""How does a request wait for a slot of its deployment?

I/O: timers and futures of the event loop only. The decisions are `core.dispatch`'s and `core.health`'s, and where
other instances have a say `core.sharing`'s; this file gives them the time, and wakes whom they name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.core.borrowing import Borrower
from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.errors import NoReadyReplicas, Overloaded, ReplicaUnreachable, RouterError, Unavailable
from router.core.health import SLOW_START, OutlierDetector
from router.core.model import Deployment, Replica
from router.core.sharing import Sharing
from router.pressure import Pressure

_NONE: frozenset[str] = frozenset()
_REMOVED = "the deployment was removed"


class Admission:
    """The slots, the queue and the health of one deployment's replicas."""

    def __init__(self, deployment: Deployment, pressure: Pressure, sharing: Sharing) -> None:
        self._loop = asyncio.get_running_loop()
        self._pressure = pressure
        self._endpoint = deployment.endpoint
        self._settings = deployment.request
        self.dispatcher = Dispatcher(
            deployment.request.max_concurrent_requests_per_instance, deployment.request.max_queue_length
        )
        self._sharing = sharing
        self._slots = Borrower(deployment.key, self.dispatcher, self._wake, self._refuse)
        sharing.add(self._slots)
        self._outliers = OutlierDetector()
        self._waiting: dict[Ticket, asyncio.Future[Permit]] = {}
        self._deadlines: dict[Ticket, asyncio.TimerHandle] = {}
        self._warming: dict[str, asyncio.TimerHandle] = {}
        self._left_out: dict[str, asyncio.TimerHandle] = {}
        self._ready: set[str] = set()
        self._trouble: str | None = None
        """Why nobody need wait; None also while some replica takes requests."""
        self._is_holding = False
        """No replica takes requests, and the first that does is waited for."""
        self._catches_up_until: float | None = None
        """The queue of a cold start is still there; at this time nobody is left in it who was held."""
        self._look(deployment, None)

    # -- requests ------------------------------------------------------------------------------------------

    def acquire(self, avoid: frozenset[str] = _NONE) -> Permit | Ticket:
        """A permit at once, without a timer; or a ticket to `wait` with. Raises Unavailable."""
        now = self._loop.time()
        if avoid and self._is_holding:
            avoid = _NONE  # what it should avoid is gone; under whatever uid the next one comes, it is another
        if self._catches_up_until is not None and (not self.dispatcher.queued or now >= self._catches_up_until):
            self._catches_up_until = None
            self._max_wait_s = self._settings.max_queue_wait_ms / 1000
        try:
            return self._slots.acquire(now, now + self._max_wait_s, avoid)
        except NoRoom as refused:
            self._pressure.rise()
            raise self._refusal(wait_s=refused.wait_s) from None

    async def wait(self, ticket: Ticket) -> Permit:
        """To be called in the tick that gave the ticket. Raises Unavailable when `maxQueueWaitMs` (of a held request:
        `maxColdStartWaitMs`) has passed, or as soon as waiting is in vain. Cancelled, it leaves no slot behind."""
        if self._trouble is not None:
            self._slots.expire(ticket, self._loop.time())
            raise self._refusal()
        if self.dispatcher.queued == (1 if self._slots.is_alone else 2):  # one alone may only wait for a grant's way
            self._pressure.rise()
        future: asyncio.Future[Permit] = self._loop.create_future()
        self._waiting[ticket] = future
        self._deadlines[ticket] = self._loop.call_at(ticket.deadline, self._expire, ticket)
        try:
            return await future
        except asyncio.CancelledError:
            self._wake(self._slots.abandon(ticket, self._loop.time()))
            raise
        finally:
            self._deadlines.pop(ticket).cancel()
            self._waiting.pop(ticket, None)

    def release(self, permit: Permit) -> None:
        ticket = self._slots.release(permit, self._loop.time())
        if ticket is not None:
            self._wake(ticket)

    def succeeded(self, permit: Permit) -> None:
        """The replica answered, whatever it said."""
        self._outliers.succeeded(permit.replica.uid)

    def failed(self, permit: Permit, error: RouterError) -> None:
        """The replica did not answer, or not in HTTP."""
        uid = permit.replica.uid
        refused = isinstance(error, ReplicaUnreachable)
        until = self._outliers.failed(uid, self._loop.time(), self.ready, refused=refused)
        if until is None:
            self._slots.fails_still(uid, self._loop.time())
            return
        self._end_warm_up(uid)
        self._slots.pause(uid, until, self._loop.time())
        self._left_out[uid] = self._loop.call_at(until, self._readmit, uid)

    @property
    def asked_total(self) -> int:
        """Requests for which the deployment's owner was asked, ever."""
        return self._slots.asked_total

    # -- replicas ------------------------------------------------------------------------------------------

    @property
    def ready(self) -> int:
        """Replicas that take requests, without those that are left out because they failed here."""
        return len(self._ready - self._left_out.keys())

    def update(self, deployment: Deployment, replicas: Iterable[Replica], trouble: str | None) -> None:
        """What a new snapshot says. `trouble`: why no replica can be started, if so."""
        now = self._loop.time()
        present = {replica.uid: replica for replica in replicas}
        settings = deployment.request
        before, self._settings = self._settings, settings
        slots = settings.max_concurrent_requests_per_instance
        # Neither a slot that the new limit forbids nor one of a replica that leaves may be handed out on the way.
        if 0 < slots < (before.max_concurrent_requests_per_instance or slots + 1):
            self._wake(*self._slots.configure(slots, settings.max_queue_length, now))
            self._wake(*self._slots.update(present.values(), now))
        else:
            self._wake(*self._slots.update(present.values(), now))
            self._wake(*self._slots.configure(slots, settings.max_queue_length, now))
        self._sharing.update(deployment.key, present.values(), slots, settings.max_queue_length, now)
        self._outliers.keep(set(present))
        for uid in self._warming.keys() - present.keys():
            self._end_warm_up(uid)
        for uid in self._left_out.keys() - present.keys():
            self._left_out.pop(uid).cancel()
            self._slots.resume(uid, now)  # should it return, it returns as a new one would
        ready = {uid for uid, replica in present.items() if replica.ready and not replica.leaving}
        if slots != 1:  # one slot leaves nothing to start slowly with
            for uid in ready - self._ready - self._left_out.keys():
                self._warm_up(uid, 0)
        self._ready = ready
        if self._left_out and not self.ready:
            for uid in list(self._left_out):  # those that were better have left
                self._readmit(uid)
        self._look(deployment, trouble)

    def retire(self) -> None:
        """No snapshot will bring another replica: nobody waits where there is none."""
        if not self.dispatcher.has_ready:
            self._trouble = _REMOVED
            self._turn_away(_REMOVED)

    def close(self) -> None:
        """The deployment is gone: whoever waits is told, and whoever still comes; nothing stays armed."""
        for timer in (*self._warming.values(), *self._left_out.values()):
            timer.cancel()
        self._warming.clear()
        self._left_out.clear()
        self._trouble, now = _REMOVED, self._loop.time()
        self._turn_away(_REMOVED)
        self._slots.update((), now)
        self._slots.configure(self._settings.max_concurrent_requests_per_instance, 0, now)
        self._sharing.remove(self._slots, now)

    # -- inside --------------------------------------------------------------------------------------------

    def _look(self, deployment: Deployment, trouble: str | None) -> None:
        """How long, from now on, a request may wait, and for what. Only a snapshot can change whether a replica takes
        requests: those that are left out never are the last."""
        has_ready = self.dispatcher.has_ready
        was_holding, self._is_holding = self._is_holding, deployment.holds_requests and not has_ready
        settings = deployment.request
        held_s, queue_s = settings.max_cold_start_wait_ms / 1000, settings.max_queue_wait_ms / 1000
        if self._is_holding:
            self._catches_up_until = None
            self._hold_all(held_s)
        elif was_holding and has_ready and self.dispatcher.queued:
            self._catches_up_until = self._loop.time() + held_s
        if self._catches_up_until is not None:
            self._max_wait_s = max(held_s, queue_s)
        else:
            self._max_wait_s = held_s if self._is_holding else queue_s
        self._trouble = None if has_ready else trouble
        if self._trouble is not None:
            self._turn_away(self._trouble)

    def _hold_all(self, held_s: float) -> None:
        """Who waits already, for a replica that has gone, waits for the next as those do who come now."""
        for ticket in self._waiting:
            if ticket.deadline < ticket.came_at + held_s:
                ticket.deadline = ticket.came_at + held_s
                self._deadlines[ticket].cancel()
                self._deadlines[ticket] = self._loop.call_at(ticket.deadline, self._expire, ticket)

    def _turn_away(self, reason: str) -> None:
        """All who wait are told at once."""
        for ticket, future in list(self._waiting.items()):  # to say so to the owner may change who waits
            if not future.done():
                self._slots.expire(ticket, self._loop.time())
                future.set_exception(NoReadyReplicas(self._endpoint, reason))

    def _warm_up(self, uid: str, step: int) -> None:
        handicap, for_s = SLOW_START[step]
        self._end_warm_up(uid)
        self._handicap(uid, handicap)
        if for_s is not None:
            self._warming[uid] = self._loop.call_later(for_s, self._warm_up, uid, step + 1)

    def _end_warm_up(self, uid: str) -> None:
        if (timer := self._warming.pop(uid, None)) is not None:
            timer.cancel()
            self._handicap(uid, 1)

    def _handicap(self, uid: str, factor: int) -> None:
        self.dispatcher.handicap(uid, factor)
        self._sharing.handicap(self._slots.key, uid, factor)

    def _readmit(self, uid: str) -> None:
        self._left_out.pop(uid).cancel()
        self._outliers.readmit(uid)
        self._wake(*self._slots.resume(uid, self._loop.time()))

    def _expire(self, ticket: Ticket) -> None:
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            self._slots.expire(ticket, self._loop.time())
            future.set_exception(self._refusal(ticket.deadline - ticket.came_at))

    def _refuse(self, ticket: Ticket, wait_s: float | None) -> None:
        """The deployment's owner has no room for it to wait, either."""
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            self._pressure.rise()
            future.set_exception(self._refusal(wait_s=wait_s))

    def _refusal(self, waited_s: float = 0.0, wait_s: float | None = None) -> Unavailable:
        """`wait_s`: how long it would have been by the owner's word, where it was asked."""
        if self.dispatcher.has_ready:
            return Overloaded(self._endpoint, wait_s or self.dispatcher.estimated_wait_s())
        reason = self._trouble or ""
        if self._is_holding and waited_s:
            reason = f"waited {waited_s:g} s for the first replica to start"
        return NoReadyReplicas(self._endpoint, reason)

    def _wake(self, *tickets: Ticket | None) -> None:
        for ticket in tickets:
            if ticket is not None and ticket.permit is not None:
                future = self._waiting.get(ticket)  # None: it has its permit before it began to wait
                if future is not None and not future.done():  # else its task is cancelled, and will abandon the ticket
                    future.set_result(ticket.permit)
