"""cli.py: `check` tells what a file declares or what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from router.core.declare import declared_endpoints
from router.core.model import Snapshot
from router.platforms.local.state import StateDirectory
from tests.command_line import failed, run
from tests.router_process import declare


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return declare(tmp_path / "endpoints.yaml", 5001, mode="key")


def test_check_prints_the_settings_in_effect_with_every_default(file: Path) -> None:
    result = run("check", file, "--state-dir", file.parent / "none")
    assert result.exit_code == 0
    assert result.stderr == f"{file} is valid: 1 endpoint, 1 deployment.\n"
    (document,) = yaml.safe_load_all(result.stdout)
    (blue,) = document["spec"]["deployments"]
    assert (document["metadata"]["name"], blue["scoringRoute"]["path"]) == ("iris", "/score")
    assert document["spec"]["maxPayloadBytes"] == 104_857_600
    assert blue["requestSettings"]["maxQueueLength"] == 1_000


def test_what_check_prints_is_valid_itself(file: Path) -> None:
    settings = run("check", file).stdout
    file.write_text(settings)
    assert run("check", file).stdout == settings


def test_check_as_json_prints_json_alone(file: Path) -> None:
    result = run("check", file, "--json")
    assert result.stderr == ""
    assert json.loads(result.stdout) == list(yaml.safe_load_all(run("check", file).stdout))


def test_check_of_a_broken_file_tells_every_problem_and_the_file(file: Path) -> None:
    text = file.read_text().replace('"maxQueueWaitMs": 60000', '"maxQueueWaitMs": -1').replace('"key"', '"open"')
    file.write_text(text)
    for message in (failed("check", file), failed("check", file, "--json")):
        assert message.startswith(f"{file}: iris: ")
        assert "maxQueueWaitMs: -1, but it must be at least 0" in message
        assert "spec.auth.mode: 'open', but it must be key, token, jwt or none" in message


@pytest.mark.parametrize("text", ["a: [", "\x00", "- 1"])
def test_check_of_what_is_no_declaration_fails_with_the_files_name(file: Path, text: str) -> None:
    file.write_text(text)
    assert failed("check", file).startswith(f"{file}: ")


def test_check_of_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "No such file" in failed("check", tmp_path / "none.yaml")


def test_check_says_what_differs_from_what_runs(file: Path, tmp_path: Path) -> None:
    documents = [json.loads(declare(tmp_path / name, 5001, name=name).read_text()) for name in ("iris", "gone")]
    state = StateDirectory(tmp_path / "state")
    state.write_snapshot(Snapshot(endpoints=declared_endpoints(documents)))
    expected = {
        ("iris", "gone"): "no difference",
        ("iris",): "removes gone",
        ("iris", "gone", "new"): "adds new",
        ("gone", "new"): "adds new, removes iris",
    }
    for names, difference in expected.items():
        texts = [declare(tmp_path / "one", 5001, name=name).read_text() for name in names]
        file.write_text("\n---\n".join(texts))
        result = run("check", file, "--state-dir", state.path)
        assert result.stderr.splitlines()[1] == f"Against what runs in {state.path}: {difference}."
    declare(file, 5002)
    assert "changes iris, removes gone" in run("check", file, "--state-dir", state.path).stderr


def test_check_of_a_manifest_passes_over_and_names_what_is_no_endpoint() -> None:
    manifest = Path(__file__).parents[1] / "examples/kubernetes/iris.yaml"
    for words in ((), ("--json",)):
        result = run("check", manifest, *words)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.startswith("Passed over: Deployment iris-blue (apps/v1).\n")
        (document,) = json.loads(result.stdout) if words else yaml.safe_load_all(result.stdout)
        assert document["metadata"] == {"name": "iris", "namespace": "default"}


def test_check_takes_what_import_prints_as_json(tmp_path: Path) -> None:
    (tmp_path / "endpoint.yml").write_text("name: iris\nauth_mode: key\ntraffic: {blue: 100}\n")
    (tmp_path / "blue.yml").write_text("name: blue\nendpoint_name: iris\ninstance_count: 1\n")
    given = tmp_path / "endpoint.yml", tmp_path / "blue.yml"
    assert run("import", "azureml", *given, "--json", "-o", tmp_path / "out.json").exit_code == 0
    result = run("check", tmp_path / "out.json")
    assert result.stderr == f"{tmp_path / 'out.json'} is valid: 1 endpoint, 1 deployment.\n"
