"""Does this Authorization header open this endpoint?

Pure. `Authorization: Bearer <key>` is the only form (docs/contract.md section 7). Keys are compared as SHA-256 digests,
with `compare_digest`, and always both of them, so that the time taken tells nothing about either.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from router.core.errors import Unauthorized
from router.core.model import Endpoint, KeyHashes

KEY_RULE = "16 to 256 printable ASCII characters without spaces"
_KEY = re.compile(r"[!-~]{16,256}")


def is_key(text: str) -> bool:
    """Whether it keeps KEY_RULE."""
    return _KEY.fullmatch(text) is not None


def hashed(primary: str, secondary: str) -> KeyHashes:
    return KeyHashes(primary=_digest(primary.encode()), secondary=_digest(secondary.encode()))


def check(endpoint: Endpoint, authorization: bytes | None) -> None:
    """Return if the header opens the endpoint. Raises Unauthorized, which never quotes the credential."""
    if endpoint.auth_mode == "none":
        return
    if authorization is None:
        raise Unauthorized(f"Endpoint {endpoint.name} wants the header `Authorization: Bearer <key>`.", presented=False)
    scheme, _, credential = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthorized(f"Endpoint {endpoint.name} takes the Authorization scheme Bearer only.", presented=True)
    digest = _digest(credential.strip())
    keys = endpoint.keys
    if keys is None:
        raise Unauthorized(f"Endpoint {endpoint.name} has no keys yet.", presented=True)
    is_primary = hmac.compare_digest(digest, keys.primary)
    is_secondary = hmac.compare_digest(digest, keys.secondary)
    if not (is_primary | is_secondary):
        raise Unauthorized(f"The key is not one of endpoint {endpoint.name}'s.", presented=True)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
