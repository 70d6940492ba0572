"""A handshake that is given up leaves no connection behind; one that is done leaves it alone."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from router.platforms.handshake import closing_handshakes
from router.tls import server_context
from tests.certificates import NAME, Authority, pair_of

PATIENCE_S = 20.0
CA = Authority()


@pytest.fixture(autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """It would close what is left, some day."""
    gc.disable()
    yield
    gc.enable()


class Server:
    """Says nothing over TCP; over TLS, answers."""

    def __init__(self) -> None:
        self.connections = 0
        self.gone = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        over_tls = writer.get_extra_info("ssl_object") is not None
        try:
            while await reader.read(65_536):
                if over_tls:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def server(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, str]]:
    one = Server()
    async with await asyncio.start_server(one.talk, "127.0.0.1", 0, ssl=tls) as listening:
        yield one, f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def get(client: httpx.AsyncClient, url: str) -> int:
    async with closing_handshakes() as trace:
        reply = await client.get(url, extensions={"sni_hostname": NAME, "trace": trace})
    return reply.status_code


@pytest.mark.parametrize("timeout", [None, httpx.Timeout(None, connect=0.1)], ids=["from outside", "of httpx"])
async def test_a_handshake_that_is_given_up_leaves_nothing(timeout: httpx.Timeout | None) -> None:
    async with httpx.AsyncClient(verify=CA.trusting(), timeout=timeout, trust_env=False) as client, server() as hangs:
        one, url = hangs
        with pytest.raises((TimeoutError, httpx.ConnectTimeout)):
            async with asyncio.timeout(0.3):
                await get(client, url)
        async with asyncio.timeout(PATIENCE_S):
            await one.gone.wait()


async def test_one_that_is_done_leaves_a_connection_to_use_again() -> None:
    context = server_context(pair_of(CA.certify()))
    async with httpx.AsyncClient(verify=CA.trusting(), trust_env=False) as client, server(context) as (one, url):
        assert [await get(client, url) for _ in range(3)] == [200] * 3
        assert one.connections == 1
