"""cli.py: `status` and `key` beside a router that runs, has gone, or never was."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result
from msgspec.structs import replace

from router.core.model import Hold
from router.platforms.by_hand import ByHandFile
from router.platforms.local.state import RouterPlace, StateDirectory
from tests.command_line import failed, run
from tests.front import SCORE
from tests.models import Model, served
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


def test_status_of_a_router_that_is_gone_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    StateDirectory(tmp_path).write_router(RouterPlace(admin=url, public=url, pid=1))
    message = failed("status", "--state-dir", tmp_path)
    assert url in message
    assert str(tmp_path) in message


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

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_status_does_not_take_a_stranger_on_the_routers_old_port_for_it(tmp_path: Path, stranger: str) -> None:
    StateDirectory(tmp_path).write_router(RouterPlace(admin=stranger, public=stranger, pid=1))
    assert stranger in failed("status", "--state-dir", tmp_path)


def test_status_of_a_state_directory_that_is_broken_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "router.json").write_text("{")
    assert "router.json" in failed("status", "--state-dir", tmp_path)
