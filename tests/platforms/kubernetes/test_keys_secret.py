"""keys_secret.py: what a Secret holds is read and written as it is meant, and keys are shown to nobody."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from router.core.auth import hashed
from router.core.keys import Keys, NamedKey
from router.core.model import RateLimit
from router.platforms.kubernetes.keys_secret import BadKeys, KeysSecret, changed_data
from tests.kubernetes.registry import merged
from tests.platforms.kubernetes.nouns import PRIMARY, SECONDARY, a_secret, decoded

NEVER = datetime(2027, 1, 31, tzinfo=UTC)
HUSH = "hush-hush-hush-hush-hush"
TWO = Keys(PRIMARY, SECONDARY)
KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=40)
NAMED = st.builds(
    NamedKey,
    key=KEY,
    expires_at=st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),
    rate_limit=st.none() | st.builds(RateLimit, requests_per_second=st.floats(0.1, 1e6), burst=st.none() | st.just(7)),
)
KEYS = st.builds(Keys, KEY, KEY, st.dictionaries(st.sampled_from(["team-a", "team-b", "Team-c"]), NAMED))


def test_a_secret_becomes_the_hashes_of_its_keys() -> None:
    assert a_secret("iris-keys").hashes() == hashed(PRIMARY, SECONDARY)
    assert a_secret("iris-keys", "p" * 16, "s" * 256).hashes() == hashed("p" * 16, "s" * 256)


@pytest.mark.parametrize(
    ("primary", "secondary", "says"),
    [
        (None, SECONDARY, "has no primaryKey"),
        (PRIMARY, None, "has no secondaryKey"),
        ("too-short", SECONDARY, "a primaryKey of 9 bytes, but it must be 16 to 256 printable ASCII"),
        (PRIMARY, "x" * 257, "a secondaryKey of 257 bytes, but it must"),
        (PRIMARY + "\n", SECONDARY, "a primaryKey of 25 bytes"),
        ("with spaces in the key", SECONDARY, "a primaryKey of 22 bytes"),
        (PRIMARY, "not-äscii-but-long", "a secondaryKey of 19 bytes"),
    ],
)
def test_what_is_no_key_is_named_and_never_quoted(primary: str | None, secondary: str | None, says: str) -> None:
    with pytest.raises(BadKeys, match=f"^Secret iris-keys in namespace models has .*{says[4:]}") as caught:
        a_secret("iris-keys", primary, secondary).hashes()
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert not any(key in shown for key in (primary, secondary) if key is not None)


def test_no_repr_shows_a_key_not_even_in_what_kubectl_applied() -> None:
    applied = json.dumps({"data": {"primaryKey": "cHJpbWFyeS1rZXktb2YtdGhlLXRlc3Rz"}})
    secret = a_secret("iris-keys", annotations={"kubectl.kubernetes.io/last-applied-configuration": applied})
    assert secret.metadata.annotations == {}
    for thing in (secret, secret.data, secret.keys(), secret.metadata, [secret], {"a": secret.metadata}):
        for shown in (repr(thing), str(thing), pretty_repr(thing)):
            assert PRIMARY not in shown
            assert "cHJpbWFyeS" not in shown
    assert "models/iris-keys" in repr(secret)
    assert "models/iris-keys" in pretty_repr(secret)


def test_entries_of_somebody_else_are_not_even_read() -> None:
    assert a_secret("iris-keys", more={"tls.key": b"\xff", "namedx": b"?"}).keys() == Keys(PRIMARY, SECONDARY)


def test_named_keys_are_read_with_all_that_is_said_of_them() -> None:
    said = {"key": HUSH, "expiresAt": "2027-01-31T00:00:00Z", "rateLimit": {"requestsPerSecond": 5, "burst": 9}}
    entries = {"named.team-a": json.dumps({"key": HUSH}).encode(), "named.team-b": json.dumps(said).encode()}
    secret = a_secret("iris-keys", more=entries)
    limit = RateLimit(requests_per_second=5, burst=9)
    assert secret.keys().named_keys == {
        "team-a": NamedKey(key=HUSH),
        "team-b": NamedKey(key=HUSH, expires_at=NEVER, rate_limit=limit),
    }
    assert [(each.name, each.rate_limit) for each in secret.hashes().named] == [("team-a", None), ("team-b", limit)]
    assert all(HUSH not in shown for shown in (repr(secret), pretty_repr(secret), repr(secret.keys())))


@pytest.mark.parametrize(
    ("entry", "content", "says"),
    [
        ("named.team-a", HUSH, r"has a named.team-a of 24 bytes that can't be read, but it must be JSON as"),
        ("named.team-a", json.dumps(HUSH), "that can't be read"),
        ("named.team-a", "{}", "of 2 bytes that can't be read"),
        ("named.team-a", json.dumps({"key": 7}), "that can't be read"),
        ("named.team-a", json.dumps({HUSH: HUSH}), "that can't be read"),
        ("named.team-a", json.dumps({"key": HUSH, "expireAt": "2027-01-31T00:00:00Z"}), "that can't be read"),
        ("named.team-a", json.dumps({"key": HUSH, "expiresAt": "tomorrow"}), "that can't be read"),
        ("named.team-a", json.dumps({"key": HUSH, "expiresAt": "2027-01-31T00:00:00"}), "has no time zone"),
        ("named.team-a", json.dumps({"key": HUSH, "rateLimit": {"perSecond": 1}}), "that can't be read"),
        ("named.team-a", json.dumps({"key": HUSH, "rateLimit": {"requestsPerSecond": 0}}), "requestsPerSecond of key"),
        ("named.team-a", json.dumps({"key": "short"}), "the key team-a has 5 characters"),
        ("named.primary", json.dumps({"key": HUSH}), "a key is named 'primary', but a name must be"),
        ("named.", json.dumps({"key": HUSH}), "a key is named ''"),
        ("named.team-a", "\udcff", "that can't be read"),
    ],
)
def test_a_named_key_that_can_not_be_is_named_and_never_quoted(entry: str, content: str, says: str) -> None:
    secret = a_secret("iris-keys", more={entry: content.encode(errors="surrogateescape")})
    with pytest.raises(BadKeys, match=f"^Secret iris-keys in namespace models .*{says}") as caught:
        secret.keys()
    error: BaseException | None = caught.value
    assert HUSH not in repr(error)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("content", ["***", 7, None, ["x"]])
@pytest.mark.parametrize("entry", ["primaryKey", "named.team-a"])
def test_what_is_no_base64_is_told_by_the_name_of_its_entry(entry: str, content: Any) -> None:
    data = {"primaryKey": "cHJpbWFyeS1rZXktb2YtdGhlLXRlc3Rz", "secondaryKey": "cHJpbWFyeS1rZXktb2YtdGhlLXRlc3Rz"}
    secret = decoded(KeysSecret, {"metadata": {"name": "iris-keys"}, "data": {**data, entry: content}})
    with pytest.raises(BadKeys, match=f"has a {entry} that is no base64"):
        secret.keys()


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": {}}])
def test_an_empty_secret_has_no_keys(data: dict[str, Any]) -> None:
    with pytest.raises(BadKeys, match="has no primaryKey"):
        decoded(KeysSecret, {"metadata": {"name": "iris-keys"}, **data}).hashes()


def test_only_what_is_different_is_written() -> None:
    one, other = NamedKey(key=HUSH), NamedKey(key=HUSH, expires_at=NEVER)
    assert changed_data(TWO, TWO) == {}
    assert changed_data(TWO, Keys(PRIMARY, HUSH)) == {"secondaryKey": base64.b64encode(HUSH.encode()).decode()}
    assert changed_data(Keys(PRIMARY, SECONDARY, {"team-a": one}), TWO) == {"named.team-a": None}
    before = Keys(PRIMARY, SECONDARY, {"team-a": one, "team-b": one})
    changed = changed_data(before, Keys(PRIMARY, SECONDARY, {"team-a": other, "team-b": one}))
    assert changed.keys() == {"named.team-a"}
    written = base64.b64decode(changed["named.team-a"] or "")
    assert json.loads(written) == {"key": HUSH, "expiresAt": "2027-01-31T00:00:00Z"}


@given(before=KEYS, after=KEYS)
def test_what_was_written_is_read_again_and_what_is_not_ours_stays(before: Keys, after: Keys) -> None:
    everything = changed_data(Keys("", ""), before)
    data = merged({"note": "bWluZQ==", **everything}, changed_data(before, after))
    assert decoded(KeysSecret, {"metadata": {"name": "iris-keys"}, "data": data}).keys() == after
    assert data["note"] == "bWluZQ=="
