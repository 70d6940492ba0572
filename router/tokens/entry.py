"""What is in one entry of the vault, and how is it changed while others change it, too?

I/O: the vault. Every instance follows the entry, and each change is made of what the entry holds by then: two who
change it at once both have their way, one after the other. What was read last stays in force through any failure, and
an entry that can't be understood is never written over: a person has to look at it.

Following says only that there was a change; what is there now is asked, one question at a time, so that no late word
brings back what was changed since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from router.platforms import PlatformError
from router.platforms.administration import Conflict, Sealed, Vault, VaultName

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
ANSWER_S = 5.0
"""For one question to the vault."""
MOST_TRIES = 20
"""To change it; each one was lost to somebody whose change went through."""

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds since the epoch: what tokens say is read by others, too."""

log = logging.getLogger("scoregate.tokens")


class BadEntry(PlatformError):
    """What the vault holds there can't be; only a person can mend it."""


class Entry(Generic[T]):
    """`told` is called after each change of `value`."""

    def __init__(
        self,
        vault: Vault,
        name: VaultName,
        opened: Callable[[bytes], T],
        encoded: Callable[[T], bytes],
        told: Callable[[], None],
    ) -> None:
        """`opened` raises ValueError, with a message that quotes nothing."""
        self.value: T | None = None
        """What it held when it was read last; None where there was nothing, too."""
        self.known = False
        """Whether it was ever read."""
        self.trouble = f"{name} in the vault has not been read yet"
        """Why it is not known what it holds now; "" while it is."""
        self._vault, self._name = vault, name
        self._opened, self._encoded, self._told = opened, encoded, told
        self._sealed: Sealed | None = None
        self._logged = ""
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Follow it until cancelled."""
        pause_s, complaint = FIRST_PAUSE_S, ""
        while True:
            try:
                with suppress(BadEntry):
                    await self.read()
                async for _ in self._vault.follow(self._name):
                    with suppress(BadEntry):
                        await self.read()
                    pause_s, complaint = FIRST_PAUSE_S, ""
            except PlatformError as error:
                if str(error) not in (complaint, self._logged):
                    log.error("%s in the vault can't be followed, and is looked at now and then: %s", self._name, error)
                complaint = str(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def read(self) -> None:
        """Raises PlatformError, which is BadEntry where the vault answers with what can't be."""
        async with self._turn:
            await self._read()

    async def change(self, change: Callable[[T | None], T | None]) -> None:
        """To what `change` makes of what is there; None leaves it. It may be asked again.

        Raises PlatformError; what `change` raises.
        """
        async with self._turn:
            for _ in range(MOST_TRIES):
                await self._read()
                wanted = change(self.value)
                if wanted is None:
                    return
                with suppress(Conflict):
                    await self._write(self._encoded(wanted))
                    await self._read()
                    return
            raise Conflict(f"{self._name} in the vault was changed by others {MOST_TRIES} times meanwhile")

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                sealed = await self._vault.read(self._name)
            self._take(sealed)
        except TimeoutError:
            self._note(f"the vault did not show its {self._name} within {ANSWER_S:.0f} s")
            raise PlatformError(self.trouble) from None
        except PlatformError as error:
            self._note(str(error))
            raise

    async def _write(self, content: bytes) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._vault.write(self._name, content, self._sealed and self._sealed.version)
        except TimeoutError:
            raise PlatformError(f"the vault did not take its {self._name} within {ANSWER_S:.0f} s") from None

    def _take(self, sealed: Sealed | None) -> None:
        """Raises BadEntry."""
        content = sealed and sealed.content
        is_news = not self.known or content != (self._sealed and self._sealed.content)
        if is_news:
            try:
                self.value = None if content is None else self._opened(content)
            except ValueError as error:
                what = f"{self._name} in the vault can't be used: {error}; mend it, or remove it to begin anew"
                raise BadEntry(what) from None
        self._sealed, self.known, self.trouble = sealed, True, ""
        if self._logged:
            log.info("%s in the vault is read again", self._name)
            self._logged = ""
        if is_news:
            self._told()

    def _note(self, trouble: str) -> None:
        self.trouble = trouble
        if trouble != self._logged:
            self._logged = trouble
            going_on = "; going on with what it was before" if self.known else ""
            log.error("%s%s", trouble, going_on)
