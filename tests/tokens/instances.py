"""What does one router process have to do with tokens of our own?"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from router.core.errors import Unauthorized
from router.core.model import Endpoint, TokenSettings
from router.platforms.administration import Vault
from router.tokens.issuers import KeysNeeded
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations
from tests.core.nouns import an_endpoint
from tests.tokens.vaults import OddVault
from tests.virtual_time import now, settle

EPOCH_S = 1_800_000_000.25
DAY_S = 86_400.0
IRIS, OTHER = an_endpoint("iris", auth_mode="token"), an_endpoint("other", auth_mode="token")


def clock() -> float:
    return EPOCH_S + now()


class Instance:
    """One router process's part in it."""

    def __init__(self, vault: Vault, endpoints: Iterable[Endpoint] = (IRIS, OTHER)) -> None:
        self.vault = vault
        self.revocations = Revocations(vault, clock)
        self.own = OwnTokens(vault, self.revocations, clock)
        self.own.follow(endpoints)

    def issue(self, endpoint: Endpoint = IRIS) -> bytes:
        return self.own.issue(endpoint, "somebody", clock()).access_token.encode()

    def verify(self, token: bytes, endpoint: Endpoint = IRIS) -> None:
        """As it is at this moment, with no look at the vault."""
        verified = self.own.verify(endpoint, token, clock())
        if self.revocations.is_revoked(endpoint.name, verified):
            raise Unauthorized("revoked", presented=True)

    async def admit(self, token: bytes, endpoint: Endpoint = IRIS) -> None:
        """As a request is admitted."""
        try:
            self.verify(token, endpoint)
        except KeysNeeded:
            await self.own.refresh()
            self.verify(token, endpoint)


@asynccontextmanager
async def running(*instances: Instance) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for one in instances for each in (one.own, one.revocations)]
    await settle()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parts(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    head, claims, _ = token.split(b".")
    return json.loads(base64.urlsafe_b64decode(head + b"==")), json.loads(base64.urlsafe_b64decode(claims + b"=="))


async def kept_in(vault: OddVault) -> dict[str, Any]:
    sealed = await vault.vault.read("signing-keys")
    assert sealed is not None
    return json.loads(sealed.content)


def living(life_s: int, name: str = "iris") -> Endpoint:
    settings = TokenSettings(refresh_after=life_s, valid_past_refresh=0)
    return replace(an_endpoint(name, auth_mode="token"), token=settings)
