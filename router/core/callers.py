"""What have those who call said of their view, and who agrees with this instance?

Pure. A caller agrees if its last word was an answer to this instance's last change, and was the same view. What it says
of deployments that are not known here yet is kept until they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial

from router.core.circle import LEASE_S
from router.core.cliques import group_of
from router.core.early import Asked, Early
from router.core.frames import View

SETTLE_S = 2.0
"""Time to agree: after that, whoever doesn't is passed over."""


class Caller:
    """One that calls this instance: a borrower, maybe."""

    __slots__ = (
        "answers",
        "change",
        "digest",
        "early",
        "epoch",
        "heard_at",
        "hears",
        "is_connected",
        "is_given_up",
        "parted_at",
    )

    def __init__(self, now: float) -> None:
        self.heard_at = now
        self.is_connected = True
        self.hears: frozenset[str] | None = None
        """Other instances, by their names; None before it has said so."""
        self.is_given_up = False
        """It was silent until its lease was over, and does not know that what it said counts no more."""
        self.forget(now)

    def forget(self, now: float) -> None:
        """What it said counts no more."""
        self.epoch = self.change = self.answers = 0
        self.digest = b""
        self.parted_at = now
        """When it agreed last."""
        self.early = Early()
        """What it has and wants of deployments that are not lent here."""


class Callers:
    """All of them, by name."""

    def __init__(self) -> None:
        self.digest = b""
        """Of this instance's view."""
        self.own_change = 0
        """How often that changed."""
        self._changed_at = 0.0
        self._passed_over: dict[str, int] = {}
        """Who had time to agree and didn't, with the change of its view that it told last."""
        self._callers: dict[str, Caller] = {}
        self._grouped: tuple[Collection[str], Collection[str], set[str]] | None = None
        """What `group` was asked last, and answered; None as soon as that may be otherwise."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._callers))

    def __len__(self) -> int:
        return len(self._callers)

    def get(self, name: str) -> Caller | None:
        return self._callers.get(name)

    def change(self, digest: bytes, now: float) -> None:
        """This instance's view is another, or must be agreed on anew."""
        self.digest = digest
        self.own_change += 1
        self._changed_at = now

    def called(self, name: str, now: float) -> None:
        caller = self._callers.setdefault(name, Caller(now))
        caller.is_connected, caller.is_given_up, caller.heard_at, caller.hears = True, False, now, None
        caller.forget(now)
        self._grouped = None

    def hears(self, name: str, names: Iterable[str]) -> None:
        """A caller says whom it hears."""
        self._callers[name].hears = frozenset(names)
        self._grouped = None

    def heard(self, name: str, now: float) -> bool:
        """Whether it had been given up: then all must be said anew."""
        caller = self._callers[name]
        was_given_up, caller.is_given_up, caller.heard_at = caller.is_given_up, False, now
        return was_given_up

    def hung_up(self, name: str, now: float) -> None:
        if (caller := self._callers.get(name)) is not None:
            caller.is_connected, caller.hears = False, None
            caller.forget(now)
            self._grouped = None

    def drop(self, name: str) -> None:
        self._callers.pop(name, None)
        self._grouped = None

    def keep(self, name: str, key: str, held: dict[str, int], asks: Iterable[Asked]) -> None:
        """What it has and wants of a deployment that is lent here no more, and may be again before it says so anew."""
        self._callers[name].early.keep(key, held, asks)

    def follow(self, name: str, view: View, known: Collection[str], now: float) -> bool:
        """A caller says so of its view; whether it agrees now. `known`: keys of deployments that have a limit here,
        among those that it holds something of."""
        caller = self._callers[name]
        if self.agrees(name):
            caller.parted_at = now
        caller.epoch, caller.change, caller.answers, caller.digest = view.epoch, view.change, view.answers, view.digest
        if name in self._passed_over:
            self._grouped = None
        caller.early = Early()
        for key in view.held.keys() - known:
            caller.early.keep(key, view.held[key], ())
        return self.agrees(name)

    def agrees(self, name: str) -> bool:
        caller = self._callers.get(name)
        return caller is not None and caller.digest == self.digest and caller.answers == self.own_change

    def may_tell(self, group: set[str], before: set[str], up: Collection[str]) -> bool:
        """Whether it is time for another view, of this group instead of the one before: a change costs a word from each
        to each. Those who stay have answered the last one, and who comes is the last to come: all who are up hear each
        other."""
        if len(group) <= len(up) and not group <= before:
            return False
        return self.have_answered(group & before)

    def have_answered(self, names: Iterable[str]) -> bool:
        """Whether all of these that call have said what they see since this instance's last change."""
        callers = (self._callers.get(name) for name in names)
        return all(caller is None or caller.answers == self.own_change for caller in callers)

    def counts(self, now: float, name: str) -> bool:
        """Whoever agrees; whoever does not has time to, once."""
        if self._is_passed_over(name):
            return False
        if now - self._changed_at < SETTLE_S or self.agrees(name):
            return True
        return (caller := self._callers.get(name)) is not None and now - caller.parted_at < SETTLE_S

    def group(self, own: str, up: Collection[str], before: Collection[str]) -> set[str]:
        """Who works together with this instance, itself included. `up`: those that it hears; `before`: who did so.
        Asked at every word, and nearly always the same as before."""
        if self._grouped is not None and self._grouped[:2] == (up, before):
            return self._grouped[2]
        hears = {own: frozenset(up)}
        for name in up:
            if (caller := self._callers.get(name)) and caller.hears is not None and not self._is_passed_over(name):
                hears[name] = caller.hears
        group = group_of(own, hears, before)
        self._grouped = up, before, group
        return group

    def is_settled(self, own: str, group: Collection[str], up: Collection[str], now: float) -> bool:
        """Whether all of the group agree, and those who are up beside them are known to hear not all of them; or
        there was time enough."""
        if now - self._changed_at >= SETTLE_S:
            return True
        others = set(up) - set(group)
        return all(self.agrees(name) for name in group if name != own) and all(map(partial(self.left, own), others))

    def pass_over(self, own: str, group: Iterable[str]) -> bool:
        """Those of the group who had time to agree and don't; whether there are any."""
        late = [name for name in group if name != own and not self.agrees(name)]
        self._passed_over |= {name: self.change_of(name) for name in late}
        self._grouped = None
        return bool(late)

    def pass_over_nobody(self, now: float) -> None:
        """Others are heard than before: it may be otherwise by now, and whoever came has time to agree, too."""
        self._changed_at = now
        self._passed_over.clear()
        self._grouped = None

    def left(self, own: str, name: str) -> bool:
        """Whether this one does not belong to the group although it and this instance hear each other."""
        caller = self._callers.get(name)
        is_heard = caller is not None and caller.hears is not None and own in caller.hears
        return is_heard or self._is_passed_over(name)

    def _is_passed_over(self, name: str) -> bool:
        return name in self._passed_over and self._passed_over[name] == self.change_of(name)

    def change_of(self, name: str) -> int:
        """The last one of its view that it told; 0: none."""
        return 0 if (caller := self._callers.get(name)) is None else caller.change

    def take_early(self, name: str, key: str) -> tuple[dict[str, int], list[Asked]]:
        """What it holds of a deployment that is lent here from now on, and who waits there."""
        return self._callers[name].early.take(key)

    def lapsed(self, now: float) -> Iterator[str]:
        """Those whose lease is over: silent, or of another view for long. Who is not connected either is dropped."""
        for name, caller in list(self._callers.items()):
            is_silent = now - caller.heard_at >= LEASE_S
            if is_silent or not self.counts(now, name):
                if is_silent:
                    caller.forget(now)
                    caller.is_given_up = True
                if not caller.is_connected:
                    self.drop(name)
                yield name
