"""server.py: a router process starts, serves, drains and ends as an operator expects."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from msgspec.structs import replace

from router.config import RouterConfig
from router.core.declare import declared_endpoints
from router.core.model import Replica, Snapshot
from router.platforms import Standing
from router.platforms.local.state import StateDirectory
from router.platforms.memory import MemoryPlatform
from router.post import only
from router.server import RouterServer
from tests.front import SCORE
from tests.models import Model, served, until
from tests.router_process import RouterProcess, declare, routing, score
from tests.virtual_time import armed, on_virtual_time, settle


class Site(NamedTuple):
    folder: Path
    model: Model
    port: int


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A model, and a folder with an endpoints file for it."""
    model = Model()
    async with served(model) as port:
        declare(tmp_path / "endpoints.yaml", port)
        yield Site(tmp_path, model, port)
        model.gate.set()


async def test_it_says_where_it_listens_and_scores(site: Site) -> None:
    async with routing(site.folder) as one:
        await one.ready()
        assert one.place.public.startswith("http://127.0.0.1:")
        assert one.place.admin.startswith("http://127.0.0.1:")
        assert one.place.public != one.place.admin
        async with one.client() as client:
            reply = await client.post(SCORE, json=[1])
            assert (reply.status_code, reply.json()) == (200, [1])
            assert reply.headers["date"]
            assert "server" not in reply.headers
        one.send_signal()
        assert await one.ended() == 0
        assert b"Traceback" not in one.said


async def test_the_internal_port_has_an_address_of_its_own(site: Site) -> None:
    async with routing(site.folder, "--admin-host", "127.0.0.2") as one:
        assert one.place.public.startswith("http://127.0.0.1:")
        assert one.place.admin.startswith("http://127.0.0.2:")
        await one.ready()


async def test_what_the_platform_says_of_itself_is_told(tmp_path: Path) -> None:
    platform = MemoryPlatform()
    server = RouterServer(RouterConfig(platform="local", state_dir=tmp_path, access_log="off"), platform, only())
    assert server.not_ready_because() == "no endpoints are known yet"
    platform.stands = Standing(3.0, "pods: the API server answers 403")
    assert server.not_ready_because() == "no endpoints are known yet: pods: the API server answers 403"
    assert server.standing() == platform.stands


async def test_the_internal_pages_are_not_on_the_public_port_nor_scoring_on_the_internal(site: Site) -> None:
    async with routing(site.folder) as one, one.client() as client:
        await one.ready()
        for page in ("/", "/healthz", "/readyz", "/metrics", "/load"):
            assert (await client.get(page)).status_code == 404
            assert (await client.get(one.place.admin + page)).status_code == 200
        assert (await client.post(one.place.admin + SCORE)).status_code == 404


async def test_it_is_not_ready_before_it_knows_an_endpoint(tmp_path: Path) -> None:
    async with routing(tmp_path, platform="local") as one, one.client() as client:
        assert (await client.get(f"{one.place.admin}/healthz")).status_code == 200
        reply = await client.get(f"{one.place.admin}/readyz")
        assert (reply.status_code, reply.text) == (503, "not ready: no endpoints are known yet\n")
        document = {
            "apiVersion": "scoregate.io/v1",
            "kind": "InferenceEndpoint",
            "metadata": {"name": "iris"},
            "spec": {"deployments": [{"name": "blue", "process": {"command": ["x"]}}]},
        }
        gone = Replica(uid="b", deployment="iris/blue", host="127.0.0.1", port=1, ready=True, leaving=True)
        StateDirectory(tmp_path / "state").write_snapshot(
            Snapshot(endpoints=declared_endpoints([document]), replicas=(gone,))
        )
        await one.ready(replicas=0)
        async with asyncio.timeout(20):
            while not one.state.is_drained("b"):  # noqa: ASYNC110 - the router says so in a file
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
async def test_a_port_in_use_ends_it_with_a_message_that_names_the_option(site: Site, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with routing(site.folder, option, str(port), waits=False) as one:
            assert await one.ended() == 1
    said = one.said.decode()
    assert f"Can't listen on 127.0.0.1:{port}: Address already in use. Choose another {option}." in said
    assert "Traceback" not in said
    assert one.state.a_router() is None


async def test_a_port_that_another_router_scores_on_is_in_use(site: Site) -> None:
    async with routing(site.folder) as first, first.client() as client:
        await first.ready()
        options = ("--port", str(first.port), "--state-dir", str(site.folder / "other"))
        async with routing(site.folder, *options, waits=False) as second:
            assert await second.ended() == 1
        assert b"--port" in second.said
        assert (await client.post(SCORE)).status_code == 200


async def test_an_endpoints_file_that_is_wrong_ends_it_with_the_files_problems(tmp_path: Path) -> None:
    (tmp_path / "endpoints.yaml").write_text("kind: Wrong")
    async with routing(tmp_path, waits=False) as one:
        assert await one.ended() == 1
    assert str(tmp_path / "endpoints.yaml") in one.said.decode()
    assert b"Traceback" not in one.said


async def ready_status(one: RouterProcess, client: httpx.AsyncClient) -> int:
    return (await client.get(f"{one.place.admin}/readyz")).status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_it(site: Site, number: signal.Signals) -> None:
    grace = ("--drain-grace-ms", "4000")
    async with routing(site.folder, *grace) as one, one.wire() as idle, one.wire() as kept, one.wire() as busy:
        await one.ready()
        for reader, writer in (idle, kept):
            writer.write(score())
            assert b"connection: close" not in (await reader.readuntil(b"{}")).lower()
        site.model.gate.clear()
        busy[1].write(score(body=b"[1]"))
        await one.until_load(inFlight=1)
        async with one.client() as client:
            one.send_signal(number)
            await asyncio.wait_for(_not_ready(one, client), 20)
            assert (await client.get(f"{one.place.admin}/readyz")).text == "not ready: it is stopping\n"
            assert (await client.get(f"{one.place.admin}/healthz")).status_code == 200, "it is alive"
        within_grace = asyncio.get_running_loop().time() + 0.4
        while asyncio.get_running_loop().time() < within_grace:
            async with one.wire() as fresh:  # load balancers have not seen it yet: new connections are taken
                fresh[1].write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await fresh[0].readline()).startswith(b"HTTP/1.1 404")
                assert b"connection: close" in (await fresh[0].read()).lower(), "and closed after their reply"
        kept[1].write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"connection: close" in (await kept[0].read()).lower()
        assert await idle[0].read() == b"", "closed when the grace is over"
        assert one.process.returncode is None, "a request is in flight"
        site.model.gate.set()
        reply = await busy[0].read()
        assert reply.startswith(b"HTTP/1.1 200")
        assert reply.endswith(b"[1]")
        assert await one.ended() == 0
        assert b"Traceback" not in one.said


async def _not_ready(one: RouterProcess, client: httpx.AsyncClient) -> None:
    while await ready_status(one, client) != 503:  # noqa: ASYNC110 - it looks at another process
        await asyncio.sleep(0.005)


async def takes_connections(one: RouterProcess) -> bool:
    try:
        async with one.wire():
            return True
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it came in the moment in which the listener closed
        return False


async def test_after_the_grace_nobody_new_gets_in(site: Site) -> None:
    async with routing(site.folder, "--drain-grace-ms", "0") as one, one.wire() as (reader, writer):
        await one.ready()
        site.model.gate.clear()
        writer.write(score())
        await one.until_load(inFlight=1)
        one.send_signal()
        async with asyncio.timeout(20):
            while await takes_connections(one):  # noqa: ASYNC110 - it looks at another process
                await asyncio.sleep(0.01)
        site.model.gate.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        assert await one.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stuck_request_does_not_hold_it_longer_than_the_drain_timeout(
    site: Site, number: signal.Signals
) -> None:
    options = ("--drain-grace-ms", "0", "--drain-timeout-ms", "1000", "--access-log", "log")
    async with routing(site.folder, *options) as one, one.wire() as (reader, writer):
        await one.ready()
        site.model.gate.clear()
        writer.write(score())
        await one.until_load(inFlight=1)
        one.send_signal(number)
        assert await one.ended() == 0
        assert b"Traceback" not in one.said, one.said.decode()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await until(lambda: site.model.left == 1)
    assert (site.folder / "log").read_text().count("\n") == 1, "what is cut is in the log, too"


async def test_who_waits_for_a_queue_is_told_when_one_forms_and_when_the_router_stops(site: Site) -> None:
    """Each wait is for a minute, and the test has less."""
    async with routing(site.folder, "--drain-grace-ms", "0") as one, one.client() as client, one.wire() as busy:
        await one.ready()
        site.model.gate.clear()
        busy[1].write(score())
        await one.until_load(inFlight=1)
        wait = f"{one.place.admin}/load?wait_ms=60000&since=0"
        waits = [asyncio.create_task(client.get(wait)) for _ in range(3)]
        async with one.wire() as queued:
            queued[1].write(score())
            for reply in await asyncio.gather(*waits):
                assert reply.headers["x-scoregate-load-seq"] == "1"
                assert reply.json()[0]["queued"] == 1
            assert (await client.get(wait)).json()[0]["queued"] == 1, "told at once to who knows of none"
            last = asyncio.create_task(client.get(wait.replace("since=0", "since=1")))
            await one.until_load(queued=1)
            assert not last.done()
            one.send_signal()
            assert (await last).headers["x-scoregate-load-seq"] == "1"
            during_drain = asyncio.create_task(client.get(wait.replace("since=0", "since=1")))
            site.model.gate.set()
            assert (await queued[0].read()).startswith(b"HTTP/1.1 200")
        assert (await during_drain).status_code == 200
        assert await one.ended() == 0
        assert b"Traceback" not in one.said


async def test_the_access_log_is_whole_when_it_has_ended(site: Site) -> None:
    async with routing(site.folder, "--drain-grace-ms", "0") as one, one.client() as client:
        await one.ready()
        for _ in range(20):
            await client.post(SCORE)
        one.send_signal()
        assert await one.ended() == 0
    assert one.printed.count(b"\n") == one.printed.count(b'"status":200') == 20


async def test_its_environment_sets_options(site: Site) -> None:
    env = {"SCOREGATE_ACCESS_LOG": "log.jsonl", "SCOREGATE_MAX_HEADERS": "3", "SCOREGATE_DRAIN_GRACE_MS": "0"}
    async with routing(site.folder, env=env) as one:
        await one.ready()
        async with one.wire() as (reader, writer):
            writer.write(score("A: 1", "B: 2"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 431")
        one.send_signal()
        assert await one.ended() == 0
    assert b'"status":431' in (site.folder / "log.jsonl").read_bytes()
    assert one.printed == b""


async def test_an_edited_endpoints_file_takes_effect_without_a_restart(site: Site) -> None:
    async with routing(site.folder) as one, one.client() as client:
        await one.ready()
        declare(site.folder / "endpoints.yaml", site.port, name="other")
        url = SCORE.replace("iris", "other")
        async with asyncio.timeout(20):
            while (await client.post(url)).status_code != 200:  # noqa: ASYNC110 - it looks at another process
                await asyncio.sleep(0.01)
        assert (await client.post(SCORE)).status_code == 404


async def test_files_that_the_system_does_not_give_are_not_promised(site: Site) -> None:
    """With few open files, the limit of connections is lowered and said so; requests are served all the same."""
    async with routing(site.folder, "--drain-grace-ms", "0", open_files=256) as one:
        await one.ready()
        silent = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(150)]
        async with one.client() as client:
            answers = {(await client.post(SCORE)).status_code}
            for _, writer in silent:
                writer.transport.abort()
            while 200 not in answers:
                answers.add((await client.post(SCORE)).status_code)
        assert answers <= {200, 503}
        one.send_signal()
        assert await one.ended() == 0
    assert b"open files are limited to 256" in one.said


async def test_what_is_known_once_the_first_snapshot_has_come_is_never_collected(tmp_path: Path) -> None:
    server = RouterServer(
        RouterConfig(platform="local", state_dir=tmp_path, access_log="off"), MemoryPlatform(), only()
    )
    before = gc.get_threshold()
    following = asyncio.create_task(server._follow())
    try:
        await until(lambda: gc.get_freeze_count() > 0)
        assert server.not_ready_because() is None
        assert gc.get_threshold() > before
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        gc.unfreeze()
        gc.set_threshold(*before)


class Forgetful(MemoryPlatform):
    """Fails the first time that it is told of a drained replica."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def drained(self, uid: str) -> None:
        self.told.append(uid)
        if len(self.told) == 1:
            raise OSError("disk full")


async def test_a_report_that_a_replica_has_drained_is_made_again_when_it_fails(tmp_path: Path) -> None:
    platform = Forgetful()
    server = RouterServer(RouterConfig(platform="local", state_dir=tmp_path, access_log="off"), platform, only())
    leaving = Replica(uid="a", deployment="iris/blue", host="127.0.0.1", port=1, ready=True, leaving=True)
    server._fleet.follow(Snapshot(replicas=(leaving,)))
    reporting = asyncio.create_task(server._report_drained())
    await until(lambda: platform.told == ["a", "a"])
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)


@on_virtual_time
async def test_while_nobody_leaves_nobody_looks_who_has_drained(tmp_path: Path) -> None:
    platform, before = Forgetful(), gc.get_threshold()
    server = RouterServer(RouterConfig(platform="local", state_dir=tmp_path, access_log="off"), platform, only())
    one, other = (Replica(uid=uid, deployment="iris/blue", host="127.0.0.1", port=1, ready=True) for uid in "ab")
    tasks = [asyncio.create_task(work) for work in (server._follow(), server._report_drained())]
    await settle()
    assert armed() == []
    platform.publish(Snapshot(replicas=(replace(one, leaving=True), other)))
    await asyncio.sleep(0.2)
    assert platform.told == ["a", "a"], "the first time fails"
    assert armed() == []
    platform.publish(Snapshot(replicas=(one, other)))
    await settle()
    platform.publish(Snapshot(replicas=(replace(one, leaving=True), replace(other, leaving=True))))
    await settle()
    assert sorted(platform.told) == ["a", "a", "a", "b"], "one that came back is told again"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gc.unfreeze()
    gc.set_threshold(*before)
