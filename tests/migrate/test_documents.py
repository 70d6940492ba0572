"""documents.py: what a file of JSON or YAML holds, and how one that can't be used is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.migrate.documents import read_documents
from router.platforms.yaml_file import FileError

SECRET = "hunter2hunter2hunter2"


def read(folder: Path, text: str | bytes, name: str = "file.yml") -> list[object]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_documents(path)


def refused(folder: Path, text: str | bytes, name: str = "file.yml") -> str:
    with pytest.raises(FileError) as caught:
        read(folder, text, name)
    message = str(caught.value)
    assert message.startswith(f"{folder / name}: ")
    assert SECRET not in message
    return message.removeprefix(f"{folder / name}: ")


def test_yaml_may_hold_several_documents_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("name", ["file.json", "file.yml", "file"])
def test_json_is_read_whatever_the_name_also_with_tabs(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, '\ufeff{\n\t"a": [1, true, null]\n}', name) == [{"a": [1, True, None]}]


def test_the_items_of_a_list_are_documents(tmp_path: Path) -> None:
    assert read(tmp_path, '[{"a": 1}, {"b": 2}]', "list.json") == [{"a": 1}, {"b": 2}]
    assert read(tmp_path, "- a: 1\n- b: 2\n") == [{"a": 1}, {"b": 2}]


def test_yaml_that_begins_with_a_brace_is_yaml(tmp_path: Path) -> None:
    assert read(tmp_path, "{a: 1}") == [{"a": 1}]
    assert refused(tmp_path, "{a: 1}", "file.json").startswith("is not JSON: line 1, column 2: ")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "file.yml", "is empty"),
        ("[]", "file.json", "is empty"),
        ("", "file.json", "is not JSON: line 1, column 1: "),
        (f'{{"a": "{SECRET}", }}', "file.json", "is not JSON: line 1, "),
        (f'{{"a": "{SECRET}", "a": 2}}', "file.json", "'a' is given twice"),
        ('{"a": NaN}', "file.json", "NaN is no number"),
        ('{"a": ' + "1" * 5000 + "}", "file.json", "a number in it is too long"),
        ("[" * 33 + "]" * 33, "file.json", "nested more than 32 deep"),
        ("[" * 100_000 + "]" * 100_000, "file.json", "nested more than 32 deep"),
        ("[" * 33 + "]" * 33, "file.yml", "nested more than 32 deep"),
        ("a: [\n" * 100_000, "file.yml", "nested more than 32 deep"),
        (f"a: {SECRET}\na: 2", "file.yml", "line 2: 'a' given again, line 1 has it already"),
        (f"a: &x {SECRET}\nb: *x", "file.yml", "line 1: an anchor or alias"),
        (f"a: [{SECRET}", "file.yml", "line 2, column 1: not YAML: "),
        (f"a: {SECRET}\x00", "file.yml", "not YAML: "),
        ("a: !!python/object:os.system {}", "file.yml", "line 1, column "),
        ("a: 2026-06-31", "file.yml", "line 1, column 4: not YAML: a value that means nothing"),
        ("? {a: 1}\n: 2", "file.yml", "line 1, column "),
        (b"a: \xff", "file.yml", "is not UTF-8 text: byte 4"),
        (f"a: !{SECRET}", "file.yml", "could not determine a constructor for the tag"),
        (f"a: !!bool {SECRET}", "file.yml", "a value that means nothing"),
    ],
)
def test_what_can_not_be_used_is_told_with_its_place_and_no_value(
    tmp_path: Path, text: str | bytes, name: str, said: str
) -> None:
    assert said in refused(tmp_path, text, name)


def test_a_file_that_is_not_there_or_is_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.json: can't be read: No such file"):
        read_documents(tmp_path / "none.json")
    assert "json.dumps(webservice.serialize())" in refused(tmp_path, "x = 1", "deploy.py")


def test_thirty_two_deep_is_not_too_deep(tmp_path: Path) -> None:
    text = '{"a": ' + "[" * 30 + "1" + "]" * 30 + "}"
    for name in ("deep.json", "deep.yml"):
        assert read(tmp_path, text, name) == [json.loads(text)]


@given(st.binary(max_size=200))
def test_any_bytes_are_documents_or_one_message(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("file.yml", "file.json"):
        (folder / name).write_bytes(content)
        message = f"{folder / name}: "
        try:
            assert read_documents(folder / name)
        except FileError as error:
            message = str(error)
        assert message.startswith(f"{folder / name}: ")
