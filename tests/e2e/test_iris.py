"""Does the example do what the README promises, from `scoregate up` to Ctrl-C?

The tests share one run, and the last of them ends it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.conftest import EXAMPLE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Terminal

FLOWERS = (EXAMPLE / "sample-request.json").read_bytes()
SPECIES = {"species": ["setosa", "versicolor", "virginica"]}
SCORE = "/api/v1/endpoint/iris/score"
PAYLOAD_LIMIT_BYTES = 104_857_600
MOST_IS_7 = re.compile(r'scoregate_max_replicas\{[^}]*"blue"[^}]*\} 7')


def test_the_screen_shows_progress_then_what_to_do(terminal: Terminal) -> None:
    screen = terminal.screen()
    assert "of 2 ready" in screen.partition("Scoregate is ready.")[0]
    assert f"{terminal.url}{SCORE}" in screen
    assert terminal.keys()["primaryKey"] in screen
    assert f"{terminal.admin_url}/metrics" in screen


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_works_when_pasted(terminal: Terminal) -> None:
    line = re.search(r"(?m)^try it +(curl .*)$", terminal.screen())
    assert line is not None
    pasted = subprocess.run(["bash", "-c", line[1]], check=True, capture_output=True)
    assert json.loads(pasted.stdout) == SPECIES


@pytest.mark.parametrize("prefix", ["endpoint", "service"])
@pytest.mark.parametrize("key", ["primaryKey", "secondaryKey"])
def test_each_url_form_scores_with_each_key(terminal: Terminal, prefix: str, key: str) -> None:
    with terminal.client() as client:
        headers = {"authorization": f"Bearer {terminal.keys()[key]}"}
        reply = client.post(f"/api/v1/{prefix}/iris/score", content=FLOWERS, headers=headers)
    assert (reply.status_code, reply.json()) == (200, SPECIES)
    assert reply.headers["azureml-model-deployment"] in ("blue", "green")
    assert reply.headers["x-ms-request-id"]


def test_a_wrong_key_is_refused(terminal: Terminal) -> None:
    with terminal.client() as client:
        reply = client.post(SCORE, content=FLOWERS, headers={"authorization": "Bearer wrong"})
    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("name", ["blue", "green"])
def test_the_header_forces_a_deployment(terminal: Terminal, name: str) -> None:
    with terminal.client() as client:
        replies = [client.post(SCORE, content=FLOWERS, headers={"azureml-model-deployment": name}) for _ in range(5)]
    assert [reply.headers["azureml-model-deployment"] for reply in replies] == [name] * 5


def test_the_swagger_document_is_the_models(terminal: Terminal) -> None:
    with terminal.client() as client:
        reply = client.get("/api/v1/endpoint/iris/swagger.json")
    assert reply.status_code == 200
    assert "swagger" in reply.json()


def test_a_regenerated_key_replaces_the_old_one_and_leaves_the_other(terminal: Terminal) -> None:
    before = terminal.keys()
    terminal.command("key", "regenerate", "iris", "secondary")
    after = terminal.keys()
    assert (after["primaryKey"] == before["primaryKey"], after["secondaryKey"] == before["secondaryKey"]) == (
        True,
        False,
    )

    def status_with(key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(terminal.url + SCORE, content=FLOWERS, headers=headers, trust_env=False).status_code

    until("the new key opens", lambda: status_with(after["secondaryKey"]) != 401, 60.0)
    assert status_with(before["secondaryKey"]) == 401


def test_100_mb_are_scored_and_one_byte_more_is_refused(terminal: Terminal) -> None:
    text = terminal.file.read_text().replace("maxInstances: 6", "maxInstances: 7", 1)
    patient = "- name: blue\n    requestSettings: {requestTimeoutMs: 60000}\n    #"
    terminal.file.write_text(text.replace("- name: blue", patient, 1))
    until("the edit takes effect while it runs", lambda: MOST_IS_7.search(terminal.metrics()))
    stem = FLOWERS.rstrip()[:-1] + b', "rest": "'
    body = stem + b"x" * (PAYLOAD_LIMIT_BYTES - len(stem) - 2) + b'"}'
    assert len(body) == PAYLOAD_LIMIT_BYTES
    with terminal.client() as client:
        blue = {"azureml-model-deployment": "blue"}
        whole = client.post(SCORE, content=body, headers=blue)
        over = client.post(SCORE, content=body + b" ", headers=blue)
    assert (whole.status_code, whole.json()) == (200, SPECIES)
    assert over.status_code == 413
    assert over.json()["error"]["code"] == "PayloadTooLarge"


@contextmanager
def load_on_blue(terminal: Terminal) -> Iterator[Counter[int]]:
    """Two clients score without a pause; yields the count of each status so far."""
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def score(client: httpx.Client) -> None:
        while not stop.is_set():
            reply = client.post(SCORE, content=FLOWERS, headers={"azureml-model-deployment": "blue"})
            statuses[reply.status_code] += 1

    with terminal.client() as client, ThreadPoolExecutor(2) as pool:
        scoring = [pool.submit(score, client) for _ in range(2)]
        try:
            until("load runs", lambda: statuses[200] > 50)
            yield statuses
            seen = statuses[200]
            until("load still runs", lambda: statuses[200] > seen + 50)
        finally:
            stop.set()
        for each in scoring:
            each.result()


def test_killing_a_replica_under_load_costs_only_the_requests_it_held(terminal: Terminal) -> None:
    """A replica of blue has one slot: at most one request can be lost."""
    with load_on_blue(terminal) as statuses:
        victim = next(iter(terminal.status()["blue"]["replicas"]))
        for pid in _group_of(terminal, victim):
            os.kill(pid, signal.SIGKILL)
        until("another replica has taken its place", lambda: _is_replaced(terminal, victim))
    assert set(statuses) <= {200, 502}
    assert statuses[502] <= 1


def test_editing_the_file_under_load_fails_no_request(terminal: Terminal) -> None:
    before = terminal.file.read_text()
    lily = before.partition("apiVersion")[1] + before.partition("apiVersion")[2].replace("{name: iris}", "{name: lily}")

    def lily_status() -> int:
        with terminal.client() as client:
            return client.post(SCORE.replace("iris", "lily"), content=FLOWERS).status_code

    with load_on_blue(terminal) as statuses:
        terminal.file.write_text(f"{before}\n---\n{lily}")
        until("the added endpoint is known", lambda: lily_status() == 401)  # it has a key of its own
        terminal.file.write_text("spec: [broken")
        until("the broken file is refused", lambda: "broken" in terminal.screen() or "refused" in terminal.screen())
        assert lily_status() == 401
        terminal.file.write_text(before.replace("requestTimeoutMs: 60000", "requestTimeoutMs: 50000"))
        until("the removed endpoint is gone", lambda: lily_status() == 404)
    assert set(statuses) == {200}


def _group_of(terminal: Terminal, uid: str) -> list[int]:
    """The replica's processes: those that write to its log, but not the supervisor's guard over them.

    The oldest first: a server that outlives its only worker would still take connections, and hold a second request.
    """
    log = next((terminal.state_dir / "logs").glob(f"*.{uid}.log"))
    return [pid for pid in sorted(terminal.processes()) if _writes_to(pid, str(log)) and not _is_guard(pid)]


def _writes_to(pid: int, log: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/1") == log
    except OSError:
        return False


def _is_guard(pid: int) -> bool:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"guard" in file.read()


def _is_replaced(terminal: Terminal, uid: str) -> bool:
    blue = terminal.status()["blue"]
    return uid not in blue["replicas"] and blue["ready"] >= 2  # the load may have brought another


def test_ctrl_c_stops_all_of_it(terminal: Terminal) -> None:
    assert len(terminal.processes()) > 4
    assert terminal.interrupt() == 0
    until("no process is left", lambda: not terminal.processes(), 60.0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(terminal.url, trust_env=False)
