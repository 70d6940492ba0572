"""Which key signs a token now, which ones verify, and when is the next made?

Pure. Time is an argument: seconds since the epoch, by the clock of whoever asks. All instances share one set of keys;
each may see a change of it late, by a clock that is a little off.

Theory of operation. Keys follow each other. A key is made before it signs, and is published at once: who verifies
knows it before it meets a token of it. It signs until the next one's turn comes, and verifies until the last token
that it can have signed is over. Each key says itself how long its tokens may live: a setting that is shortened cuts
none off, and one that is lengthened counts once the vault says so. The very first key signs at once, because there is
nothing to wait for.

Invariants, where clocks differ by less than CLOCK_SKEW_S, and changes are seen within PUBLISH_AHEAD_S - CLOCK_SKEW_S:
1. A token verifies at every instance until its end, however keys follow each other; at one that has not seen the very
   first key yet, once it has looked.
2. A key that is over is in no set that is made from then on.
3. The turn of a key comes after that of the one before it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

ISSUER = "scoregate"
"""Whose tokens are our own: their `iss`."""
CLOCK_SKEW_S = 5
"""By so much the clocks of two instances may differ."""
PUBLISH_AHEAD_S = 120
"""So long a key is known before it signs."""
ROTATION_S = 30 * 86_400
"""For so long a key signs."""
RETENTION_S = 300
"""So much longer than its tokens a key is kept: clocks differ, and an instance may have seen the next one late."""
MOST_KEYS = 50

_AT_ONCE, _NEVER = float("-inf"), float("inf")


class BadKeySet(ValueError):
    """It can't be a set of signing keys; the message names the rule, and quotes nothing of a key."""


class NoRotation(Exception):
    """There can't be another key now; the message says why, and until when."""


class PrivateJwk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An elliptic curve's private key (RFC 7518 section 6.2.2)."""

    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    x: str
    y: str
    d: str

    def __repr__(self) -> str:
        return "PrivateJwk(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("d", "…")]

    @property
    def public(self) -> dict[str, str]:
        return {"kty": self.kty, "crv": self.crv, "x": self.x, "y": self.y}

    @property
    def thumbprint(self) -> str:
        """RFC 7638: it names the key, and nobody can choose it."""
        canonical = json.dumps(self.public, sort_keys=True, separators=(",", ":"))
        return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


_FIELDS = {
    "created_at_s": "createdAt",
    "signs_from_s": "signsFrom",
    "token_life_s": "tokenLife",
    "private": "privateJwk",
}


class SigningKey(Struct, frozen=True, kw_only=True, rename=_FIELDS, forbid_unknown_fields=True):
    kid: str
    """The key's thumbprint."""
    created_at_s: float
    signs_from_s: float
    token_life_s: Annotated[float, Meta(ge=0)]
    """No token that it signs lives longer; only grows."""
    private: PrivateJwk

    def public_jwk(self) -> dict[str, str]:
        return {**self.private.public, "kid": self.kid, "use": "sig", "alg": "ES256"}


class KeySet(Struct, frozen=True, forbid_unknown_fields=True):
    """In the order in which they sign; never empty."""

    keys: tuple[SigningKey, ...]

    def signing(self, now_s: float) -> SigningKey:
        """The latest whose turn has come; the first for one whose clock is behind that of who made it."""
        due = [key for key in self.keys if key.signs_from_s <= now_s]
        return due[-1] if due else self.keys[0]

    def signs_until_s(self, key: SigningKey) -> float | None:
        """None while no next one is made."""
        after = [each.signs_from_s for each in self.keys if each.signs_from_s > key.signs_from_s]
        return after[0] if after else None

    def over_at_s(self, key: SigningKey) -> float:
        """From then on no token of it can be good; never while no next one is made."""
        until_s = self.signs_until_s(key)
        return _NEVER if until_s is None else until_s + key.token_life_s + RETENTION_S

    def verifying(self, now_s: float) -> tuple[SigningKey, ...]:
        """Those that sign, did, or soon will, and are not over."""
        return tuple(key for key in self.keys if now_s < self.over_at_s(key))


Make = Callable[[], PrivateJwk]
"""A new key, that nobody has seen."""


def first(now_s: float, token_life_s: float, make: Make) -> KeySet:
    return KeySet((_key(make(), now_s, now_s, token_life_s),))


def rotated(keys: KeySet, now_s: float, token_life_s: float, make: Make) -> KeySet:
    """With a next key, whose turn comes in PUBLISH_AHEAD_S. Raises NoRotation."""
    kept, newest = keys.verifying(now_s), keys.keys[-1]
    if newest.signs_from_s > now_s:
        wait_s = newest.signs_from_s - now_s
        raise NoRotation(f"the next signing key is made already: it signs in {wait_s:,.0f} s")
    if len(kept) >= MOST_KEYS:
        raise NoRotation(
            f"there are {len(kept)} signing keys with tokens that are not over, and {MOST_KEYS} are the most"
        )
    return KeySet((*kept, _key(make(), now_s, now_s + PUBLISH_AHEAD_S, token_life_s)))


def maintained(keys: KeySet, now_s: float, token_life_s: float, make: Make) -> KeySet:
    """What the set should be by now; the very same where nothing is due. `token_life_s`: of the endpoint whose tokens
    live longest."""
    if now_s < due_at_s(keys, now_s, token_life_s):
        return keys
    kept = KeySet(tuple(_raised(keys, key, now_s, token_life_s) for key in keys.verifying(now_s)))
    return rotated(kept, now_s, token_life_s, make) if now_s >= _next_at_s(kept, now_s) else kept


def due_at_s(keys: KeySet, now_s: float, token_life_s: float) -> float:
    """When the set has to change; in the past where it should have."""
    if any(_raised(keys, key, now_s, token_life_s) is not key for key in keys.keys):
        return _AT_ONCE
    return min(_next_at_s(keys, now_s), *map(keys.over_at_s, keys.keys))


def encoded(keys: KeySet) -> bytes:
    return msgspec.json.encode(keys)


def decoded(content: bytes) -> KeySet:
    """Raises BadKeySet. Whether the numbers are a key's is for who can do the arithmetic (router.tokens.key_pair)."""
    try:
        keys = msgspec.json.decode(content, type=KeySet)
    except UnicodeDecodeError:
        raise BadKeySet("it is no UTF-8") from None
    except msgspec.DecodeError as error:
        raise BadKeySet(str(error)) from None
    if not 0 < len(keys.keys) <= MOST_KEYS:
        raise BadKeySet(f"it holds {len(keys.keys)} keys, but it must be 1 to {MOST_KEYS}")
    for key in keys.keys:
        if key.kid != key.private.thumbprint:
            raise BadKeySet("a kid is not the thumbprint of its key (RFC 7638)")
    if any(later.signs_from_s <= earlier.signs_from_s for earlier, later in pairwise(keys.keys)):
        raise BadKeySet("its keys are not in the order in which they sign")
    return keys


def _key(private: PrivateJwk, created_at_s: float, signs_from_s: float, token_life_s: float) -> SigningKey:
    return SigningKey(
        kid=private.thumbprint,
        created_at_s=created_at_s,
        signs_from_s=signs_from_s,
        token_life_s=token_life_s,
        private=private,
    )


def _raised(keys: KeySet, key: SigningKey, now_s: float, token_life_s: float) -> SigningKey:
    """A key that signs, or will, is for tokens that live so long."""
    signs_no_more = key.signs_from_s < keys.signing(now_s).signs_from_s
    return key if signs_no_more or key.token_life_s >= token_life_s else replace(key, token_life_s=token_life_s)


def _next_at_s(keys: KeySet, now_s: float) -> float:
    """When the next key has to be made."""
    if len(keys.verifying(now_s)) >= MOST_KEYS:
        return _NEVER
    return keys.keys[-1].signs_from_s + ROTATION_S - PUBLISH_AHEAD_S
