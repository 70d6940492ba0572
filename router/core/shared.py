"""What does an instance know of the deployments whose slots it shares?

Pure. Of each: how it borrows, what it lends where it is the owner, and what the platform says that there is to lend.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence

from router.core.borrowing import Borrower
from router.core.frames import ToOwner
from router.core.leases import Lender, Post
from router.core.model import Replica
from router.core.ownership import Owners, slots_within_reach


class Shared:
    """One deployment, here. It has no replicas before `update` says so."""

    __slots__ = ("_handicaps", "_queue_length", "_reach", "_replicas", "_said", "borrower", "lender", "owner", "slots")

    def __init__(self, borrower: Borrower) -> None:
        self.borrower = borrower
        self.lender: Lender | None = None
        """There where this instance owns it."""
        self.owner = ""
        self.slots = 0
        """On each replica; 0: no limit, and nothing to share."""
        self._replicas: list[Replica] = []
        self._queue_length = 0
        self._handicaps: dict[str, int] = {}
        self._reach: tuple[Sequence[str], Collection[str]] = ((), ())
        """All places and those that are missing, as `open` was told last."""
        self._said: deque[ToOwner] = deque()
        """By the own borrower to the own lender, and not heard yet."""

    def update(self, replicas: Iterable[Replica], slots: int, queue_length: int, now: float) -> bool:
        """What the platform says. Returns whether there is something to share from now on, or is no more."""
        before, self.slots = self.slots, slots
        self._replicas, self._queue_length = list(replicas), queue_length
        if (before > 0) != (slots > 0):
            return True
        if (lender := self.lender) is None:
            return False
        # neither a slot that the new limit forbids nor one of a replica that leaves may be lent on the way
        if slots < before:
            lender.configure(slots, queue_length, now)
            if lender.is_open:
                self.open(*self._reach, now)
            lender.update(self._replicas, now)
        else:
            lender.update(self._replicas, now)
            lender.configure(slots, queue_length, now)
        return False

    def lend(self, post: Post, now: float) -> Lender:
        """This instance owns it from now on."""
        lender = self.lender = Lender(self.borrower.key, self.slots, self._queue_length, post)
        lender.update(self._replicas, now)
        for uid, factor in self._handicaps.items():
            lender.dispatcher.handicap(uid, factor)
        return lender

    def handicap(self, uid: str, factor: int) -> None:
        """As the dispatcher's, for whoever lends: a replica that is new here is new everywhere."""
        self._handicaps[uid] = factor
        if factor == 1:
            del self._handicaps[uid]
        if self.lender is not None:
            self.lender.dispatcher.handicap(uid, factor)

    def say(self, name: str, message: ToOwner, now: float) -> None:
        """To the own lender. One word after the other: what it answers may bring the next one, and that the next, as
        many as there are requests that wait."""
        self._said.append(message)
        if len(self._said) > 1:
            return
        try:
            while self._said:
                if self.lender is not None:
                    self.lender.hear(name, self._said[0], now)
                self._said.popleft()
        finally:
            self._said.clear()

    def open(self, places: Sequence[str], missing: Collection[str], now: float) -> None:
        """Lend what is not in the missing places' hands. `places`: all that are listed, sorted."""
        self._reach = places, missing
        if self.lender is None:
            return
        if not missing:
            self.lender.open(None, now)
            return
        uids = (replica.uid for replica in self._replicas)
        self.lender.open({uid: slots_within_reach(uid, self.slots, places, missing) for uid in uids}, now)

    def drain(self, now: float) -> None:
        """Nothing is kept any more."""
        self.borrower.never_keeps = True
        self.borrower.keeps = False
        self.borrower.give_back_idle(now)

    def tick(self, now: float) -> None:
        if self.lender is not None:
            self.lender.tick(now)
        self.borrower.tick(now)


class Deployments(dict[str, Shared]):
    """All of them here, by key; and by who owns them, which nobody does before it was looked for."""

    def __init__(self) -> None:
        super().__init__()
        self._owners = Owners()
        self._owned: dict[str, dict[str, Shared]] = {}

    def change_owners(self, names: Iterable[str]) -> None:
        """These are the instances that may own them; at least one."""
        self._owners.change(names)

    def find_owner(self, shared: Shared, unless: str) -> None:
        """`unless`: it is this one anyhow; "" where it is not."""
        key = shared.borrower.key
        owner = unless or self._owners.of(key)
        if owner != shared.owner:
            self._owned.get(shared.owner, {}).pop(key, None)
            self._owned.setdefault(owner, {})[key] = shared
            shared.owner = owner

    def forget(self, shared: Shared) -> None:
        key = shared.borrower.key
        del self[key]
        self._owners.forget(key)
        self._owned.get(shared.owner, {}).pop(key, None)

    def open_all(self, places: Sequence[str], missing: Collection[str], now: float) -> None:
        for shared in self.values():
            shared.open(places, missing, now)

    def owned_by(self, name: str) -> list[Shared]:
        return list(self._owned.get(name, {}).values())

    def count(self) -> Counter[str]:
        """How many each instance owns."""
        return Counter({name: len(owned) for name, owned in self._owned.items() if owned})
