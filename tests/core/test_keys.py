"""keys.py: which keys may be, how they change, and that none is ever shown."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.pretty import pretty_repr

from router.core.keys import (
    MAX_NAMED,
    BadKey,
    Keys,
    NamedKey,
    NoSuchKey,
    checked,
    regenerated,
    with_named,
    without_named,
)
from router.core.model import RateLimit

KEYS = Keys("the-primary-key-of-iris", "the-secondary-key-of-iris")
ANN = NamedKey(
    key="the-key-of-ann-alone",
    expires_at=datetime(2027, 1, 31, 12, tzinfo=UTC),
    rate_limit=RateLimit(requests_per_second=2.5, burst=10),
)
NAMED = replace(KEYS, named_keys={"bob": NamedKey(key="the-key-of-bob-alone"), "ann": ANN})


def test_hashes_are_of_all_keys_the_named_by_their_names() -> None:
    hashes = NAMED.hashes
    assert hashes.primary == hashlib.sha256(b"the-primary-key-of-iris").digest()
    assert hashes.secondary == hashlib.sha256(b"the-secondary-key-of-iris").digest()
    ann, bob = hashes.named
    assert (ann.name, ann.digest) == ("ann", hashlib.sha256(b"the-key-of-ann-alone").digest())
    assert (ann.expires_at_s, ann.rate_limit) == (1_801_396_800.0, ANN.rate_limit)
    assert (bob.name, bob.expires_at_s, bob.rate_limit) == ("bob", None, None)


def test_a_version_is_another_after_each_change_and_the_same_for_the_same() -> None:
    changes = [
        KEYS,
        NAMED,
        replace(KEYS, primary_key="x" * 16),
        replace(KEYS, secondary_key="x" * 16),
        Keys(KEYS.secondary_key, KEYS.primary_key),
        with_named(NAMED, "ann", replace(ANN, expires_at=None)),
        with_named(NAMED, "ann", replace(ANN, rate_limit=None)),
        with_named(NAMED, "ann", replace(ANN, rate_limit=RateLimit(requests_per_second=2.5))),
        without_named(NAMED, "ann"),
    ]
    assert len({keys.version for keys in changes}) == len(changes)
    again = msgspec.json.decode(msgspec.json.encode(NAMED), type=Keys)
    assert (again, again.version) == (NAMED, NAMED.version)
    backwards = replace(NAMED, named_keys=dict(reversed(NAMED.named_keys.items())))
    assert backwards.version == NAMED.version


def test_two_keys_are_written_as_they_always_were() -> None:
    assert msgspec.json.encode(Keys("a" * 16, "b" * 16)) == (
        b'{"primaryKey":"aaaaaaaaaaaaaaaa","secondaryKey":"bbbbbbbbbbbbbbbb"}'
    )


def test_no_key_is_shown() -> None:
    for shown in (repr(NAMED), str(NAMED), f"{NAMED}", repr(ANN), pretty_repr(NAMED), pretty_repr(ANN), repr([NAMED])):
        for key in (NAMED.primary_key, NAMED.secondary_key, ANN.key):
            assert key not in shown


# -- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "changed"),
    [
        ("primary", replace(NAMED, primary_key="x" * 16)),
        ("secondary", replace(NAMED, secondary_key="x" * 16)),
        ("ann", with_named(NAMED, "ann", replace(ANN, key="x" * 16))),
    ],
)
def test_one_is_replaced_and_all_else_stays(which: str, changed: Keys) -> None:
    assert regenerated(NAMED, which, "x" * 16) == changed != NAMED
    with pytest.raises(BadKey):
        regenerated(NAMED, which, "x" * 15)


def test_a_named_key_is_made_changed_and_removed() -> None:
    made = with_named(KEYS, "ann", ANN)
    assert made.named_keys == {"ann": ANN}
    assert without_named(made, "ann") == KEYS
    assert KEYS.named_keys == {}, "the old one is as it was"


def test_what_is_not_there_is_answered_with_what_is() -> None:
    for ask in (lambda: without_named(NAMED, "eve"), lambda: regenerated(NAMED, "eve", "x" * 16)):
        with pytest.raises(NoSuchKey, match="no key 'eve': known are primary, secondary, ann, bob"):
            ask()
    for which in ("primary", "secondary"):
        with pytest.raises(NoSuchKey):
            without_named(NAMED, which)


# -- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 257, "x" * 15 + " ", "x" * 16 + "\n", "ü" * 20, "x" * 16 + "\0"])
def test_a_key_that_is_none_is_refused_wherever_it_is_and_never_quoted(key: str) -> None:
    for what, keys in (
        ("primary key", replace(KEYS, primary_key=key)),
        ("secondary key", replace(KEYS, secondary_key=key)),
        ("key ann", replace(KEYS, named_keys={"ann": NamedKey(key=key)})),
    ):
        with pytest.raises(BadKey, match=f"{what} has {len(key)} characters, but it must be 16 to 256") as caught:
            checked(keys)
        assert not key or key not in str(caught.value)


@pytest.mark.parametrize("key", ["x" * 16, "x" * 256, '!"#$%&/()=?`{[]}~'])
def test_a_key_that_is_one(key: str) -> None:
    keys = Keys(key, key, {"ann": NamedKey(key=key)})
    assert checked(keys) is keys


@pytest.mark.parametrize(
    "name", ["", "an", "a" * 33, "9ann", "ann-", "-ann", "a.nn", "../ann", "a/b", "ann\n", "primary", "secondary",
             "token", "jwt", "none"]
)  # fmt: skip
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(BadKey, match="a key is named"):
        with_named(KEYS, name, ANN)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"expires_at": datetime(2027, 1, 31)}, "expiresAt of key ann has no time zone"),
        ({"rate_limit": RateLimit(requests_per_second=0.0)}, "requestsPerSecond of key ann is 0.0"),
        ({"rate_limit": RateLimit(requests_per_second=-1.0)}, "requestsPerSecond of key ann is -1.0"),
        ({"rate_limit": RateLimit(requests_per_second=1.1e6)}, "requestsPerSecond of key ann is 1100000.0"),
        ({"rate_limit": RateLimit(requests_per_second=float("nan"))}, "requestsPerSecond of key ann is nan"),
        ({"rate_limit": RateLimit(requests_per_second=float("inf"))}, "requestsPerSecond of key ann is inf"),
        ({"rate_limit": RateLimit(requests_per_second=1.0, burst=0)}, "burst of key ann is 0"),
        ({"rate_limit": RateLimit(requests_per_second=1.0, burst=1_000_001)}, "burst of key ann is 1000001"),
    ],
)
def test_settings_that_can_not_be(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadKey, match=problem) as caught:
        with_named(KEYS, "ann", NamedKey(key=ANN.key, **settings))
    assert ANN.key not in str(caught.value)


@pytest.mark.parametrize("limit", [RateLimit(requests_per_second=0.001, burst=1), RateLimit(requests_per_second=1e6)])
def test_settings_at_their_bounds(limit: RateLimit) -> None:
    assert with_named(KEYS, "ann", replace(ANN, rate_limit=limit)).named_keys["ann"].rate_limit == limit


def test_there_is_an_end_of_named_keys() -> None:
    full = replace(KEYS, named_keys={f"key-{number}": ANN for number in range(MAX_NAMED)})
    assert checked(full) is full
    with pytest.raises(BadKey, match=r"there are 1001 named keys, but there must be at most 1000"):
        with_named(full, "one-more", NamedKey(key="one-more-key-of-its-own"))
    assert len(with_named(full, "key-7", ANN).named_keys) == MAX_NAMED


@given(st.text())
def test_whatever_is_given_as_a_key_is_used_as_it_is_or_refused(key: str) -> None:
    fits = 16 <= len(key) <= 256 and all("!" <= letter <= "~" for letter in key)
    if fits:
        assert regenerated(KEYS, "primary", key).primary_key == key
    else:
        with pytest.raises(BadKey):
            regenerated(KEYS, "primary", key)


@pytest.mark.parametrize("which", ["primary", "secondary", "bob"])
def test_a_key_with_a_name_is_nobody_elses(which: str) -> None:
    with pytest.raises(BadKey, match="is that of ann already") as refusal:
        regenerated(NAMED, which, ANN.key)
    assert ANN.key not in str(refusal.value)


@pytest.mark.parametrize("other", ["primary", "secondary", "bob"])
def test_no_key_of_another_is_given_a_name(other: str) -> None:
    theirs = {"primary": NAMED.primary_key, "secondary": NAMED.secondary_key, "bob": NAMED.named_keys["bob"].key}[other]
    for change in (
        lambda: with_named(NAMED, "eve", NamedKey(key=theirs)),
        lambda: with_named(NAMED, "ann", replace(ANN, key=theirs)),
        lambda: regenerated(NAMED, "ann", theirs),
    ):
        with pytest.raises(BadKey, match=f"is that of {other} already"):
            change()


def test_keys_that_are_the_same_already_can_be_changed_and_told_apart() -> None:
    """Somebody wrote them into a Secret by hand; and primary and secondary may be one key, as at Azure."""
    same = replace(NAMED, named_keys={"ann": ANN, "bob": replace(ANN, expires_at=None)})
    assert checked(same) is same
    assert with_named(same, "ann", replace(ANN, rate_limit=None)).named_keys["ann"].rate_limit is None
    assert regenerated(same, "ann", "x" * 16).named_keys["ann"].key == "x" * 16
    assert regenerated(NAMED, "primary", NAMED.secondary_key).primary_key == NAMED.secondary_key
