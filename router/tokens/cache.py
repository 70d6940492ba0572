"""Which tokens are known to be good, so that no signature is checked twice?

Pure. Only good tokens are kept, so that strangers can't fill it: a bad one costs its verification each time. A token is
known by its SHA-256. What is kept longest without being used goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, Protocol

from router.core.auth import Caller
from router.core.claims import Verified

MOST = 10_000
"""Tokens, of all endpoints together: some 6 MB."""


class Keys(Protocol):
    """Those that tokens are verified with."""

    @property
    def generation(self) -> int:
        """Another once one of them is gone."""


class Known(NamedTuple):
    """A token that was found good, and on which grounds: it is known for as long as they are the same."""

    caller: Caller
    verified: Verified
    grounds: object
    """What the endpoint asks of a token: this very object."""
    keys: Keys
    generation: int
    """Of the keys, when it was verified with one of them."""
    revocations: int
    """The generation of revocations among which it was looked for last."""


class KnownTokens:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, bytes], Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, endpoint: str, digest: bytes) -> Known | None:
        name = (endpoint, digest)
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
        return known

    def keep(self, endpoint: str, digest: bytes, known: Known) -> None:
        self._known[endpoint, digest] = known
        self._known.move_to_end((endpoint, digest))
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def drop(self, endpoint: str, digest: bytes) -> None:
        self._known.pop((endpoint, digest), None)
