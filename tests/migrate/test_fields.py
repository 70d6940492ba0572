"""fields.py: no field of a document is lost without a word, and no text of it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.migrate.fields import Findings, Given, Leave, Pass, Table, Take, plain, shown, sort

TABLE: Table = {
    "name": Take("name"),
    "alias": Take("name"),
    "settings.timeout": Take("timeout"),
    "settings.insights": Leave("use metrics"),
    "metrics": Leave("use metrics"),
    "key": Leave("a key"),
    "probe": Leave("the kubelet probes"),
    "id": Pass(),
}


def sorted_out(document: dict[Any, Any]) -> tuple[dict[str, Given], Findings]:
    findings = Findings()
    return sort(document, TABLE, "a.yml", findings), findings


def test_what_is_taken_keeps_its_place() -> None:
    taken, findings = sorted_out({"name": "iris", "settings": {"timeout": 5}, "id": 7})
    assert taken == {"name": Given("iris", "a.yml", "name"), "timeout": Given(5, "a.yml", "settings.timeout")}
    assert (findings.warnings, findings.problems) == ([], [])


def test_what_is_left_for_one_reason_is_one_warning_with_numbers_and_booleans_shown() -> None:
    _, findings = sorted_out({"settings": {"insights": True}, "metrics": 0.5, "probe": {"period": 1}})
    assert findings.warnings == [
        "a.yml: settings.insights: true, metrics: 0.5: not carried over: use metrics",
        "a.yml: probe: not carried over: the kubelet probes",
    ]


def test_texts_are_never_shown() -> None:
    _, findings = sorted_out({"key": "secret", "settings": {"timout": "secret"}, "Key": "secret"})
    assert findings.warnings == [
        "a.yml: settings.timout: not carried over: unknown field, did you mean settings.timeout?",
        "a.yml: Key: not carried over: unknown field",
        "a.yml: key: not carried over: a key",
    ]


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_where_nothing_is_on_nothing_is_lost(nothing: object) -> None:
    assert sorted_out({"metrics": nothing})[1] == Findings()


def test_a_null_is_the_same_as_nothing_given() -> None:
    assert sorted_out({"name": None, "settings": None, "unknown": None}) == ({}, Findings())


def test_two_spellings_of_one_field_are_a_problem() -> None:
    _, findings = sorted_out({"name": "iris", "alias": "rose"})
    assert findings.problems == ["a.yml: alias: given beside name, which means the same"]


def test_a_value_where_a_mapping_should_be_is_a_problem() -> None:
    _, findings = sorted_out({"settings": 7})
    assert findings.problems == ["a.yml: settings: 7, but it must be a mapping"]


def test_names_are_shown_on_one_line_and_not_whole_if_long() -> None:
    assert plain("iris") == "iris"
    assert plain("a\x1b[31m\n") == r"'a\x1b[31m\n'"
    assert plain("é" * 100) == "é" * 60 + "…"
    assert [shown(value) for value in (True, 7, 0.5, "key", None, [1])] == ["true", "7", "0.5", "", "", ""]


plain_values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
names = st.sampled_from(["name", "settings", "timeout", "insights", "metrics", "id"]) | st.text(max_size=5)
documents = st.recursive(
    plain_values, lambda items: st.lists(items, max_size=2) | st.dictionaries(names, items, max_size=4)
)


@given(st.dictionaries(names, documents, max_size=5))
def test_every_field_is_taken_told_or_says_nothing(document: dict[str, Any]) -> None:
    taken, findings = sorted_out(document)
    told = " ".join(findings.warnings + findings.problems)
    for name, value in document.items():
        if value in (None, False, "", [], {}) or name == "id" or isinstance(value, dict):
            continue
        assert name in {given.path for given in taken.values()} or f" {plain(name)}:" in told or f" {name}" in told
