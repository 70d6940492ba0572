"""What does an instance know of one deployment whose slots it shares?

Pure. How it borrows, what it lends where it is the owner, and what the platform says that there is to lend.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from router.core.borrowing import Borrower
from router.core.leases import Lender, Post
from router.core.model import Replica
from router.core.ownership import slots_within_reach


class Shared:
    """One deployment, here. It has no replicas before `update` says so."""

    __slots__ = ("_queue_length", "_replicas", "borrower", "lender", "owner", "slots")

    def __init__(self, borrower: Borrower) -> None:
        self.borrower = borrower
        self.lender: Lender | None = None
        """There where this instance owns it."""
        self.owner = ""
        self.slots = 0
        """On each replica; 0: no limit, and nothing to share."""
        self._replicas: list[Replica] = []
        self._queue_length = 0

    def update(self, replicas: Iterable[Replica], slots: int, queue_length: int, now: float) -> bool:
        """What the platform says. Returns whether there is something to share from now on, or is no more."""
        was_shared, self.slots = self.slots > 0, slots
        self._replicas, self._queue_length = list(replicas), queue_length
        if was_shared != (slots > 0):
            return True
        if self.lender is not None:
            self.lender.configure(slots, queue_length, now)
            self.lender.update(self._replicas, now)
        return False

    def lend(self, post: Post, now: float) -> Lender:
        """This instance owns it from now on."""
        lender = self.lender = Lender(self.borrower.key, self.slots, self._queue_length, post)
        lender.update(self._replicas, now)
        return lender

    def open(self, places: Sequence[str], missing: Collection[str], now: float) -> None:
        """Lend what is not in the missing places' hands. `places`: all that are listed, sorted."""
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
