"""app.py under ASGI servers that are not ours: streams, early ends and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from tests.front import SCORE, Front, front
from tests.models import PATIENCE_S, Model, served, until

SERVERS = ["h11", "httptools"]


class Site(NamedTuple):
    """The router under a server: where it listens, and what is behind it."""

    front: Front
    port: int

    @property
    def model(self) -> Model:
        return self.front.models["blue"]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=PATIENCE_S)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield reader, writer
        finally:
            writer.transport.abort()

    def head(self, path: str, *lines: str) -> bytes:
        return "\r\n".join([f"POST {path} HTTP/1.1", "Host: router", *lines, "", ""]).encode()


@asynccontextmanager
async def opened(http: str, **shape: Any) -> AsyncIterator[Site]:
    async with front(**shape) as one, served(one.app, http) as port:
        yield Site(one, port)


Open = Callable[..., Any]


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest) -> Open:
    """`async with site(...)`: under each of uvicorn's own protocols."""
    return lambda **shape: opened(request.param, **shape)


async def test_it_scores_and_keeps_both_connections_for_the_next_request(site: Open) -> None:
    async with site() as here, here.client() as client:
        for number in range(3):
            reply = await client.post(SCORE, content=b"body %d" % number)
            assert (reply.status_code, reply.content) == (200, b"body %d" % number)
        assert len(here.front.upstream.open) == 1
        assert here.front.statuses() == {200: 3}


async def test_a_large_body_streams_through_both_ways_unchanged(site: Open) -> None:
    body = bytes(range(256)) * 16_384

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    async with site() as here, here.client() as client:
        for content in (body, parts()):
            reply = await client.post(SCORE, content=content)
            assert reply.status_code == 200
            assert reply.content == body
        counters = here.front.fleet.live["iris/blue"].counters
        assert counters.request_bytes == counters.reply_bytes == 2 * len(body)


async def test_a_piece_of_the_request_reaches_the_model_before_the_next_is_sent(site: Open) -> None:
    async with site() as here, here.wire() as (reader, writer):
        writer.write(here.head(SCORE, "Transfer-Encoding: chunked"))
        for sent in (3, 6):
            writer.write(b"3\r\nabc\r\n")
            await until(lambda sent=sent: here.model.body_bytes == sent)  # type: ignore[misc]
        writer.write(b"0\r\n\r\n")
        reply = await reader.readuntil(b"abcabc")
        assert reply.startswith(b"HTTP/1.1 200")


async def test_a_piece_of_the_reply_reaches_the_client_before_the_model_makes_the_next(site: Open) -> None:
    async with site() as here, here.client() as client, client.stream("GET", "/api/v1/endpoint/iris/stream") as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        parts = reply.aiter_raw()
        for piece in (b"data: one\n\n", b"data: two\n\n"):
            here.model.stream.put_nowait(piece)
            assert await anext(parts) == piece
        here.model.stream.put_nowait(None)
        assert [part async for part in parts] == []


async def test_a_client_that_leaves_while_the_model_works_cancels_that_work(site: Open) -> None:
    async with site() as here:
        here.model.gate.clear()
        async with here.wire() as (_, writer):
            writer.write(here.head(SCORE, "Content-Length: 2") + b"{}")
            await until(lambda: len(here.model.asked) == 1)
        await until(lambda: here.front.in_flight == 0)
        await until(lambda: here.model.left == 1)
        assert here.front.statuses() == {499: 1}


async def test_a_client_that_leaves_while_it_waits_frees_its_place_in_the_queue(site: Open) -> None:
    async with site() as here, here.client() as client:
        here.model.gate.clear()
        first = asyncio.create_task(client.post(SCORE))
        await until(lambda: here.front.in_flight == 1)
        async with here.wire() as (_, writer):
            writer.write(here.head(SCORE, "Content-Length: 2") + b"{}")
            await until(lambda: here.front.fleet.loads()[0].queued == 1)
            writer.transport.abort()
            await until(lambda: here.front.fleet.loads()[0].queued == 0)
        here.model.gate.set()
        assert (await first).status_code == 200
        assert here.model.begun == 1


async def test_a_client_that_leaves_within_its_body_never_shows_the_model_a_whole_request(site: Open) -> None:
    async with site() as here:
        async with here.wire() as (_, writer):
            writer.write(here.head(SCORE, "Content-Length: 100") + b"half")
            await until(lambda: here.model.body_bytes == 4)
        await until(lambda: here.model.left == 1)
        await until(lambda: here.front.statuses() == {499: 1})
        assert here.model.asked == []


async def test_a_client_that_leaves_within_a_streamed_reply_ends_it(site: Open) -> None:
    async with site() as here:
        async with here.wire() as (reader, writer):
            writer.write(here.head("/api/v1/endpoint/iris/stream", "Content-Length: 0"))
            here.model.stream.put_nowait(b"first")
            await reader.readuntil(b"first")
        await until(lambda: here.front.in_flight == 0)
        await until(lambda: not here.front.upstream.open)
        here.model.stream.put_nowait(None)
        assert here.front.statuses() == {499: 1}


async def test_a_reply_that_breaks_off_at_the_model_does_not_look_whole_to_the_client(site: Open) -> None:
    async with site() as here, here.wire() as (reader, writer):
        writer.write(here.head("/api/v1/endpoint/iris/stream", "Content-Length: 0"))
        here.model.stream.put_nowait(b"first")
        await reader.readuntil(b"first\r\n")
        for connection in list(here.front.upstream.open):
            connection._transport.abort()
        assert await reader.read() == b"", "neither the last chunk nor anything else"
        here.model.stream.put_nowait(None)
        assert here.front.statuses() == {502: 1}


async def test_a_request_after_one_that_failed_is_served(site: Open) -> None:
    async with site(max_payload_bytes=10) as here, here.client() as client:
        assert (await client.post(SCORE, content=bytes(11))).status_code == 413
        assert (await client.post("/elsewhere")).status_code == 404
        assert (await client.post(SCORE, content=bytes(10))).status_code == 200


async def test_a_deadline_within_the_clients_slow_body_is_408(site: Open) -> None:
    async with site(settings={"request_timeout_ms": 400}) as here, here.wire() as (reader, writer):
        writer.write(here.head(SCORE, "Content-Length: 100") + b"half")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        await until(lambda: here.model.left == 1)
