"""Which claims let a bearer in, and what is said to one who stays outside."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.claims import LATEST_S, MAX_NAME_LENGTH, Verified, shown, verified
from router.core.errors import Forbidden, RouterError, Unauthorized
from router.core.model import JwtSettings

NOW = 1_800_000_000.0
SKEW = 60
SETTINGS = JwtSettings(issuer="https://issuer.example", audiences=("api://iris", "iris"), clock_skew=SKEW)
GOOD = {"iss": "https://issuer.example", "aud": "api://iris", "exp": NOW + 300, "iat": NOW - 10, "sub": "anna"}

ODD = [True, False, "1800000300", [NOW], {"at": NOW}, math.nan, math.inf, -math.inf, -1, 10**400, NOW * 1000]
"""What is no time in seconds; the last is one in milliseconds."""


def settings(**changes: Any) -> JwtSettings:
    return JwtSettings(**{name: getattr(SETTINGS, name) for name in ("issuer", "audiences", "clock_skew")} | changes)


def refusal(claims: dict[str, Any], wanted: JwtSettings = SETTINGS) -> RouterError:
    with pytest.raises((Unauthorized, Forbidden)) as failure:
        verified(claims, wanted, NOW)
    return failure.value


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != claim}


def test_a_good_token_tells_whose_it_is_and_until_when() -> None:
    found = verified(GOOD | {"jti": "id-1"}, SETTINGS, NOW)
    assert found == Verified(subject="anna", token_id="id-1", issued_at_s=NOW - 10, expires_at_s=NOW + 300)


def test_a_token_that_says_least_counts_as_old() -> None:
    claims = {name: GOOD[name] for name in ("iss", "aud", "exp")}
    assert verified(claims, SETTINGS, NOW) == Verified("", "", 0.0, NOW + 300)


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({"exp": NOW - SKEW + 1}, True),
        ({"exp": NOW - SKEW}, False),
        ({"exp": 0}, False),
        ({"exp": LATEST_S}, True),
        ({"exp": LATEST_S + 1}, False),
        ({"exp": NOW + 0.5}, True),
        ({"nbf": NOW + SKEW}, True),
        ({"nbf": NOW + SKEW + 1}, False),
        ({"iat": NOW + SKEW}, True),
        ({"iat": NOW + SKEW + 1}, False),
        ({"iat": 0, "nbf": 0}, True),
    ],
)
def test_times_count_with_the_clock_skew(changes: dict[str, Any], good: bool) -> None:
    if good:
        assert verified(GOOD | changes, SETTINGS, NOW).subject == "anna"
    else:
        assert refusal(GOOD | changes).status == 401


def test_without_skew_the_second_itself_counts() -> None:
    exact = settings(clock_skew=0)
    assert verified(GOOD | {"exp": NOW + 1, "nbf": NOW, "iat": NOW}, exact, NOW).expires_at_s == NOW + 1
    assert "expired 0 s ago" in refusal(GOOD | {"exp": NOW}, exact).message


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ODD, ids=str)
def test_a_time_is_a_number_of_seconds(claim: str, value: object) -> None:
    error = refusal(GOOD | {claim: value})
    assert (error.status, f"{claim} must be a number" in error.message) == (401, True)


def test_a_token_without_end_is_refused() -> None:
    for claims in (without("exp"), GOOD | {"exp": None}):
        error = refusal(claims)
        assert (error.status, "has no exp" in error.message) == (401, True)


@pytest.mark.parametrize(
    "issuer",
    [None, "", "https://issuer.example/", "https://ISSUER.example", ["https://issuer.example"], 1, "http://issuer.example"],
)  # fmt: skip
def test_the_issuer_is_exactly_the_one(issuer: object) -> None:
    assert refusal(GOOD | {"iss": issuer}).status == 401


@pytest.mark.parametrize("audience", ["iris", ["iris"], ["other", "api://iris"], ["iris", "iris"]])
def test_one_audience_of_several_is_enough(audience: object) -> None:
    assert verified(GOOD | {"aud": audience}, SETTINGS, NOW).subject == "anna"


@pytest.mark.parametrize("audience", ["other", "API://IRIS", "iris ", "", [], ["other"], "api://iris,iris", None])
def test_a_good_token_for_somebody_else_is_forbidden(audience: object) -> None:
    error = refusal(GOOD | {"aud": audience})
    assert (error.status, "api://iris, iris" in error.message) == (403, True)


@pytest.mark.parametrize("audience", [1, True, {"aud": "iris"}, ["iris", 1], [["iris"]]])
def test_an_audience_of_another_type_is_refused(audience: object) -> None:
    assert refusal(GOOD | {"aud": audience}).status == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "read score"},
        {"scope": "score  read"},
        {"scp": "score read"},
        {"scp": ["read", "score"]},
        {"scope": "read", "scp": "score"},
    ],
)
def test_scopes_are_words_or_a_list(claims: dict[str, Any]) -> None:
    assert verified(GOOD | claims, settings(required_scopes=("read", "score")), NOW).subject == "anna"


@pytest.mark.parametrize(
    "claims", [{}, {"scope": ""}, {"scope": "readscore"}, {"scp": ["read"]}, {"scope": "Read Score"}]
)
def test_a_lacking_scope_is_forbidden_and_named(claims: dict[str, Any]) -> None:
    error = refusal(GOOD | claims, settings(required_scopes=("read", "score")))
    challenge = b'Bearer error="insufficient_scope", scope="read score"'
    assert (error.status, error.headers) == (403, ((b"www-authenticate", challenge),))
    assert "score" in error.message


@pytest.mark.parametrize("claims", [{"scope": 1}, {"scp": {"read": True}}, {"scope": ["read", None]}])
def test_scopes_of_another_type_are_refused(claims: dict[str, Any]) -> None:
    assert refusal(GOOD | claims, settings(required_scopes=("read",))).status == 401


@pytest.mark.parametrize("value", ["a", "b", ["x", "a"], [1, "b"]])
def test_a_required_claim_has_one_of_its_values(value: object) -> None:
    wanted = settings(required_claims={"roles": ("a", "b"), "sub": ("anna",)})
    assert verified(GOOD | {"roles": value}, wanted, NOW).subject == "anna"


@pytest.mark.parametrize("value", [None, "", "A", "a b", [], ["c"], 1, True, {"a": "a"}, [["a"]]])
def test_without_it_the_token_is_forbidden(value: object) -> None:
    error = refusal(GOOD | {"roles": value}, settings(required_claims={"roles": ("a", "b")}))
    assert (error.status, "its claim roles is none of a, b" in error.message) == (403, True)


@pytest.mark.parametrize("claim", ["sub", "jti"])
@pytest.mark.parametrize(
    "value", [1, True, ["anna"], {}, "a" * (MAX_NAME_LENGTH + 1), "an\nna", "\ud800", "\u202eanna"]
)
def test_names_are_short_and_printable(claim: str, value: object) -> None:
    assert refusal(GOOD | {claim: value}).status == 401


def test_a_name_may_be_as_long_as_is_said() -> None:
    assert verified(GOOD | {"sub": "ä" * MAX_NAME_LENGTH}, SETTINGS, NOW).subject == "ä" * MAX_NAME_LENGTH


def test_what_is_wrong_with_the_token_comes_before_what_it_lacks() -> None:
    """Only a good token learns what else would be wanted."""
    wanted = settings(audiences=("else",), required_scopes=("read",), required_claims={"roles": ("a",)})
    for claims in (GOOD | {"exp": 1}, GOOD | {"iss": "x"}, GOOD | {"sub": 1}):
        assert refusal(claims, wanted).status == 401
    assert refusal(GOOD, wanted).status == 403


@given(st.text(max_size=300))
def test_what_somebody_else_wrote_is_one_short_line(text: str) -> None:
    line = shown(text)
    assert len(line) <= 900
    assert line.isascii()
    assert line.isprintable()


@given(st.text(min_size=81, max_size=300))
def test_what_is_long_is_cut(text: str) -> None:
    assert shown(text) == ascii(text[:79] + "…")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "scp", "roles"]), JSON)


@given(CLAIMS)
def test_whatever_an_issuer_signs_is_judged(odd: dict[str, Any]) -> None:
    wanted = settings(required_scopes=("read",), required_claims={"roles": ("a",)})
    whole = GOOD | {"scp": "read", "roles": "a"} | odd
    try:
        found = verified(whole, wanted, NOW)
    except (Unauthorized, Forbidden) as error:
        told = error.message
    else:
        told = found.subject
        assert whole["iss"] == SETTINGS.issuer
        assert found.expires_at_s > NOW - SKEW
    assert told.isprintable()
