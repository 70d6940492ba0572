"""What does another instance have and want of deployments that are not lent here, or not yet?

Pure. An owner may hear of a deployment later than others do, or serve it no more for a while: what another one says of
it meanwhile is summed up here until it is lent. Nothing is kept of what is over: there is never more here than permits
that are out and requests that wait, however long that takes and however many deployments come and go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from router.core.frames import Ask, Cancel, GiveBack, Refuse, ToOwner

MAX_ASKS = 10_000
"""So many requests may wait so for one deployment; those beyond are refused."""


class Asked(NamedTuple):
    """A request that waits at another instance: the number of its ask, when it came, what it must not get again."""

    number: int
    came_at: float
    avoid: frozenset[str]


class Early:
    """Of one instance, by deployment key."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, int]] = {}
        """Permits by uid."""
        self._asks: dict[str, dict[int, Asked]] = {}

    def keep(self, key: str, held: Mapping[str, int], asks: Iterable[Asked]) -> None:
        """This is what it has and wants of that one now."""
        self._held.pop(key, None)
        self._asks.pop(key, None)
        if held:
            self._held[key] = dict(held)
        if by_number := {asked.number: asked for asked in asks}:
            self._asks[key] = by_number

    def hear(self, message: ToOwner, now: float) -> Refuse | None:
        """The answer, where there must be one at once. That a replica fails is not kept: who gets it will say so."""
        key = message.deployment
        if isinstance(message, Ask):
            asks = self._asks.setdefault(key, {})
            if len(asks) >= MAX_ASKS:
                return Refuse(0, key, message.number)
            asks[message.number] = Asked(message.number, now - message.age_s, frozenset(message.avoid))
        elif isinstance(message, Cancel) and key in self._asks:
            self._asks[key].pop(message.number, None)
            self._tidy(self._asks, key)
        elif isinstance(message, GiveBack) and key in self._held:
            left = self._held[key].pop(message.uid, 0) - message.count
            if left > 0:
                self._held[key][message.uid] = left
            self._tidy(self._held, key)
        return None

    def take(self, key: str) -> tuple[dict[str, int], list[Asked]]:
        """It is lent from now on: what the instance holds of it, and who waits there for more."""
        return self._held.pop(key, {}), list(self._asks.pop(key, {}).values())

    @staticmethod
    def _tidy(of: dict[str, dict[str, int]] | dict[str, dict[int, Asked]], key: str) -> None:
        if not of[key]:
            del of[key]
