"""Is this the administrator's key?

I/O: the vault, which holds it for all instances. The first one makes it; whoever replaces what the vault holds replaces
it for all of them, within seconds, and where it is removed, a new one is made.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets

from router.administration.refusals import Refusal
from router.core.auth import KEY_RULE, digest, is_key
from router.platforms import PlatformError
from router.platforms.administration import Vault
from router.tokens.entry import FIRST_PAUSE_S, LONGEST_PAUSE_S, Entry

_log = logging.getLogger("scoregate.administration")


class AdminKey:
    """As `run` keeps up with it."""

    def __init__(self, vault: Vault) -> None:
        self._changed = asyncio.Event()
        self._entry: Entry[bytes] = Entry(vault, "admin-key", _opened, bytes, self._changed.set)
        self._complaint = ""

    def opens(self, key: bytes) -> bool:
        """Raises Refusal while it is not known which key does."""
        if not self._entry.value:
            why = self._entry.trouble or self._complaint or "it is being made"
            raise Refusal(503, "PlatformUnavailable", f"The administrator's key is not known: {why}.")
        return hmac.compare_digest(digest(key), digest(self._entry.value))

    async def run(self) -> None:
        """Until cancelled. Nothing that the vault does ends it: the router goes on, and what was known last counts."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._entry.run())
            tasks.create_task(self._see_that_there_is_one())

    async def _see_that_there_is_one(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._changed.wait()
            self._changed.clear()
            while not await self._made():
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            pause_s = FIRST_PAUSE_S

    async def _made(self) -> bool:
        """Whether there is one now."""
        if self._entry.value:
            return True
        try:
            await self._entry.change(_new_where_missing)
        except PlatformError as error:
            if str(error) not in (self._complaint, self._entry.trouble):  # the entry tells its own
                _log.error("no administrator's key can be made: %s", error)
            self._complaint = str(error)
            return False
        self._complaint = ""
        return True


def _opened(content: bytes) -> bytes:
    """Without the line's end that an editor leaves. In a cluster, an entry may be there and empty: as if it were not.

    Raises ValueError.
    """
    key = content.strip()
    if key and not is_key(key.decode("ascii", "replace")):
        raise ValueError(f"it has {len(key)} bytes, but it must be {KEY_RULE}")
    return key


def _new_where_missing(present: bytes | None) -> bytes | None:
    if present:
        return None
    _log.info("making the administrator's key: it is admin-key in the vault")
    return secrets.token_urlsafe(32).encode()
