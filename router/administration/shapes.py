"""What may a request to the administration hold?

Pure. Its bodies, beside the shapes of replies that clients read, too (router/administrator/shapes.py). A body that has
a field too many is refused. A key is in no repr().
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, inspect

from router.administrator.shapes import Level
from router.core.claims import MAX_NAME_LENGTH
from router.core.rules import rule_of

_NAME = rule_of(inspect.StrType(), "name")
assert _NAME is not None
assert _NAME.pattern is not None
NAME_PATTERN = f"^{_NAME.pattern}$"
"""Of an endpoint, a deployment, a key."""

MAX_HOLD_S = 31_536_000
"""A year: a number that shall stay for longer belongs into the deployment's settings."""
MAX_UID_CHARACTERS = 1_000

_MAX_INT32 = 2**31 - 1

KeyValue = Annotated[
    str,
    Meta(
        description="16 to 256 printable ASCII characters without spaces; a random one when not given.",
        extra_json_schema={"pattern": "^[!-~]{16,256}$"},
    ),
]
"""Its rule is checked where keys are (router/core/keys.py), with a message that quotes nothing of it."""
Version = Annotated[str, Meta(max_length=64, description="What was read: refused with 409 if it is another by now.")]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
"""As in a token's claims. A token is longer: none comes into the log in the place of its id."""
Moment = Annotated[datetime, Meta(tz=True)]


class Body(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Of any request."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Limit(Body, frozen=True, kw_only=True):
    """What one consumer may ask of one router process."""

    requests_per_second: Annotated[float, Meta(gt=0, le=1e6)]
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class KeyRegeneration(Body, frozen=True, kw_only=True):
    key_value: KeyValue | None = None
    version: Version | None = None


class KeySettings(Body, frozen=True, kw_only=True):
    """Of a named key. What is not given stays as it is; null takes it away."""

    key_value: KeyValue | None = None
    expires_at: Moment | UnsetType | None = UNSET
    rate_limit: Limit | UnsetType | None = UNSET
    version: Version | None = None


class TokenRequest(Body, frozen=True, kw_only=True):
    subject: Text = "administrator"
    """Who it is for: the token's `sub`."""


class Revocation(Body, frozen=True, kw_only=True):
    token_id: Text | None = None
    """The token's `jti`; all that were issued until now when not given."""


class Traffic(Body, frozen=True, kw_only=True):
    traffic: dict[str, Annotated[int, Meta(ge=0, le=100)]]
    """Percent by deployment name; sums to 0 or 100."""
    version: Version | None = None


class Scale(Body, frozen=True, kw_only=True):
    replicas: Annotated[int, Meta(ge=0, le=_MAX_INT32)]
    for_seconds: Annotated[int, Meta(ge=1, le=MAX_HOLD_S)]


class LogLevelWish(Body, frozen=True, kw_only=True):
    level: Level
