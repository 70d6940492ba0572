"""What becomes of a connection whose handshake nobody waits for any more?

I/O: closes it. httpcore leaves it open, until some day the garbage collector finds it; and whoever is at its other end
may hang in one handshake after the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Trace = Callable[[str, dict[str, Any]], Awaitable[None]]
"""As the `extensions` of a request of httpx have it: `{"trace": ...}`."""


@asynccontextmanager
async def closing_handshakes() -> AsyncIterator[Trace]:
    """For one request over HTTPS, whatever ends it within."""
    begun: list[Any] = []

    async def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            begun.append(info["return_value"])
        elif event == "connection.start_tls.complete":
            begun.clear()

    try:
        yield trace
    finally:
        for stream in begun:
            await stream.aclose()
