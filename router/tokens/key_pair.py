"""How is a key pair of this router's own made, and is what the vault holds one?

I/O: none but the system's chance, for a new one. P-256, for ES256 (RFC 7518 section 3.4).
"""

from __future__ import annotations

import base64
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)

from router.core import signing
from router.core.signing import BadKeySet, KeySet, PrivateJwk, SigningKey

_COORDINATE_BYTES = 32


class KeyPair(NamedTuple):
    key: SigningKey
    private: EllipticCurvePrivateKey
    public: EllipticCurvePublicKey

    def __repr__(self) -> str:
        return f"KeyPair({self.key.kid})"


class KeyRing(NamedTuple):
    """A set of keys, ready for use."""

    keys: KeySet
    pairs: dict[str, KeyPair]
    """By kid."""


def made() -> PrivateJwk:
    return _jwk(generate_private_key(SECP256R1()))


def opened(content: bytes) -> KeyRing:
    """What an entry of the vault holds. Raises BadKeySet."""
    return ring_of(signing.decoded(content))


def encoded(ring: KeyRing) -> bytes:
    return signing.encoded(ring.keys)


def ring_of(keys: KeySet) -> KeyRing:
    """Raises BadKeySet."""
    return KeyRing(keys, {key.kid: _pair(key) for key in keys.keys})


def _pair(key: SigningKey) -> KeyPair:
    try:
        private = derive_private_key(_number(key.private.d), SECP256R1())
    except ValueError:
        raise BadKeySet(f"the private number of key {key.kid} is none of P-256") from None
    if _jwk(private) != key.private:
        raise BadKeySet(f"the private number of key {key.kid} is another key's than its public ones")
    return KeyPair(key, private, private.public_key())


def _jwk(private: EllipticCurvePrivateKey) -> PrivateJwk:
    numbers = private.private_numbers()
    point = numbers.public_numbers
    return PrivateJwk(x=_text(point.x), y=_text(point.y), d=_text(numbers.private_value))


def _text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(_COORDINATE_BYTES, "big")).rstrip(b"=").decode()


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
