"""Do routers tell the autoscaler of their own work, and does their number follow its wish, and so their load?

Real processes. In a cluster: test_kubernetes_own_size.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from autoscaler.journal import journal_file, journals, read
from autoscaler.records import Sized
from autoscaler.self_feed import SelfFeed
from bench.processes import free_port
from router.core.model import Instance
from router.platforms.identity import OwnIdentity
from router.platforms.local.state import RouterPlace, StateDirectory
from router.platforms.sizing import FileSizing, RouterSize
from router.platforms.vault import FileVault
from tests.e2e.conftest import START_WITHIN_S
from tests.e2e.counting_replica import account_at
from tests.e2e.sharing_site import HEAD_END
from tests.front import SCORE
from tests.models import PATIENCE_S, Model, served
from tests.router_process import ROOT, declare, port_of, routing

UP = """
import asyncio, sys
from pathlib import Path
from rich.console import Console
from router.up import up
folder, state = Path(sys.argv[1]), sys.argv[2]
router = [sys.executable, "-m", "router", "router", "--platform=local", "--state-dir", state, "--access-log=off"]
router += ["--max-workers=2", "--port=0", "--admin-port=0"]
scaler = [sys.executable, "-m", "tests.e2e.hasty_autoscaler", "20", "4", "autoscaler", "run"]
scaler += ["--state-dir", state, "--route-mean-ms=0.01"]
raise SystemExit(asyncio.run(up(folder / "endpoints.yaml", Path(state), router, 30.0, scaler, Console())))
"""
"""As `scoregate up --max-workers 2`, but an autoscaler's minute is three seconds, and ten quiet minutes are four."""
CALLERS, LIMIT = 8, 4
MOST_ON_ONE = 20
"""Requests on one connection: the next one may be another worker's."""


def instances(places: list[RouterPlace]) -> list[Instance]:
    return [Instance(id=place.id, admin=place.admin, peer=place.peer) for place in places]


async def until_there(state: StateDirectory, count: int) -> list[RouterPlace]:
    async with asyncio.timeout(2 * PATIENCE_S):
        while len(places := state.living_routers()) != count:  # noqa: ASYNC110 - it looks at processes
            await asyncio.sleep(0.05)
    return places


async def test_a_router_tells_what_it_routed_and_what_that_cost(tmp_path: Path) -> None:
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            feed = SelfFeed(OwnIdentity(lambda: FileVault(router.state.path)).client)
            (asked,) = instances([router.place])
            before = (await feed.ask([asked]))[asked.id]
            async with router.client() as client:
                for _ in range(20):
                    assert (await client.post(SCORE, content=b"{}")).status_code == 200
            after = (await feed.ask([asked]))[asked.id]
    assert after.routed_total - before.routed_total == 20
    assert 0 < after.route_seconds_total - before.route_seconds_total < 20
    assert after.route_buckets["+Inf"] == after.routed_total
    assert after.cpu_seconds_total > before.cpu_seconds_total > 0
    assert 0 < after.cpus <= (os.cpu_count() or 1)
    assert after.most_workers == 1


async def test_on_one_machine_workers_come_and_go_with_the_wish(tmp_path: Path) -> None:
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with routing(tmp_path, "--access-log", "off", "--max-workers", "2", waits=False) as router:
            await until_there(router.state, 1)
            sizing = FileSizing(router.state.path, lambda: len(router.state.living_routers()))
            assert (await sizing.stand()).size == RouterSize(workers=1)
            await sizing.resize(RouterSize(workers=2))
            places = await until_there(router.state, 2)
            feed = SelfFeed(OwnIdentity(lambda: FileVault(router.state.path)).client)
            async with asyncio.timeout(PATIENCE_S):
                while len(words := await feed.ask(instances(places))) < 2:  # noqa: ASYNC110 - it asks processes
                    await asyncio.sleep(0.1)
            assert {word.most_workers for word in words.values()} == {2}
            await sizing.resize(RouterSize(workers=1))
            await until_there(router.state, 1)
            router.send_signal()
            assert await router.ended() == 0


class Callers:
    """Each asks as soon as it has its reply; on one connection for a while, unless the router closes it."""

    def __init__(self, port: int) -> None:
        self.work_s = 0.0
        """That a request is for its replica."""
        self.ends: Counter[str] = Counter()
        """Statuses and failures."""
        self._port = port
        self._has_enough = asyncio.Event()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._ask_on())
            yield
            self._has_enough.set()

    async def _ask_on(self) -> None:
        while not self._has_enough.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                for _ in range(MOST_ON_ONE):
                    if reader.at_eof() or self._has_enough.is_set() or not await self._ask(reader, writer):
                        break
            except (OSError, EOFError) as error:
                self.ends[type(error).__name__] += 1
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used once more."""
        body = json.dumps({"n": 0, "s": self.work_s})
        writer.write(f"POST {SCORE} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        head = (await reader.readuntil(HEAD_END)).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        self.ends[head.split(" ", 2)[1]] += 1
        return "connection: close" not in head


def declare_counting(file: Path, accounts: int) -> None:
    """One replica, which tells at the port `accounts` what it has seen."""
    command = ["$(PYTHON)", "-m", "tests.e2e.counting_replica", "127.0.0.1", "$(PORT)", str(accounts)]
    blue = {
        "name": "blue",
        "process": {"command": command, "env": {"PYTHONPATH": ROOT}},
        "instanceCount": 1,
        "requestSettings": {"maxConcurrentRequestsPerInstance": LIMIT, "maxQueueWaitMs": 60_000},
    }
    spec = {"auth": {"mode": "none"}, "deployments": [blue]}
    kind = {"apiVersion": "scoregate.io/v1", "kind": "InferenceEndpoint", "metadata": {"name": "iris"}}
    file.write_text(json.dumps(kind | {"spec": spec}))


def steps(state: StateDirectory) -> list[tuple[str, str]]:
    """That were asked for, and why."""
    records = read(journal_file(journals(state.path), "router"))
    asked = [each.decision for each in records if isinstance(each, Sized) and each.outcome == "ask"]
    return [(each.step, each.reason) for each in asked]


async def until(what: str, condition: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(START_WITHIN_S):
            while not condition():  # noqa: ASYNC110 - it looks at processes
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


async def test_on_one_machine_workers_come_and_go_with_the_load_and_no_request_fails(tmp_path: Path) -> None:
    accounts = free_port()
    declare_counting(tmp_path / "endpoints.yaml", accounts)
    state = StateDirectory(tmp_path / "state")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", UP, str(tmp_path), str(state.path)),
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    try:
        assert process.stdout is not None
        said = b""
        while b"Ctrl-C stops" not in said:
            said += await asyncio.wait_for(process.stdout.readuntil(), START_WITHIN_S)
        callers = Callers(port_of(state.living_routers()[0].public))
        async with callers.asking():
            await until("a second worker", lambda: len(state.living_routers()) == 2)
            callers.work_s = 0.2
            await until("one worker again", lambda: len(state.living_routers()) == 1)
        account = account_at("127.0.0.1", accounts)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert callers.ends == {"200": account.served}
    assert account.most == LIMIT
    (up, why_up), (down, why_down) = steps(state)
    assert (up, down) == ("up", "down")
    assert "over 0.01 ms" in why_up
    assert "1 would use" in why_down
