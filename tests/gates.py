"""Who judges tokens in a test, and how does a gate come about?

I/O: none. Verifiers that know tokens by heart, and count how often they were asked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from router.core.claims import Verified
from router.core.errors import RouterError, Unauthorized
from router.core.model import Endpoint
from router.core.tally import Memory
from router.gate import Gate
from router.tokens.issuers import KeysNeeded

NOW_S = 1_000_000.0


def unsigned(issuer: str = "https://issuer.example", **claims: Any) -> bytes:
    """What looks like a token of that issuer; nobody could tell that it is one."""
    parts = ({"alg": "ES256", "kid": "1", "typ": "JWT"}, {"iss": issuer, **claims}, {"signed": True})
    return b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)


class Verifier:
    """Knows `good` tokens, and `bad` ones with what is wrong. `hidden` tokens become good with the next fetch, or the
    one after as many as `late` says."""

    def __init__(self) -> None:
        self.good: dict[bytes, Verified] = {}
        self.bad: dict[bytes, RouterError] = {}
        self.hidden: dict[bytes, Verified] = {}
        self.late = 0
        self.generation = 0
        self.asked = 0
        self.fetched = 0
        self.followed: list[tuple[Endpoint, ...]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while keys are fetched."""

    def take(self, token: bytes, *, expires_at_s: float = NOW_S + 3_600, token_id: str = "") -> bytes:
        self.good[token] = Verified("somebody", token_id, NOW_S - 10, expires_at_s)
        return token

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        self.followed.append(tuple(endpoints))

    def verify(self, endpoint: Endpoint, token: bytes, now_s: float) -> Verified:
        self.asked += 1
        if token in self.hidden:
            raise KeysNeeded
        if token in self.bad:
            raise self.bad[token]
        if token not in self.good:
            raise Unauthorized("The token is refused.", presented=True)
        return self.good[token]

    async def fetch(self, endpoint: Endpoint) -> None:
        self.fetched += 1
        self.meanwhile()
        if self.fetched > self.late:
            self.good |= self.hidden
            self.hidden = {}

    async def refresh(self) -> None:
        await self.fetch(Endpoint(name="any", deployments=()))


class Revoked:
    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.generation = 0
        self.asked = 0

    def revoke(self, token_id: str) -> None:
        self.ids.add(token_id)
        self.generation += 1

    def is_revoked(self, endpoint: str, verified: Verified) -> bool:
        self.asked += 1
        return verified.token_id in self.ids


class Gated:
    """A gate, those who judge tokens for it, and its clock."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self.own = Verifier()
        self.issuers = Verifier()
        self.revocations = Revoked()
        self.now_s = NOW_S
        self.gate = Gate(self.own, self.issuers, self.revocations, lambda: self.now_s, Memory())
        self.gate.follow(endpoints)
