"""worker.py: a worker listens where it is told, at a port between instances of its own, and says why it can't start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.processes import free_port
from router.config import RouterConfig
from router.listening.sockets import bound_sockets
from router.platforms import ClusterSettings
from router.platforms.local.state import StateDirectory, own_id, own_place
from router.workers.line import READY, Order, send_order
from tests.front import SCORE
from tests.models import PATIENCE_S, Model, served, until
from tests.router_process import ROOT, STARTS_WITHIN_S, declare


class Started(NamedTuple):
    process: asyncio.subprocess.Process
    line: socket.socket
    config: RouterConfig

    async def ended(self) -> tuple[int | None, str]:
        async with asyncio.timeout(STARTS_WITHIN_S):
            _, said = await self.process.communicate()
        return self.process.returncode, said.decode()


@asynccontextmanager
async def a_worker(folder: Path, index: int, **settings: object) -> AsyncIterator[Started]:
    given = {"file": folder / "endpoints.yaml", "port": 0, "admin_port": 0, "access_log": "off", "drain_grace_ms": 0}
    config = RouterConfig(platform="static", state_dir=folder / "state", **given | settings)  # type: ignore[arg-type]
    mine, its = socket.socketpair()
    with mine, its, bound_sockets(config) as sockets:
        order = Order(
            config=config,
            cluster=ClusterSettings(),
            index=index,
            descriptors=sockets.descriptors,
            parent=os.getpid(),
        )
        send_order(mine, order)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "router.workers.worker", str(its.fileno())),
            pass_fds=(its.fileno(), *sockets.descriptors.all()),
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
        its.close()
        try:
            yield Started(process, mine, config)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_it_is_known_by_its_number_and_ends_when_its_parent_does(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    peers = free_port()
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with a_worker(tmp_path, 2, peer_port=peers - 2) as worker:
            await until(lambda: len(state.living_routers()) == 1)
            (place,) = state.living_routers()
            assert (place.index, place.pid) == (2, worker.process.pid)
            assert place.peer.endswith(f":{peers}"), "the first worker's port, and its own number"
            worker.line.settimeout(STARTS_WITHIN_S)
            while worker.line.recv(1) != READY:
                pass
            worker.line.close()
            code, _ = await worker.ended()
            assert code == 0
            assert state.living_routers() == []


async def test_what_is_wrong_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    declare(tmp_path / "endpoints.yaml", 1)
    async with a_worker(tmp_path, 0, access_log=str(tmp_path / "no" / "log")) as worker:
        code, said = await worker.ended()
    assert code == 1
    assert said.startswith("Error: Can't write the access log")
    assert len(said.splitlines()) == 1


async def test_sigterm_ends_it_as_it_ends_a_router_that_is_alone(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        async with a_worker(tmp_path, 0) as worker:
            await until(lambda: len(state.living_routers()) == 1)
            worker.process.send_signal(signal.SIGTERM)
            assert (await worker.ended())[0] == 0


async def test_it_takes_no_client_before_it_has_met_the_others_that_are_listed(tmp_path: Path) -> None:
    """Another worker does, meanwhile. One that took it would say at once that there is no such endpoint."""
    state = StateDirectory(tmp_path / "state")
    async with served(Model()) as port:
        declare(tmp_path / "endpoints.yaml", port)
        state.write_router(own_place(public="", admin="http://127.0.0.1:1", peer="https://127.0.0.1:1"))
        async with a_worker(tmp_path, 0) as worker, httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            await until(lambda: len(state.living_routers()) == 2)
            (place,) = (each for each in state.living_routers() if each.pid == worker.process.pid)
            asked = asyncio.create_task(client.post(f"{place.public}/none", content=b"{}"))
            async with asyncio.timeout(STARTS_WITHIN_S):
                while "has not met" not in (await client.get(f"{place.admin}/readyz")).text:  # noqa: ASYNC110 - it asks a process
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            assert not asked.done()
            state.remove_router(own_id())
            assert (await asked).status_code == 404
            assert (await client.post(f"{place.public}{SCORE}", content=b"{}")).status_code == 200
