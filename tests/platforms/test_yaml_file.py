"""A file of YAML: what is read of it, what is refused, and how that reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.platforms import PlatformError
from router.platforms.yaml_file import BadText, FileError, read_text, yaml_documents

SECRET = "hunter2hunter2hunter2"
LIMIT = 16 * 1024 * 1024


def problems(text: str) -> list[str]:
    with pytest.raises(BadText) as caught:
        yaml_documents(text)
    assert SECRET not in str(caught.value)
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return list(caught.value.problems)


def test_all_documents_but_the_empty_ones() -> None:
    assert yaml_documents("---\na: 1\n---\n# nothing\n---\n- b\n...\n") == [{"a": 1}, ["b"]]
    assert yaml_documents("") == []


def test_a_text_file_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text("a: ü", encoding=encoding)
        assert read_text(file) == "a: ü"


def test_what_is_no_text_is_told_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(FileError, match=r"file\.yaml: is not UTF-8 text: byte 4$"):
        read_text(file)
    with pytest.raises(PlatformError, match=r"none\.yaml: can't be read: No such file"):
        read_text(tmp_path / "none.yaml")
    with pytest.raises(FileError, match=r": can't be read: Is a directory$"):
        read_text(tmp_path)


def test_size_has_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("#" * LIMIT)
    assert len(read_text(file)) == LIMIT
    file.write_text("#" * (LIMIT + 1))
    with pytest.raises(FileError, match=f"has more than {LIMIT} bytes, which is the limit"):
        read_text(file)


def test_keys_given_twice_with_their_lines() -> None:
    assert problems(f"a: 1\nb: [{{c: {SECRET}, c: 2}}]\n---\na: 1\na: 2\n") == [
        "line 2: 'c' given again, line 2 has it already",
        "line 5: 'a' given again, line 4 has it already",
    ]


def test_anchors_and_aliases_are_not_named_for_a_key_may_begin_like_one() -> None:
    rule = "an anchor or alias, but every value must be written out"
    assert problems(f"a: &x [1]\nb: *x\nc: *{SECRET}\n") == [f"line {number}: {rule}" for number in (1, 2, 3)]


def test_a_bomb_of_aliases_is_not_built() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert problems("\n".join(lines))[-1].startswith("line 60: an anchor or alias")


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_depth_has_a_limit(bracket: str) -> None:
    assert problems(bracket * 100_000) == ["line 1: nested more than 32 deep, which is the limit"]


def test_thirty_two_deep_is_not_too_deep() -> None:
    assert yaml_documents("[" * 32 + "]" * 32)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: c: d\n", "line 2, column 5: not YAML: mapping values are not allowed in this context"),
        (f"a: [{SECRET}\n", "line 2, column 1: not YAML: did not find expected ',' or ']'"),
        (f"a: !{SECRET} 1\n", "line 1, column 4: not YAML: could not determine a constructor for the tag"),
        ("? [1]\n: 2\n", "line 1, column 3: not YAML: found unhashable key"),
        ("a: 1\nb: \x01\n", "character 9: not YAML: control characters are not allowed"),
    ],
)
def test_what_is_no_yaml_with_its_place(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    "value",
    [
        "2024-06-31",
        f"!!int {SECRET}",
        '!!int ""',
        f"!!float {SECRET}",
        f"!!bool {SECRET}",
        f"!!timestamp {SECRET}",
        "1" + ":1" * 200 + ".5",
    ],
)
def test_a_value_that_means_nothing_with_its_place(value: str) -> None:
    assert problems(f"a: 1\nb:\n- {value}\n") == ["line 3, column 3: not YAML: a value that means nothing"]


tagged = st.sampled_from(("int", "float", "bool", "timestamp", "set", "omap", "pairs", "binary", "null", "map", "seq"))


@given(st.text(max_size=60) | st.builds("!!{} {}".format, tagged, st.text("0123456789-:.Tx []{}", max_size=20)))
def test_any_text_is_documents_or_problems(text: str) -> None:
    try:
        found: object = yaml_documents(text)
    except BadText as error:
        found = list(error.problems) or "no problem"
    assert isinstance(found, list)
