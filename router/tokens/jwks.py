"""Which keys does a JSON Web Key Set offer to check signatures with?

Pure. RFC 7517, 7518, 8037. A key that can't be used is passed over, as RFC 7517 section 5 wants it; a set without any
that can is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from router.core.model import Algorithm
from router.tokens.signature import PublicKey, Unverified, fits, json_object

MAX_KEYS = 100
MAX_TRIED = 4
"""A token is checked with so many keys at most: each costs public-key arithmetic."""
MAX_EXPONENT_BITS = 64
"""Of an RSA key; usual is 65537. A long one makes each check cost a hundred times as much."""

_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}


class VerifyingKey(NamedTuple):
    key_id: str | None
    key: PublicKey
    algorithms: frozenset[str]
    """Those that it is strong enough for, and meant for."""


class NoKeys(ValueError):
    """The set can't be used; the message says why, and quotes nothing of it."""


def read(content: bytes) -> tuple[VerifyingKey, ...]:
    """At least one. Raises NoKeys."""
    try:
        listed = json_object(content).get("keys")
    except ValueError as error:
        raise NoKeys(f"the key set is not JSON as it must be: {error}") from None
    if not isinstance(listed, list):
        raise NoKeys("the key set has no list `keys`")
    if len(listed) > MAX_KEYS:
        raise NoKeys(f"the key set has {len(listed):,} keys, more than {MAX_KEYS}")
    keys = tuple(key for key in map(_key, listed) if key is not None)
    if not keys:
        raise NoKeys(f"the key set has {len(listed)} keys, and none to check a signature with")
    return keys


def candidates(keys: Iterable[VerifyingKey], token: Unverified) -> list[PublicKey]:
    """Those that the token may be signed with. None of many: a token that names no key, where MAX_TRIED is passed."""
    found = [each.key for each in keys if token.algorithm in each.algorithms and token.key_id in (None, each.key_id)]
    return found if len(found) <= MAX_TRIED else []


def _key(jwk: Any) -> VerifyingKey | None:
    """None for one that is not for signatures, is weak or of another kind, or private, so that everybody can sign."""
    if not isinstance(jwk, dict) or not _is_for_signatures(jwk):
        return None
    reader, key_id = _READERS.get(str(jwk.get("kty"))), jwk.get("kid")
    if reader is None or not isinstance(key_id, str | None):
        return None
    try:
        key: Any = reader(jwk)
        algorithms = frozenset(each for each in get_args(Algorithm) if fits(key, each))  # a private key fits none
    except (PyJWTError, UnsupportedAlgorithm, TypeError, ValueError):
        return None
    if isinstance(key, RSAPublicKey) and key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
        return None
    if "alg" in jwk:
        algorithms &= {str(jwk["alg"])}
    return VerifyingKey(key_id, key, algorithms) if algorithms else None


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
