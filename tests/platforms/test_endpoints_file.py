"""One YAML file: what is read, what is refused and how that reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.platforms import PlatformError
from router.platforms.endpoints_file import WatchedFile, load_endpoints, load_manifest
from router.platforms.yaml_file import FileError

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
    with pytest.raises(FileError) as caught:
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


def test_all_problems_one_per_line(file: Path) -> None:
    bad = IRIS.replace("blue", "b").replace("10.0.0.5:5001", "10.0.0.5:0")
    assert refusal(file, bad).splitlines() == [
        "iris: spec.deployments[0].name: 'b', but it must be 3 to 32 letters, digits or hyphens, "
        "the first a letter, the last no hyphen",
        "iris: spec.deployments[0].addresses[0]: '10.0.0.5:0', but it must be host:port or [v6]:port, "
        "with a port of 1 to 65535",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: 1\nb: c: d\n", "line 2, column 5: not YAML: mapping values are not allowed in this context"),
        ("a: &x [1]\nb: *x\n", "line 1: an anchor or alias, but every value must be written out\nline 2: an anchor"),
        (b"a: \xff\n", "is not UTF-8 text: byte 4"),
        ("- iris\n", "document 1: ['iris'], but it must be a mapping"),
    ],
)
def test_what_is_no_yaml_of_ours(file: Path, content: str | bytes, problem: str) -> None:
    assert refusal(file, content).startswith(problem)


def test_a_missing_file(file: Path) -> None:
    with pytest.raises(PlatformError, match=r"endpoints\.yaml: can't be read: No such file"):
        load_endpoints(file)


CLUSTER = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: iris-blue}}
---
{IRIS}---
apiVersion: v1
kind: List
items:
- {{apiVersion: v1, kind: Namespace}}
- {{apiVersion: v1, kind: Secret, metadata: {{name: [not a name]}}}}
"""


class TestManifest:
    def test_what_is_not_ours_is_named_and_passed_over(self, file: Path) -> None:
        file.write_text(CLUSTER)
        endpoints, others = load_manifest(file)
        assert [endpoint.name for endpoint in endpoints] == ["iris"]
        assert others == ("Deployment iris-blue (apps/v1)", "Namespace (v1)", "Secret (v1)")

    def test_only_where_one_asks_for_a_manifest(self, file: Path) -> None:
        assert "iris-blue: kind: 'Deployment'" in refusal(file, CLUSTER)

    def test_endpoints_in_a_list(self, file: Path) -> None:
        listed = "".join(f"  {line}\n" for line in IRIS.splitlines())
        file.write_text(f"apiVersion: v1\nkind: List\nitems:\n-\n{listed}")
        assert [endpoint.name for endpoint in load_manifest(file).endpoints] == ["iris"]

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("InferenceEndpoint", "InferenceEndpont", "iris: kind: 'InferenceEndpont'"),
            ("scoregate.io/v1", "v1", "iris: apiVersion: 'v1'"),
            ("kind: InferenceEndpoint\n", "", "iris: kind: missing"),
        ],
    )
    def test_a_word_misspelt_is_told(self, file: Path, old: str, new: str, problem: str) -> None:
        file.write_text(IRIS.replace(old, new))
        with pytest.raises(FileError, match=f": {problem}"):
            load_manifest(file)


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
