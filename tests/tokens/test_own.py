"""Does a token of our own open its endpoint, everywhere and until its end, and nothing else?"""

from __future__ import annotations

import asyncio
import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from msgspec.structs import replace

from router.core.errors import Forbidden, Unauthorized, Unavailable
from router.platforms.administration import Unfit
from router.tokens.entry import LONGEST_PAUSE_S
from router.tokens.own import REFRESH_EVERY_S
from tests.tokens.instances import DAY_S, EPOCH_S, IRIS, OTHER, Instance, clock, kept_in, living, parts, running
from tests.tokens.vaults import OddVault
from tests.virtual_time import on_virtual_time, settle


@on_virtual_time
async def test_a_token_says_who_for_what_and_until_when() -> None:
    one = Instance(OddVault())
    async with running(one):
        issued = one.own.issue(IRIS, "somebody", clock())
    head, claims = parts(issued.access_token.encode())
    (key,) = one.own.signing_keys()
    start_s = int(EPOCH_S)
    assert head == {"alg": "ES256", "kid": key.kid, "typ": "JWT"}
    assert claims.pop("jti")
    assert claims == {
        "iss": "scoregate",
        "aud": "iris",
        "sub": "somebody",
        "iat": EPOCH_S,
        "nbf": start_s,
        "exp": start_s + 86_400,
    }
    assert (issued.token_type, issued.issued_at_s) == ("Bearer", start_s)
    assert (issued.refresh_after_s, issued.expires_at_s) == (start_s + 43_200, start_s + 86_400)
    assert issued.access_token not in repr(issued) + str(issued)


@on_virtual_time
async def test_a_token_opens_its_endpoint_until_its_end_and_no_longer_than_clocks_may_differ() -> None:
    one = Instance(OddVault())
    async with running(one):
        token = one.issue()
        verified = one.own.verify(IRIS, token, clock())
        assert (verified.subject, verified.issued_at_s) == ("somebody", EPOCH_S)
        assert verified.expires_at_s == int(EPOCH_S) + DAY_S
        assert verified.token_id == parts(token)[1]["jti"]
        one.own.verify(IRIS, token, EPOCH_S - 9)
        one.own.verify(IRIS, token, EPOCH_S + DAY_S + 9)
        for wrong_s in (EPOCH_S - 11, EPOCH_S + DAY_S + 10, EPOCH_S + 10 * DAY_S):
            with pytest.raises(Unauthorized):
                one.own.verify(IRIS, token, wrong_s)


@on_virtual_time
async def test_another_endpoints_token_is_good_but_not_for_this_one() -> None:
    one = Instance(OddVault())
    async with running(one):
        with pytest.raises(Forbidden, match="for 'iris'; this endpoint takes those for other"):
            one.verify(one.issue(IRIS), OTHER)


@on_virtual_time
async def test_each_token_has_an_id_of_its_own() -> None:
    one = Instance(OddVault())
    async with running(one):
        assert len({parts(one.issue())[1]["jti"] for _ in range(20)}) == 20


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\nb", "\u202e"])
def test_a_subject_that_would_not_be_taken_is_refused(subject: str) -> None:
    with pytest.raises(Unfit, match="1 to 255 printable"):
        Instance(OddVault()).own.issue(IRIS, subject, EPOCH_S)


@on_virtual_time
async def test_a_changed_token_is_refused_and_so_is_a_foreign_one() -> None:
    one, foreign = Instance(OddVault()), Instance(OddVault())
    async with running(one, foreign):
        token = one.issue()
        head, claims, signature = token.split(b".")
        other_claims = one.issue(OTHER).split(b".")[1]
        null = base64.urlsafe_b64encode(bytes(64)).rstrip(b"=")
        tokens = [
            foreign.issue(),
            b".".join((head, other_claims, signature)),
            b".".join((head, claims, null)),
            b".".join((foreign.issue().split(b".")[0], claims, signature)),
            token[:-3],
            token + b"A",
            b"",
            b"..",
        ]
        for each in tokens:
            with pytest.raises(Unauthorized):
                await one.admit(each)
        for at in range(0, len(token), 7):
            with pytest.raises(Unauthorized):
                await one.admit(token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :])
        one.verify(token)


@on_virtual_time
async def test_only_our_algorithm_and_our_name_are_taken() -> None:
    one = Instance(OddVault())
    async with running(one):
        token = one.issue()
        claims = parts(token)[1]
        (key,) = one.own._ring.value.pairs.values()
        pem = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        kid = {"kid": key.key.kid}
        hmac = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), b"x" * 32, "HS256", headers=kid)
        unsigned = jwt.encode(claims, None, algorithm="none", headers=kid)
        renamed = jwt.encode(claims | {"iss": "somebody"}, key.private, algorithm="ES256", headers=kid)
        nameless = jwt.encode(claims, key.private, algorithm="ES256")
        endless = jwt.encode({**claims, "exp": None}, key.private, algorithm="ES256", headers=kid)
        assert b"PUBLIC KEY" in pem
        for each, why in (
            (hmac, "signed with ES256"),
            (unsigned, "three parts|ES256"),
            (renamed, "issuer is 'somebody'"),
            (nameless, "names no key"),
            (endless, "no exp"),
        ):
            with pytest.raises(Unauthorized, match=why):
                one.verify(each.encode())


@on_virtual_time
@pytest.mark.parametrize(
    "kid", ["../../signing-keys", "/etc/passwd", "' OR 1=1 --", "http://a.example/", "\0", "x" * 256]
)
async def test_a_kid_only_chooses_among_known_keys(kid: str) -> None:
    one = Instance(OddVault())
    async with running(one):
        await asyncio.sleep(REFRESH_EVERY_S)
        mine = ec.generate_private_key(ec.SECP256R1())
        token = jwt.encode(parts(one.issue())[1], mine, algorithm="ES256", headers={"kid": kid}).encode()
        with pytest.raises(Unauthorized, match="a key that is not known"):
            await one.admit(token)


@on_virtual_time
async def test_a_token_of_another_issuer_makes_nobody_look_for_its_key() -> None:
    one = Instance(OddVault())
    async with running(one):
        await asyncio.sleep(REFRESH_EVERY_S)
        mine = ec.generate_private_key(ec.SECP256R1())
        claims = parts(one.issue())[1] | {"iss": "https://login.example.com"}
        token = jwt.encode(claims, mine, algorithm="ES256", headers={"kid": "unknown"}).encode()
        with pytest.raises(Unauthorized, match=r"its issuer is 'https://login\.example\.com'"):
            one.verify(token)


@on_virtual_time
async def test_the_published_keys_are_all_that_another_needs() -> None:
    """Read with nothing but the RFCs' arithmetic, and with PyJWT's own reader."""
    one = Instance(OddVault())
    async with running(one):
        await one.own.rotate()
        token = one.issue()
        document = json.loads(json.dumps(one.own.jwks()))
    private = json.dumps(await kept_in(one.vault))
    assert len(document["keys"]) == 2, "with the one that will sign soon"
    for key in document["keys"]:
        assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (key["use"], key["alg"], key["kty"], key["crv"]) == ("sig", "ES256", "EC", "P-256")
        assert key["kid"] in private
    head, claims = parts(token)
    (jwk,) = (key for key in document["keys"] if key["kid"] == head["kid"])
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=")) for name in ("x", "y"))
    signed, _, signature = token.rpartition(b".")
    raw = base64.urlsafe_b64decode(signature + b"==")
    der = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))
    theirs = jwt.PyJWKSet.from_dict(document)[head["kid"]]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert (
        jwt.decode(token, theirs, algorithms=["ES256"], audience="iris", issuer="scoregate", options=options) == claims
    )


@on_virtual_time
async def test_a_longer_life_counts_once_the_vault_says_so() -> None:
    vault = OddVault()
    one = Instance(vault, [living(60)])
    async with running(one):
        vault.refusal = "read-only"
        longer = living(600)
        one.own.follow([longer])
        await settle()
        before = one.own.issue(longer, "somebody", clock())
        assert (before.refresh_after_s, before.expires_at_s) == (int(EPOCH_S) + 60, int(EPOCH_S) + 60)
        vault.refusal = ""
        await asyncio.sleep(LONGEST_PAUSE_S)
        after = one.own.issue(longer, "somebody", clock())
        assert after.expires_at_s - after.issued_at_s == 600
    assert [key["tokenLife"] for key in (await kept_in(vault))["keys"]] == [600]


@on_virtual_time
async def test_a_shorter_life_cuts_off_no_token_that_was_issued() -> None:
    vault = OddVault()
    one = Instance(vault, [living(int(DAY_S))])
    async with running(one):
        token = one.issue(living(int(DAY_S)))
        one.own.follow([living(60)])
        await one.own.rotate()
        await asyncio.sleep(DAY_S - 1)
        one.verify(token)
        short = one.own.issue(living(60), "somebody", clock())
        assert short.expires_at_s - short.issued_at_s == 60
    assert [key["tokenLife"] for key in (await kept_in(one.vault))["keys"]] == [DAY_S, 60]


@on_virtual_time
async def test_the_longest_life_of_all_endpoints_counts_of_those_that_take_tokens() -> None:
    vault = OddVault()
    keyed = replace(living(10**6, "keyed"), auth_mode="key")
    one = Instance(vault, [living(60), living(600, "other"), keyed])
    async with running(one):
        assert [key["tokenLife"] for key in (await kept_in(vault))["keys"]] == [600]


@on_virtual_time
async def test_a_token_outlives_its_endpoint_unless_it_is_revoked() -> None:
    one = Instance(OddVault())
    async with running(one):
        token = one.issue()
        one.own.follow([OTHER])
        await asyncio.sleep(60)
        one.own.follow([OTHER, IRIS])
        one.verify(token)
        await one.revocations.revoke_all("iris", clock())
        one.own.follow([OTHER])
        await asyncio.sleep(60)
        one.own.follow([OTHER, IRIS])
        with pytest.raises(Unauthorized, match="revoked"):
            one.verify(token)


@on_virtual_time
async def test_a_revoked_token_is_refused_and_one_issued_right_after_is_good_everywhere() -> None:
    vault = OddVault()
    one, other = Instance(vault), Instance(OddVault(vault.vault))
    async with running(one, other):
        for _ in range(5):
            before = [one.issue(), other.issue()]
            await one.revocations.revoke_all("iris", clock())
            await settle()
            after = [one.issue(), other.issue()]
            for each in (one, other):
                for token in before:
                    with pytest.raises(Unauthorized, match="revoked"):
                        each.verify(token)
                for token in after:
                    each.verify(token)


@on_virtual_time
async def test_no_token_is_issued_that_might_be_revoked_from_the_start() -> None:
    vault = OddVault()
    one = Instance(vault)
    task = asyncio.create_task(one.own.run())
    await settle()
    with pytest.raises(Unavailable, match="which ones are revoked"):
        one.issue()
    task.cancel()
