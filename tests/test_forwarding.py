"""forwarding.py: where a request came from, as far as whoever says so is believed."""

from __future__ import annotations

from typing import Any

import pytest

from router.config import networks
from router.forwarding import _MAX_KEPT, Forwarding
from router.request import Request

CLAIMED = [
    (b"x-forwarded-for", b"203.0.113.9"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"public.example"),
    (b"forwarded", b"for=203.0.113.9;proto=https"),
]


def lines(trusted: str, client: tuple[str, int] | None, *headers: tuple[bytes, bytes]) -> dict[str, str]:
    scope: dict[str, Any] = {
        "method": "POST",
        "scheme": "http",
        "client": client,
        "headers": [(b"host", b"router"), *headers],
    }
    text = Forwarding(networks(trusted)).lines(Request(scope, b"0" * 48)).decode()
    assert text.endswith("\r\n")
    return dict(line.split(": ", 1) for line in text.splitlines())  # type: ignore[misc]


def test_the_peer_is_told_to_the_replica() -> None:
    assert lines("", ("192.0.2.1", 5)) == {
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "router",
        "forwarded": 'for=192.0.2.1;host="router";proto=http',
    }


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
def test_what_a_stranger_claims_is_dropped(trusted: str) -> None:
    assert lines(trusted, ("192.0.2.1", 5), *CLAIMED) == lines("", ("192.0.2.1", 5))


@pytest.mark.parametrize("trusted", ["192.0.2.1", "192.0.2.0/24", "10.0.0.0/8, 192.0.2.0/24"])
def test_what_a_trusted_proxy_says_is_appended_to(trusted: str) -> None:
    assert lines(trusted, ("192.0.2.1", 5), *CLAIMED) == {
        "x-forwarded-for": "203.0.113.9, 192.0.2.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "public.example",
        "forwarded": 'for=203.0.113.9;proto=https, for=192.0.2.1;host="router";proto=http',
    }


def test_a_list_that_a_trusted_proxy_gives_on_several_lines_is_one_list() -> None:
    """RFC 9110 5.3: field lines of one name are one list, in their order."""
    twice = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"198.51.100.7")]
    told = lines("192.0.2.1", ("192.0.2.1", 5), *twice)["x-forwarded-for"]
    assert [part.strip() for part in told.split(",")] == ["203.0.113.9", "198.51.100.7", "192.0.2.1"]


def test_an_ipv6_peer_is_quoted_as_rfc_7239_wants_it() -> None:
    told = lines("", ("2001:db8::1", 5))
    assert told["x-forwarded-for"] == "2001:db8::1"
    assert told["forwarded"].startswith('for="[2001:db8::1]";')


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
def test_a_peer_without_an_address_is_unknown(trusted: str) -> None:
    assert lines(trusted, None)["x-forwarded-for"] == "unknown"


def test_what_is_kept_is_bounded_and_never_anothers() -> None:
    forwarding = Forwarding(())
    for number in range(_MAX_KEPT + 10):
        host = b"host-%d" % number
        scope = {"method": "GET", "scheme": "http", "client": ("192.0.2.1", 5), "headers": [(b"host", host)]}
        assert b"x-forwarded-host: %b\r\n" % host in forwarding.lines(Request(scope, b"0" * 48))
        assert len(forwarding._kept) <= _MAX_KEPT


def client_of(trusted: str, peer: str, *headers: tuple[bytes, bytes]) -> str:
    scope: dict[str, Any] = {"method": "POST", "scheme": "http", "client": (peer, 5), "headers": list(headers)}
    return Forwarding(networks(trusted)).client(Request(scope, b"0" * 48))


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9, 10.0.0.7,10.0.0.8", "203.0.113.9"),
        (b"10.0.0.7, 10.0.0.8", "10.0.0.7"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"[2001:db8::9]:4711", "2001:db8::9"),
        (b"2001:db8::9", "2001:db8::9"),
        (b"203.0.113.9, unknown, 10.0.0.7", "10.0.0.7"),
        (b"unknown", "10.0.0.1"),
        (b"", "10.0.0.1"),
        (b"203.0.113.9,", "10.0.0.1"),
        (b"fe80::1%eth0", "10.0.0.1"),
        (b"\xff", "10.0.0.1"),
    ],
)
def test_who_asks_is_the_nearest_that_is_no_trusted_proxy(said: bytes, client: str) -> None:
    """What stands further left, anybody may have written."""
    assert client_of("10.0.0.0/8", "10.0.0.1", (b"x-forwarded-for", said)) == client


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (b"for=203.0.113.9;proto=https", "203.0.113.9"),
        (b'For="[2001:db8::9]:4711"', "2001:db8::9"),
        (b'proto=https;by=x;for="203.0.113.9:80"', "203.0.113.9"),
        (b"for=6.6.6.6, for=203.0.113.9, for=10.0.0.7", "203.0.113.9"),
        (b"for=_hidden", "10.0.0.1"),
        (b"proto=https", "10.0.0.1"),
        (b"xfor=203.0.113.9", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_where_there_is_no_x_forwarded_for(said: bytes, client: str) -> None:
    assert client_of("10.0.0.0/8", "10.0.0.1", (b"forwarded", said)) == client


def test_a_client_that_claims_many_hops_hides_nothing() -> None:
    claimed = b", ".join([b"6.6.6.6"] * 500 + [b"203.0.113.9", b"10.0.0.2"])
    assert client_of("10.0.0.0/8", "10.0.0.1", (b"x-forwarded-for", claimed)) == "203.0.113.9"
    assert client_of("10.0.0.0/8", "10.0.0.1", (b"x-forwarded-for", b", ".join([b"10.0.0.3"] * 500))) == "10.0.0.3"


def test_a_stranger_says_nothing_of_who_asks() -> None:
    for trusted in ("", "10.0.0.0/8"):
        assert client_of(trusted, "192.0.2.1", *CLAIMED) == "192.0.2.1"
    assert client_of("10.0.0.0/8", "::ffff:10.0.0.1", *CLAIMED) == "203.0.113.9"
