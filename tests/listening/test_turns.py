"""turns.py: of connections that come together, each worker gets its share, and none waits for one that hangs."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from router.listening.turns import ReadyFirst, Turns
from tests.models import until


class Share:
    def __init__(self) -> None:
        self.ahead = False
        self.taken = 0
        self.has_left = False

    def is_ahead(self) -> bool:
        return self.ahead

    def took_one(self) -> None:
        self.taken += 1

    def leave(self) -> None:
        self.has_left = True


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


async def asked(sock: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    async with asyncio.timeout(10):
        writer.write(b"hello")
        said = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return said


async def test_who_comes_is_served(sock: socket.socket) -> None:
    share = Share()
    turns = Turns(sock, Echo, 16, share)
    assert await asyncio.gather(*(asked(sock) for _ in range(20))) == [b"hello"] * 20
    assert share.taken == 20
    turns.close()
    assert share.has_left
    await turns.wait_closed()


async def test_what_waits_goes_to_the_one_who_is_behind(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.listening.turns._OTHERS_FIRST_S", 5.0)
    ahead, behind = Share(), Share()
    ahead.ahead = True
    with sock.dup() as another:
        both = [Turns(sock, Echo, 64, ahead), Turns(another, Echo, 64, behind)]
        assert await asyncio.gather(*(asked(sock) for _ in range(30))) == [b"hello"] * 30
        assert (ahead.taken, behind.taken) == (0, 30)
        for turns in both:
            turns.close()


async def test_who_is_not_ready_lets_those_that_are_go_first(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.listening.turns._OTHERS_FIRST_S", 5.0)
    taken, reasons = {"starting": 0, "ready": 0}, {"starting": "it has not met the others", "ready": None}

    class Counted(ReadyFirst):
        def __init__(self, name: str) -> None:
            super().__init__(lambda: reasons[name])
            self.name = name

        def took_one(self) -> None:
            taken[self.name] += 1

    with sock.dup() as another:
        both = [Turns(sock, Echo, 64, Counted("starting")), Turns(another, Echo, 64, Counted("ready"))]
        assert await asyncio.gather(*(asked(sock) for _ in range(20))) == [b"hello"] * 20
        assert taken == {"starting": 0, "ready": 20}
        for turns in both:
            turns.close()


async def test_where_none_is_ready_they_answer_all_the_same(sock: socket.socket) -> None:
    turns = Turns(sock, Echo, 64, ReadyFirst(lambda: "no endpoints are known yet"))
    assert await asyncio.gather(*(asked(sock) for _ in range(20))) == [b"hello"] * 20
    turns.close()


async def test_who_is_ahead_takes_some_when_nobody_else_does(sock: socket.socket) -> None:
    share = Share()
    share.ahead = True
    turns = Turns(sock, Echo, 64, share)
    assert await asyncio.gather(*(asked(sock) for _ in range(30))) == [b"hello"] * 30
    turns.close()


async def test_once_closed_what_waits_is_the_others(sock: socket.socket) -> None:
    first = Turns(sock, Echo, 16, share := Share())
    first.close()
    first.close()
    waiting = asyncio.create_task(asked(sock))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert share.taken == 0
    with sock.dup() as another:
        second = Turns(another, Echo, 16, Share())
        assert await waiting == b"hello"
        second.close()


async def test_without_a_file_for_it_a_connection_waits(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("router.listening.turns._PAUSE_S", 0.02)
    turns = Turns(sock, Echo, 16, Share())

    class Full:
        fails = 3

        def accept(self) -> tuple[socket.socket, object]:
            if self.fails:
                self.fails -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return sock.accept()

        def fileno(self) -> int:
            return sock.fileno()

    turns._sock = Full()  # type: ignore[assignment]
    assert await asked(sock) == b"hello"
    assert caplog.text.count("no connection can be taken: Too many open files") == 3
    turns.close()


async def test_one_that_has_gone_again_is_no_error(sock: socket.socket) -> None:
    share = Share()
    turns = Turns(sock, Echo, 16, share)
    _, writer = await asyncio.open_connection(*sock.getsockname())
    writer.transport.abort()
    await until(lambda: share.taken == 1)
    assert await asked(sock) == b"hello"
    turns.close()
