"""The replica is right however its input is cut or joined."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench import replica

POST = b"POST /score HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /score HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: r\r\n\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(replica.Replica, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def _exchange(port: int, pieces: list[bytes]) -> bytes:
    """All that comes back for these pieces, sent one by one; the last request must end the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


def _scored(body_bytes: int) -> bytes:
    body = replica.score(body_bytes)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


LAST = GET.replace(b"Host: r", b"Host: r\r\nConnection: close")
REPLIES = _scored(5) + replica.HEALTHY + _scored(7) + replica.HEALTHY


def test_a_score_is_about_100_bytes() -> None:
    assert 70 <= len(replica.score(1024)) <= 110


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    assert await _exchange(port, [POST + GET + CHUNKED + LAST]) == REPLIES


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 40])
async def test_segments_may_end_anywhere(port: int, piece_bytes: int) -> None:
    stream = POST + GET + CHUNKED + LAST
    pieces = [stream[start : start + piece_bytes] for start in range(0, len(stream), piece_bytes)]
    assert await _exchange(port, pieces) == REPLIES


async def test_what_is_not_http_gets_400_and_the_connection_ends(port: int) -> None:
    assert await _exchange(port, [POST + b"not http at all\r\n\r\n"]) == _scored(5) + replica.BAD_REQUEST


async def test_other_methods_are_refused(port: int) -> None:
    assert await _exchange(port, [b"DELETE / HTTP/1.1\r\nHost: r\r\n\r\n"]) == replica.NOT_ALLOWED
