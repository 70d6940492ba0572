"""selectors.py: what a selector means, and that nobody is forgotten however Pods and selectors come and go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.platforms.kubernetes.objects import LabelSelector
from router.platforms.kubernetes.picture.selectors import Selection, matches
from tests.platforms.kubernetes.nouns import decoded

LABELS = {"app": "iris", "tier": "gold"}


def a_selector(*expressions: tuple[str, str, list[str]], **labels: str) -> LabelSelector:
    wants = [{"key": key, "operator": operator, "values": values} for key, operator, values in expressions]
    return decoded(LabelSelector, {"matchLabels": labels, "matchExpressions": wants})


@pytest.mark.parametrize(
    ("selector", "chooses"),
    [
        (a_selector(app="iris"), True),
        (a_selector(app="iris", tier="gold"), True),
        (a_selector(app="iris", tier="tin"), False),
        (a_selector(app="iris", zone="a"), False),
        (a_selector(("app", "In", ["rose", "iris"])), True),
        (a_selector(("app", "In", ["rose"])), False),
        (a_selector(("app", "In", [])), False),
        (a_selector(("zone", "In", ["a"])), False),
        (a_selector(("app", "NotIn", ["rose"])), True),
        (a_selector(("app", "NotIn", ["iris"])), False),
        (a_selector(("zone", "NotIn", ["a"])), True),
        (a_selector(("app", "Exists", [])), True),
        (a_selector(("zone", "Exists", [])), False),
        (a_selector(("app", "DoesNotExist", [])), False),
        (a_selector(("zone", "DoesNotExist", [])), True),
        (a_selector(("app", "Exists", []), tier="tin"), False),
        (a_selector(("app", "Resembles", ["iris"])), False),
        (a_selector(), False),
    ],
)
def test_a_selector_means_what_it_means_to_kubernetes(selector: LabelSelector, chooses: bool) -> None:
    assert matches(selector, LABELS) is chooses
    selection = Selection()
    selection.label("pod", "models", LABELS)
    selection.choose("blue", "models", selector)
    assert selection.chosen("blue") == ({"pod"} if chooses else set())


def test_who_gains_and_who_loses_is_told() -> None:
    selection = Selection()
    assert selection.choose("blue", "models", a_selector(app="iris")) == set()
    assert selection.label("one", "models", {"app": "iris"}) == {"blue"}
    assert selection.label("two", "models", {"app": "rose"}) == set()
    assert selection.choose("blue", "models", a_selector(app="rose")) == {"one", "two"}
    assert selection.choose("blue", "models", a_selector(app="rose")) == set()
    assert selection.label("one", "models", {"app": "rose"}) == {"blue"}
    assert selection.label("one", "models", {"app": "rose", "more": "x"}) == set()
    assert selection.label("two", "models", None) == {"blue"}
    assert selection.label("two", "models", None) == set()
    assert selection.choose("blue", "models", None) == {"one"}
    assert (selection.chosen("blue"), selection.chosen_by("one")) == (set(), set())


def test_another_namespace_is_another_world() -> None:
    selection = Selection()
    selection.choose("blue", "models", a_selector(("app", "Exists", [])))
    selection.choose("green", "models", a_selector(app="iris"))
    selection.label("pod", "others", LABELS)
    assert selection.chosen_by("pod") == set()


def test_nothing_stays_behind_when_all_are_gone() -> None:
    selection = Selection()
    for chooser, selector in (("a", a_selector(app="iris")), ("b", a_selector(("app", "In", ["iris", "x"])))):
        selection.choose(chooser, "models", selector)
    selection.label("pod", "models", LABELS)
    for chooser in "ab":
        selection.choose(chooser, "models", None)
    selection.label("pod", "models", None)
    assert [held for held in vars(selection).values() if held] == []


def test_a_label_that_all_have_in_common_is_not_what_they_are_filed_by() -> None:
    selection = Selection()
    for number in range(100):
        selection.choose(str(number), "models", a_selector(of="models", app=str(number)))
    assert len(selection._choosers_by_pair["models", "of", "models"]) <= 1


KEYS, VALUES = ("app", "tier", "zone"), ("a", "b")
labels_of_pods = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
expressions = st.tuples(
    st.sampled_from(KEYS),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.lists(st.sampled_from(VALUES), max_size=2),
)
selectors = st.builds(
    lambda wants, labels: a_selector(*wants, **labels), st.lists(expressions, max_size=2), labels_of_pods
)
namespaces = st.sampled_from(("models", "others"))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("choose"), st.sampled_from("xyz"), namespaces, st.none() | selectors),
        st.tuples(st.just("label"), st.sampled_from("1234"), namespaces, st.none() | labels_of_pods),
    ),
    max_size=30,
)


@given(steps)
def test_the_index_finds_just_those_whom_asking_everybody_would_find(steps: list[tuple[str, str, str, Any]]) -> None:
    selection = Selection()
    choosers: dict[str, tuple[str, LabelSelector]] = {}
    pods: dict[str, tuple[str, dict[str, str]]] = {}
    before: set[tuple[str, str]] = set()
    for what, name, namespace, value in steps:
        held: dict[str, tuple[str, Any]] = choosers if what == "choose" else pods
        held.pop(name, None)
        if value is not None:
            held[name] = (namespace, value)
        changed = getattr(selection, what)(name, namespace, value)
        now = {
            (chooser, pod)
            for chooser, (of, selector) in choosers.items()
            for pod, (where, labels) in pods.items()
            if of == where and matches(selector, labels)
        }
        assert {(chooser, pod) for chooser in "xyz" for pod in selection.chosen(chooser)} == now
        assert {(chooser, pod) for pod in "1234" for chooser in selection.chosen_by(pod)} == now
        assert changed == {pair[what == "choose"] for pair in before ^ now}
        before = now
