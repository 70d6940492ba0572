"""Who may administer?

I/O: the vault, which has the administrator's key. Who sends that key, `Authorization: Bearer <key>`, from a place where
nobody else can read it.
"""

from __future__ import annotations

import math

from router.administration.admin_key import AdminKey
from router.administration.attempts import Attempts
from router.administration.reach import Asked, check_reach
from router.administration.refusals import Refusal
from router.platforms.administration import Vault


class Access:
    """`check` lets the administrator through, and nobody else."""

    def __init__(self, vault: Vault) -> None:
        self._key = AdminKey(vault)
        self._attempts = Attempts()

    async def run(self) -> None:
        """Keep up with the key. Until cancelled."""
        await self._key.run()

    def check(self, asked: Asked, now_s: float) -> None:
        """Raises Refusal. Who is refused too often is told 429, and the right key opens even then."""
        try:
            check_reach(asked)
            self._check_key(asked.authorization)
        except Refusal as refusal:
            wait_s = self._attempts.failed(asked.client, now_s) if refusal.status in (401, 403) else 0.0
            if wait_s:
                headers = {"retry-after": str(math.ceil(wait_s))}
                raise Refusal(429, "TooManyRequests", "Too many refused requests from there.", headers) from None
            raise

    def _check_key(self, authorization: str | None) -> None:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            message = "Administration wants the header `Authorization: Bearer <administrator's key>`."
            raise Refusal(401, "Unauthorized", message, {"www-authenticate": 'Bearer realm="administration"'})
        if not self._key.opens(key.strip().encode("latin-1", "replace")):
            challenge = 'Bearer realm="administration", error="invalid_token"'
            raise Refusal(401, "Unauthorized", "This is not the administrator's key.", {"www-authenticate": challenge})
