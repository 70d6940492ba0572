"""Which keys of a set are taken, and which token is checked with which."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from router.core.model import Algorithm
from router.tokens.jwks import MAX_KEYS, MAX_TRIED, NoKeys, VerifyingKey, candidates, read
from router.tokens.signature import Unverified
from tests.tokens.issuer import SigningKey, part, private_key

RSA = SigningKey("rsa", "RS256", private_key("RS256")).jwk
EC = SigningKey("ec", "ES256", private_key("ES256")).jwk
ED = SigningKey("ed", "EdDSA", private_key("EdDSA")).jwk
OF_RSA = frozenset(each for each in get_args(Algorithm) if each[:2] in ("RS", "PS"))


def a_set(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def taken(*keys: Any) -> list[str | None]:
    """Beside one that is always taken."""
    return [key.key_id for key in read(a_set(*keys, EC))][:-1]


def test_a_key_is_for_what_its_set_says() -> None:
    rsa_key, ec_key, ed_key = read(a_set(RSA, EC, ED))
    assert (rsa_key.key_id, rsa_key.algorithms) == ("rsa", {"RS256"})
    assert (ec_key.key_id, ec_key.algorithms) == ("ec", {"ES256"})
    assert (ed_key.key_id, ed_key.algorithms) == ("ed", {"EdDSA"})
    assert rsa_key.key == private_key("RS256").public_key()


def test_a_key_that_does_not_say_is_for_all_it_can() -> None:
    """Entra ID's say neither."""
    (key,) = read(a_set(without(RSA, "alg", "use")))
    assert key.algorithms == OF_RSA


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_curve_has_one_algorithm(curve: Any) -> None:
    jwk = ECAlgorithm.to_jwk(ec.generate_private_key(curve).public_key(), as_dict=True)
    (key,) = read(a_set(jwk))
    assert key.algorithms == {"ES384" if curve.key_size == 384 else "ES512"}


def test_ed448_is_taken() -> None:
    assert taken(OKPAlgorithm.to_jwk(private_key("Ed448").public_key(), as_dict=True) | {"kid": "448"}) == ["448"]


@pytest.mark.parametrize(
    "odd",
    [
        RSA | {"use": "enc"}, RSA | {"use": None}, RSA | {"key_ops": ["sign"]}, RSA | {"key_ops": "verify"},
        RSA | {"key_ops": []},
        RSA | {"alg": "RSA-OAEP"}, RSA | {"alg": "ES256"}, RSA | {"alg": "none"}, RSA | {"alg": ["RS256"]},
        RSA | {"kid": 1},
        RSA | {"kty": "EC"}, RSA | {"kty": "rsa"}, RSA | {"kty": ["RSA"]}, without(RSA, "kty"), without(RSA, "n"),
        RSA | {"n": 5}, RSA | {"e": "AA"}, RSA | {"e": "!"}, EC | {"crv": "P-384"}, EC | {"x": EC["y"]},
        EC | {"crv": "secp256k1"},
        ED | {"crv": "X25519"}, ED | {"x": "AAAA"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256"},
        {"kty": "oct", "kid": "oct", "alg": "HS256"}, "text", 1, None, [], {}, [RSA],
    ],
    ids=lambda _: "odd",  # a key is another in each process
)  # fmt: skip
def test_a_key_that_is_not_for_this_is_passed_over(odd: Any) -> None:
    assert taken(RSA, odd) == ["rsa"]


def test_a_key_that_everybody_has_signs_nothing() -> None:
    for algorithm, reader in (("RS256", RSAAlgorithm), ("ES256", ECAlgorithm), ("EdDSA", OKPAlgorithm)):
        told = reader.to_jwk(private_key(algorithm), as_dict=True)
        assert taken(without(told, "key_ops") | {"kid": "told"}) == []


def test_weak_keys_are_passed_over() -> None:
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    assert taken(weak) == []


def test_a_key_with_a_long_exponent_is_passed_over() -> None:
    for bits, count in ((64, 1), (65, 0), (2_047, 0)):
        exponent = ((1 << (bits - 1)) + 1).to_bytes(256, "big").lstrip(b"\0")
        assert len(taken(RSA | {"e": part(exponent).decode()})) == count


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"), (b"[]", "not JSON"), (b"\xff", "not JSON"), (b'{"keys": [], "keys": []}', "not JSON"),
        (b"{}", "no list"), (b'{"keys": {}}', "no list"), (b'{"keys": null}', "no list"),
        (a_set(), "0 keys, and none"), (a_set(RSA | {"use": "enc"}, 1), "2 keys, and none"),
        (a_set(*[RSA] * (MAX_KEYS + 1)), "101 keys, more than 100"),
    ],
    ids=lambda each: each if isinstance(each, str) else "set",
)  # fmt: skip
def test_a_set_without_a_key_is_none(content: bytes, why: str) -> None:
    with pytest.raises(NoKeys, match=why):
        read(content)


def test_as_many_keys_as_are_allowed() -> None:
    assert len(read(a_set(*[RSA] * MAX_KEYS))) == MAX_KEYS


FIELDS = st.sampled_from(["kty", "kid", "use", "key_ops", "alg", "n", "e", "x", "y", "crv"])
ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=3), max_size=2)


@given(st.sampled_from([RSA, EC, ED]), st.dictionaries(FIELDS, ODD, min_size=1, max_size=3))
def test_no_odd_key_stops_the_others(jwk: dict[str, Any], odd: dict[str, Any]) -> None:
    assert read(a_set(jwk | odd, EC | {"kid": "last"}))[-1].key_id == "last"


def a_key(key_id: str | None, algorithm: str = "RS256") -> VerifyingKey:
    return VerifyingKey(key_id, private_key(algorithm).public_key(), frozenset((algorithm,)))


def test_a_named_key_is_the_one() -> None:
    keys = (a_key("a"), a_key("b"), a_key("a", "ES256"), a_key(None))
    for key_id, algorithm, found in (("a", "RS256", 1), ("a", "ES256", 1), ("c", "RS256", 0), ("A", "RS256", 0)):
        assert len(candidates(keys, Unverified(algorithm, key_id, {}, b"", b""))) == found
    assert candidates(keys, Unverified("ES256", "b", {}, b"", b"")) == []


def test_without_a_name_it_may_be_any_of_a_few() -> None:
    few = [a_key(f"k{number}") for number in range(MAX_TRIED)]
    head = Unverified("RS256", None, {}, b"", b"")
    assert len(candidates([*few, a_key("other", "ES256")], head)) == MAX_TRIED
    assert candidates([*few, a_key("more")], head) == []
