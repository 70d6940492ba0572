"""One YAML file: what is read, what is refused and how that reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.platforms import PlatformError
from router.platforms.endpoints_file import EndpointsFileError, WatchedFile, load_endpoints

IRIS = """\
apiVersion: scoregate.io/v1
kind: InferenceEndpoint
metadata: {name: iris}
spec:
  deployments:
  - name: blue
    addresses: ["10.0.0.5:5001"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "endpoints.yaml"


def refusal(file: Path, content: str | bytes) -> str:
    """What is wrong with the content, without the path in front."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(EndpointsFileError) as caught:
        load_endpoints(file)
    path, problems = str(caught.value).split(": ", maxsplit=1)
    assert path == str(file)
    return problems


def test_one_endpoint_for_each_document(file: Path) -> None:
    file.write_text(f"---\n{IRIS}---\n# nothing\n---\n{IRIS.replace('iris', 'rose')}...\n")
    assert [endpoint.name for endpoint in load_endpoints(file)] == ["iris", "rose"]


@pytest.mark.parametrize("content", ["", "# later\n", "---\n---\n"])
def test_a_file_without_endpoints(file: Path, content: str) -> None:
    file.write_text(content)
    assert load_endpoints(file) == ()


def test_a_byte_order_mark_is_passed_over(file: Path) -> None:
    file.write_text(IRIS, encoding="utf-8-sig")
    assert load_endpoints(file)[0].name == "iris"


def test_all_problems_one_per_line(file: Path) -> None:
    bad = IRIS.replace("blue", "b").replace("10.0.0.5:5001", "10.0.0.5:0")
    assert refusal(file, bad).splitlines() == [
        "iris: spec.deployments[0].name: 'b', but it must be 3 to 32 letters, digits or hyphens, "
        "the first a letter, the last no hyphen",
        "iris: spec.deployments[0].addresses[0]: '10.0.0.5:0', but it must be host:port or [v6]:port, "
        "with a port of 1 to 65535",
    ]


def test_a_missing_file(file: Path) -> None:
    with pytest.raises(PlatformError, match=r"endpoints\.yaml: can't be read: No such file"):
        load_endpoints(file)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="can't be read: Is a directory"):
        load_endpoints(tmp_path)


def test_keys_given_twice_with_their_lines(file: Path) -> None:
    twice = IRIS + "    name: green\n---\n" + IRIS + "kind: InferenceEndpoint\n"
    assert refusal(file, twice).splitlines() == [
        "line 8: 'name' given again, line 6 has it already",
        "line 17: 'kind' given again, line 11 has it already",
    ]


def test_anchors_and_aliases(file: Path) -> None:
    assert refusal(file, "a: &x [1]\nb: *x\n").splitlines() == [
        "line 1: anchor or alias 'x', but every value must be written out",
        "line 2: anchor or alias 'x', but every value must be written out",
    ]


def test_a_bomb_of_aliases_is_not_built(file: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert "line 60: anchor or alias 'a59'" in refusal(file, "\n".join(lines))


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_depth_has_a_limit(file: Path, bracket: str) -> None:
    assert refusal(file, bracket * 100_000) == "line 1: nested more than 32 deep, which is the limit"


def test_size_has_a_limit(file: Path) -> None:
    limit = 16 * 1024 * 1024
    file.write_text("#" * limit)
    assert load_endpoints(file) == ()
    assert refusal(file, "#" * (limit + 1)) == f"has more than {limit} bytes, which is the limit"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: 1\nb: c: d\n", "line 2, column 5: mapping values are not allowed in this context"),
        ("a: [1\n", "line 2, column 1: did not find expected ',' or ']'"),
        ("a: !!python/object:os.system 1\n", "line 1, column 4: could not determine a constructor"),
        ("? [1]\n: 2\n", "line 1, column 3: found unhashable key"),
        ("a: 1\nb: \x01\n", "character 9: control characters are not allowed"),
        ("a: 2024-06-31\n", "can't be read: day is out of range for month"),
        (b"a: \xff\n", "can't be read: 'utf-8' codec can't decode byte 0xff in position 3"),
        ("- iris\n", "document 1: ['iris'], but it must be a mapping"),
    ],
)
def test_what_is_no_yaml_of_ours(file: Path, content: str | bytes, problem: str) -> None:
    assert refusal(file, content).startswith(problem)


class TestWatchedFile:
    def test_nothing_happened(self, file: Path) -> None:
        file.write_text(IRIS)
        watched = WatchedFile(file)
        assert not watched.changed()
        assert not watched.changed()

    def test_each_change_is_told_once(self, file: Path) -> None:
        watched = WatchedFile(file)
        for content in ("", "longer"):
            file.write_text(content)
            assert watched.changed()
            assert not watched.changed()
        file.unlink()
        assert watched.changed()
        assert not watched.changed()

    def test_a_change_before_the_first_look(self, file: Path) -> None:
        watched = WatchedFile(file)
        file.write_text(IRIS)
        assert watched.changed()

    def test_a_file_of_the_same_size_and_time_in_its_place(self, file: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.yaml"
        for each in (file, other):
            each.write_text(IRIS)
            os.utime(each, ns=(1, 1))
        watched = WatchedFile(file)
        other.replace(file)
        assert watched.changed()

    def test_the_time_alone(self, file: Path) -> None:
        file.write_text(IRIS)
        watched = WatchedFile(file)
        os.utime(file, ns=(1, 1))
        assert watched.changed()
