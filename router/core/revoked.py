"""Which tokens are good no longer, though their time is not over?

Pure. Times are seconds since the epoch, by the clock of whoever revokes or issues; two may differ by CLOCK_SKEW_S. So
that a token which was issued before is never taken for a later one, all that say to be from the next CLOCK_SKEW_S are
revoked, too; and one of our own that is issued in these moments says that it is from right after them
(`issued_at_s`): it is good at once. An issuer's are good only when the moments are over.

What is revoked outlives the endpoint: one that is made anew under the same name does not take the tokens again.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from router.core.claims import MAX_NAME_LENGTH, Verified
from router.core.signing import CLOCK_SKEW_S

MOST_IDS = 10_000
"""Of one endpoint, that are revoked one by one."""
MOST_BYTES = 700_000
"""Of all that is revoked one by one, as JSON: a Kubernetes Secret holds a million in all."""
KEPT_S = 900
"""So much longer than a token lives it stays revoked: endpoints may take one past its end, for clocks that differ."""
STEP_S = 0.001
"""Times of tokens are told so finely."""


class TooMany(ValueError):
    """No more tokens can be revoked one by one; the message says what can be done instead."""


_FIELDS = {"issued_before_s": "issuedBefore"}


class Revoked(Struct, frozen=True, rename=_FIELDS, forbid_unknown_fields=True, omit_defaults=True):
    """Of one endpoint."""

    issued_before_s: float | None = None
    """Every token that was issued then, or earlier."""
    ids: dict[str, float] = {}
    """By `jti`, when the token is over."""


Table = Mapping[str, Revoked]
"""By the endpoint's name."""
_NOTHING = Revoked()


def is_revoked(table: Table, endpoint: str, verified: Verified) -> bool:
    revoked = table.get(endpoint)
    if revoked is None:
        return False
    if revoked.issued_before_s is not None and verified.issued_at_s <= revoked.issued_before_s:
        return True
    return verified.token_id in revoked.ids


def issued_at_s(table: Table, endpoint: str, now_s: float) -> float:
    """What a token of our own that is issued now has to say, so that it is not revoked from the start."""
    before_s = table.get(endpoint, _NOTHING).issued_before_s
    return round(now_s if before_s is None else max(now_s, before_s + STEP_S), 3)


def all_revoked(table: Table, endpoint: str, now_s: float) -> Table:
    """All tokens of the endpoint that were issued until now; more than those that were already."""
    present = table.get(endpoint, _NOTHING)
    before_s = now_s + CLOCK_SKEW_S
    if present.issued_before_s is not None:
        before_s = max(before_s, present.issued_before_s + STEP_S)
    return {**_pruned(table, now_s), endpoint: Revoked(round(before_s, 3), _lasting(present.ids, now_s))}


def one_revoked(table: Table, endpoint: str, token_id: str, expires_at_s: float, now_s: float) -> Table:
    """Raises ValueError for what is no `jti`; TooMany."""
    if not 0 < len(token_id) <= MAX_NAME_LENGTH or not token_id.isprintable():
        raise ValueError(f"a token's id must be 1 to {MAX_NAME_LENGTH} printable characters")
    present = table.get(endpoint, _NOTHING)
    ids = _lasting({**present.ids, token_id: max(expires_at_s, present.ids.get(token_id, 0.0))}, now_s)
    instead = f"revoke all tokens of {endpoint} instead"
    if len(ids) > MOST_IDS:
        raise TooMany(
            f"{MOST_IDS:,} tokens of {endpoint} are revoked one by one already, and no more can be: {instead}"
        )
    wanted = {**_pruned(table, now_s), endpoint: Revoked(present.issued_before_s, ids)}
    if len(encoded(wanted)) > MOST_BYTES:
        raise TooMany(f"what is revoked one by one would have more than {MOST_BYTES:,} bytes: {instead}")
    return wanted


def encoded(table: Table) -> bytes:
    return msgspec.json.encode(table)


def decoded(content: bytes) -> Table:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(content, type=dict[str, Revoked])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _pruned(table: Table, now_s: float) -> Table:
    """Without tokens that are over; `issuedBefore` stays, as nobody knows how long an issuer's tokens live."""
    kept = {name: Revoked(each.issued_before_s, _lasting(each.ids, now_s)) for name, each in table.items()}
    return {name: each for name, each in kept.items() if each != _NOTHING}


def _lasting(ids: Mapping[str, float], now_s: float) -> dict[str, float]:
    return {name: end_s for name, end_s in ids.items() if now_s < end_s + KEPT_S}
