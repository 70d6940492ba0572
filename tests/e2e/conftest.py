"""How does a test use Scoregate as a person would: a command in a terminal, then HTTP?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.processes import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "iris"
START_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0


def until(what: str, condition: Callable[[], Any], within_s: float = START_WITHIN_S) -> Any:
    """What `condition` returns once that is true; fails, naming what was waited for, when it never is."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
    return result


class Terminal:
    """`scoregate up` of a copy of the iris example, and what a person does beside it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "iris" / "endpoints.yaml"
        self.state_dir = folder / "state"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.admin_url = f"http://127.0.0.1:{free_port()}"
        self._screen = folder / "screen.txt"
        shutil.copytree(EXAMPLE, self.file.parent, ignore=shutil.ignore_patterns("models", "__pycache__"))

    def run(self) -> None:
        subprocess.run([sys.executable, self.file.parent / "train.py"], check=True, capture_output=True)
        ports = ["--port", self.url.rpartition(":")[2], "--admin-port", self.admin_url.rpartition(":")[2]]
        with self._screen.open("wb") as screen:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "router", "up", self.file, "--state-dir", self.state_dir, *ports],
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(
            "the summary is on the screen", lambda: "Ctrl-C stops" in self.screen() or self._process.poll() is not None
        )
        assert self._process.poll() is None, self.screen()

    def screen(self) -> str:
        return self._screen.read_text()

    def command(self, *words: str) -> str:
        """What another `scoregate` command prints."""
        argv = [sys.executable, "-m", "router", *words, "--state-dir", str(self.state_dir)]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def keys(self) -> dict[str, str]:
        return dict(json.loads(self.command("key", "show", "iris", "--json")))

    def status(self) -> dict[str, dict[str, Any]]:
        """The deployments, by name."""
        deployments = json.loads(self.command("status", "--json"))["deployments"]
        return {each["deployment"]: each for each in deployments}

    def metrics(self) -> str:
        return httpx.get(f"{self.admin_url}/metrics", trust_env=False).text

    def client(self) -> httpx.Client:
        """Follows with the primary key."""
        headers = {"authorization": f"Bearer {self.keys()['primaryKey']}", "content-type": "application/json"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60.0, trust_env=False)

    def interrupt(self) -> int:
        """Ctrl-C: the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(STOP_WITHIN_S)

    def processes(self) -> list[int]:
        """All that run for this example: their arguments or their environment name its folder."""
        folder = str(self.file.parent.parent).encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if folder in _spoken_of(pid)]

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _spoken_of(pid: int) -> bytes:
    try:
        proc = Path(f"/proc/{pid}")
        return (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes() + os.readlink(proc / "cwd").encode()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    pytest.importorskip("azureml_inference_server_http", reason="the example's model server is not installed")
    pytest.importorskip("sklearn", reason="the example's model library is not installed")
    terminal = Terminal(tmp_path_factory.mktemp("iris"))
    terminal.run()
    yield terminal
    terminal.end()
