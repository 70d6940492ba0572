"""Which Authorization header brings which credential, which key it is, and what a wrong one learns."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.core.auth import (
    MAX_CREDENTIAL_BYTES,
    Caller,
    Key,
    Keyring,
    credential_of,
    digest,
    hashed,
    is_jwt_like,
    is_key,
    refusal,
)
from router.core.errors import TooManyRequests, Unauthorized
from router.core.model import AuthMode, Endpoint, KeyHashes, NamedHash, RateLimit
from router.core.rate_limit import Bucket
from router.core.tally import Memory
from tests.core.nouns import PRIMARY, SECONDARY, an_endpoint

INVALID = ((b"www-authenticate", b'Bearer error="invalid_token"'),)
MISSING = ((b"www-authenticate", b"Bearer"),)
JWT = b"eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"
HASHES = hashed(PRIMARY, SECONDARY)


def accepting(mode: AuthMode, *others: AuthMode, has_keys: bool = True) -> Endpoint:
    return replace(an_endpoint(auth_mode=mode, has_keys=has_keys), also_accepts=others)


def refused(authorization: bytes | None, endpoint: Endpoint | None = None) -> Unauthorized:
    with pytest.raises(Unauthorized) as failure:
        credential_of(endpoint or an_endpoint(), authorization)
    return failure.value


def keyring(hashes: KeyHashes | None = HASHES) -> Keyring:
    names = ("primary", "secondary", *(each.name for each in (hashes.named if hashes else ())))
    return Keyring(hashes, {name: Caller(Memory(), "iris", name) for name in names})


def opened_by(ring: Keyring, key: bytes) -> str | None:
    found = ring.find(digest(key))
    return None if found is None else found.caller.consumer


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "bEaReR {}", "Bearer  {}", "Bearer {}  "])
def test_the_one_credential_behind_the_scheme(form: str) -> None:
    assert credential_of(an_endpoint(), form.format(PRIMARY).encode()) == PRIMARY.encode()


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        (accepting("key"), "key"),
        (accepting("token"), "token"),
        (accepting("jwt"), "token"),
        (accepting("jwt", "token"), "token"),
        (accepting("token", "key"), "key or token"),
        (accepting("key", "jwt"), "key or token"),
    ],
)
def test_no_credential_is_asked_for_without_an_error_code(endpoint: Endpoint, wanted: str) -> None:
    error = refused(None, endpoint)
    assert (error.status, error.headers) == (401, MISSING)
    assert error.message == f"Endpoint iris wants the header `Authorization: Bearer <{wanted}>`."


@pytest.mark.parametrize(
    "authorization",
    [
        b"", b"Bearer\t" + PRIMARY.encode(), b"Basic " + PRIMARY.encode(), b"Basic", b"Digest x", PRIMARY.encode(),
        b"Bearer" + PRIMARY.encode(), b" Bearer " + PRIMARY.encode(), b"\xff", b"Bearer, " + PRIMARY.encode(),
    ],
)  # fmt: skip
def test_another_scheme_is_an_invalid_token(authorization: bytes) -> None:
    error = refused(authorization)
    assert (error.status, error.headers) == (401, INVALID)
    assert error.message == "Endpoint iris takes the Authorization scheme Bearer only."


@pytest.mark.parametrize("text", [f"{PRIMARY}, {SECONDARY}", f"{PRIMARY}, Bearer {PRIMARY}", f"{PRIMARY} {PRIMARY}"])
def test_more_than_one_credential_is_none(text: str) -> None:
    error = refused(f"Bearer {text}".encode())
    assert (error.status, error.headers) == (401, INVALID)
    assert error.message == "Endpoint iris takes one credential after the word Bearer."


def test_a_credential_has_its_bounds() -> None:
    assert credential_of(an_endpoint(), b"Bearer " + b"x" * MAX_CREDENTIAL_BYTES) == b"x" * MAX_CREDENTIAL_BYTES
    error = refused(b"Bearer " + b"x" * (MAX_CREDENTIAL_BYTES + 1))
    assert (error.message, error.headers) == ("The credential has 16,385 bytes; 16,384 are taken.", INVALID)


@given(st.binary(max_size=60), st.sampled_from([accepting("key"), accepting("token"), accepting("key", "jwt")]))
def test_whatever_comes_no_message_quotes_it(credential: bytes, endpoint: Endpoint) -> None:
    secret = b"sEcReT" + credential
    assert "sEcReT" not in refusal(endpoint, secret).message
    for authorization in (b"Bearer " + secret + b" more", secret, b"Basic " + secret):
        assert "sEcReT" not in refused(authorization, endpoint).message


@pytest.mark.parametrize(
    ("endpoint", "credential", "message"),
    [
        (accepting("key"), b"wrong", "The key is not one of endpoint iris's."),
        (accepting("key"), b"", "The key is not one of endpoint iris's."),
        (accepting("key"), JWT, "Endpoint iris wants a key, not a token."),
        (accepting("key", has_keys=False), b"wrong", "Endpoint iris has no keys yet."),
        (accepting("key", "jwt", has_keys=False), b"wrong", "Endpoint iris has no keys yet."),
        (accepting("key", "token"), b"wrong", "The credential is neither a key of endpoint iris nor a token."),
        (accepting("token"), b"wrong", "Endpoint iris wants a token."),
        (accepting("jwt", "token"), PRIMARY.encode(), "Endpoint iris wants a token."),
    ],
)
def test_a_refusal_says_what_the_endpoint_takes(endpoint: Endpoint, credential: bytes, message: str) -> None:
    error = refusal(endpoint, credential)
    assert (error.status, error.headers, error.message) == (401, INVALID, message)


def test_each_key_has_its_consumer() -> None:
    named = (NamedHash(name="batch", digest=digest(b"of-batch"), expires_at_s=5.0),)
    ring = keyring(KeyHashes(HASHES.primary, HASHES.secondary, named))
    keys = (PRIMARY.encode(), SECONDARY.encode(), b"of-batch", b"wrong")
    assert [opened_by(ring, key) for key in keys] == ["primary", "secondary", "batch", None]
    found = [ring.find(digest(key)) for key in keys]
    assert [None if key is None else key.expires_at_s for key in found] == [None, None, 5.0, None]


def test_a_key_that_is_there_twice_is_the_one_that_lasts() -> None:
    same, other = digest(b"same"), digest(b"other")
    named = tuple(NamedHash(name=name, digest=same, expires_at_s=1.0) for name in ("first", "second"))
    for primary, secondary, winner in ((same, same, "primary"), (other, same, "secondary"), (other, other, "first")):
        assert opened_by(keyring(KeyHashes(primary, secondary, named)), b"same") == winner


@given(st.binary(max_size=60))
def test_nothing_else_is_a_key(credential: bytes) -> None:
    assume(credential not in (PRIMARY.encode(), SECONDARY.encode()))
    ring = keyring()
    for other in (credential, digest(PRIMARY.encode()), PRIMARY.encode()[:-1], PRIMARY.upper().encode()):
        assert opened_by(ring, other) is None


def test_where_no_keys_are_known_none_opens() -> None:
    ring = keyring(None)
    assert [opened_by(ring, key) for key in (PRIMARY.encode(), b"", b"None")] == [None, None, None]
    assert ring.find(bytes(32)) is None


@pytest.mark.parametrize("credential", [PRIMARY, SECONDARY, "wrong", "", "ключ"])
@pytest.mark.parametrize("hashes", [HASHES, None])
def test_one_comparison_in_constant_time_whatever_is_given(
    credential: str, hashes: KeyHashes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counting(given: bytes, kept: bytes) -> bool:
        compared.append((len(given), len(kept)))
        return compare(given, kept)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    keyring(hashes).find(digest(credential.encode()))
    assert compared == [(32, 32)]


def test_it_is_compare_digest_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda given, kept: False)
    assert keyring().find(digest(PRIMARY.encode())) is None


def test_a_caller_counts_by_status_and_is_admitted_within_its_limit() -> None:
    caller = Caller(Memory(), "iris", "batch", Bucket(RateLimit(requests_per_second=0.25)))
    caller.admit("iris", 10.0)
    with pytest.raises(TooManyRequests) as failure:
        caller.admit("iris", 10.5)
    assert failure.value.headers == ((b"retry-after", b"4"),)
    assert failure.value.message == "Key batch of endpoint iris is over its rate limit."
    caller.admit("iris", 14.0)
    for status in (200, 429, 200):
        caller.count(status)
    assert caller.requests == {200: 2, 429: 1}


def test_a_caller_without_a_limit_is_always_admitted() -> None:
    caller = Caller(Memory(), "iris", "primary")
    for _ in range(100):
        caller.admit("iris", 0.0)
    assert caller.bucket is None


def test_what_is_kept_of_keys_is_their_digest() -> None:
    keys = hashed("ключ", "nøkkel")
    assert (keys.primary, keys.secondary) == (
        hashlib.sha256("ключ".encode()).digest(),
        hashlib.sha256("nøkkel".encode()).digest(),
    )
    assert PRIMARY not in repr(Key(digest(PRIMARY.encode()), Caller(Memory(), "iris", "primary")))


@pytest.mark.parametrize(
    ("credential", "holds"), [(JWT, True), (b"a.b.c", True), (b"a.b", False), (b"a.b.c.d", False), (b"", False)]
)
def test_what_looks_like_a_token(credential: bytes, holds: bool) -> None:
    assert is_jwt_like(credential) is holds


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
