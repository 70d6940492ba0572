"""Does one request on a connection look to an ASGI app as ASGI says? What raw sockets show is in wire/."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.config import Limits
from router.core.errors import BadRequest, ClientTooSlow
from router.core.http1 import parse_request_head
from router.exchange import Exchange

HOST = b"Host: a.example\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length


class Connection:
    """What an exchange asks of its connection, written down."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = Limits()
        self.is_draining = False
        self.is_writing_paused = False
        self.written = b""
        self.is_reading = True
        self.body_due_ms: int | None = None
        self.drains = 0

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        self.drains += 1

    def date_line(self) -> bytes:
        return b"date: now\r\n"

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def expect_body_by(self, timeout_ms: int | None) -> None:
        self.body_due_ms = timeout_ms


def exchange(head: bytes) -> tuple[Exchange, Connection]:
    connection = Connection()
    return Exchange(connection, parse_request_head(head, 100), b""), connection  # type: ignore[arg-type]


def body(data: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


async def waiting(coroutine: Any) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(coroutine)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_the_first_receive_never_waits() -> None:
    first, _ = exchange(post(5))
    assert await first.receive() == body(b"", True)
    second, _ = exchange(post(5))
    second.feed(b"he")
    assert await second.receive() == body(b"he", True)
    third, _ = exchange(GET)
    assert await third.receive() == body(b"", False)


async def test_later_receives_wait_for_more_and_have_the_body_come_in_time() -> None:
    one, connection = exchange(post(5))
    await one.receive()
    task = await waiting(one.receive())
    assert connection.body_due_ms == connection.limits.body_idle_timeout_ms
    one.feed(b"hello")
    assert await task == body(b"hello", False)
    assert connection.body_due_ms is None


async def test_pieces_that_came_meanwhile_are_one_piece() -> None:
    one, _ = exchange(CHUNKED)
    one.feed(b"3\r\nhel\r\n")
    one.feed(b"2\r\nlo\r\n0\r\n\r\n")
    assert await one.receive() == body(b"hello", False)


async def test_what_is_behind_the_body_is_given_back() -> None:
    one, _ = exchange(post(5))
    assert one.feed(b"hel") == b""
    assert one.feed(b"loGET /") == b"GET /"
    assert one.body_done


async def test_an_empty_last_chunk_ends_the_body() -> None:
    one, _ = exchange(CHUNKED)
    one.feed(b"5\r\nhello\r\n")
    assert await one.receive() == body(b"hello", True)
    task = await waiting(one.receive())
    one.feed(b"0\r\n\r\n")
    assert await task == body(b"", False)


async def test_after_the_body_receive_waits_for_the_clients_leaving() -> None:
    one, connection = exchange(GET)
    await one.receive()
    task = await waiting(one.receive())
    assert connection.body_due_ms is None
    one.disconnect()
    assert await task == {"type": "http.disconnect"}
    assert await one.receive() == {"type": "http.disconnect"}


async def test_reading_pauses_at_a_high_water_mark_until_the_app_has_taken_it() -> None:
    one, connection = exchange(post(1_000_000))
    one.feed(b"x" * 65_536)
    assert connection.is_reading
    one.feed(b"x")
    assert not connection.is_reading
    assert len((await one.receive())["body"]) == 65_537
    assert connection.is_reading


async def test_a_failure_is_raised_where_the_app_waits_and_ever_after() -> None:
    one, _ = exchange(post(5))
    await one.receive()
    task = await waiting(one.receive())
    one.fail(ClientTooSlow("late"))
    with pytest.raises(ClientTooSlow):
        await task
    with pytest.raises(ClientTooSlow):
        await one.receive()


async def test_a_body_that_broke_is_never_whole_whatever_comes_behind() -> None:
    one, _ = exchange(CHUNKED)
    assert one.feed(b"what?\r\n") == b""
    assert one.feed(b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n") == b""
    assert not one.body_done
    with pytest.raises(BadRequest):
        await _read_to_the_end(one)


async def _read_to_the_end(one: Exchange) -> bytes:
    data = b""
    while (event := await one.receive())["more_body"]:
        data += event["body"]
    return data


async def test_100_continue_is_sent_when_the_body_is_first_asked_for() -> None:
    one, connection = exchange(EXPECTING)
    assert connection.written == b""
    await one.receive()
    assert connection.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    await waiting(one.receive())
    assert connection.written.count(b"100 Continue") == 1
    one.disconnect()


async def test_100_continue_is_not_sent_to_a_client_that_did_not_wait_for_it() -> None:
    one, connection = exchange(EXPECTING)
    one.feed(b"he")
    await one.receive()
    assert connection.written == b""


async def start(one: Exchange, *headers: tuple[bytes, bytes]) -> None:
    await one.send({"type": "http.response.start", "status": 200, "headers": list(headers)})


async def piece(one: Exchange, data: bytes, more: bool = False) -> None:
    await one.send({"type": "http.response.body", "body": data, "more_body": more})


async def test_the_head_of_a_reply_goes_out_with_its_first_piece_in_one_write() -> None:
    one, connection = exchange(GET)
    await start(one, (b"content-length", b"2"))
    assert connection.written == b""
    await piece(one, b"ok")
    assert connection.written == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndate: now\r\n\r\nok"
    assert one.finished
    assert one.keeps_alive


async def test_a_first_piece_may_be_empty_and_still_sends_the_head() -> None:
    one, connection = exchange(GET)
    await start(one)
    await piece(one, b"", more=True)
    assert connection.written.endswith(b"transfer-encoding: chunked\r\n\r\n")
    await piece(one, b"ok", more=True)
    await piece(one, b"")
    assert connection.written.endswith(b"2\r\nok\r\n0\r\n\r\n")


async def test_send_waits_for_a_client_that_is_slow() -> None:
    one, connection = exchange(GET)
    connection.is_writing_paused = True
    await start(one)
    await piece(one, b"ok", more=True)
    assert connection.drains == 1


@pytest.mark.parametrize("closes", ["body", "draining", "told"])
async def test_a_connection_that_can_not_go_on_says_close(closes: str) -> None:
    one, connection = exchange(post(5) if closes == "body" else GET)
    connection.is_draining = closes == "draining"
    if closes == "told":
        one.close_after()
    await start(one, (b"content-length", b"0"))
    await piece(one, b"")
    assert b"connection: close\r\n" in connection.written
    assert not one.keeps_alive


async def test_an_app_that_breaks_asgi_is_told() -> None:
    one, _ = exchange(GET)
    with pytest.raises(RuntimeError):
        await piece(one, b"before the start")
    await start(one, (b"content-length", b"2"))
    with pytest.raises(RuntimeError):
        await start(one)
    await piece(one, b"ok")
    with pytest.raises(RuntimeError):
        await piece(one, b"after the end")


@pytest.mark.parametrize("data", [b"o", b"okay"])
async def test_a_body_that_is_not_as_long_as_promised_is_an_error_of_the_app(data: bytes) -> None:
    one, connection = exchange(GET)
    await start(one, (b"content-length", b"2"))
    with pytest.raises(ValueError, match="Content-Length"):
        await piece(one, data)
    assert not one.finished
    assert b"okay" not in connection.written


async def test_nothing_is_written_for_a_client_that_has_left() -> None:
    one, connection = exchange(GET)
    one.disconnect()
    await start(one)
    await piece(one, b"ok")
    assert connection.written == b""
