"""Who starts the workers of a router, and replaces those that end?

I/O: processes, signals, sockets that are bound and handed on, `workers.json` in the state directory. What to do when is
decided in crew.py. The parent serves nothing itself: what it does not do can't end it.

Why not uvicorn's `Multiprocess`: its workers answer a ping from a thread, also while their event loop hangs; they are
asked one after the other, and five seconds are spent on each that is silent; one that dies right after its start is
started again at once, without end; and their number changes by signals alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
from contextlib import suppress
from typing import Annotated

import msgspec

from router.config import RouterConfig
from router.ledger import LEDGERS
from router.listening.sockets import Sockets, bound_sockets
from router.platforms import ClusterSettings
from router.platforms.private_files import Version, make_private_folder, version
from router.workers.crew import Crew, Step
from router.workers.line import LEAVE, READY, Order, send_order

_LOOK_S = 0.25
"""At the wish, and for workers that hang; that one has ended is known at once."""
_WORKER = "router.workers.worker"

_log = logging.getLogger("scoregate.workers")


class Wish(msgspec.Struct, frozen=True):
    """What `workers.json` says. Who scales the router writes it."""

    workers: Annotated[int, msgspec.Meta(ge=1)]


class _Running:
    """A worker's process, and the parent's end of the line to it."""

    def __init__(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.writer = writer


class Parent:
    """The workers of one router. Needs a running event loop, on which nothing else runs."""

    def __init__(self, config: RouterConfig, cluster: ClusterSettings) -> None:
        self._config = config
        self._cluster = cluster
        self._crew = Crew(config.workers, config.most_workers)
        self._wish_file = config.state_dir.absolute() / "workers.json"
        self._wish_read: Version | None = None
        self._running: dict[int, _Running] = {}
        self._news = asyncio.Event()
        self._watching: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, and the end of all workers: 0; 1 when none can start. Raises ConfigError for an
        address that can't be listened on, PlatformError."""
        with bound_sockets(self._config) as sockets:
            self._begin()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop, sockets)
            try:
                while not self._crew.is_stopping or self._running:
                    self._news.clear()
                    self._look_at_wish()
                    for step in self._crew.steps(loop.time()):
                        await self._take(step, sockets)
                    await self._pause()
            finally:
                for running in self._running.values():
                    running.process.kill()
                await asyncio.gather(*self._watching)
        return 1 if self._crew.has_failed else 0

    # -- inside --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Nothing of an earlier run counts."""
        self._wish_file.unlink(missing_ok=True)
        folder = self._config.state_dir.absolute() / LEDGERS
        shutil.rmtree(folder, ignore_errors=True)
        make_private_folder(folder)

    async def _pause(self) -> None:
        """Until it has to look again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._news.wait()

    def _stop(self, sockets: Sockets) -> None:
        """Workers close their ports in their own time; then nobody shall wait at this process's."""
        self._crew.stop()
        sockets.close()
        for running in self._running.values():
            with suppress(ProcessLookupError):
                running.process.terminate()

    def _look_at_wish(self) -> None:
        written = version(self._wish_file)
        if written is None or written == self._wish_read:
            return
        self._wish_read = written
        try:
            wished = msgspec.json.decode(self._wish_file.read_bytes(), type=Wish).workers
        except (OSError, msgspec.DecodeError) as error:
            _log.error("%s can't be read: %s; there are %d workers", self._wish_file, error, self._crew.wished)
            return
        before = self._crew.wished
        if self._crew.wish(wished) != before:
            _log.info("%d workers are wished for; there shall be %d", wished, self._crew.wished)

    async def _take(self, step: Step, sockets: Sockets) -> None:
        if step.what == "start":
            await self._start(step.index, sockets)
            return
        running = self._running[step.index]
        if step.what == "leave":
            running.writer.write(LEAVE)
        else:
            _log.error("worker %d, process %d, hangs: it is killed", step.index, running.process.pid)
            running.process.kill()

    async def _start(self, index: int, sockets: Sockets) -> None:
        """A process of its own from the first moment: nothing of this one is copied into it."""
        mine, its = socket.socketpair()
        descriptors = sockets.descriptors
        order = Order(
            config=self._config, cluster=self._cluster, index=index, descriptors=descriptors, parent=os.getpid()
        )
        with its:
            send_order(mine, order)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _WORKER, str(its.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(its.fileno(), *descriptors.all()),
            )
        self._crew.started(index, asyncio.get_running_loop().time())
        reader, writer = await asyncio.open_connection(sock=mine)
        running = self._running[index] = _Running(process, writer)
        if self._crew.is_stopping:  # while it was started
            process.terminate()
        watching = asyncio.create_task(self._watch(index, running, reader, sockets))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _watch(self, index: int, running: _Running, reader: asyncio.StreamReader, sockets: Sockets) -> None:
        """Until its end."""
        clock = asyncio.get_running_loop().time
        with suppress(ConnectionError):
            while words := await reader.read(64):
                self._crew.heard(index, clock(), ready=READY in words)
        code = await running.process.wait()
        running.writer.transport.abort()
        del self._running[index]
        self._news.set()
        self._crew.ended(index, clock(), by_itself=code >= 0)
        if self._crew.has_failed:
            self._stop(sockets)  # it has said why, and so would the others
        if not self._crew.is_stopping:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            log = _log.info if code == 0 else _log.error
            log("worker %d, process %d, has ended %s", index, running.process.pid, how)


def run(config: RouterConfig, cluster: ClusterSettings) -> int:
    """As `Parent.run`."""
    return asyncio.run(Parent(config, cluster).run())
