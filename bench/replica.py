"""What do all proxies of the benchmark stand in front of?

I/O: a listening socket.

The leanest model server that is still right: it answers GET with `Healthy` and POST with a short JSON text
that tells how long the body was, so that a proxy that loses bytes is found out.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import cast

import httptools
import uvloop

_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\nHealthy"
NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET, POST\r\n" + _END
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n" + _END


def score(body_bytes: int) -> bytes:
    """The JSON text that answers a POST, about 100 bytes."""
    return b'{"predictions": [0.13, 0.82, 0.05], "label": "versicolor", "body_bytes": %d}' % body_bytes


@functools.lru_cache(maxsize=64)
def _scored(body_bytes: int) -> bytes:
    body = score(body_bytes)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return head + body


class Replica(asyncio.Protocol):
    """One connection. No back-pressure: replies are smaller than the requests that ask for them."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape, not by class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._transport.is_closing():
                self._transport.write(BAD_REQUEST)
                self._transport.close()

    def on_body(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)

    def on_message_complete(self) -> None:
        method = self._parser.get_method()
        if method == b"POST":
            self._transport.write(_scored(self._body_bytes))
        elif method == b"GET":
            self._transport.write(HEALTHY)
        else:
            self._transport.write(NOT_ALLOWED)
            self._transport.close()
        self._body_bytes = 0
        if not self._parser.should_keep_alive():
            self._transport.close()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Replica, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
