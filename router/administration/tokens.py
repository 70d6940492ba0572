"""How does an administrator get a token, and take tokens back?

I/O: the vault, through the tokens' own parts. The audit line says for whom and until when, and never the token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from router.administration.audit import shown_time
from router.administration.operation import Answer, Call, OneOf, Operation
from router.administration.parts import Parts
from router.administration.shapes import Revocation, TokenRequest
from router.administrator.shapes import Revoked, SigningKeyView, TokenV1, TokenV2
from router.platforms.administration import Conflict

_REMEMBERED_S = 365 * 86_400
"""A single token stays revoked for so long, and for the life of a token of the endpoint: when it ends, its id doesn't
say, and an issuer's may live longer than ours."""


async def issue_token(parts: Parts, call: Call) -> Answer:
    wish: TokenRequest = call.body
    endpoint = parts.endpoint(call.path["endpoint"])
    call.told |= {"endpoint": endpoint.name, "subject": wish.subject}
    if not endpoint.accepts("token"):
        raise Conflict(
            f"endpoint {endpoint.name} takes no tokens of ours: spec.auth needs token as mode or alsoAccepts"
        )
    issued = parts.tokens.issue(endpoint, wish.subject, call.now_s)
    call.told["expires"] = shown_time(issued.expires_at_s)
    refresh_after, expires_at = int(issued.refresh_after_s), int(issued.expires_at_s)
    if call.query["api"] == "v1":
        return Answer(
            TokenV1(
                access_token=issued.access_token,
                token_type=issued.token_type,
                refresh_after=refresh_after,
                expiry_on=expires_at,
            )
        )
    return Answer(
        TokenV2(
            access_token=issued.access_token,
            token_type=issued.token_type,
            refresh_after_time_utc=refresh_after,
            expiry_time_utc=expires_at,
        )
    )


async def revoke_tokens(parts: Parts, call: Call) -> Answer:
    wish: Revocation = call.body
    endpoint = parts.endpoint(call.path["endpoint"])
    revoked = "all" if wish.token_id is None else wish.token_id
    call.told |= {"endpoint": endpoint.name, "revoked": revoked}
    if not (endpoint.accepts("token") or endpoint.accepts("jwt")):
        raise Conflict(f"endpoint {endpoint.name} takes no tokens: its auth.mode is {endpoint.auth_mode}")
    if wish.token_id is None:
        await parts.revocations.revoke_all(endpoint.name, call.now_s)
    else:
        life_s = endpoint.token.refresh_after + endpoint.token.valid_past_refresh
        await parts.revocations.revoke(endpoint.name, wish.token_id, call.now_s + life_s + _REMEMBERED_S)
    return Answer(Revoked(revoked=revoked, at=datetime.fromtimestamp(call.now_s, UTC)))


async def list_signing_keys(parts: Parts, call: Call) -> Answer:
    return Answer(_views(parts))


async def rotate_signing_keys(parts: Parts, call: Call) -> Answer:
    call.told["from"] = [view.kid for view in _views(parts)]
    await parts.tokens.rotate()
    views = _views(parts)
    call.told["to"] = [view.kid for view in views]
    return Answer(views)


async def show_jwks(parts: Parts, call: Call) -> Answer:
    return Answer(parts.tokens.jwks())


def _views(parts: Parts) -> list[SigningKeyView]:
    return [
        SigningKeyView(
            kid=key.kid,
            created_at=datetime.fromtimestamp(key.created_at_s, UTC),
            signs_from=datetime.fromtimestamp(key.signs_from_s, UTC),
            signs_until=_moment(key.signs_until_s),
            verifies_until=_moment(key.verifies_until_s),
        )
        for key in parts.tokens.signing_keys()
    ]


def _moment(at_s: float | None) -> datetime | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC)


OPERATIONS = (
    Operation(
        method="POST",
        path="/endpoints/{endpoint}/token",
        name="issueToken",
        summary="A token that opens an endpoint, with the fields of Azure ML's v1 or v2.",
        act=issue_token,
        reply=(TokenV1, TokenV2),
        body=TokenRequest,
        query={"api": OneOf(("v1", "v2"))},
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="DELETE",
        path="/endpoints/{endpoint}/tokens",
        name="revokeTokens",
        summary="Take one token back, or all that were issued until now.",
        act=revoke_tokens,
        reply=Revoked,
        body=Revocation,
        also=(409, 422),
        is_audited=True,
    ),
    Operation(
        method="GET",
        path="/signing-keys",
        name="listSigningKeys",
        summary="The keys that tokens are signed with, without what is secret.",
        act=list_signing_keys,
        reply=list[SigningKeyView],
    ),
    Operation(
        method="POST",
        path="/signing-keys/rotate",
        name="rotateSigningKeys",
        summary="Sign with a new key from soon on; tokens of the others stay good until they end.",
        act=rotate_signing_keys,
        reply=list[SigningKeyView],
        also=(409, 422),
        is_audited=True,
    ),
)

JWKS = Operation(
    method="GET",
    path="/.well-known/jwks.json",
    name="showJwks",
    summary="The public keys that verify tokens of this installation (RFC 7517).",
    act=show_jwks,
    reply=dict[str, list[dict[str, Any]]],
    is_open=True,
)
