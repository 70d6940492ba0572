"""Who may pass, to which endpoint?

I/O: none itself. Keys, and tokens that are known or can be verified with the keys at hand, are judged at once; only
where keys of an issuer, or of our own, have to be fetched first, somebody has to wait (`verify`).

What a token was found to be is kept until it expires (`router.tokens.cache`), for as long as the endpoint asks the same
of tokens and no key is gone; among revocations it is looked for again after each change of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, Protocol

from router.core import auth
from router.core.auth import Caller, Keyring
from router.core.claims import Verified
from router.core.errors import Forbidden, NotFound, Unauthorized
from router.core.model import Endpoint, RateLimit
from router.core.rate_limit import Bucket
from router.core.signing import ISSUER
from router.core.tally import Ledger
from router.tokens.cache import Keys, Known, KnownTokens
from router.tokens.issuers import KeysNeeded
from router.tokens.signature import unverified

VERIFICATIONS = "verifications"
"""Name of its cells in the ledger, one for each way to be judged."""
JUDGED = ("cached", "verified", "refused")
_CACHED, _VERIFIED, _REFUSED = range(3)
_FETCHES = 2
"""The first may have been under way already, and too early for this token's key."""


class _Verifier(Keys, Protocol):
    def follow(self, endpoints: Iterable[Endpoint]) -> None: ...

    def verify(self, endpoint: Endpoint, token: bytes, now_s: float) -> Verified:
        """Raises Unauthorized, Forbidden, Unavailable, KeysNeeded."""


class OwnTokens(_Verifier, Protocol):
    async def refresh(self) -> None: ...


class Issuers(_Verifier, Protocol):
    async def fetch(self, endpoint: Endpoint) -> None:
        """Raises Unavailable."""


class Revocations(Protocol):
    @property
    def generation(self) -> int:
        """Another after each change."""

    def is_revoked(self, endpoint: str, verified: Verified) -> bool:
        """Raises Unavailable."""


class Gate:
    """`clock`: seconds since the epoch, as tokens and the keys' expiry mean them."""

    def __init__(
        self, own: OwnTokens, issuers: Issuers, revocations: Revocations, clock: Callable[[], float], ledger: Ledger
    ) -> None:
        self._own = own
        self._issuers = issuers
        self._revocations = revocations
        self._clock = clock
        self._known = KnownTokens()
        self._endpoints: tuple[Endpoint, ...] = ()
        self._doors: dict[str, _Door] = {}
        self._ledger = ledger
        (self._judged,) = ledger.open((VERIFICATIONS,), len(JUDGED))

    def follow(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Those of a snapshot, in the same turn in which its table is swapped."""
        if endpoints == self._endpoints:
            return
        before = self._doors
        self._doors = {e.name: _Door(e, before.get(e.name), self._ledger) for e in endpoints}
        for name, door in before.items():
            kept = self._doors[name].callers.keys() if name in self._doors else ()
            for consumer in door.callers.keys() - kept:
                door.callers[consumer].forget()
        self._endpoints = endpoints
        self._own.follow(endpoints)
        self._issuers.follow(endpoints)

    def check(self, endpoint: Endpoint, authorization: bytes | None) -> Caller | None:
        """Who asks; None where keys have to be fetched before that is known: then `verify`.

        Raises Unauthorized, Forbidden; Unavailable where nobody can tell whether a token is good.
        """
        door = self._doors[endpoint.name]
        if door.anybody is not None:
            return door.anybody
        credential = auth.credential_of(door.endpoint, authorization)
        given = auth.digest(credential)
        key = door.keyring.find(given)
        if key is not None:
            if key.expires_at_s is not None and key.expires_at_s <= self._clock():
                raise Unauthorized(
                    f"Key {key.caller.consumer} of endpoint {endpoint.name} has expired.", presented=True
                )
            return key.caller
        if not door.takes_tokens or not auth.is_jwt_like(credential):
            raise auth.refusal(door.endpoint, credential)
        try:
            now_s = self._clock()
            return self._remembered(door, given, now_s) or self._verified(door, credential, given, now_s)
        except KeysNeeded:
            return None
        except (Unauthorized, Forbidden):
            self._judged[_REFUSED] += 1
            raise

    async def verify(self, endpoint: Endpoint, authorization: bytes | None) -> Caller:
        """The same, once keys are fetched. What is served may be other then.

        Raises Unauthorized, Forbidden, Unavailable, NotFound.
        """
        for _ in range(_FETCHES):
            await self._fetch(endpoint, authorization)
            if endpoint.name not in self._doors:
                raise NotFound(f"There is no endpoint named {endpoint.name}.")
            caller = self.check(endpoint, authorization)
            if caller is not None:
                return caller
        self._judged[_REFUSED] += 1
        raise Unauthorized("The token is signed with a key that its issuer does not have.", presented=True)

    def callers(self) -> Iterator[tuple[str, Caller]]:
        """All consumers, each with the name of its endpoint."""
        for name, door in self._doors.items():
            for caller in door.callers.values():
                yield name, caller

    @property
    def verifications(self) -> dict[str, int]:
        """How tokens were judged, and how often."""
        return verifications(self._judged)

    @property
    def known_tokens(self) -> int:
        return len(self._known)

    # -- inside --------------------------------------------------------------------------------------------

    async def _fetch(self, endpoint: Endpoint, authorization: bytes | None) -> None:
        door = self._doors[endpoint.name]
        token = auth.credential_of(endpoint, authorization)
        if door.mode_of(token) == "token":
            await self._own.refresh()
        else:
            await self._issuers.fetch(door.endpoint)

    def _remembered(self, door: _Door, given: bytes, now_s: float) -> Caller | None:
        name = door.endpoint.name
        known = self._known.get(name, given)
        if known is None:
            return None
        has_grounds = known.grounds is door.grounds and known.generation == known.keys.generation
        if not has_grounds or known.verified.expires_at_s <= now_s:
            self._known.drop(name, given)
            return None
        if known.revocations != self._revocations.generation:
            self._refuse_revoked(name, known.verified)  # stays known: to refuse it again costs no arithmetic
            self._known.keep(name, given, known._replace(revocations=self._revocations.generation))
        self._judged[_CACHED] += 1
        return known.caller

    def _verified(self, door: _Door, token: bytes, given: bytes, now_s: float) -> Caller:
        endpoint, mode = door.endpoint, door.mode_of(token)
        verifier: _Verifier = self._own if mode == "token" else self._issuers
        verified = verifier.verify(endpoint, token, now_s)
        self._refuse_revoked(endpoint.name, verified)
        caller = door.callers[mode]
        if now_s < verified.expires_at_s:  # else it passes by the clock skew alone
            revocations = self._revocations.generation
            known = Known(caller, verified, door.grounds, verifier, verifier.generation, revocations)
            self._known.keep(endpoint.name, given, known)
        self._judged[_VERIFIED] += 1
        return caller

    def _refuse_revoked(self, endpoint: str, verified: Verified) -> None:
        if self._revocations.is_revoked(endpoint, verified):
            raise Unauthorized("The token has been revoked.", presented=True)


class _Door:
    """One endpoint's: its keys, its consumers, and what it asks of a token."""

    def __init__(self, endpoint: Endpoint, before: _Door | None, ledger: Ledger) -> None:
        self.endpoint = endpoint
        self.callers: dict[str, Caller] = _callers(endpoint, {} if before is None else before.callers, ledger)
        self.anybody = self.callers.get("")
        self.keyring = Keyring(endpoint.keys if endpoint.accepts("key") else None, self.callers)
        self.takes_tokens = endpoint.accepts("token") or endpoint.accepts("jwt")
        grounds = (endpoint.auth_mode, endpoint.also_accepts, endpoint.jwt)
        self.grounds: object = grounds if before is None or before.grounds != grounds else before.grounds

    def mode_of(self, token: bytes) -> Literal["token", "jwt"]:
        """Whose token it is to be judged as: by what it says itself, where both may be."""
        if not self.endpoint.accepts("jwt"):
            return "token"
        return "token" if self.endpoint.accepts("token") and unverified(token).issuer == ISSUER else "jwt"


def verifications(judged: Iterable[float]) -> dict[str, int]:
    """What the cells of that name say."""
    return dict(zip(JUDGED, map(int, judged), strict=True))


def _callers(endpoint: Endpoint, before: Mapping[str, Caller], ledger: Ledger) -> dict[str, Caller]:
    """By consumer. Those that stay keep their counts, and their bucket as it is while their limit is the same."""
    callers = {}
    for consumer, limit in _consumers(endpoint):
        caller = callers[consumer] = before.get(consumer) or Caller(ledger, endpoint.name, consumer)
        if limit is None:
            caller.bucket = None
        elif caller.bucket is None or caller.bucket.limit != limit:
            caller.bucket = Bucket(limit)
    return callers


def _consumers(endpoint: Endpoint) -> Iterator[tuple[str, RateLimit | None]]:
    if endpoint.accepts("none"):
        yield "", None
    if endpoint.accepts("key"):
        yield "primary", None
        yield "secondary", None
        for named in endpoint.keys.named if endpoint.keys is not None else ():
            yield named.name, named.rate_limit
    if endpoint.accepts("token"):
        yield "token", None
    if endpoint.accepts("jwt"):
        yield "jwt", None
