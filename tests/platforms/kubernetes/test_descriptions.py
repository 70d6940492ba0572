"""Is every field of the custom resource told in words, and each from one place?"""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from router.core.declaration import DeclaredScale, Spec
from router.core.model import ScaleSettings
from router.platforms.kubernetes.descriptions import (
    IN_A_CLUSTER,
    Undescribed,
    description_of,
    docstrings_of,
)


class Told(Struct):
    """What a test tells of."""

    size: int
    """How large it is,
    in bytes."""
    mute: int = 0
    other: str = ""
    """What else."""


def test_the_docstring_under_a_field_tells_it_in_one_line() -> None:
    assert docstrings_of(Told) == {"size": "How large it is, in bytes.", "other": "What else."}
    assert description_of(Told, "size") == "How large it is, in bytes."


def test_a_field_without_words_is_named() -> None:
    with pytest.raises(Undescribed, match=r"Told\.mute has no description"):
        description_of(Told, "mute")


def test_words_for_a_cluster_go_first() -> None:
    assert description_of(Spec, "max_payload_bytes") == "Larger request bodies are answered with 413."


def test_scale_settings_are_told_by_the_model_with_their_default() -> None:
    words = description_of(DeclaredScale, "target_utilization_percentage")
    assert words.startswith(docstrings_of(ScaleSettings)["target_utilization_percentage"].rstrip("."))
    assert words.endswith(" Default: 70.")
    assert description_of(DeclaredScale, "scale_down_window").endswith(" Default: 60.")


def test_every_scale_setting_tells_one_default() -> None:
    for field in structs.fields(DeclaredScale):
        assert description_of(DeclaredScale, field.name).count("Default: ") == 1


def test_nothing_is_told_of_fields_that_are_not_there() -> None:
    for struct, words in IN_A_CLUSTER.items():
        assert words.keys() <= {field.name for field in structs.fields(struct)}, struct
