"""How do a supervisor, a router, an autoscaler and a person at a terminal become one command?

I/O: processes, signals, the console. It owns nothing but their order: replicas first and last, the router between,
and within its time the autoscaler, so that nothing is scaled while things stop. When the router ends, all ends;
an autoscaler that ends is started again, for the router goes on with the replicas there are.
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
AUTOSCALER_GRACE_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before an autoscaler that ended by itself is started again: twice as long each time."""
RAN_WELL_S = 60.0
"""Whoever ran so long failed for another reason: the first pause again."""


async def up(
    file: Path,
    state_dir: Path,
    router_argv: list[str],
    router_grace_s: float,
    autoscaler_argv: list[str],
    console: Console,
) -> int:
    """Run it all until SIGINT or SIGTERM: 0 after a clean stop, 1 when the start or the router failed.

    `router_grace_s`: for the router's end after SIGTERM, its requests in flight included.
    """
    state = StateDirectory(state_dir)
    try:
        with Interrupts() as interrupts:
            async with (
                Supervisor(file, state) as supervisor,
                RouterProcess(router_argv, router_grace_s, state, interrupts) as router,
                AutoscalerProcess(autoscaler_argv, state, interrupts, console),
            ):
                return await first(
                    _stopped(interrupts, console),
                    _router_died(router, console),
                    _run(supervisor, file, console),
                )
    except (PlatformError, OSError) as error:
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
        env = {name: value for name, value in os.environ.items() if name != "SCOREGATE_FILE"}  # of a static router
        self._group = await ProcessGroup.start(self._argv, log=self.log, grace_s=self._grace_s, cwd=Path.cwd(), env=env)
        return self

    async def wait(self) -> int:
        return await self._group.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _end(self._group, self._interrupts)


class AutoscalerProcess:
    """The autoscaler as a child, started again whenever it ends by itself. On exit it is gone."""

    def __init__(self, argv: list[str], state: StateDirectory, interrupts: Interrupts, console: Console) -> None:
        self.log = state.log_of_router().with_name("autoscaler.log")
        self._argv = argv
        self._interrupts = interrupts
        self._console = console

    async def __aenter__(self) -> Self:
        self._group = await self._start()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        await _end(self._group, self._interrupts)

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = asyncio.get_running_loop().time()
            code = await self._group.wait()
            if asyncio.get_running_loop().time() - began_s > RAN_WELL_S:
                pause_s = FIRST_PAUSE_S
            what = (
                f"The autoscaler ended by itself with exit code {code}; the router goes on. Next try in {pause_s:g} s"
            )
            terminal.quote_log(what, self.log, self._console)
            pause_s = await self._start_again(pause_s)

    async def _start_again(self, pause_s: float) -> float:
        """After the pause; the next one. What can't be started is tried again, too."""
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                self._group = await self._start()
                return pause_s
            except OSError as error:
                text = f"The autoscaler can't be started: {error}. Next try in {pause_s:g} s"
                self._console.print(Text(text), soft_wrap=True)

    async def _start(self) -> ProcessGroup:
        return await ProcessGroup.start(
            self._argv, log=self.log, grace_s=AUTOSCALER_GRACE_S, cwd=Path.cwd(), env=os.environ
        )


async def _end(group: ProcessGroup, interrupts: Interrupts) -> None:
    """SIGTERM and the grace; at once if somebody insists."""
    await first(group.end(), _end_when_insisted(group, interrupts))


async def _end_when_insisted(group: ProcessGroup, interrupts: Interrupts) -> None:
    await interrupts.insisted.wait()
    group.kill()
    await group.wait()


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
    keys = {e.name: store.read(e.name) for e in supervisor.endpoints if e.accepts("key")}
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
            for place in state.living_routers():  # one of an earlier run may still finish its requests
                with suppress(httpx.TransportError):
                    if (await client.get(f"{place.admin}/readyz")).status_code == 200:
                        return place
            await asyncio.sleep(READY_POLL_S)
