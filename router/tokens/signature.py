"""Was this token signed with this key, and what does it say?

Pure. PyJWT does the arithmetic; what a token may look like before that is decided here, more strictly than there
(RFC 7515, 7519, 8725). Nothing in a token's head ever says which key it is checked with but `kid`, which only chooses
among keys that are known: `jwk`, `jku`, `x5c` and `x5u` are not read. A token is read once: what is believed later is
what was read of the very bytes that the signature covers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from typing import Any, NamedTuple, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError, get_algorithm_by_name

from router.core.claims import refused
from router.core.model import Algorithm

MAX_TOKEN_BYTES = 16_384
MAX_KEY_ID_LENGTH = 256
RSA_BITS = range(2_048, 8_193)
"""Below, a key can be broken; above, a signature costs too much to check."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_UNUSED = ("crit", "b64", "zip", "enc")
"""A head with one of them asks for what is not done here: it is refused, not read as if it were not there."""
_TYPES = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_ALGORITHMS = {name: get_algorithm_by_name(name) for name in get_args(Algorithm)}


class Unverified(NamedTuple):
    """What a token says, before anything is proven: good for choosing a key, and for refusing."""

    algorithm: str
    key_id: str | None
    claims: dict[str, Any]
    signed: bytes
    """What the signature covers."""
    signature: bytes

    @property
    def issuer(self) -> str:
        """Its claim `iss`; "" where that is no text."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""

    def __repr__(self) -> str:
        return "Unverified(…)"


def unverified(token: bytes) -> Unverified:
    """Raises Unauthorized for what is no signed JWT in the compact form."""
    if len(token) > MAX_TOKEN_BYTES:
        raise refused(f"it has {len(token):,} bytes, more than {MAX_TOKEN_BYTES:,}")
    parts = token.split(b".", 3)
    if len(parts) != 3 or not all(parts) or token.translate(None, _ALPHABET) != b"..":
        raise refused("it is no JWT: three parts in base64url, without padding, separated by dots")
    head, claims = _object(parts[0], "head"), _object(parts[1], "payload")
    algorithm, key_id = head.get("alg"), head.get("kid")
    for name in _UNUSED:
        if name in head:
            raise refused(f"its head has {name}, which is not supported")
    if not isinstance(head.get("typ", "JWT"), str) or head.get("typ", "JWT").lower() not in _TYPES:
        raise refused("its typ is another than JWT and at+jwt")
    if not isinstance(algorithm, str):
        raise refused("its head names no algorithm")
    if key_id is not None and (not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID_LENGTH):
        raise refused(f"its kid must be a text of 1 to {MAX_KEY_ID_LENGTH} characters")
    signature = _decoded(parts[2], "signature")
    return Unverified(algorithm, key_id, claims, token[: -len(parts[2]) - 1], signature)


def signed_by(token: Unverified, key: PublicKey, algorithms: Collection[str]) -> dict[str, Any]:
    """Its claims, of which nothing is checked yet. Raises Unauthorized."""
    if token.algorithm not in algorithms:
        raise refused(f"it must be signed with one of {', '.join(algorithms)}")
    if not fits(key, token.algorithm):
        raise refused("its algorithm is not one for the key that it names")
    try:
        is_good = _ALGORITHMS[token.algorithm].verify(token.signed, key, token.signature)
    except (PyJWTError, UnsupportedAlgorithm, TypeError, ValueError):
        is_good = False
    if not is_good:
        raise refused("its signature is not the key's")
    return token.claims


def fits(key: PublicKey, algorithm: str) -> bool:
    """Whether it is a key for this algorithm, and a strong one."""
    if algorithm[:2] in ("RS", "PS"):
        return isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS
    if algorithm == "EdDSA":
        return isinstance(key, Ed25519PublicKey | Ed448PublicKey)
    return isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES.get(algorithm)


def json_object(content: bytes) -> dict[str, Any]:
    """Raises ValueError for all else, for a name that is there twice, and for numbers that JSON does not have."""
    try:
        value = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def _decoded(part: bytes, what: str) -> bytes:
    """A part has one spelling, else a token would be known by several digests."""
    try:
        content = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        content = b""
    if base64.urlsafe_b64encode(content).rstrip(b"=") != part:
        raise refused(f"its {what} is no base64url")
    return content


def _object(part: bytes, what: str) -> dict[str, Any]:
    try:
        return json_object(_decoded(part, what))
    except ValueError:
        raise refused(f"its {what} is no JSON object in base64url") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
