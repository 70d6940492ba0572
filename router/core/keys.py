"""Which keys does an endpoint have, and how do they change?

Pure. The keys themselves: what administrators see and stores keep; the router holds hashes only. A key is in no message
and in no repr().
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from router.core.auth import KEY_RULE, digest, is_key
from router.core.model import KeyHashes, NamedHash, RateLimit
from router.core.rules import is_name

MAX_NAMED = 1_000
"""Named keys of one endpoint."""
NAME_RULE = (
    "must be 3 to 32 letters, digits or hyphens, the first a letter, the last no hyphen, "
    "and none of primary, secondary, token, jwt and none"
)
_TAKEN = frozenset(("primary", "secondary", "token", "jwt", "none"))
"""They mean something else in metrics and log."""

Which = Literal["primary", "secondary"]


class BadKey(ValueError):
    """A key, or what is said of one, can't be; the message names the rule and never quotes a key."""


class NoSuchKey(LookupError):
    """There is no named key of that name."""


class NamedKey(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """One consumer's own. A field misspelt is refused: it could be the one that ends it."""

    key: str
    expires_at: datetime | None = None
    rate_limit: RateLimit | None = None

    def __repr__(self) -> str:
        return "NamedKey(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", "…")]


class Keys(Struct, frozen=True, rename="camel", omit_defaults=True):
    """All of them open the endpoint. Primary and secondary are two, so that one can be replaced while clients use the
    other."""

    primary_key: str
    secondary_key: str
    named_keys: dict[str, NamedKey] = {}

    def __repr__(self) -> str:
        return "Keys(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("primary_key", "…"), ("secondary_key", "…"), ("named_keys", "…")]

    @property
    def hashes(self) -> KeyHashes:
        named = (
            NamedHash(
                name=name,
                digest=digest(named.key.encode()),
                expires_at_s=None if named.expires_at is None else named.expires_at.timestamp(),
                rate_limit=named.rate_limit,
            )
            for name, named in sorted(self.named_keys.items())
        )
        return KeyHashes(digest(self.primary_key.encode()), digest(self.secondary_key.encode()), tuple(named))

    @property
    def version(self) -> str:
        """Another after each change; tells nothing of the keys."""
        text = repr((self.hashes,)).encode()
        return hashlib.sha256(text).hexdigest()[:16]


def checked(keys: Keys) -> Keys:
    """These very keys. Raises BadKey for the first that breaks a rule."""
    _check_key("primary key", keys.primary_key)
    _check_key("secondary key", keys.secondary_key)
    if len(keys.named_keys) > MAX_NAMED:
        raise BadKey(f"there are {len(keys.named_keys)} named keys, but there must be at most {MAX_NAMED}")
    for name, named in keys.named_keys.items():
        if not is_name(name) or name in _TAKEN:
            raise BadKey(f"a key is named {name[:40]!r}, but a name {NAME_RULE}")
        _check_key(f"key {name}", named.key)
        _check_settings(name, named)
    return keys


def regenerated(keys: Keys, which: str, key: str) -> Keys:
    """With this key in the place of the primary, the secondary or the named one. Raises BadKey, NoSuchKey."""
    _check_is_own(keys, which, key)
    if which == "primary":
        return checked(replace(keys, primary_key=key))
    if which == "secondary":
        return checked(replace(keys, secondary_key=key))
    return checked(with_named(keys, which, replace(_named(keys, which), key=key)))


def with_named(keys: Keys, name: str, named: NamedKey) -> Keys:
    """With this one, in the place of one of that name if there is one. Raises BadKey."""
    present = keys.named_keys.get(name)
    if present is None or present.key != named.key:
        _check_is_own(keys, name, named.key)
    return checked(replace(keys, named_keys={**keys.named_keys, name: named}))


def without_named(keys: Keys, name: str) -> Keys:
    """Raises NoSuchKey."""
    _named(keys, name)
    return replace(keys, named_keys={other: named for other, named in keys.named_keys.items() if other != name})


def _named(keys: Keys, name: str) -> NamedKey:
    try:
        return keys.named_keys[name]
    except KeyError:
        known = ", ".join(["primary", "secondary", *sorted(keys.named_keys)][:20])
        raise NoSuchKey(f"there is no key {name[:40]!r}: known are {known}") from None


def _check_is_own(keys: Keys, which: str, key: str) -> None:
    """A consumer's key is nobody else's: it could not be cut off alone, nor would its limit hold."""
    pair = {"primary": keys.primary_key, "secondary": keys.secondary_key}
    others = {name: named.key for name, named in keys.named_keys.items() if name != which}
    if which not in pair:
        others |= pair
    for other, its_key in others.items():
        if its_key == key:
            raise BadKey(f"the key given for {which[:40]!r} is that of {other} already, but it must be another")


def _check_key(what: str, key: str) -> None:
    if not is_key(key):
        raise BadKey(f"the {what} has {len(key)} characters, but it must be {KEY_RULE}")


def _check_settings(name: str, named: NamedKey) -> None:
    if named.expires_at is not None and named.expires_at.tzinfo is None:
        raise BadKey(f"expiresAt of key {name} has no time zone, but it must have one, as in 2027-01-31T00:00:00Z")
    limit = named.rate_limit
    if limit is not None and not 0 < limit.requests_per_second <= 1e6:
        raise BadKey(
            f"requestsPerSecond of key {name} is {limit.requests_per_second}, but it must be above 0 and at most 1e6"
        )
    if limit is not None and limit.burst is not None and not 1 <= limit.burst <= 1_000_000:
        raise BadKey(f"burst of key {name} is {limit.burst}, but it must be 1 to 1,000,000")
