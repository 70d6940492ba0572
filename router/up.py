"""How do a supervisor, a router and a person at a terminal become one command?

I/O: processes, signals, the console. It owns nothing but their order: replicas first and last,
the router between.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from rich.console import Console
from rich.text import Text

from router import terminal
from router.platforms import PlatformError
from router.platforms.keys import KeyStore
from router.platforms.local.group import ProcessGroup
from router.platforms.local.race import first
from router.platforms.local.state import RouterPlace, StateDirectory
from router.platforms.local.supervisor import Supervisor

READY_POLL_S = 0.1


async def up(file: Path, state_dir: Path, router_argv: list[str], router_grace_s: float, console: Console) -> int:
    """Run it all until SIGINT or SIGTERM: 0 after a clean stop, 1 when the start or the router failed.

    `router_grace_s`: for the router's end after SIGTERM, its requests in flight included.
    """
    state = StateDirectory(state_dir)
    try:
        with Interrupts() as interrupts:
            async with (
                Supervisor(file, state) as supervisor,
                RouterProcess(router_argv, router_grace_s, state, interrupts) as router,
            ):
                return await first(
                    _stopped(interrupts, console),
                    _router_died(router, console),
                    _run(supervisor, file, console),
                )
    except PlatformError as error:
        console.print(Text(str(error)), soft_wrap=True)
        return 1


class Interrupts:
    """SIGINT and SIGTERM as events: the first asks to stop, the second insists."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)

    def _note(self) -> None:
        if self.asked.is_set():
            self.insisted.set()
        self.asked.set()


class RouterProcess:
    """The router as a child. On exit it gets SIGTERM, drains, and is gone."""

    def __init__(self, argv: list[str], grace_s: float, state: StateDirectory, interrupts: Interrupts) -> None:
        self.log = state.log_of_router()
        self._state = state
        self._argv = argv
        self._grace_s = grace_s
        self._interrupts = interrupts

    async def __aenter__(self) -> Self:
        self._state.remove_router()  # of an earlier run
        env = {name: value for name, value in os.environ.items() if name != "SCOREGATE_FILE"}  # of a static router
        self._group = await ProcessGroup.start(self._argv, log=self.log, grace_s=self._grace_s, cwd=Path.cwd(), env=env)
        return self

    async def wait(self) -> int:
        return await self._group.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await first(self._group.end(), self._end_when_insisted())

    async def _end_when_insisted(self) -> None:
        await self._interrupts.insisted.wait()
        self._group.kill()
        await self._group.wait()


async def _stopped(interrupts: Interrupts, console: Console) -> int:
    await interrupts.asked.wait()
    console.print("Stopping: requests in flight finish first. Ctrl-C again to stop at once.")
    return 0


async def _router_died(router: RouterProcess, console: Console) -> int:
    code = await router.wait()
    terminal.quote_log(f"The router ended by itself with exit code {code}", router.log, console)
    return 1


async def _run(supervisor: Supervisor, file: Path, console: Console) -> int:
    """Never returns: what runs goes on until something else ends."""
    await terminal.show_start(supervisor, console)
    place = await _ready_place(supervisor.state)
    store = KeyStore(supervisor.state.path)
    keys = {e.name: store.read(e.name) for e in supervisor.endpoints if e.auth_mode == "key"}
    text = terminal.summary(
        supervisor.endpoints, keys, place.public, place.admin, terminal.sample_body(file), supervisor.state.logs
    )
    console.print(Text(f"\n{text}\n"), soft_wrap=True)
    forever: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return await forever


async def _ready_place(state: StateDirectory) -> RouterPlace:
    """Where the router listens, once it is ready. It says so itself: a port may have been 0, or another's."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            place = state.read_router()
            with suppress(httpx.TransportError):
                if place is not None and (await client.get(f"{place.admin}/readyz")).status_code == 200:
                    return place
            await asyncio.sleep(READY_POLL_S)
