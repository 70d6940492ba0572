"""Which tokens were taken back, by whomever they were issued?

I/O: the vault, which tells every instance, and outlives all of them. Until it was read once, no token is taken: one
that was revoked might be among them.
"""

from __future__ import annotations

from contextlib import suppress

from router.core import revoked
from router.core.claims import Verified
from router.core.errors import CannotVerify
from router.core.revoked import Table
from router.platforms import PlatformError
from router.platforms.administration import Unfit, Vault
from router.tokens.entry import Clock, Entry


class Revocations:
    def __init__(self, vault: Vault, clock: Clock) -> None:
        self.generation = 0
        """Another after each change."""
        self._clock = clock
        self._entry: Entry[Table] = Entry(vault, "revocations", revoked.decoded, revoked.encoded, self._count)

    async def run(self) -> None:
        """Follow the vault until cancelled."""
        await self._entry.run()

    async def refresh(self) -> None:
        """Look now, so that tokens are taken from the first request on. Where that fails, the log says why."""
        with suppress(PlatformError):
            await self._entry.read()

    def is_revoked(self, endpoint: str, verified: Verified) -> bool:
        """Raises CannotVerify while nobody knows."""
        return revoked.is_revoked(self._table, endpoint, verified)

    def issued_at_s(self, endpoint: str, now_s: float) -> float:
        """What a token of our own that is issued now has to say, so that it is not revoked from the start.

        Raises CannotVerify.
        """
        return revoked.issued_at_s(self._table, endpoint, now_s)

    async def revoke_all(self, endpoint: str, now_s: float) -> None:
        """All tokens of the endpoint that were issued until now. Here they are refused at once, and by other instances
        as soon as they see it. Raises PlatformError."""
        await self._entry.change(lambda table: revoked.all_revoked(table or {}, endpoint, now_s))

    async def revoke(self, endpoint: str, token_id: str, expires_at_s: float) -> None:
        """The one token with this `jti`; `expires_at_s`: when it is over, or later. Raises PlatformError."""

        def change(table: Table | None) -> Table:
            return revoked.one_revoked(table or {}, endpoint, token_id, expires_at_s, self._clock())

        try:
            await self._entry.change(change)
        except ValueError as error:
            raise Unfit(str(error)) from None

    @property
    def _table(self) -> Table:
        if not self._entry.known:
            raise CannotVerify("No token can be judged: which ones are revoked can't be read at present.")
        return self._entry.value or {}

    def _count(self) -> None:
        self.generation += 1
