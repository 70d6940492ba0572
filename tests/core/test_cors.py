"""The CORS protocol, by the Fetch standard's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core import cors
from router.core.errors import CrossOriginRefused
from router.core.model import Cors

APP = "https://app.example.com"
PLAIN = Cors(allow_origins=(APP,))
ANY = Cors(allow_origins=("*",))


def asking(origin: str = APP, method: str = "POST", headers: str | None = None) -> dict[bytes, bytes]:
    fields = {b"origin": origin.encode(), b"access-control-request-method": method.encode()}
    return fields if headers is None else {**fields, b"access-control-request-headers": headers.encode()}


def test_a_preflight_is_options_with_origin_and_what_it_asks_for() -> None:
    assert cors.is_preflight("OPTIONS", asking())
    assert not cors.is_preflight("POST", asking())
    assert not cors.is_preflight("OPTIONS", {b"origin": APP.encode()})
    assert not cors.is_preflight("OPTIONS", {b"access-control-request-method": b"POST"})


def test_a_preflight_is_told_all_that_is_allowed() -> None:
    headers = dict(cors.preflight_headers(PLAIN, asking(headers="authorization,content-type")))
    assert headers[b"access-control-allow-origin"] == APP.encode()
    assert headers[b"access-control-allow-methods"] == b"GET, POST"
    assert b"authorization" in headers[b"access-control-allow-headers"].split(b", ")
    assert headers[b"access-control-max-age"] == b"600"
    assert headers[b"vary"].startswith(b"Origin, ")
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.com",
        "https://evil-app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://app.example.com/",
        "null",
        "",
        "*",
        "\xff",
    ],
)
def test_an_origin_is_taken_byte_for_byte(origin: str) -> None:
    with pytest.raises(CrossOriginRefused, match="origin"):
        cors.preflight_headers(PLAIN, asking(origin))
    assert cors.reply_headers(PLAIN, {b"origin": origin.encode("latin-1")}) == [(b"vary", b"Origin")]


def test_methods_that_need_no_permission_have_it() -> None:
    for method in ("GET", "HEAD", "POST"):
        assert cors.preflight_headers(Cors(allow_origins=(APP,), allow_methods=()), asking(method=method))
    assert cors.preflight_headers(Cors(allow_origins=(APP,), allow_methods=("PUT",)), asking(method="PUT"))


@pytest.mark.parametrize("method", ["PUT", "post", "DELETE", "\xff", ""])
def test_another_method_is_refused(method: str) -> None:
    with pytest.raises(CrossOriginRefused, match="method"):
        cors.preflight_headers(PLAIN, {**asking(), b"access-control-request-method": method.encode("latin-1")})


def test_headers_are_compared_without_case() -> None:
    setting = Cors(allow_origins=(APP,), allow_headers=("X-Team",))
    assert cors.preflight_headers(setting, asking(headers="x-team, ,CONTENT-TYPE"))
    with pytest.raises(CrossOriginRefused, match="header x-other"):
        cors.preflight_headers(setting, asking(headers="x-team,x-other"))


def test_any_header_is_answered_with_those_that_were_asked_for() -> None:
    """`*` itself does not cover Authorization (Fetch 3.3.3)."""
    setting = Cors(allow_origins=(APP,), allow_headers=("*",))
    headers = dict(cors.preflight_headers(setting, asking(headers="authorization,x-anything")))
    assert headers[b"access-control-allow-headers"] == b"authorization,x-anything"
    assert b"access-control-allow-headers" not in dict(cors.preflight_headers(setting, asking()))


def test_replies_say_who_may_read_them() -> None:
    allowed = dict(cors.reply_headers(PLAIN, {b"origin": APP.encode()}))
    assert allowed[b"access-control-allow-origin"] == APP.encode()
    assert b"x-ms-request-id" in allowed[b"access-control-expose-headers"].split(b", ")
    assert allowed[b"vary"] == b"Origin"
    assert b"vary" not in dict(cors.reply_headers(ANY, {b"origin": b"https://anywhere.example"}))
    assert dict(cors.reply_headers(ANY, {}))[b"access-control-allow-origin"] == b"*"


def test_a_reply_without_an_origin_still_varies_by_it() -> None:
    """A cache must not give this reply to a page that asks next."""
    assert cors.reply_headers(PLAIN, {}) == [(b"vary", b"Origin")]


def test_what_the_model_says_of_other_origins_is_dropped() -> None:
    headers = [(b"access-control-allow-origin", b"*"), (b"content-type", b"text/plain"), (b"vary", b"accept")]
    assert cors.without_replicas_own(headers) == [(b"content-type", b"text/plain"), (b"vary", b"accept")]


@given(st.binary(max_size=200), st.binary(max_size=50), st.binary(max_size=300))
def test_whatever_is_asked_only_what_is_allowed_is_said(origin: bytes, method: bytes, headers: bytes) -> None:
    fields = {
        b"origin": origin,
        b"access-control-request-method": method,
        b"access-control-request-headers": headers,
    }
    allowed = origin == APP.encode() and method in (b"GET", b"HEAD", b"POST")
    try:
        said = dict(cors.preflight_headers(PLAIN, fields))
    except CrossOriginRefused as refusal:
        message = refusal.message
    else:
        assert allowed
        assert said[b"access-control-allow-headers"] == ", ".join(PLAIN.allow_headers).encode()
        return
    assert message.isascii()
    assert len(message) < 600


@pytest.mark.parametrize("asked", ["authorization,content-type", "Content-Type, range", "content-type"])
def test_what_is_asked_for_and_may_be_is_in_the_list(asked: str) -> None:
    """A browser asks for what is unsafe in this request, as a content-type of JSON is, and reads the list for each
    (Fetch: CORS-preflight fetch, step 7.9)."""
    only = Cors(allow_origins=(APP,), allow_headers=("Authorization",))
    said = dict(cors.preflight_headers(only, asking(headers=asked)))[b"access-control-allow-headers"]
    listed = {name.strip().lower() for name in said.split(b",")}
    assert {name.strip().lower().encode() for name in asked.split(",")} <= listed
    assert b"authorization" in listed
