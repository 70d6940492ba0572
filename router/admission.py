"""How does a request wait for a slot of its deployment?

I/O: timers and futures of the event loop only. The decisions are `core.dispatch`'s and `core.health`'s; this file
gives them the time, and wakes whom they name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.core.dispatch import Dispatcher, NoRoom, Permit, Ticket
from router.core.errors import NoReadyReplicas, Overloaded, ReplicaUnreachable, RouterError, Unavailable
from router.core.health import SLOW_START, OutlierDetector
from router.core.model import Deployment, Replica, RequestSettings

_NONE: frozenset[str] = frozenset()


class Admission:
    """The slots, the queue and the health of one deployment's replicas."""

    def __init__(self, deployment: Deployment) -> None:
        self._loop = asyncio.get_running_loop()
        self._endpoint = deployment.endpoint
        self._settings = deployment.request
        self._max_queue_wait_s = deployment.request.max_queue_wait_ms / 1000
        self.dispatcher = Dispatcher(
            deployment.request.max_concurrent_requests_per_instance, deployment.request.max_queue_length
        )
        self._outliers = OutlierDetector()
        self._waiting: dict[Ticket, asyncio.Future[Permit]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ready: set[str] = set()

    # -- requests ------------------------------------------------------------------------------------------

    def acquire(self, avoid: frozenset[str] = _NONE) -> Permit | Ticket:
        """A permit at once, without a timer; or a ticket to `wait` with. Raises Unavailable."""
        now = self._loop.time()
        try:
            return self.dispatcher.acquire(now, now + self._max_queue_wait_s, avoid)
        except NoRoom:
            raise self._refusal() from None

    async def wait(self, ticket: Ticket) -> Permit:
        """Raises Unavailable when `maxQueueWaitMs` has passed. Cancelled, it leaves no slot behind."""
        future: asyncio.Future[Permit] = self._loop.create_future()
        self._waiting[ticket] = future
        timer = self._loop.call_at(ticket.deadline, self._expire, ticket)
        try:
            return await future
        except asyncio.CancelledError:
            self._wake(self.dispatcher.abandon(ticket, self._loop.time()))
            raise
        finally:
            timer.cancel()
            self._waiting.pop(ticket, None)

    def release(self, permit: Permit) -> None:
        ticket = self.dispatcher.release(permit, self._loop.time())
        if ticket is not None:
            self._wake(ticket)

    def succeeded(self, permit: Permit) -> None:
        """The replica answered, whatever it said."""
        self._outliers.succeeded(permit.replica.uid)

    def failed(self, permit: Permit, error: RouterError) -> None:
        """The replica did not answer, or not in HTTP."""
        uid = permit.replica.uid
        refused = isinstance(error, ReplicaUnreachable)
        until = self._outliers.failed(uid, self._loop.time(), self.dispatcher.ready, refused=refused)
        if until is not None:
            self.dispatcher.pause(uid)
            self._set_timer(uid, self._loop.call_at(until, self._readmit, uid))

    # -- replicas ------------------------------------------------------------------------------------------

    def update(self, settings: RequestSettings, replicas: Iterable[Replica]) -> None:
        """The settings and replicas of a new snapshot."""
        now = self._loop.time()
        present = {replica.uid: replica for replica in replicas}
        ready = {uid for uid, replica in present.items() if replica.ready and not replica.leaving}
        if settings != self._settings:
            self._settings = settings
            self._max_queue_wait_s = settings.max_queue_wait_ms / 1000
            self._wake(
                *self.dispatcher.configure(
                    settings.max_concurrent_requests_per_instance, settings.max_queue_length, now
                )
            )
        self._outliers.keep(set(present))
        for uid in self._timers.keys() - present.keys():
            self._timers.pop(uid).cancel()
        served = self.dispatcher.update(present.values(), now)
        if settings.max_concurrent_requests_per_instance != 1:  # one slot leaves nothing to start slowly with
            for uid in ready - self._ready:
                self._warm_up(uid, 0)
        self._ready = ready
        self._wake(*served)

    def close(self) -> None:
        """The deployment is gone: whoever waits is told, nothing stays armed."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NoReadyReplicas(self._endpoint))

    # -- inside --------------------------------------------------------------------------------------------

    def _warm_up(self, uid: str, step: int) -> None:
        handicap, for_s = SLOW_START[step]
        self._timers.pop(uid, None)
        self.dispatcher.handicap(uid, handicap)
        if for_s is not None:
            self._set_timer(uid, self._loop.call_later(for_s, self._warm_up, uid, step + 1))

    def _readmit(self, uid: str) -> None:
        del self._timers[uid]
        self._outliers.readmit(uid)
        self.dispatcher.handicap(uid, 1)  # a pause that began while it warmed up has ended that
        self._wake(*self.dispatcher.resume(uid, self._loop.time()))

    def _set_timer(self, uid: str, timer: asyncio.TimerHandle) -> None:
        """One timer for each replica: it warms up or is left out, never both."""
        if (old := self._timers.pop(uid, None)) is not None:
            old.cancel()
        self._timers[uid] = timer

    def _expire(self, ticket: Ticket) -> None:
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():
            self.dispatcher.expire(ticket)
            future.set_exception(self._refusal())

    def _refusal(self) -> Unavailable:
        if not self.dispatcher.has_ready:
            return NoReadyReplicas(self._endpoint)
        return Overloaded(self._endpoint, self.dispatcher.estimated_wait_s())

    def _wake(self, *tickets: Ticket | None) -> None:
        for ticket in tickets:
            if ticket is not None and ticket.permit is not None:
                future = self._waiting[ticket]
                if not future.done():  # else its task is being cancelled, and will abandon the ticket with its permit
                    future.set_result(ticket.permit)
