"""gate.py with those who judge tokens in earnest: our own, a real issuer's, and what was revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.core.auth import Caller
from router.core.errors import Forbidden, Unauthorized, Unavailable
from router.core.model import Endpoint, JwtSettings
from router.core.tally import Memory
from router.gate import Gate
from router.platforms.memory_administration import MemoryVault
from router.tokens.issuers import Issuers
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations
from tests.models import until
from tests.tokens.issuer import OidcIssuer

NOW_S = 1_800_000_000.0


def opening(issuer: OidcIssuer, name: str = "iris") -> Endpoint:
    settings = JwtSettings(issuer=issuer.url, audiences=("api://iris",), ca_bundle=issuer.ca_bundle)
    return Endpoint(name=name, auth_mode="token", also_accepts=("jwt",), jwt=settings, deployments=())


class Site:
    def __init__(self, *endpoints: Endpoint) -> None:
        self.vault = MemoryVault()
        self.revocations = Revocations(self.vault, lambda: NOW_S)
        self.own = OwnTokens(self.vault, self.revocations, lambda: NOW_S)
        self.issuers = Issuers()
        self.gate = Gate(self.own, self.issuers, self.revocations, lambda: NOW_S, Memory())
        self.gate.follow(endpoints)

    async def enter(self, endpoint: Endpoint, token: str | bytes) -> Caller:
        """As the app does it."""
        line = b"Bearer " + (token.encode() if isinstance(token, str) else token)
        return self.gate.check(endpoint, line) or await self.gate.verify(endpoint, line)

    async def issue(self, endpoint: Endpoint) -> str:
        await until(lambda: bool(self.own.signing_keys()))
        return self.own.issue(endpoint, "somebody", NOW_S).access_token


@asynccontextmanager
async def site(*endpoints: Endpoint) -> AsyncIterator[Site]:
    one = Site(*endpoints)
    await one.revocations.refresh()
    tasks = [asyncio.create_task(one.own.run()), asyncio.create_task(one.revocations.run())]
    try:
        yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await one.issuers.close()


def claims() -> dict[str, object]:
    return {"aud": "api://iris", "exp": NOW_S + 300, "iat": NOW_S, "sub": "anna", "jti": "1"}


async def test_tokens_of_both_kinds_open_one_endpoint_and_are_verified_once() -> None:
    with OidcIssuer() as issuer:
        iris, rose = opening(issuer), opening(issuer, "rose")
        async with site(iris, rose) as one:
            ours, theirs = await one.issue(iris), issuer.token(claims())
            for _ in range(3):
                assert (await one.enter(iris, ours)).consumer == "token"
                assert (await one.enter(iris, theirs)).consumer == "jwt"
            assert one.gate.verifications == {"cached": 4, "verified": 2, "refused": 0}
            with pytest.raises(Forbidden):
                await one.enter(rose, ours)
            assert (await one.enter(rose, theirs)).consumer == "jwt"


async def test_a_revoked_token_is_refused_and_the_next_one_is_not() -> None:
    with OidcIssuer() as issuer:
        iris = opening(issuer)
        async with site(iris) as one:
            ours, theirs = await one.issue(iris), issuer.token(claims())
            await one.enter(iris, ours)
            await one.enter(iris, theirs)
            await one.revocations.revoke("iris", "1", NOW_S + 300)
            with pytest.raises(Unauthorized, match="revoked"):
                await one.enter(iris, theirs)
            assert (await one.enter(iris, ours)).consumer == "token"
            await one.revocations.revoke_all("iris", NOW_S)
            for token in (ours, theirs):
                with pytest.raises(Unauthorized, match="revoked"):
                    await one.enter(iris, token)
            assert (await one.enter(iris, await one.issue(iris))).consumer == "token"


async def test_a_token_that_is_revoked_while_its_key_is_fetched_is_refused() -> None:
    with OidcIssuer() as issuer:
        iris = opening(issuer)
        async with site(iris) as one:
            await one.enter(iris, issuer.token(claims() | {"jti": "2"}))
            issuer.rotate("ES256")
            line = b"Bearer " + issuer.token(claims())
            assert one.gate.check(iris, line) is None
            waiting = asyncio.create_task(one.gate.verify(iris, line))
            await one.revocations.revoke("iris", "1", NOW_S + 300)
            with pytest.raises(Unauthorized, match="revoked"):
                await waiting


async def test_a_key_that_its_issuer_drops_takes_the_known_tokens_with_it() -> None:
    with OidcIssuer() as issuer:
        iris = opening(issuer)
        async with site(iris) as one:
            old = issuer.token(claims())
            await one.enter(iris, old)
            issuer.rotate("ES256", keeps=0)
            assert (await one.enter(iris, old)).consumer == "jwt", "nobody has told yet"
            assert (await one.enter(iris, issuer.token(claims()))).consumer == "jwt"
            with pytest.raises(Unauthorized):
                await one.enter(iris, old)


async def test_while_nobody_knows_what_is_revoked_no_token_lets_in() -> None:
    with OidcIssuer() as issuer:
        iris = opening(issuer)
        one = Site(iris)
        with pytest.raises(Unavailable):
            await one.enter(iris, issuer.token(claims()))
        assert one.gate.verifications["refused"] == 0, "nothing is wrong with the token"
        await one.revocations.refresh()
        assert (await one.enter(iris, issuer.token(claims()))).consumer == "jwt"
        await one.issuers.close()
