"""Which tokens are taken for signed, and which attacks end here."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any, get_args

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.claims import verified
from router.core.errors import Forbidden, Unauthorized
from router.core.model import Algorithm, JwtSettings
from router.tokens import jwks
from router.tokens.jwks import candidates
from router.tokens.signature import MAX_KEY_ID_LENGTH, MAX_TOKEN_BYTES, fits, json_object, signed_by, unverified
from tests.tokens.issuer import SigningKey, part, private_key, signed

ALL = get_args(Algorithm)
CLAIMS = {"iss": "https://issuer.example", "exp": 1_800_000_000, "sub": "anna"}
KEYS = {algorithm: SigningKey("key-1", algorithm, private_key(algorithm)) for algorithm in ALL}
RSA, EC, ED = KEYS["RS256"], KEYS["ES256"], KEYS["EdDSA"]
TOKENS = {algorithm: signed(key, CLAIMS) for algorithm, key in KEYS.items()}


def claims_of(token: bytes, key: SigningKey, algorithms: tuple[str, ...]) -> dict[str, Any]:
    return signed_by(unverified(token), key.private.public_key(), algorithms)


def refusal(token: bytes, key: SigningKey = RSA, algorithms: tuple[str, ...] = ALL) -> str:
    with pytest.raises(Unauthorized) as failure:
        claims_of(token, key, algorithms)
    assert dict(failure.value.headers)[b"www-authenticate"] == b'Bearer error="invalid_token"'
    return failure.value.message


def odd(head: Any, claims: Any = CLAIMS, key: SigningKey = RSA) -> bytes:
    """A token with this head whose signature is good: the issuer itself is odd."""
    signing_input = part(head) + b"." + part(claims)
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    return signing_input + b"." + part(algorithm.sign(signing_input, key.private))


@pytest.mark.parametrize("algorithm", ALL)
def test_a_token_says_what_was_signed(algorithm: str) -> None:
    token, key = TOKENS[algorithm], KEYS[algorithm]
    assert claims_of(token, key, (algorithm,)) == CLAIMS
    read = unverified(token)
    assert (read.algorithm, read.key_id, read.issuer) == (algorithm, "key-1", "https://issuer.example")
    assert token.decode() not in repr(read)


def test_ed448_is_an_eddsa_key_too() -> None:
    key = SigningKey("key-1", "EdDSA", private_key("Ed448"))
    assert claims_of(signed(key, CLAIMS), key, ("EdDSA",)) == CLAIMS


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bit_changed_and_any_byte_gone_refuses_it(algorithm: str, data: st.DataObject) -> None:
    token = TOKENS[algorithm]
    at = data.draw(st.integers(0, len(token) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = token[:at] + bytes([token[at] ^ (1 << bit)]) + token[at + 1 :]
    for attack in (changed, token[:at], token[:at] + token[at + 1 :], token[at + 1 :]):
        refusal(attack, KEYS[algorithm])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_no_bit_of_the_last_character_is_free(algorithm: str) -> None:
    """Base64 leaves some of them unused: a token has one spelling, else its digest would name it by many."""
    token = TOKENS[algorithm]
    others = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".replace(token[-1:], b"")
    for last in others:
        refusal(token[:-1] + bytes([last]), KEYS[algorithm])


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", "HS256", "HS384", "rs256", "RS1", "ES256K"])
@pytest.mark.parametrize("signature", [b"", TOKENS["RS256"].rpartition(b".")[2]], ids=["unsigned", "signed"])
def test_no_algorithm_but_those_allowed(algorithm: str, signature: bytes) -> None:
    refusal(part({"alg": algorithm, "kid": "key-1"}) + b"." + part(CLAIMS) + b"." + signature)


@pytest.mark.parametrize("algorithm", [None, 256, ["RS256"], {"RS256": 1}, True])
def test_an_algorithm_is_a_text(algorithm: object) -> None:
    assert "names no algorithm" in refusal(odd({"alg": algorithm}))


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
@pytest.mark.parametrize(
    ("encoding", "form"),
    [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)],
)
@pytest.mark.parametrize(("algorithm", "digest"), [("HS256", hashlib.sha256), ("HS512", hashlib.sha512)])
def test_a_public_key_is_no_secret(
    key: SigningKey, encoding: Encoding, form: PublicFormat, algorithm: str, digest: Any
) -> None:
    secret = key.private.public_key().public_bytes(encoding, form)
    for each in (secret, secret.strip(), json.dumps(key.jwk).encode()):
        signing_input = part({"alg": algorithm, "kid": "key-1"}) + b"." + part(CLAIMS)
        forged = signing_input + b"." + part(hmac.digest(each, signing_input, digest))
        refusal(forged, key)
        refusal(forged, key, (*ALL, algorithm))  # even a list that allows it


FAMILIES = [{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, {"ES256"}, {"ES384"}, {"ES512"}, {"EdDSA"}]


@pytest.mark.parametrize("used", ALL)
def test_a_key_is_used_for_its_own_algorithms_only(used: str) -> None:
    for other in ALL:
        related = any({used, other} <= family for family in FAMILIES)
        assert fits(KEYS[other].private.public_key(), used) is related
        if not related:
            assert "not one for the key" in refusal(TOKENS[used], KEYS[other])


def test_the_wrong_key_of_the_right_kind_is_refused() -> None:
    for algorithm, token in TOKENS.items():
        other = SigningKey("key-1", algorithm, private_key(algorithm, 1))
        assert "signature" in refusal(token, other)


def test_the_allow_list_counts() -> None:
    assert "RS256, ES256" in refusal(TOKENS["PS256"], KEYS["PS256"], ("RS256", "ES256"))


@pytest.mark.parametrize("signature", [bytes(64), b"", bytes(63), bytes(65), b"\xff" * 64, bytes(32) + b"\x01" * 32])
def test_a_signature_of_zeros_signs_nothing(signature: bytes) -> None:
    """CVE-2022-21449: r = s = 0 was good for every message."""
    head = part({"alg": "ES256", "kid": "key-1"}) + b"." + part(CLAIMS) + b"."
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for attack in (signature, order.to_bytes(32, "big") * 2):
        refusal(head + part(attack), EC)


def test_a_der_signature_is_not_the_form() -> None:
    signing_input = part({"alg": "ES256"}) + b"." + part(CLAIMS)
    refusal(signing_input + b"." + part(EC.private.sign(signing_input, ec.ECDSA(hashes.SHA256()))), EC)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t"])
def test_a_key_that_the_token_brings_is_not_looked_at(name: str) -> None:
    attacker = SigningKey("key-1", "RS256", private_key("RS256", 1))
    brought = {"jwk": attacker.jwk, "jku": "https://evil.example", "x5u": "https://evil.example"}
    refusal(signed(attacker, CLAIMS, **{name: brought.get(name, ["MII"])}))
    assert claims_of(signed(RSA, CLAIMS, **{name: "odd"}), RSA, ALL) == CLAIMS


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
@pytest.mark.parametrize("value", [True, False, ["exp"], [], "DEF", None])
def test_what_asks_for_more_than_is_done_is_refused(name: str, value: object) -> None:
    assert f"has {name}" in refusal(odd({"alg": "RS256", name: value}))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
def test_types_of_access_tokens(kind: str) -> None:
    assert claims_of(odd({"alg": "RS256", "typ": kind}), RSA, ALL) == CLAIMS


@pytest.mark.parametrize("kind", ["JWE", "logout+jwt", "dpop+jwt", "", None, 1, ["JWT"]])
def test_other_types_are_no_access_tokens(kind: object) -> None:
    assert "typ" in refusal(odd({"alg": "RS256", "typ": kind}))


@pytest.mark.parametrize("key_id", ["", "k" * (MAX_KEY_ID_LENGTH + 1), 1, True, ["key-1"], {"kid": "key-1"}])
def test_a_key_id_is_a_text_of_bounded_length(key_id: object) -> None:
    assert "kid must be" in refusal(odd({"alg": "RS256", "kid": key_id}))


@pytest.mark.parametrize("key_id", [None, "k" * MAX_KEY_ID_LENGTH, "../../etc/passwd", "' OR 1=1 --", "\ud800", "ключ"])
def test_any_other_key_id_is_only_a_name(key_id: str | None) -> None:
    assert unverified(odd({"alg": "RS256", "kid": key_id})).key_id == key_id


GOOD = TOKENS["RS256"]
FIRST, SECOND, THIRD = GOOD.split(b".")


@pytest.mark.parametrize(
    "token",
    [
        b"", b".", b"..", b"...", FIRST, FIRST + b"." + SECOND, FIRST + b"." + SECOND + b".", GOOD + b".", b"." + GOOD,
        GOOD + b"." + THIRD, FIRST + b".." + THIRD, b"." + SECOND + b"." + THIRD, GOOD + b"=", GOOD + b"==",
        FIRST + b"=." + SECOND + b"." + THIRD, GOOD + b"\n", GOOD + b" ", b" " + GOOD, GOOD + b"\0",
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b".", b". "), GOOD.replace(b".", b","), GOOD + b",", GOOD + b"A", b"A" + GOOD, "ключ".encode(),
        GOOD[:20] + b"+" + GOOD[20:], GOOD[:20] + b"/" + GOOD[20:], b"eyJ" * 5000, b"\xff\xfe" + GOOD,
        FIRST + b"." + b"A" + b"." + THIRD, b'{"protected": "", "payload": "", "signature": ""}',
    ],
    ids=lambda token: f"{len(token)} bytes",  # a token is another in each process
)  # fmt: skip
def test_what_is_no_compact_jwt_is_refused(token: bytes) -> None:
    message = refusal(token)
    assert re.fullmatch(r"[ -~]+", message)


@pytest.mark.parametrize(
    "content",
    [
        b"[]", b'"text"', b"null", b"1", b"{", b" ", b"{}{}", b"\xff", b'\xef\xbb\xbf{"alg":"RS256"}',
        b'{"alg":"RS256",}',
        b'{"alg":"RS256","alg":"none"}', b'{"alg":"RS256","a":NaN}', b'{"alg":"RS256","a":Infinity}',
        b'{"alg":"RS256","a":' + b"[" * 5500 + b"]" * 5500 + b"}", b'{"alg":"RS256","a":' + b"9" * 5000 + b"}",
        '{"alg":"RS256"}'.encode("utf-16"), b'{"alg":"RS256","a":{"b":1,"b":2}}',
    ],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
def test_head_and_payload_are_one_json_object_each(content: bytes) -> None:
    assert "head is no JSON object" in refusal(odd(content))
    assert "payload is no JSON object" in refusal(odd({"alg": "RS256"}, content))


def test_a_token_has_a_largest_size() -> None:
    room = MAX_TOKEN_BYTES * 3 // 4 - 1000
    fitting = signed(RSA, CLAIMS | {"filler": "a" * room})
    assert claims_of(fitting, RSA, ALL)["filler"] == "a" * room
    assert "more than 16,384" in refusal(signed(RSA, CLAIMS | {"filler": "a" * (room + 1000)}))


@pytest.mark.parametrize("issuer", [None, 1, ["https://issuer.example"], {}])
def test_an_issuer_that_is_no_text_is_none(issuer: object) -> None:
    assert unverified(odd({"alg": "RS256"}, CLAIMS | {"iss": issuer})).issuer == ""


def test_weak_and_costly_keys_fit_nothing() -> None:
    for bits, good in ((1024, False), (2047, False), (2048, True)):
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
        assert fits(key, "RS256") is good
    costly = rsa.RSAPublicNumbers(65537, 2**8193 + 1).public_key()
    assert not fits(costly, "RS256")
    assert not fits(ec.generate_private_key(ec.SECP256K1()).public_key(), "ES256")
    assert not fits(EC.private.public_key(), "ES256K")


@given(st.binary(max_size=200))
def test_whatever_is_sent_is_refused_in_words(token: bytes) -> None:
    with pytest.raises(Unauthorized):
        unverified(token)


def test_nothing_of_the_token_is_told() -> None:
    for algorithm, token in TOKENS.items():
        message = refusal(token, KEYS[algorithm]._replace(private=private_key(algorithm, 1)))
        assert all(each.decode() not in message for each in token.split(b"."))


@pytest.mark.parametrize("content", [b"{}", b' {"a": [1, 1.5, null, {"a": "\\u00fc"}]} '])
def test_json_objects_are_read(content: bytes) -> None:
    assert json_object(content) == json.loads(content)


# -- against another verdict -------------------------------------------------------------------------------------

AUDIENCE, ISSUER = "api://iris", "https://issuer.example"
WANTED = JwtSettings(issuer=ISSUER, audiences=(AUDIENCE,), algorithms=("RS256", "PS384", "ES256", "ES512", "EdDSA"))
KNOWN = [SigningKey(f"{name}-0", name, private_key(name)) for name in ("RS256", "PS384", "ES256", "ES512", "EdDSA")]
UNWANTED = SigningKey("ES384-0", "ES384", private_key("ES384"))
SIGNERS = [
    *KNOWN,
    UNWANTED,
    *(SigningKey(each.key_id, each.algorithm, private_key(each.algorithm, 1)) for each in KNOWN),
]
KEY_SET = json.dumps({"keys": [each.jwk for each in (*KNOWN, UNWANTED)]}).encode()
OFFSETS = st.sampled_from([-100_000, -100, -50, -50.5, 0, 50, 50.5, 100, 100_000])
ODD = st.sampled_from(["", "1", True, [], {}, -1, 1e300])
USUAL: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "jti": "id-1", "exp": 100, "iat": -50}
"""Times from now on."""
HEADS = st.sampled_from([{"typ": "at+jwt"}, {"jku": "https://evil"}, {"kid": "ES256-0"}, {"kid": ""}, {"alg": "none"}])
OTHERS = {
    "iss": st.sampled_from(["https://issuer.example/", "HTTPS://ISSUER.EXAMPLE", "", [ISSUER]]),
    "aud": st.sampled_from([[AUDIENCE], ["other", AUDIENCE], ["other"], "api://iris/", [], [AUDIENCE, 1]]),
    "sub": st.text(max_size=5),
    "jti": st.text(max_size=5),
    **dict.fromkeys(("exp", "nbf", "iat"), OFFSETS),
}


def claims_from(data: st.DataObject, now_s: float) -> dict[str, Any]:
    """Usual ones, of which a few are others, odd or missing."""
    claims = dict(USUAL)
    for name in data.draw(st.lists(st.sampled_from(sorted(OTHERS)), min_size=1, max_size=2)):
        way = data.draw(st.sampled_from(["other", "other", "other", "odd", "missing"]))
        claims[name] = data.draw(ODD if way == "odd" else OTHERS[name])
        if way == "missing":
            del claims[name]
    timed = {name: now_s + each for name, each in claims.items() if name in ("exp", "nbf", "iat") and is_offset(each)}
    return claims | timed


def is_offset(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value not in (-1, 1e300)


def changed_from(data: st.DataObject, token: bytes) -> bytes:
    way = data.draw(st.sampled_from(["byte", "byte", "cut", "swap", "again"]))
    at = data.draw(st.integers(0, len(token) - 1))
    if way == "byte":
        return token[:at] + bytes([data.draw(st.sampled_from(b"Aa0-_.=+ \n"))]) + token[at + 1 :]
    parts = token.split(b".")
    ways = {"cut": token[:at], "swap": b".".join((parts[1], parts[0], parts[2])), "again": token + b"." + parts[2]}
    return ways.get(way, token)


def pyjwt_takes(token: bytes) -> bool:
    try:
        key = jwt.PyJWKSet.from_json(KEY_SET.decode())[jwt.get_unverified_header(token)["kid"]]
        options: Any = {"require": ["exp", "aud", "iss"]}
        jwt.decode(token, key, list(WANTED.algorithms), options, audience=AUDIENCE, issuer=ISSUER, leeway=60)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return True


def we_take(token: bytes, now_s: float) -> bool:
    try:
        read = unverified(token)
        (key,) = candidates(jwks.read(KEY_SET), read) or (None,)
        return key is not None and bool(verified(signed_by(read, key, WANTED.algorithms), WANTED, now_s))
    except (Unauthorized, Forbidden):
        return False


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_pyjwt_would_judge_alike(data: st.DataObject) -> None:
    """But for what only we refuse, such as claims of the wrong type. (And null, which we take for missing.)"""
    now_s = float(int(time.time()))  # noqa: TID251 - PyJWT knows no other clock
    ways = data.draw(st.lists(st.sampled_from(["claims", "claims", "head", "signer", "bytes"]), max_size=2))
    signer = data.draw(st.sampled_from(SIGNERS if "signer" in ways else KNOWN))
    claims = claims_from(data, now_s) if "claims" in ways else USUAL | {"exp": now_s + 100, "iat": now_s - 50}
    head = {"alg": signer.algorithm, "kid": signer.key_id} | (data.draw(HEADS) if "head" in ways else {})
    token = odd(head, claims, signer)
    if "bytes" in ways:
        token = changed_from(data, token)
    ours, theirs = we_take(token, now_s), pyjwt_takes(token)
    is_odd = any(each in ("1", True, -1, 1e300) or each in ([], {}) for each in claims.values())
    if is_odd or not all(str(claims.get(name, "")).isprintable() for name in ("sub", "jti")):
        assert theirs or not ours
    else:
        assert ours is theirs
