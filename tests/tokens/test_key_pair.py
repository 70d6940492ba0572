"""Is only a key pair taken for one?"""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from router.core.signing import BadKeySet, PrivateJwk, SigningKey, encoded, first
from router.tokens.key_pair import made, opened

NOW_S = 1_800_000_000.0
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256: private numbers are below (FIPS 186-5, SP 800-186 section 3.2.1.3)."""


def a_set(**changed: str) -> tuple[bytes, PrivateJwk]:
    """With a key that has these fields; its kid is right."""
    whole = made()
    jwk = PrivateJwk(**{"x": whole.x, "y": whole.y, "d": whole.d} | changed)
    return encoded(first(NOW_S, 60.0, lambda: jwk)), jwk


def text(number: int, size: int = 32) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def test_a_key_that_is_made_is_opened_as_it_was() -> None:
    keys = first(NOW_S, 60.0, made)
    ring = opened(encoded(keys))
    assert ring.keys == keys
    pair = ring.pairs[keys.keys[0].kid]
    assert isinstance(pair.private.curve, ec.SECP256R1)
    assert text(pair.private.private_numbers().private_value) == pair.key.private.d
    assert pair.public.public_numbers() == pair.private.public_key().public_numbers()
    assert text(pair.public.public_numbers().x) == pair.key.private.x


def test_no_two_keys_are_the_same() -> None:
    assert len({made().thumbprint for _ in range(50)}) == 50


def test_numbers_are_written_in_full_length() -> None:
    """RFC 7518 section 6.2.1.2: with leading zeros, which about one of 85 keys has."""
    assert {len(number) for _ in range(300) for number in (lambda jwk: (jwk.x, jwk.y, jwk.d))(made())} == {43}


def test_the_smallest_private_number_is_one() -> None:
    generator = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_numbers()
    content, jwk = a_set(x=text(generator.x), y=text(generator.y), d=text(1))
    assert opened(content).keys.keys[0].private == jwk


@pytest.mark.parametrize(
    "number", [text(0), text(ORDER), text(ORDER + 1), text(2**256 - 1), text(2**2047, 256), "", "ä", "A", "?!", "A" * 5]
)
def test_a_private_number_that_is_none_is_refused(number: str) -> None:
    content, _ = a_set(d=number)
    with pytest.raises(BadKeySet, match="is none of P-256") as refusal:
        opened(content)
    assert number == "" or f"{number} " not in str(refusal.value)


def test_another_keys_private_number_is_refused() -> None:
    content, jwk = a_set(d=made().d)
    with pytest.raises(BadKeySet, match="another key's") as refusal:
        opened(content)
    assert jwk.d not in str(refusal.value)


def test_a_number_written_in_another_way_is_refused() -> None:
    whole = made()
    for odd in (whole.d + "=", whole.d + "\n", "A" * 4 + whole.d):
        content, _ = a_set(x=whole.x, y=whole.y, d=odd)
        with pytest.raises(BadKeySet):
            opened(content)


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    whole = made()
    content, _ = a_set(x=text(1), y=text(1), d=whole.d)
    with pytest.raises(BadKeySet, match="another key's"):
        opened(content)


def test_a_key_is_in_no_repr() -> None:
    content, jwk = a_set()
    ring = opened(content)
    pair = ring.pairs[jwk.thumbprint]
    assert isinstance(pair.key, SigningKey)
    assert all(jwk.d not in shown for shown in (repr(ring), repr(pair), str(pair), f"{ring!s}", repr(pair.key)))
    assert jwk.d == json.loads(content)["keys"][0]["privateJwk"]["d"]
