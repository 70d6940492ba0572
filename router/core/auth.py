"""Which credential does this Authorization header bring, and is it a key of this endpoint?

Pure. `Authorization: Bearer <key or token>` is the only form (docs/contract.md section 7). A key is found by its
SHA-256 digest, which tells nobody who guesses how near he is, and compared with `compare_digest`, also where none was
found: the time taken is the same whatever is wrong. No message quotes a credential.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import NamedTuple

from router.core.errors import TooManyRequests, Unauthorized
from router.core.model import Endpoint, KeyHashes
from router.core.rate_limit import Bucket
from router.core.tally import Ledger, Statuses

KEY_RULE = "16 to 256 printable ASCII characters without spaces"
MAX_CREDENTIAL_BYTES = 16_384
CONSUMERS = "consumers"
"""Kind of their names in the ledger; labels are endpoint, consumer and status."""
_KEY = re.compile(r"[!-~]{16,256}")
_NO_DIGEST = bytes(32)


def is_key(text: str) -> bool:
    """Whether it keeps KEY_RULE."""
    return _KEY.fullmatch(text) is not None


def digest(key: bytes) -> bytes:
    """All that is kept of a key or a token: its SHA-256."""
    return hashlib.sha256(key).digest()


def hashed(primary: str, secondary: str) -> KeyHashes:
    return KeyHashes(primary=digest(primary.encode()), secondary=digest(secondary.encode()))


class Caller:
    """Who asks, as far as the credential tells: one object for each consumer of an endpoint, while there is one."""

    __slots__ = ("_statuses", "bucket", "consumer")

    def __init__(self, ledger: Ledger, endpoint: str, consumer: str, bucket: Bucket | None = None) -> None:
        self.consumer = consumer
        """The key's name; `token` or `jwt` for tokens; "" where no credential is asked for."""
        self.bucket = bucket
        self._statuses = Statuses(ledger, (CONSUMERS, endpoint, consumer))

    def admit(self, endpoint: str, now_s: float) -> None:
        """One request more. `now_s`: as `Bucket` wants it. Raises TooManyRequests, and takes nothing then."""
        if self.bucket is not None and (wait_s := self.bucket.take(now_s)):
            raise TooManyRequests(endpoint, self.consumer, wait_s)

    def count(self, status: int, times: int = 1) -> None:
        self._statuses.count(status, times)

    def forget(self) -> None:
        """It is gone; nothing of it may be counted any more."""
        self._statuses.forget()

    @property
    def requests(self) -> dict[int, int]:
        """How many there were, by status."""
        return self._statuses.by_status()


class Key(NamedTuple):
    """One that opens the endpoint, until it expires."""

    digest: bytes
    caller: Caller
    expires_at_s: float | None = None


class Keyring:
    """The keys of one endpoint. A key that is there twice is the primary, else the secondary, else the first's."""

    def __init__(self, hashes: KeyHashes | None, callers: Mapping[str, Caller]) -> None:
        """`callers`: by consumer, one for each key."""
        self._keys: dict[bytes, Key] = {}
        if hashes is None:
            return
        for named in reversed(hashes.named):
            self._keys[named.digest] = Key(named.digest, callers[named.name], named.expires_at_s)
        self._keys[hashes.secondary] = Key(hashes.secondary, callers["secondary"])
        self._keys[hashes.primary] = Key(hashes.primary, callers["primary"])

    def find(self, given: bytes) -> Key | None:
        """`given`: a credential's digest."""
        key = self._keys.get(given)
        is_same = hmac.compare_digest(given, _NO_DIGEST if key is None else key.digest)
        return key if is_same else None


def credential_of(endpoint: Endpoint, authorization: bytes | None) -> bytes:
    """The one credential. Raises Unauthorized where there is none, or not just one."""
    if authorization is None:
        message = f"Endpoint {endpoint.name} wants the header `Authorization: Bearer <{_wanted(endpoint)}>`."
        raise Unauthorized(message, presented=False)
    scheme, _, credential = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthorized(f"Endpoint {endpoint.name} takes the Authorization scheme Bearer only.", presented=True)
    credential = credential.strip(b" ")
    if len(credential) > MAX_CREDENTIAL_BYTES:
        message = f"The credential has {len(credential):,} bytes; {MAX_CREDENTIAL_BYTES:,} are taken."
        raise Unauthorized(message, presented=True)
    if b" " in credential:
        raise Unauthorized(f"Endpoint {endpoint.name} takes one credential after the word Bearer.", presented=True)
    return credential


def is_jwt_like(credential: bytes) -> bool:
    return credential.count(b".") == 2


def refusal(endpoint: Endpoint, credential: bytes) -> Unauthorized:
    """Of a credential that is no key of the endpoint, and no token that it takes."""
    name, wanted = endpoint.name, _wanted(endpoint)
    if wanted == "token":
        message = f"Endpoint {name} wants a token."
    elif endpoint.keys is None:
        message = f"Endpoint {name} has no keys yet."
    elif wanted == "key or token":
        message = f"The credential is neither a key of endpoint {name} nor a token."
    elif is_jwt_like(credential):
        message = f"Endpoint {name} wants a key, not a token."
    else:
        message = f"The key is not one of endpoint {name}'s."
    return Unauthorized(message, presented=True)


def _wanted(endpoint: Endpoint) -> str:
    takes_tokens = endpoint.accepts("token") or endpoint.accepts("jwt")
    if not endpoint.accepts("key"):
        return "token"
    return "key or token" if takes_tokens else "key"
