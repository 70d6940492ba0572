"""The rules of single values."""

from __future__ import annotations

import pytest
from msgspec import inspect

from router.core.rules import Rule, is_name, parse_address, qualified, rule_of


@pytest.mark.parametrize("name", ["abc", "A-1", "a--b", "a" * 32, "iris2"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "1ab", "-ab", "ab-", "a_b", "a.b", "../etc", "abc\n", "äbc", "a/b"]
)
def test_names_that_are_none(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.5", ("10.0.0.5", 5001)),
        ("10.0.0.5:80", ("10.0.0.5", 80)),
        ("Model-1.default.svc:65535", ("model-1.default.svc", 65535)),
        ("localhost", ("localhost", 5001)),
        ("[::1]", ("::1", 5001)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address, default_port=5001) == expected


@pytest.mark.parametrize(
    "address",
    [
        "", ":80", "host:", "host:0", "host:65536", "host:http", "host:٣", "::1", "::1:80", "[::1", "[10.0.0.5]:80",
        "[]:80", "[::g]", "1.2.3", "1.2.3.400", "1.2.3.4.", "a b:80", "a..b", "-a", "a-", "http://a:80", "a/b",
        "a:80\n", "a" * 64, "user@host",
    ],
)  # fmt: skip
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_address(address, default_port=5001)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Rule("", least=1, most=3), [1, 3], [0, 4]),
        (Rule("", above=0), [0.1], [0, -1]),
        (Rule("", pattern="a+"), ["a", "aa"], ["", "ab", "a\n"]),
        (Rule("", most_characters=2), ["", "ab"], ["abc"]),
        (Rule("", choices=("a", "b")), ["a", "b"], ["c", ""]),
        (Rule("", fewest=2), [[1, 2]], [[], [1]]),
        (Rule("", most_items=2), [[], [1, 2]], [[1, 2, 3]]),
        (Rule("", fewest=1, also=lambda items: items[0] > 0), [[1]], [[], [0]]),
        (Rule(""), [None, 0, ""], []),
    ],
)
def test_a_rule_holds_for_what_it_says(rule: Rule, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not rule.holds(value)] == []
    assert [value for value in bad if rule.holds(value)] == []


def test_a_field_may_have_a_rule_of_its_own_in_one_parent() -> None:
    assert qualified("kind", "") == qualified("kind", "metadata") == "kind"
    assert qualified("kind", "workload") == "workload.kind"


def test_a_number_without_a_rule_is_positive_and_a_text_is_free() -> None:
    number = rule_of(inspect.IntType(), "requestTimeoutMs")
    assert number is not None
    assert (number.holds(1), number.holds(0)) == (True, False)
    assert rule_of(inspect.StrType(), "colour") is None


def test_every_rule_ends_the_sentence_that_begins_with_it() -> None:
    from router.core.rules import _RULES

    assert [field for field, rule in _RULES.items() if not rule.says.startswith("must ")] == []
