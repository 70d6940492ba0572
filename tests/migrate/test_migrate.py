"""The import as a whole: the examples, what the documentation shows of them, and documents of any content."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from router.core.declare import declared_resource
from router.core.model import Pods
from router.migrate import command, v1, v2
from router.migrate.endpoints import Choices, resources
from router.migrate.fields import Findings, Table, shown
from router.migrate.kinds import kind_of

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "migrate-from-azureml-fe.md"


def runs() -> list[tuple[str, str]]:
    """Each `scoregate import azureml ...` of the guide that prints something, and what the guide says it prints."""
    blocks = re.findall(r"```\n\$ scoregate (import [^\n]+)\n(.+?)```", GUIDE.read_text(), re.DOTALL)
    return [(words, printed) for words, printed in blocks]


@pytest.mark.parametrize(("words", "printed"), runs())
def test_the_guide_shows_what_the_command_prints(
    words: str, printed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command.import_, shlex.split(words)[1:])
    shown_text = printed.split("$ cat ")
    assert result.exit_code == 0
    assert result.output == shown_text[0]
    for file in shown_text[1:]:
        name, _, text = file.partition("\n")
        assert (tmp_path / name).read_text() == text


def test_the_guide_shows_the_command() -> None:
    assert len(runs()) == 2


def test_the_examples_are_of_pods_and_scaled_as_they_were() -> None:
    files = map(str, sorted((ROOT / "examples" / "migrate" / "v2").iterdir()))
    result = CliRunner().invoke(command.import_, ["azureml", *files])
    endpoint = declared_resource(yaml.safe_load(result.stdout), "models")
    assert endpoint.weights == (("blue", 90), ("green", 10))
    assert all(isinstance(deployment.workload, Pods) for deployment in endpoint.deployments)
    assert [deployment.scale is not None for deployment in endpoint.deployments] == [True, False]


def nested(table: Table, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents with fields of this table, each with any value."""

    def build(flat: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for path, value in flat.items():
            *parents, leaf = path.split(".")
            place: Any = document
            for parent in parents:
                place = place.setdefault(parent, {})
                place = place if isinstance(place, dict) else {}
            place[leaf] = value
        return document

    return st.dictionaries(st.sampled_from(sorted(table)), values, max_size=8).map(build)


SECRET = "s3cret-s3cret-s3cret"
numbers = st.integers(-2, 200) | st.sampled_from([1.0, 0.5, 2**60])
anything = (
    st.none()
    | st.booleans()
    | numbers
    | st.sampled_from([SECRET, "blue", "iris", "key", "default"])
    | st.just({"a": 1})
)
tables = st.sampled_from([v1.TABLE, v2.ENDPOINT, v2.DEPLOYMENT])


@given(tables.flatmap(lambda table: nested(table, anything)))
def test_any_document_becomes_endpoints_that_are_valid_or_problems_that_are_told(document: dict[str, Any]) -> None:
    findings = Findings()
    try:
        kind = kind_of(document)
    except ValueError:
        return
    if kind == "v1":
        parts = list(v1.read_v1(document, "a", "iris", findings))
    elif kind == "endpoint":
        parts = [part for part in [v2.read_endpoint(document, "a", findings)] if part]
    else:
        parts = [part for part in [v2.read_deployment(document, "a", "iris", findings)] if part]
    found = list(resources(parts, Choices(None, {}), findings))
    assert found or findings.problems
    for resource in found:
        endpoint = declared_resource(resource.document, "models")
        was_open = document.get("auth_enabled") is False or document.get("authEnabled") is False
        assert endpoint.auth_mode == "key" or was_open
    if SECRET not in map(document.get, ("name", "endpoint_name", "version_name", "versionName")):
        assert not any(SECRET in warning for warning in findings.warnings)


@given(anything)
def test_no_text_is_shown(value: object) -> None:
    assert SECRET not in shown(value)
