"""Who owns which deployment, and what does this instance say to the others?

Pure. One `Sharing` for each instance. It is told what the platform lists, which others it reaches, and what they say;
what it wants said lies in `to_owners` and `to_borrowers`, by name, until it is sent.

Theory. An instance calls every other one that is listed, and is called by it. Those that it hears, and that all hear
each other (cliques.py), and itself, are its *view*; in a view every deployment has one owner. Whoever's view changes
says so to all others, with what it holds of theirs, and begins anew: what was asked and granted before is void. It says
so again to whoever's view changed since. That is a word from each to each: changes that come together are told together
(`_look`). An owner lends nothing until all in its view have said, in answer to its own change, that theirs is the same
(`is_settled`): then it knows what each holds. Who does not within SETTLE_S is passed over: it leaves the view, and its
place counts as missing, until its own view changes or other instances are heard.
A new instance owns nothing before it was settled once, one that stops owns nothing any more.

The slots of a missing place (circle.py, ownership.py) are lent to nobody until the platform lists it no more: it may be
working with them. So without a failure nothing is begun over a replica's slots; and what is begun later than LEASE_S
after the last failure began or ended is never more than the slots. What was begun earlier ends as it may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from router.core.borrowing import Borrower, Lease
from router.core.callers import Callers
from router.core.circle import BEAT_S, SILENT_S, Circle, Link, Peer, owners_among
from router.core.frames import Beat, Echo, FromOwner, GiveBack, Grant, Hears, MayOwn, Message, ToOwner, View
from router.core.leases import Lender
from router.core.model import Replica
from router.core.outbox import Outbox
from router.core.ownership import digest_of
from router.core.shared import Deployments, Shared


class Sharing:
    """One instance's part. Times are seconds of its own clock."""

    def __init__(self, name: str, posted: Callable[[], None]) -> None:
        """`name`: no other process has it. `posted`: there is something to send."""
        self.circle = Circle(name)
        self.name = name
        self.to_owners = Outbox(posted)
        self.to_borrowers = Outbox(posted)
        self.is_settled = False
        """Whether this instance knows with whom it works."""
        self.is_alone = False
        self.missing: tuple[str, ...] = ()
        """Places that are listed and can't be reached: their slots are left alone."""
        self._deployments = Deployments()
        self._callers = Callers()
        self._up: tuple[str, ...] = ()
        self._group = {name}
        self._members: tuple[str, ...] = ()
        self._lease = Lease(float("inf"))
        """Of what this instance lends itself: while it is silent, another may own it."""

    # -- deployments ---------------------------------------------------------------------------------------

    def add(self, borrower: Borrower) -> None:
        """A deployment that is served here from now on; it has no replicas yet."""
        borrower.never_keeps = self.circle.is_draining
        self._deployments[borrower.key] = Shared(borrower)

    def remove(self, borrower: Borrower, now: float) -> None:
        """It is served no more, unless another one has taken its place; what it kept goes back."""
        shared = self._deployments.get(borrower.key)
        if shared is not None and shared.borrower is borrower:
            borrower.give_back_idle(now)
            self._lend_no_more(shared)
            self._deployments.forget(shared)

    def update(
        self, key: str, replicas: Iterable[Replica], slots_per_replica: int, max_queue_length: int, now: float
    ) -> None:
        """What the platform says of it, once it has said who is there."""
        self._was_away(now)
        shared = self._deployments[key]
        if shared.update(replicas, slots_per_replica, max_queue_length, now):
            self._begin_or_end(shared, now)
        elif self.missing and self.is_settled:
            shared.open(self.circle.places, self.missing, now)

    def handicap(self, key: str, uid: str, factor: int) -> None:
        """As the dispatcher's: where this instance lends, too."""
        self._deployments[key].handicap(uid, factor)

    # -- who is there --------------------------------------------------------------------------------------

    def list_places(self, places: Iterable[str], own: str | None, now: float) -> None:
        """What the platform says. `own`: the place of this instance, where it is known."""
        if not self.circle.is_listed:
            self._lease.until = now + SILENT_S
        self.circle.list_places(places, own, now)
        self._look(now)

    def met(self, name: str, place: str | None, may_own: bool, now: float) -> None:
        """One that was called has answered. `place`: as the platform lists it, where it does."""
        self.to_owners.open(name)
        link = self.circle.met(name, place, may_own, now)
        self._look(now)
        self.to_owners.post(name, Hears(self._up))
        if self._members and not link.epoch:  # it was met before, over another wire, and the view is what it was
            self._state(name, link, now)

    def found_at(self, name: str, place: str | None, now: float) -> None:
        """The platform lists by now who was known before, or does no more."""
        self.circle.found_at(name, place)
        self._look(now)

    def lost(self, name: str, now: float) -> None:
        """The connection to one that was called has ended."""
        self.circle.links.pop(name, None)
        self.to_owners.close(name)
        self._look(now)

    def called(self, name: str, now: float) -> None:
        """Another one calls this instance."""
        self._callers.called(name, now)
        self.to_borrowers.open(name)

    def hung_up(self, name: str, now: float) -> None:
        """Its connection has ended. What it holds is its own until its lease is over."""
        self.to_borrowers.close(name)
        self._callers.hung_up(name, now)
        for lender in self._lenders():
            lender.forget_asks((name,), now)
        if not any(lender.knows(name) for lender in self._lenders()):
            self._callers.drop(name)
        self._look(now)

    def drain(self, now: float) -> None:
        """This instance stops soon: others shall own what it owns, and it keeps nothing."""
        self.circle.is_draining = True
        for shared in self._deployments.values():
            shared.drain(now)
        self.to_borrowers.post_all(MayOwn(False))
        self._look(now)

    def tick(self, now: float) -> None:
        """Every BEAT_S."""
        if not self.circle.is_listed:
            return
        self._was_away(now)
        self._lease.until = now + SILENT_S
        self.to_owners.post_all(Beat(int(now * 1000)))
        self._let_lapse(now)
        self._look(now, at_once=True)
        for shared in self._deployments.values():
            shared.tick(now)

    # -- what others say -----------------------------------------------------------------------------------

    def from_owner(self, name: str, message: Message, now: float) -> None:
        """From one that was called."""
        self._was_away(now)
        link = self.circle.links.get(name)
        if link is None:
            return
        link.heard_at = now
        if isinstance(message, Echo):
            link.echoed(message.number / 1000, now)
        elif isinstance(message, MayOwn):
            link.may_own = message.yes
            self._look(now)
        elif isinstance(message, FromOwner) and message.epoch == link.epoch:
            shared = self._deployments.get(message.deployment)
            if shared is not None and shared.owner == name:
                shared.borrower.hear(message, now)
            elif isinstance(message, Grant):  # it is served here no more, or without a limit
                self.to_owners.post(name, GiveBack(message.deployment, message.uid))

    def from_caller(self, name: str, message: Message, now: float) -> None:
        self._was_away(now)
        caller = self._callers.get(name)
        if caller is None:
            return
        if self._callers.heard(name, now):
            self._begin_anew(now)
        if isinstance(message, Beat):
            self.to_borrowers.post(name, Echo(message.number))
        elif isinstance(message, View):
            self._follow(name, message, now)
        elif isinstance(message, Hears):
            self._callers.hears(name, message.names)
            self._look(now)
        elif isinstance(message, ToOwner) and self._callers.agrees(name):
            shared = self._deployments.get(message.deployment)
            if shared is not None and shared.lender is not None:
                shared.lender.hear(name, message, now)
            elif (shared is None or not shared.slots) and (refusal := caller.early.hear(message, now)) is not None:
                self._from_lender(name, refusal, now)

    # -- figures -------------------------------------------------------------------------------------------

    def owned_by(self) -> Counter[str]:
        """How many deployments each instance owns in this one's view, by name."""
        return self._deployments.count()

    def peers(self, now: float) -> list[Peer]:
        return [link.seen(name, self._callers.agrees(name), now) for name, link in self.circle.links.items()]

    # -- views ---------------------------------------------------------------------------------------------

    def _look(self, now: float, *, at_once: bool = False) -> None:
        """Is the view still what it was, is it settled, and who is missing? `at_once`: nothing waits any more. Else who
        comes beside others does until all that are listed are there, and any change of the view as `Callers.may_tell`
        says."""
        if not self.circle.is_listed:
            return
        self._was_away(now)
        heard = self.circle.up(now)
        up = heard
        if self._up and heard != self._up and not at_once and not self.circle.are_all(heard):
            up = tuple(sorted({*heard} & {*self._up}))
        if up != self._up:
            self._up = up
            self._callers.pass_over_nobody(now)
            self.to_owners.post_all(Hears(up))
        group = self._callers.group(self.name, up, self._group)
        members = self.circle.members(group)
        is_alone = not heard and not self._callers and self.circle.has_joined(now) and not self._find_missing(now)
        has_changed = members != self._members and (at_once or self._callers.may_tell(group, self._group, heard))
        if has_changed or is_alone != self.is_alone:
            self._group, self._members, self.is_alone = group, members, is_alone
            self._deployments.change_owners(owners_among(members))
            self.circle.work_with(group)
            self._begin_anew(now)
        # who serves, but not with this one, is no stranger: it works with its own slots
        beside = {*heard}.difference(self._group)
        self.circle.work_with(name for name in beside if self._callers.left(self.name, name))
        self._settle(heard, now)
        missing = self._find_missing(now)
        if missing != self.missing:
            self.missing = missing
            if self.is_settled:
                self._deployments.open_all(self.circle.places, missing, now)

    def _begin_anew(self, now: float) -> None:
        """The view has changed, or this instance was away."""
        self._callers.change(digest_of(self._members), now)
        self.is_settled = False
        for shared in self._deployments.values():
            self._find_owner(shared)
        for shared in self._deployments.owned_by(self.name):
            self._place_here(shared, shared.borrower.report(now) if self._is_shared(shared) else {}, now)
        for name, link in self.circle.links.items():
            self._state(name, link, now)

    def _was_away(self, now: float) -> bool:
        """Whether it was stopped, or starved: then others may have gone on without it, and are heard again first."""
        if now < self._lease.until:
            return False
        self._lease.until = now + SILENT_S
        for link in self.circle.links.values():
            link.heard_at = max(link.heard_at, now - SILENT_S + 2 * BEAT_S)
        self._begin_anew(now)
        return True

    def _state(self, name: str, link: Link, now: float) -> None:
        """Say to another one what the view is and what is held of its deployments; then ask it anew for the rest."""
        link.told_change = self._callers.change_of(name)
        link.epoch += 1
        lent = self._deployments.owned_by(name)
        held = {shared.borrower.key: mine for shared in lent if (mine := shared.borrower.report(now))}
        self.to_owners.post(
            name, View(link.epoch, self._callers.own_change, link.told_change, self._callers.digest, held)
        )
        for shared in lent:
            shared.borrower.borrow_from(partial(self._to_owner_at, name), link.lease, now)

    def _follow(self, name: str, view: View, now: float) -> None:
        """A caller says so of its view."""
        known = [key for key in view.held if (shared := self._deployments.get(key)) is not None and shared.slots]
        agrees = self._callers.follow(name, view, known, now)
        for lender in self._lenders():
            if agrees and (lender.key in view.held or lender.knows(name)):
                lender.reconcile(name, view.held.get(lender.key, {}), now)
            elif not agrees:
                lender.forget_asks((name,), now)
        link = self.circle.links.get(name)
        if link is not None and link.told_change != view.change:
            self._state(name, link, now)
        # else the last answer brings the news; who is gone by now gives none
        if self.is_settled or self._callers.have_answered(self._group & {*self._up}):
            self._look(now)

    def _settle(self, heard: Collection[str], now: float) -> None:
        """Once all in the view agree, or there was time enough to; a new instance first waits for those listed."""
        if self.is_settled or not self.circle.has_joined(now):
            return
        if self._callers.is_settled(self.name, self._group, heard, now):
            if self._callers.pass_over(self.name, self._group):
                self._look(now, at_once=True)
                return
            self.is_settled = True
            could_own = self.circle.may_own
            self.circle.end_joining(now)
            self.missing = self._find_missing(now)
            self._deployments.open_all(self.circle.places, self.missing, now)
            if self.circle.may_own != could_own:
                self.to_borrowers.post_all(MayOwn(True))
                self._look(now)

    def _find_missing(self, now: float) -> tuple[str, ...]:
        return tuple(self.circle.missing(now, [name for name in self._group if self._callers.counts(now, name)]))

    # -- what this instance owns ------------------------------------------------------------------------------

    def _is_shared(self, shared: Shared) -> bool:
        return shared.slots > 0 and not self.is_alone

    def _find_owner(self, shared: Shared) -> None:
        self._deployments.find_owner(shared, "" if self._is_shared(shared) else self.name)
        if shared.owner != self.name or not self._is_shared(shared):
            self._lend_no_more(shared)

    def _lend_no_more(self, shared: Shared) -> None:
        """What others have and want still counts, should it be lent here again before they say so anew."""
        if (lender := shared.lender) is None:
            return
        shared.lender = None
        for name in self._callers:
            if self._callers.agrees(name):  # others begin anew before they are heard again
                self._callers.keep(name, lender.key, lender.held_by(name), lender.asked_by(name))

    def _begin_or_end(self, shared: Shared, now: float) -> None:
        """It is shared from now on, or no more."""
        if not self._members:
            return
        before = shared.owner
        self._find_owner(shared)
        if shared.owner == self.name:
            self._place_here(shared, shared.borrower.report(now) if self._is_shared(shared) else {}, now)
            if (link := self.circle.links.get(before)) is not None:
                self._state(before, link, now)  # it may have kept what was asked and held until now
        elif (link := self.circle.links.get(shared.owner)) is not None:
            # also if nothing is held: the owner may not have seen that it was not shared for a while
            self._state(shared.owner, link, now)
        else:
            self._look(now, at_once=True)  # it is gone, which was not told yet

    def _place_here(self, shared: Shared, held: dict[str, int], now: float) -> None:
        """This instance owns it. `held`: by itself."""
        borrower = shared.borrower
        if not self._is_shared(shared):
            borrower.stand_alone(now)
            return
        lender = shared.lender
        if lender is None:
            lender = shared.lend(self._from_lender, now)
            for name in self._callers:
                self._take_early(name, lender, now)
        if not self.is_settled:
            lender.close(now)
            lender.forget_asks([name for name in self._callers if not self._callers.agrees(name)], now)
        lender.reconcile(self.name, held, now)
        borrower.borrow_from(partial(self._to_self, shared), self._lease, now)
        if self.is_settled:
            shared.open(self.circle.places, self.missing, now)

    def _take_early(self, name: str, lender: Lender, now: float) -> None:
        """What a caller said of a deployment that was not known here."""
        if self._callers.agrees(name):
            held, asks = self._callers.take_early(name, lender.key)
            lender.reconcile(name, held, now)
            for asked in asks:
                lender.ask(name, *asked, now)

    def _let_lapse(self, now: float) -> None:
        """Who is silent, or goes other ways for long."""
        for name in self._callers.lapsed(now):
            for lender in self._lenders():
                lender.lapse(name, now)

    def _lenders(self) -> Iterator[Lender]:
        return (each.lender for each in self._deployments.owned_by(self.name) if each.lender is not None)

    # -- who hears what ------------------------------------------------------------------------------------

    def _from_lender(self, name: str, message: FromOwner, now: float) -> None:
        if name == self.name:
            if (shared := self._deployments.get(message.deployment)) is not None:
                shared.borrower.hear(message, now)
        elif (caller := self._callers.get(name)) is not None:
            self.to_borrowers.post(name, replace(message, epoch=caller.epoch))

    def _to_self(self, shared: Shared, message: ToOwner, now: float) -> None:
        if not self._was_away(now):  # else all that is held and wanted was said anew
            shared.say(self.name, message, now)

    def _to_owner_at(self, name: str, message: ToOwner, _: float) -> None:
        self.to_owners.post(name, message)
