"""command.py: files in, InferenceEndpoints out, warnings and errors beside them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from rich.console import Console

from router.migrate import command
from router.platforms.endpoints_file import load_endpoints

V1 = '{"computeType": "aks", "namespace": "shop", "scoringTimeoutMs": 30000}'
ENDPOINT = "name: iris\nauth_mode: key\ntraffic: {blue: 100}\n"
BLUE = "name: blue\nendpoint_name: iris\nmodel: azureml:iris:1\ninstance_count: 2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in {"v1.json": V1, "endpoint.yml": ENDPOINT, "blue.yml": BLUE}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(command.import_, ["azureml", *words])


def test_the_result_is_what_check_takes_and_warnings_are_beside_it(folder: Path) -> None:
    result = run("endpoint.yml", "blue.yml", "-n", "models")
    assert result.exit_code == 0
    assert result.stdout.startswith("# From endpoint.yml, blue.yml.\n# blue: the Pods that carry")
    (folder / "out.yaml").write_text(result.stdout)
    (endpoint,) = load_endpoints(folder / "out.yaml")
    assert (endpoint.name, endpoint.weights) == ("iris", (("blue", 100),))
    assert result.stderr.splitlines() == [
        "warning: blue.yml: model: not carried over: what the workload is made of; the workload stays as it is",
        "warning: blue.yml: instance_count: 2: not carried over: the number of replicas is the workload's own: "
        "`kubectl scale` sets it",
    ]


def test_several_endpoints_are_several_documents(folder: Path) -> None:
    result = run("endpoint.yml", "blue.yml", "v1.json", "--name", "rose")
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(result.stdout)]
    assert names == ["iris", "rose"]


def test_a_file_is_written_and_what_comes_next_is_said(folder: Path) -> None:
    result = run("v1.json", "--name", "rose", "-o", "out.yaml")
    assert (result.stdout, result.stderr) == ("", "out.yaml: 1 endpoint; now `scoregate check out.yaml`.\n")
    assert load_endpoints(folder / "out.yaml")[0].name == "rose"
    assert run("v1.json", "--name", "rose", "-o", "none/out.yaml").stderr == (
        "Error: none/out.yaml: can't be written: No such file or directory\n"
    )


def test_json_is_a_list_as_kubectl_takes_it(folder: Path) -> None:
    document = json.loads(run("v1.json", "--name", "rose", "--json").stdout)
    assert (document["apiVersion"], document["kind"]) == ("v1", "List")
    assert [item["metadata"] for item in document["items"]] == [{"name": "rose", "namespace": "shop"}]


def test_strict_makes_a_warning_an_exit_code(folder: Path) -> None:
    assert run("v1.json", "--name", "rose", "--strict").exit_code == 0
    result = run("endpoint.yml", "blue.yml", "--strict")
    assert result.exit_code == 2
    assert yaml.safe_load(result.stdout)["kind"] == "InferenceEndpoint"


def test_problems_of_all_files_are_told_at_once_and_nothing_is_printed(folder: Path) -> None:
    (folder / "job.yml").write_text("a: 1\n---\nb: 2\n")
    (folder / "broken.json").write_text("{")
    result = run("job.yml", "broken.json", "v1.json", "endpoint.yml", "none.yml", "-o", "out.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Error: job.yml[1]: is of no known kind, with a in it; known are: ")
    assert lines[1].startswith("job.yml[2]: is of no known kind, with b in it")
    assert lines[2].startswith("broken.json: is not JSON")
    assert lines[3].startswith("v1.json: has no name of an endpoint")
    assert lines[4].startswith("none.yml: can't be read")
    assert lines[5].startswith("iris: no file declares a deployment of it")
    assert not (folder / "out.yaml").exists()


def test_each_file_may_have_its_own_name(folder: Path) -> None:
    (folder / "other.json").write_text(V1)
    result = run("v1.json", "other.json", "--name", "rose", "--name", "./other.json=lily")
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(result.stdout)] == ["rose", "lily"]
    assert "'x.json' is not one of the files" in run("v1.json", "--name", "x.json=rose").stderr


@pytest.mark.parametrize(
    "text", ["blue", "blue=", "blue=ReplicaSet/x", "=Deployment/x", "blue=Deployment/", "blue=a/b/c"]
)
def test_a_workload_is_named_in_one_way(folder: Path, text: str) -> None:
    result = run("blue.yml", "--workload", text)
    assert result.exit_code == 2
    assert "must be NAME=Deployment/NAME or NAME=StatefulSet/NAME" in result.stderr


def test_a_workload_that_is_named_is_in_the_result(folder: Path) -> None:
    result = run("blue.yml", "--workload", "blue=statefulset/models-blue")
    (deployment,) = yaml.safe_load(result.stdout)["spec"]["deployments"]
    assert deployment["workload"] == {"kind": "StatefulSet", "name": "models-blue"}


def test_a_terminal_gets_colours_and_a_field_may_not_add_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, highlight=False, soft_wrap=True, color_system="standard")
    monkeypatch.setattr(command, "Console", lambda **_: terminal)
    (folder / "blue.yml").write_text(BLUE + '"[red]x": 1\n"\\e[2J": 1\n')
    run("blue.yml")
    assert "\x1b[1;33mwarning: \x1b[0m\x1b[1mblue.yml\x1b[0m: " in screen.getvalue()
    assert "[red]x: not carried over: unknown field" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()


def test_it_tells_how_it_is_used() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "--workload DEPLOYMENT=KIND/NAME" in result.stdout
