"""An instance that is called over the network, and answers as it must.

I/O: a socket of this machine.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.core.frames import VERSION, Hello, Message, Welcome
from router.peers.answering import Answer
from router.platforms.identity import ALPN


class Answering:
    def __init__(self) -> None:
        self.hellos: list[Hello] = []

    def called(self, answer: Answer, hello: Hello) -> None:
        self.hellos.append(hello)

    def told(self, answer: Answer, message: Message) -> None: ...

    def hung_up(self, answer: Answer) -> None: ...


@asynccontextmanager
async def tls_answering(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[Hello]]]:
    """Its URL, and who has called."""
    answering, made = Answering(), list[Answer]()

    def answer() -> Answer:
        made.append(Answer(answering, lambda: Welcome(VERSION, "there")))
        return made[-1]

    context.set_alpn_protocols([ALPN])
    server = await asyncio.get_running_loop().create_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", answering.hellos
    finally:
        server.close()
        for each in made:
            each.abort()
        await asyncio.sleep(0.01)
