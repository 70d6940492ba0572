"""Which key signs and which ones verify, against the invariants of signing.py."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.core import signing
from router.core.signing import (
    CLOCK_SKEW_S,
    MOST_KEYS,
    PUBLISH_AHEAD_S,
    RETENTION_S,
    ROTATION_S,
    BadKeySet,
    KeySet,
    NoRotation,
    PrivateJwk,
    SigningKey,
    decoded,
    due_at_s,
    encoded,
    first,
    maintained,
    rotated,
)

DAY_S = 86_400.0
NOW_S = 1_800_000_000.0
_numbers = itertools.count()


def make() -> PrivateJwk:
    """The arithmetic is not of interest here."""
    number = next(_numbers)
    return PrivateJwk(x=f"x{number}", y=f"y{number}", d=f"secret-number-{number}")


def kids(keys: KeySet | tuple[SigningKey, ...]) -> list[str]:
    return [key.kid for key in (keys.keys if isinstance(keys, KeySet) else keys)]


# -- one clock ----------------------------------------------------------------------------------------------


def test_the_first_key_signs_at_once() -> None:
    keys = first(NOW_S, DAY_S, make)
    assert kids(keys.verifying(NOW_S)) == [keys.signing(NOW_S).kid] == kids(keys)


def test_who_has_a_slow_clock_signs_with_the_first_key_before_its_turn() -> None:
    keys = first(NOW_S, DAY_S, make)
    assert keys.signing(NOW_S - CLOCK_SKEW_S) == keys.keys[0]


def test_the_next_key_is_known_before_it_signs() -> None:
    old = first(NOW_S, DAY_S, make)
    keys = rotated(old, NOW_S + 10, DAY_S, make)
    turn_s = NOW_S + 10 + PUBLISH_AHEAD_S
    assert kids(keys.verifying(NOW_S + 10)) == kids(keys)
    assert len(keys.keys) == 2
    assert keys.signing(turn_s - 0.001) == old.keys[0]
    assert keys.signing(turn_s) == keys.keys[1]
    assert (keys.signs_until_s(keys.keys[0]), keys.signs_until_s(keys.keys[1])) == (turn_s, None)


def test_a_key_verifies_until_its_last_token_is_over_and_is_dropped_then() -> None:
    keys = rotated(first(NOW_S, DAY_S, make), NOW_S, DAY_S, make)
    over_s = NOW_S + PUBLISH_AHEAD_S + DAY_S + RETENTION_S
    assert kids(keys.verifying(over_s - 0.001)) == kids(keys)
    assert kids(keys.verifying(over_s)) == kids(keys)[1:]
    assert maintained(keys, over_s - 0.001, DAY_S, make) is keys
    assert kids(maintained(keys, over_s, DAY_S, make)) == kids(keys)[1:]


def test_the_next_key_is_made_so_early_that_each_one_signs_for_the_whole_period() -> None:
    keys = first(NOW_S, DAY_S, make)
    due_s = NOW_S + ROTATION_S - PUBLISH_AHEAD_S
    assert due_at_s(keys, NOW_S, DAY_S) == due_s
    assert maintained(keys, due_s - 1, DAY_S, make) is keys
    following = maintained(keys, due_s, DAY_S, make)
    assert [key.signs_from_s for key in following.keys] == [NOW_S, NOW_S + ROTATION_S]
    assert maintained(following, due_s, DAY_S, make) is following


def test_there_is_no_second_next_key() -> None:
    keys = rotated(first(NOW_S, DAY_S, make), NOW_S, DAY_S, make)
    with pytest.raises(NoRotation, match="signs in 119 s"):
        rotated(keys, NOW_S + 1, DAY_S, make)
    assert len(rotated(keys, NOW_S + PUBLISH_AHEAD_S, DAY_S, make).keys) == 3


def test_the_number_of_keys_is_bounded_and_ends_no_maintenance() -> None:
    keys, now_s = first(NOW_S, 10 * ROTATION_S, make), NOW_S
    for _ in range(MOST_KEYS - 1):
        now_s += PUBLISH_AHEAD_S
        keys = rotated(keys, now_s, 10 * ROTATION_S, make)
    now_s += ROTATION_S
    with pytest.raises(NoRotation, match="50 are the most"):
        rotated(keys, now_s, DAY_S, make)
    assert maintained(keys, now_s, DAY_S, make) is keys
    assert math.isfinite(due_at_s(keys, now_s, DAY_S))
    later_s = due_at_s(keys, now_s, DAY_S)
    assert len(maintained(keys, later_s, DAY_S, make).keys) == MOST_KEYS
    assert maintained(keys, later_s, DAY_S, make).keys[0] == keys.keys[1]


def test_a_longer_life_is_told_to_the_keys_that_sign_or_will() -> None:
    keys = rotated(rotated(first(0.0, 10.0, make), 200.0, 10.0, make), 400.0, 10.0, make)
    assert due_at_s(keys, 450.0, 11.0) < 450.0
    assert [key.token_life_s for key in maintained(keys, 450.0, 11.0, make).keys] == [10.0, 11.0, 11.0]


def test_a_shorter_life_cuts_no_token_off() -> None:
    keys = first(NOW_S, DAY_S, make)
    assert maintained(keys, NOW_S, 1.0, make) is keys
    following = rotated(keys, NOW_S, 1.0, make)
    assert [key.token_life_s for key in following.keys] == [DAY_S, 1.0]
    assert kids(following.verifying(NOW_S + DAY_S)) == kids(following)


@given(st.lists(st.floats(0, 2 * ROTATION_S), max_size=20), st.floats(1, ROTATION_S))
def test_nothing_is_due_right_after_maintenance(pauses_s: list[float], life_s: float) -> None:
    keys, now_s = first(NOW_S, DAY_S, make), NOW_S
    for pause_s in pauses_s:
        now_s += pause_s
        keys = maintained(keys, now_s, life_s, make)
        assert due_at_s(keys, now_s, life_s) > now_s
        assert maintained(keys, now_s, life_s, make) is keys


# -- many instances -----------------------------------------------------------------------------------------

CLOCKS_S = (-2.4, 0.0, 2.5)
"""How wrong the instances' clocks are: less than CLOCK_SKEW_S between two."""
LIVES_S = (1.0, 600.0, DAY_S, 2 * DAY_S)


class Installation:
    """Instances that share a vault, whose changes they see late. Time is the true one, which nobody knows."""

    def __init__(self, lateness_s: tuple[float, ...]) -> None:
        self.now_s = NOW_S
        self.life_s = DAY_S
        self.lateness_s = lateness_s
        self.written: list[tuple[float, KeySet]] = [(NOW_S, first(self.clock(0), self.life_s, make))]
        self.seen = [0] * len(CLOCKS_S)
        """Which version each instance saw last."""
        self.tokens: list[tuple[str, float]] = []
        """Of each, its key's kid and when it ends."""

    def clock(self, instance: int) -> float:
        return self.now_s + CLOCKS_S[instance]

    def view(self, instance: int) -> KeySet:
        told = [n for n, (at_s, _) in enumerate(self.written) if at_s <= self.now_s - self.lateness_s[instance]]
        self.seen[instance] = max(self.seen[instance], told[-1] if told else 0)
        return self.written[self.seen[instance]][1]

    def look(self, instance: int) -> KeySet:
        self.seen[instance] = len(self.written) - 1
        return self.view(instance)

    def write(self, instance: int, keys: KeySet) -> None:
        if keys is not self.written[-1][1]:
            assert keys.verifying(self.clock(instance)) == keys.keys, "one that is over is kept"
            self.written.append((self.now_s, keys))
        self.look(instance)

    def maintain(self, instance: int) -> None:
        self.write(instance, maintained(self.look(instance), self.clock(instance), self.life_s, make))

    def rotate(self, instance: int) -> None:
        try:
            self.write(instance, rotated(self.look(instance), self.clock(instance), self.life_s, make))
        except NoRotation:
            return

    def issue(self, instance: int) -> None:
        key = self.view(instance).signing(self.clock(instance))
        self.tokens.append((key.kid, self.clock(instance) + min(self.life_s, key.token_life_s)))

    def issue_at_the_last_moment(self, instance: int) -> None:
        """Right before the next key's turn."""
        self.advance(self.written[-1][1].keys[-1].signs_from_s - self.clock(instance) - 0.01)
        self.issue(instance)

    def change_life(self, instance: int) -> None:
        self.life_s = LIVES_S[(LIVES_S.index(self.life_s) + 1 + instance) % len(LIVES_S)]

    def advance(self, pause_s: float) -> None:
        self.now_s += max(0.0, pause_s)
        self.check()

    def check(self) -> None:
        for instance, (kid, end_s) in itertools.product(range(len(CLOCKS_S)), self.tokens):
            if self.clock(instance) < end_s:
                known = kids(self.view(instance).verifying(self.clock(instance)))
                assert kid in known, f"instance {instance} refuses {kid} {end_s - self.clock(instance)} s too early"

    def run_out(self) -> None:
        """Every token's last moment, while keys are dropped as soon as they may be."""
        ends = sorted(end_s - clock_s for _, end_s in self.tokens for clock_s in CLOCKS_S)
        for end_s in ends:
            for before_s in (1.0, 0.01):
                self.now_s = max(self.now_s, end_s - before_s)
                for instance in range(len(CLOCKS_S)):
                    self.maintain(instance)
                self.check()


STEPS = ("maintain", "rotate", "issue", "issue_at_the_last_moment", "change_life", "look")
PAUSES_S = (0.0, 1.0, PUBLISH_AHEAD_S - 5.01, PUBLISH_AHEAD_S - 0.01, float(PUBLISH_AHEAD_S), DAY_S, float(ROTATION_S))
a_step = st.tuples(st.sampled_from(STEPS), st.integers(0, len(CLOCKS_S) - 1), st.sampled_from(PAUSES_S))
lateness = st.tuples(*[st.floats(0, PUBLISH_AHEAD_S - CLOCK_SKEW_S)] * len(CLOCKS_S))
LATEST_S = float(PUBLISH_AHEAD_S - CLOCK_SKEW_S)


@settings(max_examples=400)
@given(lateness, st.lists(a_step, min_size=8, max_size=30))
@example((LATEST_S, LATEST_S, 0.0), [("rotate", 0, LATEST_S - 0.01), ("issue", 2, 0.0)])
@example((LATEST_S,) * 3, [("rotate", 0, LATEST_S + 0.11), ("issue", 2, 0.0)])
@example((0.0,) * 3, [("rotate", 0, 0.0), ("issue_at_the_last_moment", 0, 0.0)])
@example((0.0,) * 3, [("rotate", 0, 1.0), ("change_life", 2, 0.0), ("issue_at_the_last_moment", 1, 0.0)])
@example((0.0,) * 3, [("change_life", 0, 0.0), ("maintain", 0, 0.0), ("rotate", 0, 0.0), ("issue", 0, 200.0)])
def test_a_token_of_one_instance_verifies_at_every_other_until_its_end(
    lateness_s: tuple[float, ...], taken: list[tuple[str, int, float]]
) -> None:
    installation = Installation(lateness_s)
    for step, instance, pause_s in taken:
        getattr(installation, step)(instance)
        installation.check()
        installation.advance(pause_s)
    installation.run_out()
    turns_s = [key.signs_from_s for key in installation.written[-1][1].keys]
    assert turns_s == sorted(set(turns_s))


# -- as it is kept ------------------------------------------------------------------------------------------


def some_keys() -> KeySet:
    return rotated(first(NOW_S, DAY_S, make), NOW_S, DAY_S, make)


def test_what_is_kept_is_read_again() -> None:
    keys = some_keys()
    assert decoded(encoded(keys)) == keys
    names = json.loads(encoded(keys))["keys"][0]
    assert set(names) == {"kid", "createdAt", "signsFrom", "tokenLife", "privateJwk"}


def test_every_truncation_is_refused() -> None:
    content = encoded(some_keys())
    for length in range(len(content)):
        with pytest.raises(BadKeySet):
            decoded(content[:length])


@given(st.binary(max_size=200))
def test_bytes_from_anywhere_are_refused_in_no_other_way(content: bytes) -> None:
    with pytest.raises(BadKeySet):
        decoded(content)


BROKEN = {
    "no object": (lambda kept: [kept], "Expected `object`"),
    "no keys": (lambda kept: {"keys": []}, "1 to 50"),
    "too many": (lambda kept: {"keys": kept["keys"] * 26}, "1 to 50"),
    "a key twice": (lambda kept: {"keys": kept["keys"][:1] * 2}, "order"),
    "another order": (lambda kept: {"keys": kept["keys"][::-1]}, "order"),
    "one more field": (lambda kept: kept | {"format": 2}, "unknown field `format`"),
    "a public key": (lambda kept: with_key(kept, {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}), "field `d`"),
    "an RSA key": (lambda kept: with_key(kept, {"kty": "RSA", "n": "n", "e": "AQAB", "d": "d"}), "RSA"),
    "another curve": (
        lambda kept: with_key(kept, {"kty": "EC", "crv": "P-384", "x": "x", "y": "y", "d": "d"}),
        "P-384",
    ),
    "another key's kid": (
        lambda kept: with_key(kept, {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "d"}),
        "thumbprint",
    ),
    "a time that is text": (lambda kept: {"keys": [kept["keys"][0] | {"signsFrom": "now"}]}, "signsFrom"),
    "a life below zero": (lambda kept: {"keys": [kept["keys"][0] | {"tokenLife": -1}]}, "tokenLife"),
}


def with_key(kept: dict, private: dict) -> dict:
    return {"keys": [kept["keys"][0] | {"privateJwk": private}]}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_key_set_is_refused_with_the_rule(name: str) -> None:
    change, rule = BROKEN[name]
    kept = json.loads(encoded(some_keys()))
    with pytest.raises(BadKeySet, match=rule) as refusal:
        decoded(json.dumps(change(kept)).encode())
    assert "secret-number" not in str(refusal.value)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    content = encoded(first(1.5, DAY_S, make))
    for number in (b"1e999", b"NaN", b"Infinity", b"-Infinity"):
        with pytest.raises(BadKeySet):
            decoded(content.replace(b'"signsFrom":1.5', b'"signsFrom":' + number))


def test_a_private_number_is_in_no_repr() -> None:
    keys = some_keys()
    shown = repr(keys) + str(keys) + f"{keys.keys[0]}" + repr(keys.keys[0].private) + str(keys.keys[0].private)
    assert "secret-number" not in shown
    assert "secret-number" not in str(keys.keys[0].private.__rich_repr__())
    assert "secret-number" in encoded(keys).decode()


def test_what_is_published_is_public() -> None:
    key = some_keys().keys[0]
    published = key.public_jwk()
    assert published.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (published["kid"], published["use"], published["alg"]) == (key.kid, "sig", "ES256")


def test_a_key_is_named_by_its_thumbprint() -> None:
    """The elliptic curve's members of RFC 7638 section 3.2, in the order of section 3.3."""
    jwk = PrivateJwk(
        x="MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        y="4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        d="870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    )
    assert jwk.thumbprint == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
    assert signing.first(NOW_S, DAY_S, lambda: jwk).keys[0].kid == jwk.thumbprint
