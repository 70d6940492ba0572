"""up.py: one command starts all, says how to use it, and leaves nothing running. Each test is a process of its own."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import router
from bench.processes import free_port

ROOT = str(Path(router.__file__).parent.parent)
UP = """
import asyncio, sys
from pathlib import Path
from rich.console import Console
from router.up import up
folder, port = Path(sys.argv[1]), sys.argv[2]
router = [sys.executable, str(folder / "front.py"), port]
scaler = [sys.executable, str(folder / "scaler.py")]
raise SystemExit(asyncio.run(up(folder / "endpoints.yaml", folder / "state", router, 30.0, scaler, Console())))
"""
SERVER = """
import http.server, os, signal, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/exit":
            print("a fault of the router", flush=True)
            os._exit(9)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
def drain(*_):
    with open("drained", "w") as file: file.write("after the autoscaler" * os.path.exists("unscaled"))
    time.sleep(2)
    os._exit(0)
if "slow" in os.environ and "front" in sys.argv[0]: signal.signal(signal.SIGTERM, drain)
if "stubborn" in os.environ: signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SCALER = """
import os, signal, sys, time
def end(*_):
    open("unscaled", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in os.environ else end)
print("scaling", flush=True)
if "mortal" in os.environ:
    print("a fault of the autoscaler", flush=True)
    sys.exit(7)
while True: time.sleep(1)
"""
FRONT = """
import json, os, sys
if "SCOREGATE_FILE" in os.environ: sys.exit("that is for a static router")
url = f"http://127.0.0.1:{sys.argv[1]}"
from pathlib import Path
from router.platforms.local.state import StateDirectory, own_place
StateDirectory(Path("state")).write_router(own_place(admin=url, public=url))
"""
ENDPOINTS = {
    "apiVersion": "scoregate.io/v1",
    "kind": "InferenceEndpoint",
    "metadata": {"name": "iris"},
    "spec": {
        "traffic": {"blue": 100},
        "deployments": [
            {"name": "blue", "process": {"command": ["$(PYTHON)", "server.py", "$(PORT)"]}, "instanceCount": 2}
        ],
    },
}


class Run:
    """One `up`, in the folder of a test."""

    def __init__(self, folder: Path, port: int, process: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.said = ""

    async def until_said(self, words: str) -> None:
        while words not in self.said:
            line = await self.process.stdout.readline()
            assert line, self.said
            self.said += line.decode()

    async def end(self) -> int:
        self.said += (await self.process.stdout.read()).decode()
        return await self.process.wait()

    def children(self) -> list[int]:
        """Everything that runs a script of this folder: replicas, the router, the autoscaler, their guards."""
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            return words[1:2] != [b"-c"] and os.path.samefile(entry / "cwd", self.folder)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False


@asynccontextmanager
async def running(folder: Path, **env: str) -> AsyncIterator[Run]:
    (folder / "front.py").write_text(FRONT + SERVER)
    (folder / "server.py").write_text(SERVER)
    (folder / "scaler.py").write_text(SCALER)
    if not (folder / "endpoints.yaml").exists():
        (folder / "endpoints.yaml").write_text(json.dumps(ENDPOINTS))
    port = free_port()
    command = [sys.executable, "-c", UP, str(folder), str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=PIPE, stderr=STDOUT, env={**os.environ, "PYTHONPATH": ROOT, **env}
    )
    try:
        async with asyncio.timeout(60):
            yield Run(folder, port, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it looks at other processes
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_how_to_use_it_and_one_signal_stops_everything(tmp_path, number):
    async with running(tmp_path) as run:
        await run.until_said("Ctrl-C stops everything.")
        assert f"http://127.0.0.1:{run.port}/api/v1/endpoint/iris/score" in run.said
        assert json.loads((tmp_path / "state/keys/iris.json").read_bytes())
        await until(lambda: len(run.children()) == 8)
        run.process.send_signal(number)
        assert await run.end() == 0
        await until(lambda: run.children() == [])
        assert not (tmp_path / "state/snapshot.json").exists()


async def test_a_second_signal_does_not_wait_for_the_router(tmp_path):
    async with running(tmp_path, stubborn="yes") as run:
        await run.until_said("Ctrl-C stops everything.")
        run.process.send_signal(signal.SIGINT)
        await run.until_said("Ctrl-C again")
        assert run.children()
        run.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(15):  # half of what the router is given after one signal
            assert await run.end() == 0
        await until(lambda: run.children() == [])


async def test_a_signal_during_the_start_stops_it(tmp_path):
    slow = json.loads(json.dumps(ENDPOINTS).replace('"server.py"', '"-c", "import time; time.sleep(600)"'))
    (tmp_path / "endpoints.yaml").write_text(json.dumps(slow))
    async with running(tmp_path) as run:
        await run.until_said("2 starting")
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0
        await until(lambda: run.children() == [])


async def test_a_router_that_dies_is_quoted_and_all_ends(tmp_path):
    async with running(tmp_path) as run:
        await run.until_said("Ctrl-C stops everything.")
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(b"GET /exit HTTP/1.0\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        assert await run.end() == 1
        assert "The router ended by itself with exit code 9" in run.said
        assert f"{tmp_path}/state/logs/router.log" in run.said
        assert "  a fault of the router" in run.said
        await until(lambda: run.children() == [])


async def test_an_autoscaler_that_dies_is_quoted_and_started_again_and_the_router_goes_on(tmp_path):
    async with running(tmp_path, mortal="yes") as run:
        await run.until_said("Ctrl-C stops everything.")
        await run.until_said("Next try in 2 s")
        first, second = (line for line in run.said.splitlines() if "The autoscaler ended" in line)
        assert "ended by itself with exit code 7; the router goes on. Next try in 1 s; the end of" in first
        assert f"{tmp_path}/state/logs/autoscaler.log" in second
        await run.until_said("  a fault of the autoscaler")
        _, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.close()
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0
        await until(lambda: run.children() == [])


async def test_an_autoscaler_that_was_killed_comes_back(tmp_path):
    async with running(tmp_path) as run:
        await run.until_said("Ctrl-C stops everything.")
        before = scalers(run)
        for pid in before:
            with suppress(ProcessLookupError):  # the guard ends with its child
                os.kill(pid, signal.SIGKILL)
        await run.until_said("The autoscaler ended by itself with exit code 137")
        await until(lambda: len(scalers(run)) == 2)
        assert not before & scalers(run)
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0
        await until(lambda: run.children() == [])


def scalers(run: Run) -> set[int]:
    """The autoscaler and its guard."""
    found = set()
    for pid in run.children():
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"scaler.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


async def test_nothing_is_scaled_while_things_stop(tmp_path):
    async with running(tmp_path, slow="1") as run:
        await run.until_said("Scoregate is ready.")
        await until(lambda: "scaling" in (tmp_path / "state/logs/autoscaler.log").read_text())
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0
    assert (tmp_path / "drained").read_text() == "after the autoscaler"


async def test_what_is_scaled_is_named_with_the_command_that_explains_it(tmp_path):
    scaled = json.loads(json.dumps(ENDPOINTS).replace('"instanceCount": 2', '"scaleSettings": {"maxInstances": 3}'))
    (tmp_path / "endpoints.yaml").write_text(json.dumps(scaled))
    async with running(tmp_path) as run:
        await run.until_said("Ctrl-C stops everything.")
        await run.until_said("scoregate explain iris/blue")
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0


async def test_a_broken_file_ends_it_with_its_message(tmp_path):
    (tmp_path / "endpoints.yaml").write_text("kind: [")
    async with running(tmp_path) as run:
        assert await run.end() == 1
        assert f"{tmp_path}/endpoints.yaml" in run.said
        assert "Traceback" not in run.said


async def test_a_log_that_can_not_be_opened_ends_it_with_a_message(tmp_path):
    (tmp_path / "state" / "logs" / "router.log").mkdir(parents=True)
    async with running(tmp_path) as run:
        assert await run.end() == 1
        assert f"{tmp_path}/state/logs/router.log" in run.said
        assert "Traceback" not in run.said
        assert run.children() == []


async def test_nothing_survives_when_it_is_killed(tmp_path):
    async with running(tmp_path) as run:
        await run.until_said("Ctrl-C stops everything.")
        run.process.kill()
        await run.process.communicate()
        await until(lambda: run.children() == [])


async def test_what_the_environment_says_to_a_static_router_is_not_for_this_one(tmp_path: Path) -> None:
    async with running(tmp_path, SCOREGATE_FILE="endpoints.yaml") as run:
        await run.until_said("Scoregate is ready.")
        run.process.send_signal(signal.SIGTERM)
        assert await run.end() == 0


async def test_a_router_has_the_time_to_finish_that_it_was_given(tmp_path: Path) -> None:
    async with running(tmp_path, slow="1") as run:
        await run.until_said("Scoregate is ready.")
        run.process.send_signal(signal.SIGINT)
        assert await run.end() == 0
    assert (tmp_path / "drained").exists()
