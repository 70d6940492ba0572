"""Whether an issuer's keys are found over a real connection, and what is said when they are not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from router.core.model import JwtSettings
from router.tokens import discovery
from router.tokens.discovery import KEPT_S, Found, Source, Useless, fetch
from tests.models import until
from tests.tokens.issuer import DISCOVERY, JWKS, OidcIssuer


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as running:
        yield running


def source(issuer: OidcIssuer, jwks_uri: str | None = None) -> Source:
    return Source(issuer.url, jwks_uri, issuer.ca_bundle)


async def fault(wanted: Source) -> str:
    with pytest.raises(Useless) as failure:
        await fetch(wanted)
    return str(failure.value)


def names(found: Found) -> list[str | None]:
    return [key.key_id for key in found.keys]


async def test_the_keys_are_those_that_the_issuer_names(issuer: OidcIssuer) -> None:
    issuer.rotate("ES256", keeps=1)
    found = await fetch(source(issuer))
    assert (names(found), found.kept_s) == (["key-2", "key-1"], KEPT_S)
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


async def test_a_configured_place_needs_no_discovery(issuer: OidcIssuer) -> None:
    assert names(await fetch(source(issuer, issuer.url + JWKS))) == ["key-1"]
    assert issuer.asked == {JWKS: 1}


@pytest.mark.parametrize("path", ["", "/realms/iris", "/tenant/v2.0", "/tenant/"])
async def test_the_document_is_below_the_issuer(path: str) -> None:
    """With one slash between, whether or not the issuer's name ends with one (OIDC Discovery section 4.1)."""
    with OidcIssuer(tls=False, path=path.removesuffix("/")) as issuer:
        named = issuer.url + "/" * path.endswith("/")
        issuer.document = {"issuer": named}
        assert names(await fetch(Source(named, None, None))) == ["key-1"]


async def test_plain_http_is_good_enough_on_this_machine() -> None:
    with OidcIssuer(tls=False) as issuer:
        assert names(await fetch(Source(issuer.url, None, None))) == ["key-1"]


@pytest.mark.parametrize(
    ("said", "kept_s"),
    [
        ("max-age=3600", 3600), ("public, max-age=3600, must-revalidate", 3600), ('max-age="90"', 90),
        ("MAX-AGE=90", 90), ("max-age=0", 60), ("max-age=999999999", 86_400), ("max-age=9999999999", KEPT_S),
        ("s-maxage=90", KEPT_S), ("no-cache", KEPT_S), ("max-age=x", KEPT_S), ("max-age=-5", KEPT_S), ("", KEPT_S),
    ],
)  # fmt: skip
async def test_it_says_how_long_its_keys_are_good_within_reason(issuer: OidcIssuer, said: str, kept_s: float) -> None:
    issuer.cache_control = said
    assert (await fetch(source(issuer))).kept_s == kept_s


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("broken", "not JSON"), ("failing", "answers 500"), ("moved", "answers 302"), ("huge", "more than 1,048,576"),
        ("down", "disconnected"), ("empty", "0 keys, and none"),
    ],
)  # fmt: skip
async def test_an_ill_issuer_is_a_fault(issuer: OidcIssuer, state: str, why: str) -> None:
    issuer.state = state
    assert why in await fault(source(issuer))
    assert state == "empty" or why in await fault(source(issuer, issuer.url + JWKS))


async def test_an_issuer_that_is_gone_is_a_fault(issuer: OidcIssuer) -> None:
    issuer.stop()
    assert await fault(source(issuer))
    issuer.start_again()
    assert names(await fetch(source(issuer))) == ["key-1"]


async def test_a_silent_issuer_is_a_fault(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PATIENCE_S", 0.3)
    issuer.state = "slow"
    assert await fault(source(issuer)) == "it does not answer within 0.3 s"


async def test_only_the_named_certificates_are_trusted(issuer: OidcIssuer) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in await fault(Source(issuer.url, None, None))
    assert issuer.asked == {}


@pytest.mark.parametrize("bundle", ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ключ"])
async def test_a_bundle_that_is_none_is_a_fault(issuer: OidcIssuer, bundle: str) -> None:
    assert await fault(Source(issuer.url, None, bundle)) == "caBundle holds no certificates in PEM"
    assert issuer.asked == {}


@pytest.mark.parametrize("other", ["https://evil.example", "", None, 1, ["x"]])
async def test_a_document_of_another_issuer_is_refused(issuer: OidcIssuer, other: object) -> None:
    """Else a document on a shared host would name the keys of anybody (OIDC Discovery section 4.3)."""
    issuer.document = {"issuer": other}
    assert "is of the issuer" in await fault(source(issuer))
    issuer.document = {"issuer": issuer.url + "/"}
    assert "is of the issuer" in await fault(source(issuer))


@pytest.mark.parametrize(
    "uri",
    [
        None, "", 1, "/keys", "file:///etc/passwd", "http://127.0.0.1/keys", "http://issuer.example/keys", "ftp://x/keys",
        "https://", "https://user:secret@127.0.0.1/keys", "https:///keys", "//127.0.0.1/keys", "javascript:1",
    ],
)  # fmt: skip
async def test_keys_are_fetched_over_https_only(issuer: OidcIssuer, uri: object) -> None:
    issuer.document = {"jwks_uri": uri}
    assert "must be a URL with https" in await fault(source(issuer))
    assert issuer.asked == {DISCOVERY: 1}


@pytest.mark.parametrize(
    "uri", ["https://127.0.0.1:99999/keys", "https://127.0.0.1:0/keys", "https://\n/", "https://[/"]
)
async def test_a_place_that_cannot_be_is_a_fault(issuer: OidcIssuer, uri: str) -> None:
    issuer.document = {"jwks_uri": uri}
    assert await fault(source(issuer))


async def test_a_port_that_cannot_be_is_a_fault() -> None:
    assert "port that can't be" in await fault(Source("https://127.0.0.1:99999", None, None))


async def test_an_issuer_on_this_machine_sends_nobody_elsewhere_in_the_clear() -> None:
    with OidcIssuer(tls=False) as issuer:
        issuer.document = {"jwks_uri": "http://issuer.example/keys"}
        assert "must be a URL with https" in await fault(Source(issuer.url, None, None))


async def test_the_proxy_of_the_environment_is_not_asked(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert names(await fetch(source(issuer))) == ["key-1"]


async def test_who_stops_waiting_stops_asking(issuer: OidcIssuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.state = "slow"
    asking = asyncio.create_task(fetch(source(issuer)))
    await until(lambda: bool(issuer.asked))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_endpoints_with_the_same_settings_share_a_source() -> None:
    first = JwtSettings(issuer="https://a", audiences=("iris",))
    second = JwtSettings(issuer="https://a", audiences=("wine",), clock_skew=0)
    assert Source.of(first) == Source.of(second)
    assert Source.of(first) != Source.of(JwtSettings(issuer="https://a", audiences=("iris",), ca_bundle="x"))
    assert repr(Source.of(first)) == "Source('https://a')"
