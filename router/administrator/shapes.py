"""What does the administration of a router say, as a client reads it?

Pure. The shapes of the HTTP API's replies; a field that is not known here is passed over, so that a newer router can be
administered, too. A key or a token is in no repr().
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from msgspec import Struct

from router.core.keys import NamedKey
from router.core.model import AuthMode, Load, TroubleKind

Level = Literal["debug", "info", "warning", "error"]


class EndpointView(Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    auth_mode: AuthMode
    also_accepts: list[AuthMode] = []
    traffic: dict[str, int]
    """Percent by deployment name."""
    traffic_version: str
    """Another after each change of the traffic."""
    deployments: list[str]
    scoring_path: str


class HoldView(Struct, frozen=True):
    """A number of replicas that somebody set by hand."""

    replicas: int
    until: datetime


class TroubleView(TypedDict):
    """What keeps a deployment from the replicas it should have."""

    kind: TroubleKind
    reason: str


class DeploymentView(Struct, frozen=True, kw_only=True):
    endpoint: str
    name: str
    load: Load | None = None
    settings: dict[str, Any] = {}
    hold: HoldView | None = None
    troubles: list[TroubleView] = []


class ReplicaView(Struct, frozen=True, kw_only=True, rename="camel"):
    uid: str
    host: str
    port: int
    ready: bool
    leaving: bool
    in_flight: int


class KeysView(Struct, frozen=True, kw_only=True, rename="camel"):
    """All keys of an endpoint."""

    primary_key: str
    secondary_key: str
    named_keys: dict[str, NamedKey] = {}
    version: str
    """Another after each change."""

    def __repr__(self) -> str:
        return f"KeysView(…, version={self.version!r})"


class TokenV1(Struct, frozen=True, kw_only=True, rename="camel"):
    """A token as Azure ML's v1 names its fields; times in seconds since the epoch."""

    access_token: str
    token_type: str
    refresh_after: int
    expiry_on: int

    def __repr__(self) -> str:
        return "TokenV1(…)"


class TokenV2(Struct, frozen=True, kw_only=True, rename="camel"):
    """The same as its v2 names them."""

    access_token: str
    token_type: str
    refresh_after_time_utc: int
    expiry_time_utc: int

    def __repr__(self) -> str:
        return "TokenV2(…)"


class Revoked(Struct, frozen=True):
    revoked: str
    """The token's id, or `all`."""
    at: datetime


class Drained(Struct, frozen=True):
    uid: str
    drained: bool


class LogLevel(Struct, frozen=True):
    level: Level


class SigningKeyView(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the keys that tokens of this installation are signed with; nothing of it that is secret."""

    kid: str
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None = None
    """None while no other key is to follow it."""
    verifies_until: datetime | None = None
    """When its last token is over."""
