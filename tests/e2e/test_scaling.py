"""Do replicas come and go with the load, without a request that suffers from it?

`scoregate up` of the iris example, whose model is made to take a quarter of a second, with a short window: real
processes throughout. The tests share one run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bench import arrivals
from bench.openloop import Plan, generate
from bench.tally import Report
from tests.e2e.conftest import EXAMPLE, Terminal, until

BLUE = "iris/blue"
FLOWERS = (EXAMPLE / "sample-request.json").read_bytes()
STEP_AT_S, LOAD_S = 6.0, 20.0
WINDOW_S = 6.0
SCALED = f"""\
    requestSettings: {{maxQueueWaitMs: 30000, requestTimeoutMs: 30000}}
    scaleSettings: {{minInstances: 1, maxInstances: 5, targetUtilizationPercentage: 100, scaleDownWindow: {WINDOW_S}}}
"""
TO_ZERO = "    scaleSettings: {minInstances: 0, maxInstances: 2, scaleDownWindow: 3}\n"
BROKEN = f"""\
  - name: red
{TO_ZERO}\
    process:
      command: ["$(PYTHON)", -c, "raise SystemExit('the model is missing')"]
"""


class Moment(NamedTuple):
    at_s: float
    """From the start of the load."""
    total: int
    ready: int


class Course(NamedTuple):
    """What came of one load."""

    report: Report
    moments: list[Moment]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    pytest.importorskip("azureml_inference_server_http", reason="the example's model server is not installed")
    pytest.importorskip("sklearn", reason="the example's model library is not installed")
    terminal = Terminal(tmp_path_factory.mktemp("scaling"))
    lines = terminal.file.read_text().splitlines(keepends=True)
    scaling = [number for number, line in enumerate(lines) if "scaleSettings" in line or "instanceCount" in line]
    lines[scaling[0]], lines[scaling[1]] = SCALED, TO_ZERO
    terminal.file.write_text("".join(lines) + BROKEN)
    script = terminal.file.parent / "score.py"
    slow = script.read_text().replace("    measured =", "    __import__('time').sleep(0.25)\n    measured =")
    assert "sleep" in slow
    script.write_text(slow)
    terminal.run()
    yield terminal
    terminal.end()


def load_of(terminal: Terminal, deployment: str) -> dict[str, Any]:
    loads = httpx.get(f"{terminal.admin_url}/load", trust_env=False).json()
    return next(load for load in loads if load["deployment"] == deployment)


@pytest.fixture(scope="module")
def course(terminal: Terminal) -> Course:
    """One request in two seconds, then twelve in one: three replicas' worth; then nothing until one replica is left."""
    return asyncio.run(_run(terminal))


async def _run(terminal: Terminal) -> Course:
    headers = {
        "authorization": f"Bearer {terminal.keys()['primaryKey']}",
        "content-type": "application/json",
        "azureml-model-deployment": "blue",
    }
    plan = Plan(
        url=f"{terminal.url}/api/v1/endpoint/iris/score",
        moments_s=arrivals.step(0.5, 12, STEP_AT_S, LOAD_S, None),
        seconds=LOAD_S,
        headers=headers,
        body=FLOWERS,
    )
    until("the autoscaler knows the load", lambda: (terminal.state_dir / "decisions" / "iris.blue.jsonl").exists())
    moments: list[Moment] = []
    loading = asyncio.create_task(generate(plan))
    began = asyncio.get_running_loop().time()
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(LOAD_S + 60):
        while not loading.done() or moments[-1].total > 1:
            loads = (await client.get(f"{terminal.admin_url}/load")).json()
            blue = next(load for load in loads if load["deployment"] == "blue")
            moments.append(Moment(asyncio.get_running_loop().time() - began, blue["total"], blue["ready"]))
            await asyncio.sleep(0.05)
    return Course(await loading, moments)


def test_no_request_fails_through_scaling_either_way(course: Course) -> None:
    assert course.report.intended == course.report.sent > 150
    assert set(course.report.replies) == {200}
    assert course.report.all_fine


def test_replicas_start_about_a_second_after_the_step(course: Course) -> None:
    more = next(moment for moment in course.moments if moment.total > 1)
    assert STEP_AT_S < more.at_s < STEP_AT_S + 8.0  # about 1 s, and what a busy machine adds
    assert max(moment.ready for moment in course.moments if moment.at_s < LOAD_S) >= 3


def test_replicas_go_after_the_window_and_not_before(course: Course) -> None:
    fewer = next(moment for moment in course.moments if moment.at_s > LOAD_S and moment.total < 3)
    assert LOAD_S + WINDOW_S / 2 < fewer.at_s < LOAD_S + WINDOW_S + 10.0
    assert course.moments[-1].total == 1


def test_every_change_is_explained(terminal: Terminal, course: Course) -> None:
    shown = terminal.command("explain", "blue", "--last", "200")
    assert "queued" in shown
    assert "were needed" in shown
    decisions = json.loads(terminal.command("explain", BLUE, "--last", "200", "--json"))["decisions"]
    asked = [each["decision"] for each in decisions if each.get("outcome") == "ask"]
    assert asked
    assert all(str(each["need"]) in each["reason"] for each in asked)


def test_what_was_recorded_is_replayed_through_other_laws(terminal: Terminal, course: Course, tmp_path: Path) -> None:
    record = terminal.state_dir / "decisions" / "iris.blue.jsonl"
    picture = tmp_path / "replay.svg"
    argv = [sys.executable, "-m", "router", "replay", record, "--law", "scoregate", "--law", "hpa", "--chart", picture]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "scoregate" in shown
    assert "hpa" in shown
    assert "<svg" in picture.read_text()


def test_a_deployment_at_zero_serves_the_request_that_starts_it_and_goes_back(terminal: Terminal) -> None:
    until("green is at zero", lambda: load_of(terminal, "green")["total"] == 0)
    with terminal.client() as client:
        headers = {"azureml-model-deployment": "green"}
        reply = client.post("/api/v1/endpoint/iris/score", content=FLOWERS, headers=headers)
    assert reply.status_code == 200
    assert load_of(terminal, "green")["total"] >= 1
    until("green is at zero again", lambda: load_of(terminal, "green")["total"] == 0, 30.0)


def test_a_deployment_that_cannot_start_fails_its_held_requests_with_the_reason(terminal: Terminal) -> None:
    with terminal.client() as client:
        headers = {"azureml-model-deployment": "red"}
        reply = client.post("/api/v1/endpoint/iris/score", content=FLOWERS, headers=headers)
    assert reply.status_code == 503
    message = reply.json()["error"]["message"]
    assert "No ready replicas for service iris" in message
    assert "the model is missing" in message


def test_an_autoscaler_that_is_killed_comes_back_and_the_router_serves_on(terminal: Terminal) -> None:
    def autoscalers() -> list[int]:
        return [pid for pid in terminal.processes() if b"autoscaler\0run" in _command_of(pid)]

    before = autoscalers()
    assert before
    for pid in before:
        with suppress(ProcessLookupError):  # the guard ends with its child
            os.kill(pid, signal.SIGKILL)
    with terminal.client() as client:
        headers = {"azureml-model-deployment": "blue"}
        assert client.post("/api/v1/endpoint/iris/score", content=FLOWERS, headers=headers).status_code == 200
    until("another autoscaler runs", lambda: set(autoscalers()) - set(before), 30.0)
    assert "autoscaler ended" in terminal.screen()


def test_ctrl_c_stops_all_of_it(terminal: Terminal) -> None:
    assert terminal.interrupt() == 0
    until("no process is left", lambda: not terminal.processes(), 60.0)


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
