"""How does the app learn that a client has left, under a server that does not cancel?

I/O: through ASGI. Our own server cancels the request's task; under any other, one event is read ahead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from router.core.errors import ClientTooSlow
from router.request import Scope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_WITHIN_S = 30.0
"""Under a server with no limit of its own: the wait for a piece of a body."""


async def cancelling(
    serve: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve under a server that does not cancel: read one event ahead, so that the client's leaving is seen.

    Also fills in what ASGI calls optional, and our own server always gives.
    """
    task = asyncio.current_task()
    events: asyncio.Queue[Message] = asyncio.Queue(1)
    has_left = is_over = False

    async def read_ahead() -> None:
        nonlocal has_left
        try:
            while (event := await receive())["type"] != "http.disconnect":
                await events.put(event)
        finally:  # also when the server's `receive` fails: no more will come
            has_left = True
            if task is not None and not is_over:
                task.cancel()

    async def next_event() -> Message:
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                return await events.get()
        except TimeoutError:
            raise ClientTooSlow(f"Nothing of the request body came for {BODY_WITHIN_S:g} s.") from None

    full = {"scheme": "http", "query_string": b"", **scope}
    full["headers"] = [(name, value) for name, value in scope.get("headers", ())]
    reader = asyncio.create_task(read_ahead())
    try:
        await serve(full, next_event, send)
    except asyncio.CancelledError:
        if not has_left or task is None or task.uncancel():
            raise  # somebody else's cancelling
    finally:
        is_over = True
        reader.cancel()
