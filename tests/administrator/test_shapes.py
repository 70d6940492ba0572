"""shapes.py: replies are read, newer ones too, and no secret shows."""

from __future__ import annotations

import msgspec
import pytest

from router.administrator.shapes import EndpointView, KeysView, TokenV1, TokenV2
from router.core.keys import NamedKey

KEYS = KeysView(
    primary_key="secret-1-of-the-test",
    secondary_key="secret-2-of-the-test",
    named_keys={"mobile": NamedKey(key="secret-3-of-the-test")},
    version="7",
)
SECRETS = [
    KEYS,
    TokenV1(access_token="secret.of.test", token_type="Bearer", refresh_after=1, expiry_on=2),
    TokenV2(access_token="secret.of.test", token_type="Bearer", refresh_after_time_utc=1, expiry_time_utc=2),
]


@pytest.mark.parametrize("said", SECRETS, ids=lambda said: type(said).__name__)
def test_no_secret_is_in_a_repr(said: object) -> None:
    assert "secret" not in repr(said)


def test_keys_come_back_as_they_went() -> None:
    text = msgspec.json.encode(KEYS)
    assert set(msgspec.json.decode(text)) == {"primaryKey", "secondaryKey", "namedKeys", "version"}
    assert msgspec.json.decode(text, type=KeysView) == KEYS


def test_the_token_comes_first() -> None:
    assert [next(iter(msgspec.to_builtins(token))) for token in SECRETS[1:]] == ["accessToken"] * 2


def test_what_a_newer_router_says_more_is_passed_over() -> None:
    text = (
        b'{"name":"iris","authMode":"key","alsoAccepts":[],"traffic":{},"trafficVersion":"1","deployments":[],'
        b'"scoringPath":"/","news":[1]}'
    )
    assert msgspec.json.decode(text, type=EndpointView).name == "iris"
