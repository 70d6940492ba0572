"""Which Authorization header opens which endpoint, and what a wrong one learns."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.core.auth import check, hashed, is_key
from router.core.errors import Unauthorized
from tests.core.nouns import PRIMARY, SECONDARY, an_endpoint

INVALID = ((b"www-authenticate", b'Bearer error="invalid_token"'),)
MISSING = ((b"www-authenticate", b"Bearer"),)


def refusal(authorization: bytes | None, *, has_keys: bool = True) -> Unauthorized:
    with pytest.raises(Unauthorized) as failure:
        check(an_endpoint(has_keys=has_keys), authorization)
    return failure.value


@pytest.mark.parametrize("key", [PRIMARY, SECONDARY])
@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} "])
def test_either_key_opens_the_endpoint(key: str, form: str) -> None:
    check(an_endpoint(), form.format(key).encode())


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer wrong", b"Basic eDp5", b"\xff"])
def test_mode_none_wants_nothing_and_minds_nothing(authorization: bytes | None) -> None:
    check(an_endpoint(auth_mode="none", has_keys=False), authorization)


def test_no_credential_is_asked_for_without_an_error_code() -> None:
    error = refusal(None)
    assert (error.status, error.headers) == (401, MISSING)


@pytest.mark.parametrize(
    "authorization",
    [
        b"", b"Bearer", b"Bearer ", b"Bearer wrong", b"Bearer " + PRIMARY.encode()[:-1], b"Basic " + PRIMARY.encode(),
        PRIMARY.encode(), b"Bearer" + PRIMARY.encode(), b"Bearer\t" + PRIMARY.encode(), b" Bearer " + PRIMARY.encode(),
        b"Bearer " + PRIMARY.upper().encode(), f"Bearer {PRIMARY}, {SECONDARY}".encode(), b"Bearer \xff\xfe\x00",
        "Bearer ключ".encode(), b"Bearer " + hashlib.sha256(PRIMARY.encode()).digest(),
        b"Bearer " + hashlib.sha256(PRIMARY.encode()).hexdigest().encode(), b"Bearer " + b"x" * 100_000,
    ],
)  # fmt: skip
def test_a_wrong_or_malformed_credential_is_an_invalid_token(authorization: bytes) -> None:
    error = refusal(authorization)
    assert (error.status, error.headers) == (401, INVALID)


@given(st.binary(max_size=60))
def test_nothing_else_opens_it_and_no_secret_is_told(credential: bytes) -> None:
    assume(credential.strip() not in (PRIMARY.encode(), SECONDARY.encode()))
    for authorization in (b"Bearer " + credential, credential):
        told = refusal(authorization).message
        assert told in {
            refusal(b"Bearer wrong").message,
            refusal(b"Basic wrong").message,
        }
        assert PRIMARY not in told
        assert SECONDARY not in told


@pytest.mark.parametrize("authorization", [b"Bearer " + PRIMARY.encode(), b"Bearer ", b"Bearer None"])
def test_nobody_gets_in_while_there_are_no_keys(authorization: bytes) -> None:
    assert refusal(authorization, has_keys=False).headers == INVALID


def test_a_key_may_hold_any_letters() -> None:
    keys = hashed("ключ", "nøkkel")
    assert (keys.primary, keys.secondary) == (
        hashlib.sha256("ключ".encode()).digest(),
        hashlib.sha256("nøkkel".encode()).digest(),
    )


@pytest.mark.parametrize("credential", [PRIMARY, SECONDARY, "wrong", "", "ключ"])
def test_digests_of_both_keys_are_always_compared_in_constant_time(
    credential: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def counting(given: bytes, kept: bytes) -> bool:
        compared.append((given, kept))
        return compare(given, kept)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    if credential in (PRIMARY, SECONDARY):
        check(an_endpoint(), f"Bearer {credential}".encode())
    else:
        refusal(f"Bearer {credential}".encode())
    sent = hashlib.sha256(credential.encode()).digest()
    keys = hashed(PRIMARY, SECONDARY)
    assert sorted(compared) == sorted([(sent, keys.primary), (sent, keys.secondary)])


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a" * 16, True),
        ("!~" * 128, True),
        ("a" * 15, False),
        ("a" * 257, False),
        ("a key of 16 words", False),
        ("ü" * 16, False),
        ("a" * 16 + "\n", False),
    ],
)
def test_what_may_be_a_key(text: str, holds: bool) -> None:
    assert is_key(text) is holds
