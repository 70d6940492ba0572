"""What does a Secret of keys hold, and what is written into it?

Pure. `primaryKey`, `secondaryKey`, and `named.<name>` for each named key, which is JSON: {"key": ...} with `expiresAt`
and `rateLimit` where it has them. Entries of other names are somebody else's: neither read nor written.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from router.core.auth import KEY_RULE, is_key
from router.core.keys import BadKey, Keys, NamedKey, checked
from router.core.model import KeyHashes, RateLimit
from router.platforms.kubernetes.objects import Metadata

KEYS_TYPE = "scoregate.io/keys"
"""`type` of the Secrets that hold an endpoint's keys."""
PRIMARY, SECONDARY, NAMED = "primaryKey", "secondaryKey", "named."
_NOTHING = Raw(b"null")


class BadKeys(ValueError):
    """A Secret does not hold an endpoint's keys; the message says which entry is wrong, and never quotes it."""


class _Limit(RateLimit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit that is misspelled would be none."""


class _Named(NamedKey, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As strict: an `expiresAt` that is misspelled would be a key for ever."""

    rate_limit: _Limit | None = None


class KeysSecret(Struct, frozen=True, kw_only=True, gc=False):
    """To be let go as soon as its hashes are taken: it holds the keys themselves."""

    metadata: Metadata
    type: str = ""
    data: Raw = _NOTHING
    """Not even decoded before it is asked for."""

    def __repr__(self) -> str:
        return f"KeysSecret({self.metadata.key})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", self.metadata.key)]

    def hashes(self) -> KeyHashes:
        """Raises BadKeys."""
        return self.keys().hashes

    def keys(self) -> Keys:
        """Raises BadKeys."""
        entries = msgspec.json.decode(self.data, type=dict[str, Raw] | None) or {}
        named = {
            entry.removeprefix(NAMED): self._named(entry, content)
            for entry, content in entries.items()
            if entry.startswith(NAMED)
        }
        try:
            return checked(Keys(self._key(PRIMARY, entries), self._key(SECONDARY, entries), named))
        except BadKey as error:
            self._complain(f"can't be used: {error}")

    def _key(self, entry: str, entries: dict[str, Raw]) -> str:
        if entry not in entries:
            self._complain(f"has no {entry}")
        content = self._decoded(entry, entries[entry])
        key = content.decode("latin-1")
        if not is_key(key):
            self._complain(f"has a {entry} of {len(content)} bytes, but it must be {KEY_RULE}, before base64")
        return key

    def _named(self, entry: str, content: Raw) -> NamedKey:
        text = self._decoded(entry, content)
        try:
            msgspec.json.decode(text, type=_Named)
            return msgspec.json.decode(text, type=NamedKey)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose words may quote what is a field's name by mistake
            rule = 'must be JSON as {"key": ...}, with expiresAt and rateLimit where they are wanted, before base64'
            self._complain(f"has a {entry} of {len(text)} bytes that can't be read, but it {rule}")

    def _decoded(self, entry: str, content: Raw) -> bytes:
        try:
            return base64.b64decode(msgspec.json.decode(content, type=str), validate=True)
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            self._complain(f"has a {entry} that is no base64")

    def _complain(self, what: str) -> NoReturn:
        raise BadKeys(f"Secret {self.metadata.name} in namespace {self.metadata.namespace} {what}") from None


def changed_data(before: Keys, after: Keys) -> dict[str, str | None]:
    """What a merge patch says of `data`: only what is different; None for an entry that goes."""
    present, wanted = dict(_entries(before)), dict(_entries(after))
    gone = dict.fromkeys(present.keys() - wanted.keys())
    news = {
        entry: base64.b64encode(content).decode() for entry, content in wanted.items() if present.get(entry) != content
    }
    return {**gone, **news}


def _entries(keys: Keys) -> Iterator[tuple[str, bytes]]:
    yield PRIMARY, keys.primary_key.encode()
    yield SECONDARY, keys.secondary_key.encode()
    for name, named in keys.named_keys.items():
        yield f"{NAMED}{name}", msgspec.json.encode(named)
