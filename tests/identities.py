"""Who is this process, by that vault?"""

from __future__ import annotations

from router.platforms.administration import Vault
from router.platforms.identity import Identity, OwnIdentity


async def open_identity(vault: Vault) -> Identity:
    """As another process of the installation would be."""
    return await OwnIdentity(lambda: vault).get()
