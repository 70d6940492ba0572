"""Is this token one of the issuer that the endpoint trusts?

I/O: none itself; router.tokens.issuer asks each issuer for its keys, in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from router.core.claims import Verified, check_times, refused, shown, verified
from router.core.errors import CannotVerify, Unauthorized
from router.core.model import Endpoint, JwtSettings
from router.tokens.discovery import Source
from router.tokens.issuer import Issuer
from router.tokens.jwks import candidates
from router.tokens.signature import Unverified, signed_by, unverified


class KeysNeeded(Exception):
    """Keys have to be fetched before this token can be judged."""


class Issuers:
    """`follow` the endpoints there are, `close` it in the end. `generation` changes whenever an issuer's keys do: what
    was verified before may have been signed with a key that was taken back."""

    def __init__(self) -> None:
        self.generation = 0
        self._known: dict[Source, Issuer] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        """From now on the keys of their issuers are fetched, ahead of the first request; others are forgotten."""
        needed = {Source.of(each.jwt) for each in endpoints if each.jwt is not None and each.accepts("jwt")}
        for source in self._known.keys() - needed:
            leaving = asyncio.create_task(self._known.pop(source).close())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for source in needed - self._known.keys():
            self._known[source] = Issuer(source, self._count)

    def verify(self, endpoint: Endpoint, token: bytes, now_s: float) -> Verified:
        """`now_s`: seconds since the epoch.

        Raises Unauthorized, Forbidden; KeysNeeded: then `fetch` and verify again; and CannotVerify where nobody can
        tell, as the issuer may not be asked again so soon. A fetch that was under way when the token came may have been
        too early for it, so that it takes two; never more.
        """
        settings = _settings(endpoint)
        read = unverified(token)
        if read.algorithm not in settings.algorithms:
            raise refused(f"it must be signed with one of {', '.join(settings.algorithms)}")
        if read.issuer != settings.issuer:
            raise refused(f"its issuer is {shown(read.issuer)}, which is not this endpoint's")
        check_times(read.claims, settings, now_s)  # who comes with an old one comes often: its key is asked for by none
        issuer = self._known.get(Source.of(settings))
        if issuer is None:
            raise KeysNeeded
        return verified(_proven(read, settings, issuer), settings, now_s)

    async def fetch(self, endpoint: Endpoint) -> None:
        """Returns when `verify` may be tried again, within seconds. Raises CannotVerify when no keys were ever had."""
        issuer = self._known.get(Source.of(_settings(endpoint)))
        if issuer is None:  # the endpoint has changed since the request found it
            raise CannotVerify(f"Endpoint {endpoint.name} has just changed whose tokens it takes.")
        await issuer.ask()

    async def close(self) -> None:
        self.follow(())
        await asyncio.gather(*self._leaving)

    def _count(self) -> None:
        self.generation += 1


def _settings(endpoint: Endpoint) -> JwtSettings:
    if endpoint.jwt is None or not endpoint.accepts("jwt"):
        raise Unauthorized(f"Endpoint {endpoint.name} takes no tokens of an issuer.", presented=True)
    return endpoint.jwt


def _proven(token: Unverified, settings: JwtSettings, issuer: Issuer) -> dict[str, Any]:
    """The claims, with a good signature."""
    keys = candidates(issuer.keys, token)
    for key in keys:
        try:
            return signed_by(token, key, settings.algorithms)
        except Unauthorized:
            continue
    # A key that was named and is known is wrong for good; one that was not named may be new.
    if not keys or token.key_id is None:
        if issuer.may_ask():
            issuer.seek(token.key_id)
            raise KeysNeeded
        issuer.check_lacks(token.key_id)
    raise refused("its signature is of no key of the issuer's")
