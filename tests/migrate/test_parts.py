"""parts.py: values that were said in one way or another."""

from __future__ import annotations

import pytest

from router.migrate.fields import Findings, Given
from router.migrate.parts import boolean, default, text, whole


def said(value: object) -> Given:
    return Given(value, "a.yml", "field")


@pytest.mark.parametrize(("value", "same"), [(1.0, 1), (1.5, 1.5), (7, 7), ("1.0", "1.0"), (True, True)])
def test_whole_numbers_may_be_written_with_a_point(value: object, same: object) -> None:
    found = whole(said(value)).value
    assert (found, type(found)) == (same, type(same))


def test_a_default_comes_from_no_file() -> None:
    assert default(7) == Given(7, "", "")


def test_booleans_and_texts_are_no_other_thing() -> None:
    findings = Findings()
    assert (boolean(None, findings), boolean(said(False), findings), boolean(said(True), findings)) == (
        None,
        False,
        True,
    )
    assert (text(None, findings), text(said("iris"), findings)) == (None, "iris")
    assert findings.problems == []
    assert boolean(said("false"), findings) is None
    assert boolean(said(0), findings) is None
    assert text(said(7), findings) is None
    assert findings.problems == [
        "a.yml: field: must be true or false",
        "a.yml: field: 0, but it must be true or false",
        "a.yml: field: 7, but it must be text",
    ]
