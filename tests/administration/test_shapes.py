"""administration/shapes.py: what a request may hold."""

from __future__ import annotations

import re

import pytest
from msgspec import UNSET
from rich.pretty import pretty_repr

from router.administration import OPERATIONS
from router.administration.shapes import NAME_PATTERN, KeyRegeneration, KeySettings

BODIES = [each.body for each in OPERATIONS if each.body is not None]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_every_body_refuses_fields_too_many(body: type) -> None:
    assert body.__struct_config__.forbid_unknown_fields  # type: ignore[attr-defined]
    assert body.__struct_config__.frozen  # type: ignore[attr-defined]


def test_a_key_is_in_no_repr() -> None:
    for body in (KeyRegeneration(key_value="a-key-of-the-tests"), KeySettings(key_value="a-key-of-the-tests")):
        assert "a-key" not in repr(body) + str(body) + f"{[body]}" + pretty_repr(body)


def test_what_is_not_given_is_told_apart_from_nothing() -> None:
    assert KeySettings().expires_at is UNSET
    assert KeySettings(expires_at=None).expires_at is None


@pytest.mark.parametrize(
    ("name", "fits"), [("iris", True), ("a-1", True), ("ab", False), ("1ab", False), ("ab-", False)]
)
def test_the_rule_of_names_is_the_declarations(name: str, fits: bool) -> None:
    assert (re.search(NAME_PATTERN, name) is not None) == fits
