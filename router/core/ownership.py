"""Which instance owns a deployment, and which slots are an instance's own when it can't reach the others?

Pure. Rendezvous hashing (Thaler and Ravishankar, 1998): each instance draws a number for the deployment, and the
highest owns it. Whoever knows the same instances names the same owner; one that comes takes over only what it owns from
then on, one that goes leaves the rest where it was.

Where instances can't reach each other, each slot of each replica belongs to one place among all that the platform
lists, so that two sides of a partition, which ask nobody, never use the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from zlib import crc32


def owner_of(deployment: str, instances: Iterable[str]) -> str:
    """Of these instances, by name; at least one."""
    return max(instances, key=lambda name: (_drawn(deployment, name), name))


class Owners:
    """Of each deployment that was asked for, among instances that come and go. What was found stays until one comes
    that drew more, or the one that was found goes: with a hundred instances and a thousand deployments, to look at all
    anew takes a tenth of a second."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._found: dict[str, str] = {}

    def change(self, names: Iterable[str]) -> None:
        """These are the instances from now on; at least one."""
        before, self._names = self._names, set(names)
        came, gone = self._names - before, before - self._names
        for key, found in list(self._found.items()):
            if found in gone:
                del self._found[key]
            elif came:
                self._found[key] = owner_of(key, (found, *came))

    def of(self, deployment: str) -> str:
        """By name."""
        if (found := self._found.get(deployment)) is None:
            found = self._found[deployment] = owner_of(deployment, self._names)
        return found

    def forget(self, deployment: str) -> None:
        self._found.pop(deployment, None)


def digest_of(members: Iterable[str]) -> bytes:
    """The same for whoever knows the same members, in whatever order; 16 bytes."""
    return blake2b("\n".join(sorted(members)).encode(), digest_size=16).digest()


def slots_within_reach(uid: str, slots: int, places: Sequence[str], missing: Collection[str]) -> int:
    """How many of a replica's slots belong to none of the missing places. `places`: all that there are, sorted."""
    first = crc32(uid.encode())
    return sum(places[(first + slot) % len(places)] not in missing for slot in range(slots))


def _drawn(deployment: str, name: str) -> bytes:
    return blake2b(f"{name}\n{deployment}".encode(), digest_size=8).digest()
