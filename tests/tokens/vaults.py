"""What can a vault do to those who use it?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from router.platforms import PlatformError
from router.platforms.administration import Sealed, VaultName
from router.platforms.memory_administration import MemoryVault


class OddVault:
    """One instance's way to a vault that others use, too.

    `fault`: why it can't be read, written nor followed; `refusal`: why it can't be written; `deafness`: why it can't be
    followed; `answers_after_s`: how long a question takes; `tells_after_s`: how late followers hear of a change.
    """

    def __init__(self, vault: MemoryVault | None = None) -> None:
        self.vault = MemoryVault() if vault is None else vault
        self.fault = ""
        self.refusal = ""
        self.deafness = ""
        self.answers_after_s = 0.0
        self.tells_after_s = 0.0
        self.reads = 0
        self.writes = 0

    async def read(self, name: VaultName) -> Sealed | None:
        self.reads += 1
        sealed = await self.vault.read(name)
        await asyncio.sleep(self.answers_after_s)
        if self.fault:
            raise PlatformError(self.fault)
        return sealed

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        self.writes += 1
        await asyncio.sleep(self.answers_after_s)
        if self.fault or self.refusal:
            raise PlatformError(self.fault or self.refusal)
        await self.vault.write(name, content, version)

    async def follow(self, name: VaultName) -> AsyncIterator[Sealed | None]:
        if self.fault or self.deafness:
            raise PlatformError(self.fault or self.deafness)
        async for sealed in self.vault.follow(name):
            await asyncio.sleep(self.tells_after_s)
            yield sealed

    def put(self, name: VaultName, content: bytes | None) -> None:
        """Somebody puts this there, whatever was there before; None: removes it."""
        present = self.vault._entries.pop(name, None)
        if content is not None:
            version = 0 if present is None else int(present.version)
            self.vault._entries[name] = Sealed(content, str(version + 1_000))
        self.vault._changed.set()
        self.vault._changed = asyncio.Event()
