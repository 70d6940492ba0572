"""The stock Python proxy is an honest proxy: it loses nothing, adds nothing, and streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest

from bench import python_peer, replica
from bench.processes import free_port


@asynccontextmanager
async def _proxy(origin_port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with python_peer.client() as session:
        app = python_peer.reverse_proxy(session, f"http://127.0.0.1:{origin_port}")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://scoregate.test") as client:
            yield client


@asynccontextmanager
async def _origin(reply: bytes, seen: bytearray) -> AsyncIterator[int]:
    """A server that notes what the first request brings up to a final `end`, and sends `reply`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"end"))
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_bodies_arrive_whole_in_one_piece_or_in_many() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    server = await asyncio.get_running_loop().create_server(replica.Replica, "127.0.0.1", 0)
    async with server, _proxy(server.sockets[0].getsockname()[1]) as client:
        for body, body_bytes in ((b"x" * 1024, 1024), (b"", 0), (pieces(), 100_000)):
            reply = await client.post("/score", content=body)
            assert (reply.status_code, reply.content) == (200, replica.score(body_bytes))
        assert (await client.get("/")).text == "Healthy"


async def test_path_query_and_headers_pass_unchanged_but_for_hop_by_hop() -> None:
    seen = bytearray()
    reply = (
        b"HTTP/1.1 418 Teapot\r\nX-Twice: 1\r\nX-Twice: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nraw"
    )
    async with _origin(reply, seen) as port, _proxy(port) as client:
        request = client.build_request(
            "POST", "/a%20b/c?x=1&y=%2F", content=b"the end", headers={"Connection": "X-Gone", "X-Gone": "1"}
        )
        answer = await client.send(request, stream=True)
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        await answer.aclose()
    head = bytes(seen).lower()
    assert head.startswith(b"post /a%20b/c?x=1&y=%2f http/1.1\r\n")
    assert b"host: scoregate.test\r\n" in head
    assert b"content-length: 7\r\n" in head
    assert b"x-gone" not in head
    assert (answer.status_code, raw) == (418, b"raw")
    assert answer.headers.get_list("x-twice") == ["1", "2"]
    assert "x-hop" not in answer.headers
    assert "connection" not in answer.headers


async def test_the_reply_goes_out_while_the_replica_still_writes() -> None:
    first_seen = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nfirst")
        await first_seen.wait()  # a proxy that gathers the whole reply would wait for ever
        writer.write(b"second")
        writer.close()
        await writer.wait_closed()

    bodies = []

    async def send(message: python_peer.Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            bodies.append(message["body"])
            first_seen.set()

    async def receive() -> python_peer.Message:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"r")],
    }
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, python_peer.client() as session:
        port = server.sockets[0].getsockname()[1]
        app = python_peer.reverse_proxy(session, f"http://127.0.0.1:{port}")
        await asyncio.wait_for(app(scope, receive, send), 10)
    assert bodies == [b"first", b"second"]


async def test_no_replica_is_502() -> None:
    async with _proxy(free_port()) as client:
        assert (await client.post("/score", content=b"{}")).status_code == 502


async def test_a_reply_cut_short_is_an_error_and_not_a_short_reply() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"
    async with _origin(reply, bytearray()) as port, _proxy(port) as client:
        with pytest.raises(aiohttp.ClientPayloadError, match="payload is not completed"):
            await client.post("/score", content=b"the end")
