"""administration/reach.py: from where a request for administration may come."""

from __future__ import annotations

import pytest

from router.administration.reach import Asked, check_reach, is_loopback
from router.administration.refusals import Refusal


def asked(
    client: str = "127.0.0.1", scheme: str = "http", host: str = "localhost:9001", origin: str | None = None
) -> Asked:
    return Asked(client, scheme, host, origin, "Bearer a-key-that-is-in-no-repr")


def code(request: Asked) -> str:
    """Of the refusal; "" for none."""
    try:
        check_reach(request)
    except Refusal as refusal:
        return refusal.code if refusal.status == 403 else f"{refusal.status}"
    return ""


LOCAL = ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]
ELSEWHERE = ["10.0.0.1", "::2", "::ffff:10.0.0.1", "0.0.0.0", "", "localhost", "127.0.0.1.example", "testclient"]


@pytest.mark.parametrize("address", LOCAL)
def test_this_machine_needs_no_https(address: str) -> None:
    assert is_loopback(address)
    assert code(asked(address)) == ""


@pytest.mark.parametrize("address", ELSEWHERE)
def test_others_do(address: str) -> None:
    assert not is_loopback(address)
    assert code(asked(address)) == "HttpsRequired"
    assert code(asked(address, scheme="https")) == ""


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9001", "[::1]", "[::1]:9001", "10.0.0.1:80", ":9001"],
)
def test_an_address_and_localhost_can_not_be_bent(host: str) -> None:
    assert code(asked(host=host)) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:9001@evil.example",
        "localhost:x",
        "[::1].evil.example",
        "[::1]x",
        "[evil.example]",
        "127.1",
        "0x7f.1",
        "localhost.",
        "١٢٧.0.0.1",
    ],
)
def test_on_this_machine_any_other_name_may_be_a_page_that_was_bent_here(host: str) -> None:
    assert code(asked(host=host)) == "HostRefused"


def test_over_https_the_certificate_says_who_it_is() -> None:
    assert code(asked("10.0.0.1", scheme="https", host="router.example")) == ""


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:9001", ""),
        ("HTTP://LOCALHOST:9001", ""),
        ("https://localhost:9001", "OriginRefused"),
        ("http://localhost", "OriginRefused"),
        ("http://localhost:8080", "OriginRefused"),
        ("https://evil.example", "OriginRefused"),
        ("null", "OriginRefused"),
        ("", "OriginRefused"),
    ],
)
def test_a_page_of_another_origin_has_no_access(origin: str, expected: str) -> None:
    assert code(asked(origin=origin)) == expected


def test_what_is_quoted_is_short_and_the_key_is_in_no_repr() -> None:
    with pytest.raises(Refusal) as refused:
        check_reach(asked(host="x" * 60_000))
    assert len(refused.value.message) < 250
    assert "a-key" not in repr(asked())
