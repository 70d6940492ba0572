"""How are tokens of this router's own issued, and is this one of them?

I/O: the vault, which holds the keys for all instances; `issue` and `verify` do none. router.core.signing says which key
does what when; here every instance sees to it that it is so, and the first one that comes changes the vault for all.
While no endpoint takes such tokens, the vault is not looked at.

A token outlives its endpoint: one that is made anew under the same name takes it until its end. To prevent that, revoke
the tokens. A key that got out is a case for removing the vault's entry: it is made anew at once, and no token that was
issued before is taken any more.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress

import jwt
from msgspec import Struct

from router.core import signing
from router.core.claims import MAX_NAME_LENGTH, Verified, refused, shown, verified
from router.core.errors import CannotVerify
from router.core.model import Endpoint, JwtSettings
from router.core.signing import CLOCK_SKEW_S, ISSUER, KeySet, NoRotation
from router.platforms import PlatformError
from router.platforms.administration import Conflict, Unfit, Vault
from router.tokens import key_pair
from router.tokens.entry import FIRST_PAUSE_S, LONGEST_PAUSE_S, Clock, Entry
from router.tokens.issuers import KeysNeeded
from router.tokens.key_pair import KeyPair, KeyRing
from router.tokens.revocations import Revocations
from router.tokens.signature import signed_by, unverified

ALGORITHM = "ES256"
REFRESH_EVERY_S = 1.0
"""No token of a stranger makes the vault be read more often."""
REFRESH_S = 5.0
LONGEST_WAIT_S = 600.0
"""The calendar may be set: it is looked at again, whenever the next key is due."""

log = logging.getLogger("scoregate.tokens")


class IssuedToken(Struct, frozen=True, kw_only=True):
    """Times in whole seconds since the epoch."""

    access_token: str
    token_type: str = "Bearer"
    issued_at_s: int
    refresh_after_s: int
    """From then on its client should ask for the next one."""
    expires_at_s: int

    def __repr__(self) -> str:
        return f"IssuedToken(…, expires_at_s={self.expires_at_s})"


class SigningKeyView(Struct, frozen=True, kw_only=True):
    """A signing key as administrators see it. Times in seconds since the epoch."""

    kid: str
    created_at_s: float
    signs_from_s: float
    signs_until_s: float | None
    """None while no next one is made."""
    verifies_until_s: float | None


class OwnTokens:
    """`follow` the endpoints there are, and `run` it."""

    def __init__(self, vault: Vault, revocations: Revocations, clock: Clock) -> None:
        self.generation = 0
        """Another once a key is gone: what was verified with it is good no longer."""
        self._revocations = revocations
        self._clock = clock
        self._ring: Entry[KeyRing] = Entry(vault, "signing-keys", key_pair.opened, key_pair.encoded, self._changed)
        self._kids: frozenset[str] = frozenset()
        self._longest_life_s = 0
        """Of a token of any endpoint that takes them."""
        self._needed = asyncio.Event()
        self._woken = asyncio.Event()
        self._complaint = ""
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_at = 0.0

    async def run(self) -> None:
        """Keep up with the vault, and see to its keys, until cancelled."""
        await self._needed.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ring.run())
            tasks.create_task(self._see_to_keys())

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        lives = [_life_s(endpoint) for endpoint in endpoints if endpoint.accepts("token")]
        self._longest_life_s = max(lives, default=0)
        if lives:
            self._needed.set()
        self._woken.set()

    def issue(self, endpoint: Endpoint, subject: str, now_s: float) -> IssuedToken:
        """A token that opens this endpoint. Where its settings were lengthened just now, it lives as long as they
        allowed before.

        Raises CannotVerify while there is no key to sign with, and Unfit for what is no subject.
        """
        if not 0 < len(subject) <= MAX_NAME_LENGTH or not subject.isprintable():
            raise Unfit(f"the subject of a token must be 1 to {MAX_NAME_LENGTH} printable characters")
        if self._ring.value is None:
            why = self._ring.trouble or self._complaint or "no endpoint has taken tokens so far"
            raise CannotVerify(f"No token can be issued: there is no signing key yet: {why}.")
        ring = self._ring.value
        key = ring.keys.signing(now_s)
        expires_at_s = int(now_s + min(_life_s(endpoint), key.token_life_s))
        claims = {
            "iss": ISSUER,
            "aud": endpoint.name,
            "sub": subject,
            "iat": self._revocations.issued_at_s(endpoint.name, now_s),
            "nbf": int(now_s),
            "exp": expires_at_s,
            "jti": secrets.token_urlsafe(16),
        }
        return IssuedToken(
            access_token=jwt.encode(claims, ring.pairs[key.kid].private, algorithm=ALGORITHM, headers={"kid": key.kid}),
            issued_at_s=int(now_s),
            refresh_after_s=min(int(now_s) + endpoint.token.refresh_after, expires_at_s),
            expires_at_s=expires_at_s,
        )

    def verify(self, endpoint: Endpoint, token: bytes, now_s: float) -> Verified:
        """Raises Unauthorized; Forbidden for one of another endpoint; KeysNeeded: then `refresh`, and verify again;
        CannotVerify while the keys can't be read."""
        read = unverified(token)
        if read.algorithm != ALGORITHM:
            raise refused(f"it must be signed with {ALGORITHM}")
        if read.issuer != ISSUER:  # before its kid makes anybody look
            raise refused(f"its issuer is {shown(read.issuer)}, which is not this endpoint's")
        claims = signed_by(read, self._pair(read.key_id, now_s).public, (ALGORITHM,))
        expected = JwtSettings(issuer=ISSUER, audiences=(endpoint.name,), clock_skew=2 * CLOCK_SKEW_S)
        return verified(claims, expected, now_s)

    async def refresh(self) -> None:
        """Look for keys that are not known yet; all who ask meanwhile wait for the same answer. Never raises."""
        if self._refreshing is None:
            if asyncio.get_running_loop().time() < self._refresh_at:
                return
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """RFC 7517: the public keys that tokens can be checked with, also those that will sign soon."""
        return {"keys": [key.public_jwk() for key in self._verifying()]}

    def signing_keys(self) -> list[SigningKeyView]:
        keys = self._verifying()
        return [_view(KeySet(keys), key) for key in keys]

    async def rotate(self) -> None:
        """Make the next key now; it signs in PUBLISH_AHEAD_S. Raises PlatformError."""
        try:
            await self._ring.change(self._rotated)
        except NoRotation as error:
            raise Conflict(str(error)) from None

    # -- inside --------------------------------------------------------------------------------------------

    def _pair(self, kid: str | None, now_s: float) -> KeyPair:
        ring = self._ring.value
        pair = ring.pairs.get(kid) if ring is not None and kid is not None else None
        if ring is not None and pair is not None:
            if now_s >= ring.keys.over_at_s(pair.key):
                raise refused("it is signed with a key that is over")
            return pair
        if kid is None:
            raise refused("its head names no key (kid)")
        if asyncio.get_running_loop().time() >= self._refresh_at:  # also while somebody looks already
            raise KeysNeeded
        if self._ring.trouble:
            raise CannotVerify("The token can't be judged: the keys to check it with can't be read at present.")
        raise refused("it is signed with a key that is not known")

    async def _refresh(self) -> None:
        try:
            with suppress(PlatformError, TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._ring.read()
        finally:
            self._refreshing = None
            self._refresh_at = asyncio.get_running_loop().time() + REFRESH_EVERY_S

    async def _see_to_keys(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._woken.clear()
            if self._due_in_s() <= 0:
                is_done = await self._tried()
                pause_s = FIRST_PAUSE_S if is_done else min(2 * pause_s, LONGEST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause_s, min(self._due_in_s(), LONGEST_WAIT_S))):
                    await self._woken.wait()

    async def _tried(self) -> bool:
        try:
            await self._ring.change(self._maintained)
        except PlatformError as error:
            if str(error) not in (self._complaint, self._ring.trouble):  # the entry tells its own
                log.error("the signing keys can't be seen to: %s", error)
            self._complaint = str(error)
            return False
        self._complaint = ""
        return True

    def _due_in_s(self) -> float:
        if not self._longest_life_s:
            return LONGEST_WAIT_S
        if self._ring.value is None:
            return 0.0
        now_s = self._clock()
        return signing.due_at_s(self._ring.value.keys, now_s, self._longest_life_s) - now_s

    def _maintained(self, ring: KeyRing | None) -> KeyRing | None:
        if not self._longest_life_s:
            return None
        now_s = self._clock()
        if ring is None:
            return key_pair.ring_of(signing.first(now_s, self._longest_life_s, key_pair.made))
        keys = signing.maintained(ring.keys, now_s, self._longest_life_s, key_pair.made)
        return None if keys is ring.keys else key_pair.ring_of(keys)

    def _rotated(self, ring: KeyRing | None) -> KeyRing:
        if ring is None:
            raise Unfit("there is no signing key to follow: no endpoint has taken tokens so far")
        life_s = self._longest_life_s or ring.keys.keys[-1].token_life_s
        return key_pair.ring_of(signing.rotated(ring.keys, self._clock(), life_s, key_pair.made))

    def _verifying(self) -> tuple[signing.SigningKey, ...]:
        return () if self._ring.value is None else self._ring.value.keys.verifying(self._clock())

    def _changed(self) -> None:
        kids = frozenset(self._ring.value.pairs) if self._ring.value is not None else frozenset()
        if self._kids - kids:
            self.generation += 1
        for kid in sorted(kids - self._kids):
            log.info("signing key %s is known", kid)
        if self._kids and not kids & self._kids:
            log.warning("all signing keys were removed or replaced: tokens that were issued before are refused")
        self._kids = kids
        self._woken.set()


def _life_s(endpoint: Endpoint) -> int:
    return endpoint.token.refresh_after + endpoint.token.valid_past_refresh


def _view(keys: KeySet, key: signing.SigningKey) -> SigningKeyView:
    until_s = keys.signs_until_s(key)
    return SigningKeyView(
        kid=key.kid,
        created_at_s=key.created_at_s,
        signs_from_s=key.signs_from_s,
        signs_until_s=until_s,
        verifies_until_s=None if until_s is None else keys.over_at_s(key),
    )
