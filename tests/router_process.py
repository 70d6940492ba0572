"""How does a router run in a test as it does for a user: as a process?

I/O: processes, loopback sockets, files below a folder of the test's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

import router
from router.platforms.local.state import StateDirectory
from tests.front import SCORE
from tests.models import PATIENCE_S
from tests.places import a_place

ROOT = str(Path(router.__file__).parent.parent)
STARTS_WITHIN_S = 40.0


def declare(file: Path, *ports: int, name: str = "iris", mode: str = "none", **settings: Any) -> Path:
    """An endpoints file with one deployment `blue` at these ports of this machine. `settings`: requestSettings."""
    blue = {"name": "blue", "addresses": [f"127.0.0.1:{port}" for port in ports]}
    blue |= {"requestSettings": {"requestTimeoutMs": 60_000, "maxQueueWaitMs": 60_000} | settings}
    document = {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": name},
        "spec": {"auth": {"mode": mode}, "deployments": [blue]},
    }
    file.write_text(json.dumps(document))
    return file


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def listening_ports() -> set[int]:
    """Of this machine. Nobody is connected to for it, for some tests count connections."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A"}


def connections_of(pid: int, port: int) -> int:
    """How many of those to this port the process has taken."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    taken = {f"socket:[{line[9]}]" for line in lines if line[3] == "01" and int(line[1].rpartition(":")[2], 16) == port}
    has: list[str] = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed while we looked
            has.append(os.readlink(descriptor))
    return len(taken.intersection(has))


class RouterProcess:
    """One `python -m router router`. Where it listens is known once it is `started`."""

    def __init__(self, process: asyncio.subprocess.Process, state: StateDirectory) -> None:
        self.process = process
        self.state = state
        self.place = a_place("", "")
        self.said = b""
        """Standard error."""
        self.printed = b""
        self._readers = [asyncio.create_task(self._read_said()), asyncio.create_task(self._read_printed())]

    async def started(self) -> None:
        """Until it has written where it listens, and does."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not (own := [each for each in self.state.living_routers() if each.pid == self.process.pid]):
                assert self.process.returncode is None, self.said.decode()
                await asyncio.sleep(0.01)
            (self.place,) = own
            while not {port_of(self.place.public), port_of(self.place.admin)} <= listening_ports():
                assert self.process.returncode is None, self.said.decode()
                await asyncio.sleep(0.01)

    async def ready(self, replicas: int = 1) -> None:
        """Until that many replicas of each deployment are."""
        async with asyncio.timeout(STARTS_WITHIN_S), self.client() as client:
            while (await client.get(f"{self.place.admin}/readyz")).status_code != 200 or not all(
                load["ready"] == replicas for load in await self.loads()
            ):
                assert self.process.returncode is None, self.said.decode()
                await asyncio.sleep(0.01)

    async def loads(self) -> list[dict[str, Any]]:
        async with self.client() as client:
            loads: list[dict[str, Any]] = (await client.get(f"{self.place.admin}/load")).json()
            return loads

    async def until_load(self, **figures: float) -> None:
        """Until the first deployment's load has these."""
        async with asyncio.timeout(PATIENCE_S):
            while not figures.items() <= (await self.loads())[0].items():  # noqa: ASYNC110 - it looks at a process
                await asyncio.sleep(0.01)

    def client(self, **settings: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.place.public, trust_env=False, timeout=PATIENCE_S, **settings)

    @property
    def port(self) -> int:
        return port_of(self.place.public)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield reader, writer
        finally:
            writer.transport.abort()

    def send_signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended and all that it said is read."""
        async with asyncio.timeout(STARTS_WITHIN_S):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def _read_said(self) -> None:
        assert self.process.stderr is not None
        while piece := await self.process.stderr.read(65_536):
            self.said += piece

    async def _read_printed(self) -> None:
        assert self.process.stdout is not None
        while piece := await self.process.stdout.read(65_536):
            self.printed += piece


def score(*lines: str, body: bytes = b"{}") -> bytes:
    """A scoring request as bytes."""
    head = [f"POST {SCORE} HTTP/1.1", "Host: router", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


@asynccontextmanager
async def routing(
    folder: Path,
    *options: str,
    env: dict[str, str] | None = None,
    platform: str = "static",
    waits: bool = True,
    open_files: int | None = None,
) -> AsyncIterator[RouterProcess]:
    """A router for `folder/endpoints.yaml` on free ports. `waits`: until it listens. `open_files`: as `ulimit -n`."""
    state = StateDirectory(folder / "state")
    command = [sys.executable, "-m", "router", "router", "--platform", platform, "--state-dir", str(state.path)]
    if platform == "static":
        command += ["--file", str(folder / "endpoints.yaml")]
    if open_files is not None:
        command = ["bash", "-c", f'ulimit -n {open_files}; exec "$@"', "bash", *command]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCOREGATE_")}
    ports = {"SCOREGATE_PORT": "0", "SCOREGATE_ADMIN_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *command,
        *options,
        cwd=folder,
        stdout=PIPE,
        stderr=PIPE,
        env={**clean, "PYTHONPATH": ROOT, **ports, **(env or {})},
    )
    one = RouterProcess(process, state)
    try:
        if waits:
            await one.started()
        yield one
    finally:
        await one.close()
