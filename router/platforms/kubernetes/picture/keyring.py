"""Which keys open an endpoint, by the Secrets that are there?

Pure. Only hashes are kept. A Secret that says nothing usable leaves the last hashes in force; one that is gone opens
nothing from that moment on.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from router.core.model import Endpoint, KeyHashes
from router.platforms.kubernetes.keys_secret import BadKeys, KeysSecret

KeysState = Literal["unused", "ready", "missing", "bad"]


class Held(Struct, frozen=True, kw_only=True):
    """What is known of one endpoint's keys."""

    state: KeysState
    hashes: KeyHashes | None = None
    problem: str = ""
    """What is wrong with the Secret; never what it holds."""


_UNUSED = Held(state="unused")
_MISSING = Held(state="missing")


def secret_of(endpoint: Endpoint) -> str:
    """The name of the Secret with its keys; "" where it wants none."""
    if not endpoint.accepts("key"):
        return ""
    return endpoint.keys_secret or f"{endpoint.name.lower()}-keys"


class Keyring:
    """By namespace/name of the Secret."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def put(self, key: str, secret: KeysSecret | None) -> None:
        if secret is None:
            self._held.pop(key, None)
            return
        try:
            self._held[key] = Held(state="ready", hashes=secret.hashes())
        except BadKeys as error:
            before = self._held.get(key, _MISSING)
            self._held[key] = Held(state="bad", hashes=before.hashes, problem=str(error))

    def held(self, namespace: str, endpoint: Endpoint) -> Held:
        if not endpoint.accepts("key"):
            return _UNUSED
        return self._held.get(f"{namespace}/{secret_of(endpoint)}", _MISSING)
