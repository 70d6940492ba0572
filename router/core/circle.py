"""Which other instances are there, which of them are up, and which are missing?

Pure. The platform lists places; a process at a place has a name, and another process there has another. Whoever answers
is up for SILENT_S. A listed place that can't be reached is *missing*: it may be cut off rather than gone, and working
with the slots that are its own. One that has never been heard, or is heard and never worked with this one, is a
stranger, and likely still starting, for STRANGER_S; so long a new instance waits for those that it was told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from router.core.borrowing import Lease

BEAT_S = 0.2
SILENT_S = 0.9
LEASE_S = 2.0
"""So long after its last sign of life an instance's permits are its own; it begins nothing with them any more before
that is over, as it counts from when it gave the sign."""
STRANGER_S = 5.0
_OWNS_NOTHING = "~"
"""Behind the name of a member that should own nothing: it has not met the others yet, or stops soon."""


class Peer(NamedTuple):
    """How this instance sees another one."""

    name: str
    place: str | None
    """As the platform lists it; None where it does not, or not yet."""
    is_up: bool
    silent_s: float
    may_own: bool
    agrees: bool
    """Whether it has said that it works with the same instances as this one."""


class Link:
    """One that this instance calls: an owner, maybe."""

    __slots__ = ("epoch", "heard_at", "lease", "may_own", "place", "told_change")

    def __init__(self, place: str | None, may_own: bool, now: float) -> None:
        self.place = place
        self.may_own = may_own
        self.heard_at = now
        self.lease = Lease(now + LEASE_S)
        """Of what it lends."""
        self.epoch = 0
        """Of what it was told last."""
        self.told_change = 0
        """Which change of its own view this was the answer to."""

    def echoed(self, sent_at: float, now: float) -> None:
        """It has heard what was sent at that moment."""
        self.lease.until = max(self.lease.until, min(now, sent_at) + LEASE_S)

    def seen(self, name: str, agrees: bool, now: float) -> Peer:
        return Peer(name, self.place, self.is_up(now), now - self.heard_at, self.may_own, agrees)

    def is_up(self, now: float) -> bool:
        return now - self.heard_at < SILENT_S


class Circle:
    """What one instance knows of the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: dict[str, Link] = {}
        self.is_draining = False
        self._has_met_all = False
        self._own_place: str | None = None
        self._listed: dict[str, float] = {}
        """Places, and since when."""
        self._reached: set[str] = set()
        """Places where somebody has answered; `_known`: those that this instance has worked with."""
        self._known: set[str] = set()
        self._joins_until: float | None = None
        """None before the platform has said who is there."""

    @property
    def is_listed(self) -> bool:
        """Whether the platform has said who is there."""
        return self._joins_until is not None

    def list_places(self, places: Iterable[str], own: str | None, now: float) -> None:
        if self._joins_until is None:
            self._joins_until = now + STRANGER_S
        self._own_place = own
        self._listed = {place: self._listed.get(place, now) for place in places}
        self._reached &= self._listed.keys()
        self._known &= self._listed.keys()

    @property
    def may_own(self) -> bool:
        """Whether this instance may own deployments: it knows the others, and goes on."""
        return self._has_met_all and not self.is_draining

    def met(self, name: str, place: str | None, may_own: bool, now: float) -> Link:
        link = self.links[name] = Link(place, may_own, now)
        self.found_at(name, place)
        return link

    def found_at(self, name: str, place: str | None) -> None:
        if (link := self.links.get(name)) is not None:
            link.place = place
            if place is not None:
                self._reached.add(place)

    def up(self, now: float) -> tuple[str, ...]:
        """Those that this one hears, sorted."""
        return tuple(sorted([name for name, link in self.links.items() if now - link.heard_at < SILENT_S]))

    def are_all(self, heard: Iterable[str]) -> bool:
        """Whether these are at all places that are listed, so that nobody else is expected."""
        return self._listed.keys() - {self._own_place} <= {self.links[name].place for name in heard}

    def members(self, group: Iterable[str]) -> tuple[str, ...]:
        """The same text for whoever sees the same."""
        return tuple(sorted([name if self._may_own(name) else name + _OWNS_NOTHING for name in group]))

    def has_joined(self, now: float) -> bool:
        """Whether this instance has met all that it was told of, or waited long enough."""
        if self._joins_until is None:
            return False
        others = self._listed.keys() - {self._own_place}
        return now >= self._joins_until or others <= self._reached

    def end_joining(self, now: float) -> None:
        self._joins_until = now
        self._has_met_all = True

    def work_with(self, names: Iterable[str]) -> None:
        """These are no strangers any more."""
        self._known |= {link.place for name in names if (link := self.links.get(name)) and link.place is not None}

    def missing(self, now: float, works: Iterable[str]) -> Iterator[str]:
        """Places; `works`: who works together with this one. None, while this instance does not know its own place:
        rather too much than nothing."""
        if self._own_place not in self._listed:
            return
        there = {link.place for name in works if (link := self.links.get(name)) is not None and link.is_up(now)}
        absent = self._listed.keys() - there - {self._own_place}
        if not absent:
            return
        gone = self._reached - {link.place for link in self.links.values() if link.is_up(now)}
        for place in sorted(absent):
            is_stranger = place not in self._known and place not in gone and now - self._listed[place] < STRANGER_S
            if not is_stranger:
                yield place

    def _may_own(self, name: str) -> bool:
        return self.may_own if name == self.name else self.links[name].may_own

    @property
    def places(self) -> list[str]:
        return sorted(self._listed)


def owners_among(members: Iterable[str]) -> list[str]:
    """Who of these owns deployments: those that should not only if nobody should."""
    known = list(members)
    fit = [name for name in known if not name.endswith(_OWNS_NOTHING)]
    return fit or [name.removesuffix(_OWNS_NOTHING) for name in known]
