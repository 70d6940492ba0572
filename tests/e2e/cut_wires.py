"""How are two routers of one machine parted, and nothing else?

I/O: unix sockets below a folder of the test's. Each router is said to be at a socket of the test's, which passes on
what comes to where it really is.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.router_process import RouterProcess


class Cables:
    """To each router one; whoever calls it comes this way, once it is laid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ends: dict[Path, str] = {}
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """Ends of wires: two for each that is up."""
        return len(self._writers)

    async def lay(self, router: RouterProcess) -> None:
        """The router's own word of where it is met is replaced by the test's."""
        file = router.state.path / "routers" / f"{router.place.id}.json"
        place = json.loads(file.read_text())
        end = self._folder / f"{router.port}.cable"
        self._ends[end] = place["socket"]
        assert place["socket"]
        await self._listen(end)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(place | {"socket": str(end), "peer": ""}))
        new.replace(file)

    def cut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for writer in self._writers:
            writer.transport.abort()

    async def mend(self) -> None:
        for end in self._ends:
            await self._listen(end)

    async def _listen(self, end: Path) -> None:
        end.unlink(missing_ok=True)  # noqa: ASYNC240 - a file of the test's

        async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            with suppress(OSError):
                there, back = await asyncio.open_unix_connection(self._ends[end])
                self._writers.add(back)
                ways = [
                    asyncio.create_task(self._pass_on(reader, back)),
                    asyncio.create_task(self._pass_on(there, writer)),
                ]
                self._tasks.update(ways)
                await asyncio.gather(*ways)
                self._writers.discard(back)
            self._writers.discard(writer)

        self._servers.append(await asyncio.start_unix_server(called, str(end)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
