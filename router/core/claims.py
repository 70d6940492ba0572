"""Do a token's claims let its bearer in?

Pure. The signature is checked before (router.tokens.signature): what is refused here was said by the issuer; but for
times, which may be looked at sooner, because they let nobody in, and spare much for what is over anyhow. 401 is for
a token that is no good, 403 for a good one that is not for this endpoint or lacks what the endpoint requires. Rules are
those of RFC 7519 section 4.1, RFC 8725 and RFC 9068.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from router.core.errors import Forbidden, Unauthorized
from router.core.model import JwtSettings

LATEST_S = 253_402_300_799
"""The end of the year 9999. What is later was not meant as seconds."""
MAX_NAME_LENGTH = 255
"""Characters of `sub` (OpenID Connect Core section 2), and as many of `jti`."""

Claims = Mapping[str, Any]


class Verified(NamedTuple):
    """What is kept of a token that was found good."""

    subject: str
    """Whom it was issued to; "" where it does not say. Printable."""
    token_id: str
    """Its `jti`; "" where it has none. Printable."""
    issued_at_s: float
    """Seconds since the epoch; 0 where it does not say, so that it counts as older than any moment."""
    expires_at_s: float
    """Its `exp`, without the clock skew that it may be taken past it."""


def verified(claims: Claims, settings: JwtSettings, now_s: float) -> Verified:
    """Raises Unauthorized, Forbidden. `now_s`: seconds since the epoch."""
    if claims.get("iss") != settings.issuer:
        raise refused(f"its issuer is {shown(claims.get('iss'))}, which is not this endpoint's")
    found = Verified(
        subject=_name(claims, "sub"),
        token_id=_name(claims, "jti"),
        issued_at_s=_seconds(claims, "iat") or 0.0,
        expires_at_s=check_times(claims, settings, now_s),
    )
    _check_audience(claims, settings.audiences)
    _check_scopes(claims, settings.required_scopes)
    _check_required(claims, settings.required_claims)
    return found


def refused(why: str) -> Unauthorized:
    """What is said of a token that is no good. `why` quotes nothing of it, unless it is `shown`."""
    return Unauthorized(f"The token is refused: {why}.", presented=True)


def shown(value: object) -> str:
    """What somebody else wrote, as one line of bounded length."""
    if isinstance(value, str):
        return ascii(value if len(value) <= 80 else value[:79] + "…")
    return "missing" if value is None else f"a {type(value).__name__}"


def check_times(claims: Claims, settings: JwtSettings, now_s: float) -> float:
    """When it expires. Raises Unauthorized where that was, or it is not good yet."""
    skew_s = settings.clock_skew
    expires_s, starts_s, issued_s = (_seconds(claims, claim) for claim in ("exp", "nbf", "iat"))
    if expires_s is None:
        raise refused("it has no exp, so that it would never expire")
    if now_s >= expires_s + skew_s:
        raise refused(f"it expired {now_s - expires_s:,.0f} s ago")
    if starts_s is not None and now_s < starts_s - skew_s:
        raise refused(f"it is good in {starts_s - now_s:,.0f} s only (nbf)")
    if issued_s is not None and now_s < issued_s - skew_s:
        raise refused(f"it was issued {issued_s - now_s:,.0f} s from now (iat)")
    return expires_s


def _check_audience(claims: Claims, taken: tuple[str, ...]) -> None:
    audiences = _texts(claims, "aud")
    if not any(each in taken for each in audiences):
        given = ", ".join(shown(each) for each in audiences[:3]) or "nobody"
        raise Forbidden(f"The token is good, but for {given}; this endpoint takes those for {', '.join(taken)}.")


def _check_scopes(claims: Claims, required: tuple[str, ...]) -> None:
    if not required:
        return
    held = {word for claim in ("scope", "scp") for text in _texts(claims, claim) for word in text.split(" ")}
    lacking = [scope for scope in required if scope not in held]
    if lacking:
        raise Forbidden(f"The token is good, but lacks the scope {', '.join(lacking)}.", scopes=required)


def _check_required(claims: Claims, required: Mapping[str, tuple[str, ...]]) -> None:
    for claim, values in required.items():
        held = claims.get(claim)
        if not any(each in values for each in (held if isinstance(held, list) else [held])):
            raise Forbidden(f"The token is good, but its claim {claim} is none of {', '.join(values)}.")


def _texts(claims: Claims, claim: str) -> list[str]:
    """A claim that is one text or a list of them; none where it is missing."""
    value = claims.get(claim)
    texts = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(each, str) for each in texts):
        raise refused(f"{claim} must be a text or a list of texts")
    return texts


def _seconds(claims: Claims, claim: str) -> float | None:
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_S:
        raise refused(f"{claim} must be a number of seconds since 1970, up to the year 9999")
    return float(value)


def _name(claims: Claims, claim: str) -> str:
    value = claims.get(claim)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_LENGTH or not value.isprintable():
        raise refused(f"{claim} must be a text of at most {MAX_NAME_LENGTH} printable characters")
    return value
