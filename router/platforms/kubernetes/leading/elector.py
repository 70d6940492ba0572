"""Which of several processes leads, by a Lease that all of them read and one of them renews?

Pure. An `Elector` is one candidate. Its shell sends what `ask` says at `due_s`, one request at a time, and says what
came back: `told`, `absent` or `failed`. Every time it takes is of a monotonic clock, that of this process; what the
Lease says of the time is for people, and never believed.

Theory. Every write is a compare-and-swap: it names the version that it was made from, so of all writes from one
version at most one is carried out. Who leads counts DEADLINE_S from the moment before the renewal was sent; who
waits counts LEASE_S, or longer where the record says so, from the moment after it saw the record; the renewal was
carried out between the two. So the lead has ended before the wait does, as long as no clock runs LEASE_S / DEADLINE_S
= 1.5 times as fast as another; real ones differ by less than 1.001. A record that changes meanwhile starts the wait
anew, and defeats the write of who waited. Nobody waits for a record that its holder left, without a holder and with a
duration of _RELEASED_S: who wrote it had stopped leading before.

A lost answer says nothing: the write may have been carried out, or may be yet. So the record is read again, and what
made it is told by its `renewTime`, which no two writes of one candidate share: it counts from the moment before that
very write. A Lease that was deleted says nothing of who leads, either: who makes it anew leads only after LEASE_S.

A process may stand still between any two of its steps, also between asking `leads` and sending a write. So `leads` is
asked right before each write, and the write names the version of the object that it changes: what a leader sends too
late is lost once another has written.

Invariants (tests/platforms/kubernetes/election.py, by number):
1. No two lead at one moment.
2. Every write names the version that it was made from, or makes a Lease that is not there.
3. Who finds another holder does not lead.
4. Once all is well, somebody leads within 10 s; also after a leader was killed.
5. Who leaves does not lead, and lets another lead at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from msgspec import Struct

LEASE_S = 6
DEADLINE_S = 4.0
"""How long a leader leads after it sent its last successful renewal."""
RENEW_S = 1.5
"""Between two renewals, and between two looks of who waits; up to a fifth less, by chance."""
RETRY_S = 0.1
"""After a first failure; doubles up to RENEW_S."""

_RELEASED_S = 1
"""Lease duration in a record that was left by its holder: nobody has to wait for it."""
_MOST_OPEN = 16
"""Writes to remember while none of them seems to get through."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class LeaseSpec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Struct, frozen=True, kw_only=True, rename="camel"):
    """coordination.k8s.io/v1. A write hands back all metadata that it read: without the uid, a PUT would make a Lease
    that was deleted anew."""

    metadata: dict[str, Any]
    spec: LeaseSpec = LeaseSpec()
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"

    @property
    def version(self) -> str:
        return str(self.metadata["resourceVersion"])

    @property
    def holder(self) -> str:
        return self.spec.holder_identity or ""


class Ask(NamedTuple):
    """A request: read the Lease, make it, or replace it."""

    method: Literal["GET", "POST", "PUT"]
    lease: Lease | None = None


class _Write(NamedTuple):
    sent_at: float
    makes: bool
    """A Lease where there was none."""


class Elector:
    """One candidate. `identity` is of this object alone: nobody else ever had it."""

    def __init__(self, namespace: str, name: str, identity: str, chance: Callable[[], float]) -> None:
        self.identity = identity
        self.due_s = float("-inf")
        """When to ask next."""
        self._metadata = {"namespace": namespace, "name": name}
        self._chance = chance
        self._leaves = False
        self._lease: Lease | None = None
        """As it was told last; None while there is none."""
        self._seen_at = 0.0
        """When that version of it was told first."""
        self._is_fresh = False
        """Nothing was asked since it was told."""
        self._is_ours = False
        self._renewed_at = float("-inf")
        """Before the last renewal that is known to have been carried out was sent."""
        self._not_before = float("-inf")
        self._open: dict[str, _Write] = {}
        """Writes that may have been carried out, or may be yet; by renewTime. A new version decides all of them."""
        self._failures = 0
        self._marked = _LONG_AGO

    def leads(self, now: float) -> bool:
        return not self._leaves and self._not_before <= now < self._renewed_at + DEADLINE_S

    def turns_at(self, now: float) -> float | None:
        """The next moment at which the clock alone changes what `leads` says."""
        if self._leaves or now >= self._renewed_at + DEADLINE_S:
            return None
        return self._not_before if now < self._not_before else self._renewed_at + DEADLINE_S

    @property
    def holder(self) -> str:
        """As far as is known; "" for nobody."""
        return self._lease.holder if self._lease is not None else ""

    # -- asking ----------------------------------------------------------------------------------------------

    def ask(self, now: float, calendar: datetime) -> Ask:
        """`now`: before the request is sent. Nothing is to be asked once `has_left`."""
        is_fresh, self._is_fresh = self._is_fresh, False
        if not is_fresh:
            return Ask("GET")
        if self._lease is None:
            return Ask("POST", Lease(metadata=self._metadata, spec=self._renewal(None, now, calendar)))
        if self._leaves:
            return Ask("PUT", self._onto(self._lease, self._parting(self._lease.spec, now, calendar)))
        if self._is_ours or now >= self._free_at(self._lease):
            return Ask("PUT", self._onto(self._lease, self._renewal(self._lease.spec, now, calendar)))
        return Ask("GET")

    def leave(self, now: float) -> None:
        """From now on this candidate does not lead. What is left to ask lets another: see `has_left`."""
        self._leaves = True
        self.due_s = now

    @property
    def has_left(self) -> bool:
        """The Lease is not ours. Should a write that was lost make it so yet, others wait until it lapses."""
        return self._leaves and not self._is_ours and (self._is_fresh or not self._open)

    # -- what came back --------------------------------------------------------------------------------------

    def told(self, lease: Lease, now: float) -> None:
        """The Lease as the API server has it: the answer to a read, or to a write."""
        self._adopt(lease, now)
        self._is_fresh = True
        looks_at = now + self._shortened(RENEW_S)
        if self._is_ours:
            renews_at = self._renewed_at + self._shortened(RENEW_S)
            self.due_s = now if self._leaves else max(now, min(looks_at, renews_at))
        else:
            self.due_s = max(now, min(looks_at, self._free_at(lease)))
        if self.due_s > now:  # else what fails may be the write that is due, not the read
            self._failures = 0

    def absent(self, now: float) -> None:
        """A read found no Lease. Who led by the one that was deleted leads on: nobody else does for LEASE_S."""
        self._lease, self._is_ours, self._is_fresh = None, False, True
        self.due_s = now

    def failed(self, now: float, retry_after_s: float | None = None) -> None:
        """Refused, or no answer: a write may have been carried out all the same, even where the answer is 409, for
        a client may send what it lost the answer of a second time."""
        delay_s = min(RENEW_S, RETRY_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.due_s = now + self._shortened(max(delay_s, min(retry_after_s or 0.0, RENEW_S)))

    # -- steps -----------------------------------------------------------------------------------------------

    def _adopt(self, lease: Lease, now: float) -> None:
        before = self._lease
        if before is not None and before.version == lease.version:
            return
        made_by = self._open.get(lease.spec.renew_time or "") if lease.holder == self.identity else None
        if made_by is not None:
            self._is_ours = True
            self._renewed_at = made_by.sent_at
            if made_by.makes:
                self._not_before = now + LEASE_S
        elif not (self._is_ours and before is not None and before.spec == lease.spec):  # else: only relabelled
            self._is_ours = False
            self._renewed_at = float("-inf")
        self._open.clear()
        self._lease, self._seen_at = lease, now

    def _free_at(self, lease: Lease) -> float:
        """When another's record may be replaced."""
        duration_s = lease.spec.lease_duration_seconds
        if not lease.holder and duration_s == _RELEASED_S:
            return self._seen_at
        return self._seen_at + max(LEASE_S, duration_s or 0)

    def _renewal(self, present: LeaseSpec | None, now: float, calendar: datetime) -> LeaseSpec:
        mark = self._mark(calendar)
        if len(self._open) == _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[mark] = _Write(now, makes=present is None)
        present = present or LeaseSpec()
        return LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=LEASE_S,
            acquire_time=present.acquire_time if self._is_ours else mark,
            renew_time=mark,
            lease_transitions=(present.lease_transitions or 0) + (not self._is_ours),
        )

    def _parting(self, present: LeaseSpec, now: float, calendar: datetime) -> LeaseSpec:
        """Who was not to lead yet knows of no end of another's lead, and can't spare anyone the wait."""
        return LeaseSpec(
            holder_identity="",
            lease_duration_seconds=_RELEASED_S if now >= self._not_before else LEASE_S,
            acquire_time=present.acquire_time,
            renew_time=self._mark(calendar),
            lease_transitions=present.lease_transitions,
        )

    def _onto(self, read: Lease, spec: LeaseSpec) -> Lease:
        metadata = {name: value for name, value in read.metadata.items() if name != "managedFields"}
        return Lease(metadata=metadata, spec=spec)

    def _mark(self, calendar: datetime) -> str:
        """The time as Kubernetes wants it, a microsecond later than the last at least: no two writes share it."""
        self._marked = max(calendar.astimezone(UTC), self._marked + _TICK)
        return self._marked.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _shortened(self, period_s: float) -> float:
        return period_s * (1.0 - 0.2 * self._chance())
