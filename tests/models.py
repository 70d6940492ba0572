"""What does a replica do that a test can see into?

I/O: a loopback socket. A small model server, under an ASGI server of its own; it notes what it was asked, and waits
with its reply while its gate is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import uvicorn
from uvicorn.server import ServerState

PATIENCE_S = 20.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it looks at both ends of sockets
            await asyncio.sleep(0.002)


class Asked(NamedTuple):
    """One request as the model got it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Model:
    """ASGI app. `/` answers `Healthy`; `/status/N` that status; all others the body that came, or `answer`."""

    def __init__(self, name: str = "blue") -> None:
        self.name = name
        self.asked: list[Asked] = []
        self.begun = 0
        """Requests whose head has come."""
        self.left = 0
        """Requests whose client left before they had their reply."""
        self.body_bytes = 0
        """Of all requests, whole or not."""
        self.answer: bytes | None = None
        self.swagger: bytes | None = b'{"swagger": "2.0"}'
        self.headers: list[tuple[bytes, bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Pieces of the reply at `/stream`; None ends it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/" and scope["method"] == "GET":
            await self._reply(send, 200, b"Healthy")
            return
        self.begun += 1
        body = await self._read(receive)
        if body is None:
            self.left += 1
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        self.asked.append(Asked(scope["method"], scope["path"], query, headers, body))
        if scope["path"] == "/stream":
            await self._stream(send)
        elif await self._stays(receive):
            await self._answer(scope["path"], body, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """None when the client leaves within it."""
        pieces = []
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            pieces.append(event.get("body", b""))
            self.body_bytes += len(pieces[-1])
            if not event.get("more_body", False):
                return b"".join(pieces)

    async def _stays(self, receive: Receive) -> bool:
        """Waits for the gate; whether the client is still there then."""
        gate = asyncio.create_task(self.gate.wait())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait((gate, gone), return_when=asyncio.FIRST_COMPLETED)
        has_left = gone.done()
        for task in (gate, gone):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.left += has_left
        return not has_left

    async def _answer(self, path: str, body: bytes, send: Send) -> None:
        if path == "/swagger.json":
            await self._reply(send, 404 if self.swagger is None else 200, self.swagger or b'{"detail": "no"}')
        elif path.startswith("/status/"):
            status = int(path.removeprefix("/status/"))
            await self._reply(send, status, b"" if status in (204, 304) else b"the model says so")
        else:
            await self._reply(send, 200, body if self.answer is None else self.answer)

    async def _reply(self, send: Send, status: int, body: bytes) -> None:
        length = [] if status in (204, 304) else [(b"content-length", str(len(body)).encode())]
        headers = [(b"x-model", self.name.encode()), *length, *self.headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while (piece := await self.stream.get()) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def served(app: Any, http: str = "h11") -> AsyncIterator[int]:
    """The ASGI app under uvicorn's own HTTP protocol, on loopback; yields its port."""
    config = uvicorn.Config(app, http=http, ws="none", lifespan="off", interface="asgi3", log_config=None)  # type: ignore[arg-type]
    config.load()
    state = ServerState()

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections and not state.tasks)
