"""What may an administrator read and change, wherever endpoints come from?

I/O: none itself. Every change goes where the platform keeps what it concerns (a file, a resource, a Secret), and comes
back to all routers as a snapshot, or through the vault: nothing lives in one process alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from router.core.keys import Keys
from router.core.model import Hold
from router.platforms import PlatformError


class Unknown(PlatformError):
    """There is no such thing; the message says what there is."""


class Conflict(PlatformError):
    """It is not as it was taken to be, or somebody else was faster; nothing was changed."""


class Unfit(PlatformError):
    """The change can't be, whenever it is asked for; the message names the value and the rule."""


class NotPermitted(PlatformError):
    """The platform refuses it to this process; the message says which right is missing."""


VaultName = Literal["admin-key", "signing-keys", "revocations", "instance-ca"]


class Sealed(NamedTuple):
    """One entry of the vault."""

    content: bytes
    version: str

    def __repr__(self) -> str:
        return f"Sealed(…, version={self.version!r})"


class Vault(Protocol):
    """The installation's own secrets, the same for all its instances; only their owner may read them."""

    async def read(self, name: VaultName) -> Sealed | None:
        """None while there is none. Raises PlatformError."""

    async def write(self, name: VaultName, content: bytes, version: str | None) -> None:
        """In the place of what has that version; None: there must be none yet.

        Raises Conflict where there is another by now; PlatformError.
        """

    def follow(self, name: VaultName) -> AsyncIterator[Sealed | None]:
        """What it is now, then after each change, within seconds. Never ends by itself; one that can't be read is told
        in the log, and what was read last stays."""


class Administration(Protocol):
    """Every method raises PlatformError, as Unknown, Conflict, Unfit or NotPermitted where one of them is meant."""

    @property
    def vault(self) -> Vault: ...

    async def keys(self, endpoint: str) -> Keys:
        """Raises Unknown where it has none."""

    async def change_keys(self, endpoint: str, change: Callable[[Keys], Keys]) -> Keys:
        """What `change` makes of the present keys; it may be asked again when somebody else was faster.

        Raises what `change` raises.
        """

    async def set_traffic(self, endpoint: str, traffic: Mapping[str, int], expected: Mapping[str, int] | None) -> None:
        """Percent by deployment name; sums to 0 or 100. `expected`: what it must be now, else Conflict."""

    async def hold(self, endpoint: str, deployment: str, hold: Hold | None) -> None:
        """Set the number of replicas by hand; None ends that. Only where the load sets it else, within its bounds."""

    async def drain(self, replica: str, drained: bool) -> None:
        """Whether the replica of this uid takes nothing new: it finishes what it has, and stays."""

    async def decisions(self, endpoint: str, deployment: str, last: int) -> list[Any]:
        """The autoscaler's last ones, the newest last, as plain objects."""
