"""Which objects does the API server have, as far as it has said?

Pure. Theory of operation: a list in pages, at one resourceVersion, tells what is there; a watch from that version tells
what changes; when the watch can't go on (its version is too old, or what it said made no sense), a new list is held
against what is known, and only the differences are told. Objects themselves are not kept, just their identities.

Between two requests a reflector either lists (a first page, or the page after `token`) or watches (from `version`).
`put`, `drop` and `page_ends` give the changes to tell: (key, object), or (key, None) for one that is gone.

Invariants:
1. What was told, put together, is at the end of every list what that list holds, and after every event what the server
   had at that event's version.
2. Nothing is told twice: no object with the uid and resourceVersion that it had, and no None for what is not known.
3. An object with another uid than the known one of its name is told only after a None.
4. What is known is forgotten only by a complete list, a DELETED event, or `forget`: never by a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

PAGE = 500
"""Objects in one page of a list."""


_SAY_NOTHING_OF_THE_VERSION = frozenset((401, 403, 408, 429))


class Identity(NamedTuple):
    """One state of one object. Two of one key and uid differ in the version, which is opaque: never ordered."""

    key: str
    """`namespace/name`."""
    uid: str
    version: str
    """The resourceVersion."""


Change = tuple[str, T | None]


class Reflector(Generic[T]):
    def __init__(self) -> None:
        self.synced = False
        """A list was complete once."""
        self.version = ""
        """Of the watch to open; "" while a list is due."""
        self._token = ""
        self._known: dict[str, Identity] = {}
        self._unseen: set[str] = set()
        """What is known and did not come yet in the list that is under way."""

    def __len__(self) -> int:
        return len(self._known)

    @property
    def lists(self) -> bool:
        return not self.version

    def list_query(self) -> dict[str, str]:
        """Of the next page. A list that begins forgets how far another came, and nothing else."""
        if not self._token:
            self._unseen = set(self._known)
            return {"limit": str(PAGE)}
        return {"limit": str(PAGE), "continue": self._token}

    def watch_query(self) -> dict[str, str]:
        return {"resourceVersion": self.version, "allowWatchBookmarks": "true"}

    def put(self, identity: Identity, noun: T | None) -> Iterator[Change[T]]:
        """It is there, says a list or an event. Without a noun it can't be read: what is known of that very object
        stays as it was."""
        self._unseen.discard(identity.key)
        known = self._known.get(identity.key)
        if known is not None and known.uid != identity.uid:
            yield from self.drop(identity.key)
        if noun is not None and known != identity:
            self._known[identity.key] = identity
            yield identity.key, noun

    def drop(self, key: str) -> Iterator[Change[T]]:
        """It is gone, says an event."""
        if self._known.pop(key, None) is not None:
            yield key, None

    def reached(self, version: str) -> None:
        """So far the watch has come: with an event, once its change is told, or with a bookmark."""
        self.version = version

    def page_ends(self, version: str, token: str) -> Iterator[Change[T]]:
        """After the objects of a page. A token: there is another page; none: the list is complete."""
        self._token = token
        if token:
            return
        for key in self._unseen:
            yield from self.drop(key)
        self.version = version
        self.synced = True

    def list_anew(self) -> None:
        """The watch can't go on, or the rest of the list can't be had any more."""
        self.version = self._token = ""

    def refused(self, status: int) -> None:
        """With this HTTP status; 0 where nothing was answered. What can be asked again as it was, is."""
        if 400 <= status < 500 and status not in _SAY_NOTHING_OF_THE_VERSION:
            self.list_anew()

    def forget(self) -> Iterator[Change[T]]:
        """There is no such collection."""
        for key in list(self._known):
            yield from self.drop(key)
        self.list_anew()
        self.synced = True
