"""What does administration need of the router?

Pure. The parts behind the API, as far as it uses them, and how it finds what a URL names: only what the router knows is
asked of a platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from router.core.loads import Gathered
from router.core.model import Deployment, Endpoint, Load, Replica, Snapshot
from router.platforms import PlatformError
from router.platforms.administration import Administration
from router.platforms.asked import deployment_of, endpoint_of, replica_of


class Served(Protocol):
    @property
    def snapshot(self) -> Snapshot | None:
        """None until there is a first."""

    async def load_of_all(self) -> Gathered: ...


class Issued(Protocol):
    """A token of our own. Times in seconds since the epoch."""

    @property
    def access_token(self) -> str: ...

    @property
    def token_type(self) -> str: ...

    @property
    def refresh_after_s(self) -> float: ...

    @property
    def expires_at_s(self) -> float: ...


class SigningKey(Protocol):
    """Times in seconds since the epoch."""

    @property
    def kid(self) -> str: ...

    @property
    def created_at_s(self) -> float: ...

    @property
    def signs_from_s(self) -> float: ...

    @property
    def signs_until_s(self) -> float | None: ...

    @property
    def verifies_until_s(self) -> float | None: ...


class Tokens(Protocol):
    """The tokens that this installation issues."""

    def issue(self, endpoint: Endpoint, subject: str, now_s: float) -> Issued:
        """Raises Unavailable while there is no key to sign with; Unfit for what is no subject."""

    def jwks(self) -> dict[str, Any]: ...

    def signing_keys(self) -> Sequence[SigningKey]: ...

    async def rotate(self) -> None:
        """Raises PlatformError."""


class Revocations(Protocol):
    """Both raise PlatformError."""

    async def revoke_all(self, endpoint: str, now_s: float) -> None: ...

    async def revoke(self, endpoint: str, token_id: str, expires_at_s: float) -> None: ...


class Parts(NamedTuple):
    served: Served
    administration: Administration
    tokens: Tokens
    revocations: Revocations

    @property
    def snapshot(self) -> Snapshot:
        """Raises PlatformError until there is one."""
        snapshot = self.served.snapshot
        if snapshot is None:
            raise PlatformError("no endpoints are known yet")
        return snapshot

    def endpoint(self, name: str) -> Endpoint:
        """Raises Unknown."""
        return endpoint_of(self.snapshot, name)

    def deployment(self, endpoint: str, name: str) -> Deployment:
        """Raises Unknown."""
        return deployment_of(self.snapshot, endpoint, name)

    def replica(self, uid: str) -> Replica:
        """Raises Unknown."""
        return replica_of(self.snapshot, uid)

    async def load_of(self, deployment: Deployment) -> Load | None:
        """Of all instances together; None in the moment before it is served."""
        for load in (await self.served.load_of_all()).loads:
            if (load.endpoint, load.deployment) == (deployment.endpoint, deployment.name):
                return load
        return None
