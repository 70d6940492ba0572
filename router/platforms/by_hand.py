"""What did an administrator set by hand on this machine, and does it still stand?

I/O: one file in the state directory, `by-hand.json`, shared by all processes that use it; they change it one at a time.

It is one file, so that two changes have an order, whatever they concern, and one look tells of all. Traffic stands
until the endpoints file says other weights than when it was set, a hold until its time is over, a drain while its
replica is there. What stands no longer is taken away by whoever knows (`tidy`): it counts for nothing before, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from router.core.model import Endpoint, Hold, Replica
from router.platforms import PlatformError
from router.platforms.asked import check_present
from router.platforms.private_files import LOCKED_WITHIN_S, Version, locked, version, write_whole

log = logging.getLogger("scoregate.platform")


class TrafficWish(Struct, frozen=True, rename="camel"):
    """Percent by deployment name, each of the endpoint's deployments named."""

    traffic: dict[str, int]
    made_under: dict[str, int]
    """What the endpoints file said when it was made; it stands while the file still does."""

    def __post_init__(self) -> None:
        if self.traffic.keys() != self.made_under.keys():
            raise ValueError("traffic and madeUnder must name the same deployments")
        if min(self.traffic.values(), default=0) < 0 or sum(self.traffic.values()) not in (0, 100):
            raise ValueError("traffic must sum to 100, or to 0")


class ByHand(Struct, frozen=True, rename="camel", omit_defaults=True):
    """All that is set."""

    traffic: dict[str, TrafficWish] = {}
    """By endpoint."""
    holds: dict[str, Hold] = {}
    """By deployment key."""
    drained: tuple[str, ...] = ()
    """uids of replicas."""


NOTHING = ByHand()


class ByHandFile:
    """`present` is what `look` found last."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "by-hand.json"
        self.present = NOTHING
        self._lock = state_dir / "by-hand.lock"
        self._version: Version | None = None
        self._complaint = ""

    def look(self) -> bool:
        """Whether anything changed since the last look. A file that can't be read is told, and what was set stays."""
        seen = self._state()
        if seen == self._version:
            return False
        self._version = seen
        try:
            before, self.present = self.present, self._read()
        except PlatformError as error:
            log.error("%s; what was set before stays", error)
            return False
        return self.present != before

    def change(self, change: Callable[[ByHand], ByHand], within_s: float = LOCKED_WITHIN_S) -> None:
        """What `change` makes of it; nobody else changes it meanwhile. Raises what it raises, and PlatformError."""
        with locked(self._lock, within_s):
            before = self._read()
            after = change(before)
            if after != before:
                write_whole(self.path, msgspec.json.encode(after) + b"\n", lasting=True)

    def tidy(self, stands: Callable[[ByHand], ByHand]) -> None:
        """Take away what does not stand any more, unless somebody else changes it right now: nobody is waited for. A
        failure is told once; the next call tries again."""
        left = stands(self.present)
        if left == self.present:
            return
        try:
            self.change(stands, within_s=0.0)
            self._complaint = ""
            for endpoint in self.present.traffic.keys() - left.traffic.keys():
                log.warning("the traffic set for %s by hand ends: the endpoints file says other weights", endpoint)
        except PlatformError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("what no longer stands can't be taken away: %s", error)

    def _state(self) -> Version | None:
        try:
            return version(self.path)
        except OSError:
            return None

    def _read(self) -> ByHand:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=ByHand)
        except FileNotFoundError:
            return NOTHING
        except OSError as error:
            raise PlatformError(f"{self.path} can't be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PlatformError(
                f"{self.path} can't be read: {error}. Remove it, and nothing is set by hand any more"
            ) from error


# -- what it means --------------------------------------------------------------------------------------------------


def with_weights(endpoint: Endpoint, hand: ByHand) -> Endpoint:
    """`endpoint` as declared, with the traffic that was set instead, if that stands."""
    wish = hand.traffic.get(endpoint.name)
    if wish is None or wish.made_under != dict(endpoint.weights):
        return endpoint
    return replace(endpoint, weights=tuple((name, wish.traffic[name]) for name, _ in endpoint.weights))


def with_drain(replica: Replica, hand: ByHand) -> Replica:
    if hand.drained and not replica.leaving and replica.uid in hand.drained:
        return replace(replica, leaving=True)
    return replica


def standing(hand: ByHand, endpoints: Iterable[Endpoint], is_gone: Callable[[str], bool], now_s: float) -> ByHand:
    """What still stands. `endpoints` as declared; `is_gone`: of a drained replica, by its uid; `now_s`: since the
    epoch."""
    weights = {endpoint.name: dict(endpoint.weights) for endpoint in endpoints}
    return ByHand(
        traffic={
            name: wish for name, wish in hand.traffic.items() if weights.get(name, wish.made_under) == wish.made_under
        },
        holds={key: hold for key, hold in hand.holds.items() if hold.until_s > now_s},
        drained=tuple(name for name in hand.drained if not is_gone(name)),
    )


# -- changes --------------------------------------------------------------------------------------------------------


def set_traffic(
    hand: ByHand, endpoint: Endpoint, traffic: dict[str, int], expected: Mapping[str, int] | None
) -> ByHand:
    """`endpoint` as it was published last, which what is set already may be ahead of. Raises Conflict."""
    published = dict(endpoint.weights)
    wish = hand.traffic.get(endpoint.name)
    if wish is None or wish.made_under.keys() != published.keys():
        wish = TrafficWish(published, published)
    check_present(endpoint.name, wish.traffic, expected)
    others = {name: each for name, each in hand.traffic.items() if name != endpoint.name}
    if traffic == wish.made_under:
        return replace(hand, traffic=others)  # as the file says: nothing by hand is left to end one day
    return replace(hand, traffic={**others, endpoint.name: TrafficWish(traffic, wish.made_under)})


def set_hold(hand: ByHand, key: str, hold: Hold | None) -> ByHand:
    others = {other: each for other, each in hand.holds.items() if other != key}
    return replace(hand, holds=others if hold is None else {**others, key: hold})


def set_drained(hand: ByHand, replica: str, drained: bool) -> ByHand:
    others = tuple(each for each in hand.drained if each != replica)
    return replace(hand, drained=(*others, replica) if drained else others)
