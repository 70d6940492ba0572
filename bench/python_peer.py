"""What does a reverse proxy of Python's stock parts cost: uvicorn's httptools protocol and aiohttp's client?

I/O: a listening socket, connections to one replica.

Written as well as these parts allow: uvloop, a pool without limit, no cookies, no decompression, bodies
streamed both ways. It checks no key, counts nothing and logs nothing, all of which Scoregate does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import aiohttp
import uvicorn
import uvloop
import yarl

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade"
    b" transfer-encoding".split()
)


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=60),
        auto_decompress=False,
        skip_auto_headers=["Accept", "Accept-Encoding", "Content-Type", "User-Agent"],
    )


def reverse_proxy(session: aiohttp.ClientSession, origin: str) -> App:
    """An ASGI app that passes all on to `origin`, such as `http://127.0.0.1:5001`; 502 where it can't."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        query = scope["query_string"]
        path = (scope["raw_path"] + b"?" + query if query else scope["raw_path"]).decode("latin-1")
        request = session.request(
            scope["method"],
            yarl.URL(origin + path, encoded=True),
            headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in end_to_end(scope["headers"])],
            data=await _body(receive),
            allow_redirects=False,
        )
        started = False
        try:
            async with request as reply:
                headers = end_to_end(reply.raw_headers)
                await send({"type": "http.response.start", "status": reply.status, "headers": headers})
                started = True
                async for chunk in reply.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (aiohttp.ClientError, TimeoutError):
            if started:
                raise  # the head is out: only a cut connection tells the client
            await send({"type": "http.response.start", "status": 502, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Names in lower case, without those that concern one connection only (RFC 9110 7.6.1)."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value.lower() for name, value in lowered if name == b"connection").split(b",")
    dropped = HOP_BY_HOP.union(name.strip() for name in named)
    return [(name, value) for name, value in lowered if name not in dropped]


async def _body(receive: Receive) -> bytes | AsyncIterator[bytes]:
    """A body that came in one piece stays in one: a stream of one piece costs aiohttp a task."""
    first = await receive()
    return _stream(first, receive) if first.get("more_body") else first.get("body", b"")


async def _stream(message: Message, receive: Receive) -> AsyncIterator[bytes]:
    yield message["body"]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise aiohttp.ClientPayloadError("the client left")
        yield message["body"]


async def serve(port: int, replica_port: int) -> None:
    async with client() as session:
        app = reverse_proxy(session, f"http://127.0.0.1:{replica_port}")
        config = uvicorn.Config(app, port=port, http="httptools", lifespan="off", access_log=False, log_level="warning")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
