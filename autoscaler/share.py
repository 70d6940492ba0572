"""What does a snapshot say of each deployment?

Pure. One pass over all of it: there may be thousands of deployments, and ten thousand replicas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from router.core.model import Hold, Replica, Snapshot, Trouble, TroubleKind

_GRAVEST: tuple[TroubleKind, ...] = ("conflict", "placement", "start")


class Share(NamedTuple):
    """One deployment's part of a snapshot."""

    replicas: tuple[Replica, ...] = ()
    """In the order in which the snapshot has them."""
    wished: int | None = None
    """None where the platform knows no number."""
    gravest: Trouble | None = None
    """Of its troubles; the first of several that are as grave."""
    hold: Hold | None = None
    """Its number as somebody set it by hand; it may be over."""


NO_SHARE = Share()


def shares(snapshot: Snapshot) -> Mapping[str, Share]:
    """By deployment key; who is not in it has `NO_SHARE`."""
    replicas: defaultdict[str, list[Replica]] = defaultdict(list)
    troubles: defaultdict[str, list[Trouble]] = defaultdict(list)
    for replica in snapshot.replicas:
        replicas[replica.deployment].append(replica)
    for trouble in snapshot.troubles:
        troubles[trouble.deployment].append(trouble)
    return {
        key: Share(
            tuple(replicas.get(key, ())),
            snapshot.wished.get(key),
            _gravest(troubles.get(key, ())),
            snapshot.holds.get(key),
        )
        for key in replicas.keys() | snapshot.wished.keys() | troubles.keys() | snapshot.holds.keys()
    }


def _gravest(troubles: Sequence[Trouble]) -> Trouble | None:
    return min(troubles, key=lambda trouble: _GRAVEST.index(trouble.kind), default=None)
