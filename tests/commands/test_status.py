"""status.py: `status`, and `key`, beside routers that run, have gone, or never were."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import Result
from msgspec.structs import replace

from bench.processes import free_port
from router.commands.status import duration
from router.core.model import Hold, InstanceStanding
from router.load_page import INSTANCES_HEADER
from router.platforms.by_hand import ByHandFile
from router.platforms.local.state import StateDirectory
from tests.autoscaler.nouns import load as a_load
from tests.command_line import failed, run
from tests.front import SCORE
from tests.models import Model, served
from tests.places import a_place, an_ended_place
from tests.router_process import RouterProcess, declare, routing


class Site(NamedTuple):
    router: RouterProcess
    model: Model

    async def run(self, *words: str) -> Result:
        """In a thread: the model and the router's output are served by this one."""
        state_dir = str(self.router.state.path)
        return await asyncio.to_thread(run, *words, "--state-dir", state_dir)


NAME = "an-endpoint-with-a-name-that-is3"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    model = Model()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port, name=NAME, mode="key")
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            yield Site(router, model)
        model.gate.set()


async def test_status_shows_what_runs_and_how_busy_it_is(site: Site) -> None:
    keys = json.loads((await site.run("key", "show", NAME, "--json")).stdout)
    site.model.gate.clear()
    async with site.router.client(headers={"Authorization": f"Bearer {keys['secondaryKey']}"}) as client:
        scoring = asyncio.create_task(client.post(SCORE.replace("iris", NAME)))
        await site.router.until_load(inFlight=1)
        as_json = json.loads((await site.run("status", "--json")).stdout)
        table = (await site.run("status")).stdout
        site.model.gate.set()
        assert (await scoring).status_code == 200
    assert (as_json["scoring"], as_json["internal"]) == (site.router.place.public, site.router.place.admin)
    (own,) = as_json["instances"]
    place = site.router.place
    expected = {"id": place.id, "isSelf": True, "up": True, "inFlight": 1, "pid": place.pid, "worker": 0}
    assert expected.items() <= own.items()
    assert 0 < own["upForS"] < 600
    (deployment,) = as_json["deployments"]
    expected = {"endpoint": NAME, "deployment": "blue", "ready": 1, "inFlight": 1, "busy": 1, "utilization": 1.0}
    assert expected.items() <= deployment.items()
    (row,) = [line.split() for line in table.splitlines() if NAME in line]
    assert row == [NAME, "blue", "1", "of", "1", "1", "1", "0", "100%", "0"]
    assert max(map(len, table.splitlines())) <= 110
    assert all(word in table for word in ("Endpoint", "Deployment", "Ready", "Busy", "In flight", "Queued"))


async def test_status_says_what_is_set_by_hand(site: Site) -> None:
    (replica,) = json.loads((await site.run("replicas", "--json")).stdout)
    assert "by hand" not in (await site.run("status")).stdout
    assert (await site.run("drain", replica["uid"])).exit_code == 0
    holds = {"iris/blue": Hold(replicas=5, until_s=4e9), "iris/over": Hold(replicas=5, until_s=1e9)}
    ByHandFile(site.router.state.path).change(lambda present: replace(present, holds=holds))
    said = (await site.run("status")).stdout
    assert "iris/blue: held at 5 by hand until 2096-10-02 07:06" in said
    assert "iris/over" not in said
    assert f"{NAME}/blue@127.0.0.1" in said.partition("drained by hand; `scoregate drain --undo ")[2]


async def test_a_regenerated_key_opens_the_running_router_and_the_old_one_closes(site: Site) -> None:
    before = json.loads((await site.run("key", "show", NAME, "--json")).stdout)
    after = json.loads((await site.run("key", "regenerate", NAME, "primary", "--json")).stdout)
    url = SCORE.replace("iris", NAME)
    async with site.router.client() as client, asyncio.timeout(20):
        for key in (after["primaryKey"], after["secondaryKey"]):
            headers = {"Authorization": f"Bearer {key}"}
            while (await client.post(url, headers=headers)).status_code != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        old = await client.post(url, headers={"Authorization": f"Bearer {before['primaryKey']}"})
        assert old.status_code == 401


def test_status_without_a_router_says_what_to_do_next(tmp_path: Path) -> None:
    for words in (("status",), ("status", "--json")):
        message = failed(*words, "--state-dir", tmp_path)
        assert str(tmp_path) in message
        assert "scoregate up FILE" in message
        assert "kubectl get inferenceendpoints" in message


def test_status_of_a_router_that_does_not_answer_says_so(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    StateDirectory(tmp_path).write_router(a_place(url, url))
    message = failed("status", "--state-dir", tmp_path)
    assert f"does not answer on {url}" in message
    assert str(tmp_path) in message


def test_nobody_is_asked_where_a_router_was_that_has_ended(tmp_path: Path, stranger: str) -> None:
    StateDirectory(tmp_path).write_router(an_ended_place(stranger, stranger))
    assert f"No router runs in {tmp_path}" in failed("status", "--state-dir", tmp_path)


def answering(answer: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something else that listens where a router did: it answers 200 to everything, and not as a router would."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: Any) -> None:
            pass

    yield from answering(Answer)


def test_status_does_not_take_a_stranger_on_the_routers_port_for_it(tmp_path: Path, stranger: str) -> None:
    StateDirectory(tmp_path).write_router(a_place(stranger, stranger))
    assert f"What answers on {stranger} is not the router" in failed("status", "--state-dir", tmp_path)


# -- several instances -------------------------------------------------------------------------------------------

FIRST = InstanceStanding(
    id="a", name="a", is_self=True, up=True, silent_for_s=0.0, owns=2, view_agrees=True, in_flight=3
)
OTHERS = [
    replace(FIRST, id="b", name="pod-b", is_self=False, owns=1, in_flight=4),
    replace(FIRST, id="c", name="", is_self=False, view_agrees=False, owns=0),
    replace(FIRST, id="d", name="a-silent", is_self=False, up=False, silent_for_s=3_725.0, in_flight=None),
]


@pytest.fixture
def several() -> Iterator[str]:
    """The internal port of one of four instances, one of which is silent."""
    pages = {"/load": [a_load(7, 0)], "/instances": [FIRST, *OTHERS]}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(INSTANCES_HEADER, "3/4")
            self.end_headers()
            self.wfile.write(msgspec.json.encode(pages[self.path]))

        def log_message(self, *_: Any) -> None:
            pass

    yield from answering(Answer)


def test_each_instance_is_shown_as_the_one_that_answers_sees_it(tmp_path: Path, several: str) -> None:
    state = StateDirectory(tmp_path)
    state.write_router(a_place(several, id="a"))
    state.write_router(a_place("http://127.0.0.1:1", id="b", index=1))
    result = run("status", "--state-dir", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    pid = str(os.getpid())
    assert (rows["a"][1], rows["a"][-3:]) == (pid, ["answers", "2", "3"])
    assert (rows["pod-b"][1], rows["pod-b"][-3:]) == (pid, ["up", "1", "4"])
    assert rows["c"][1:] == ["up,", "sees", "other", "instances", "0", "3"]
    assert rows["a-silent"][1:] == ["silent", "for", "1", "h", "2", "min", "2", "?"]
    assert "Only 3 of 4 instances told their load in time" in result.stdout


def test_where_the_first_does_not_answer_another_is_asked(tmp_path: Path, several: str) -> None:
    state = StateDirectory(tmp_path)
    state.write_router(a_place("http://127.0.0.1:1", id="x", index=0))
    state.write_router(a_place(several, id="a", index=1))
    plain = json.loads(run("status", "--state-dir", tmp_path, "--json").stdout)
    assert plain["internal"] == several
    assert [each.get("worker") for each in plain["instances"]] == [1, None, None, None]
    assert [each["inFlight"] for each in plain["instances"]] == [3, 4, 3, None]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 40, "40 d 0 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
