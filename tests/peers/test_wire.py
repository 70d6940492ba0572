"""A wire: what it does with bytes that are none of ours, and with an end that doesn't read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from router.core.frames import MAX_FRAME_BYTES, MAX_PERMITS, VERSION, Ask, Beat, Hello, encoded
from router.peers.wire import Wire
from tests.peers.company import Stranger, stranger_at, view
from tests.virtual_time import on_virtual_time, settle


class End:
    """The end of a wire that is tested."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.ends = 0
        self.wire = Wire(self.heard.append, self._ended)

    def _ended(self) -> None:
        self.ends += 1


@asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[tuple[End, Stranger]]:
    end = End()
    server = await asyncio.get_running_loop().create_unix_server(lambda: end.wire, str(folder / "here"))
    async with stranger_at(folder / "here") as stranger:
        await settle()
        yield end, stranger
    end.wire.abort()
    await settle()
    server.close()


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def packed(*messages: object) -> bytes:
    return framed(msgspec.msgpack.encode(messages))


@on_virtual_time
async def test_messages_come_as_they_were_sent_however_they_are_cut(folder: Path) -> None:
    async with wired(folder) as (end, stranger):
        data = encoded([Beat(1), Beat(2)]) + encoded([]) + encoded([Beat(3)])
        for piece in data:
            stranger.say_bytes(bytes([piece]))
            await settle()
        end.wire.send([Beat(4)])
        end.wire.send([Beat(5), Beat(6)])
        await settle()
        assert end.heard == [Beat(1), Beat(2), Beat(3)]
        assert stranger.heard == [Beat(4), Beat(5), Beat(6)]


BAD = {
    "text": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "too long": (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
    "empty": framed(b""),
    "no array": framed(b"\x01"),
    "trailing": framed(b"\x90\x90"),
    "cut": framed(b"\x91\x92\x02"),
    "deep": framed(b"\x91" * 100_000),
    "no such kind": packed([99, 1]),
    "too few fields": packed([2]),
    "a number as text": packed([2, "1"]),
    "not utf-8": framed(b"\x91\x93\x00\x01\xa2\xff\xfe"),
    "no name": packed([0, VERSION, ""]),
    "a name that drains": packed([0, VERSION, "a~"]),
    "a name of two lines": packed([0, VERSION, "a\nb"]),
    "a name with a line's end": packed([0, VERSION, "a\n"]),
    "a long name": packed([0, VERSION, "a" * 65]),
    "permits below none": packed([3, 1, 1, 1, b"", {"d": {"r": -1}}]),
    "permits beyond all": packed([3, 1, 1, 1, b"", {"d": {"r": 10**9}}]),
    "permits beyond all, spread": packed([3, 1, 1, 1, b"", {"d": {str(n): MAX_PERMITS // 9 for n in range(10)}}]),
    "nothing given back": packed([6, "d", "r", 0]),
    "less than nothing given back": packed([6, "d", "r", -1]),
    "a pause for ever": packed([7, "d", "r", float("inf")]),
    "a pause of no length": packed([7, "d", "r", float("nan")]),
    "an age below none": packed([4, "d", 1, -1.0]),
    "an age of no length": packed([4, "d", 1, float("nan")]),
}


@pytest.mark.parametrize("what", BAD)
@on_virtual_time
async def test_what_is_no_frame_of_ours_ends_the_connection_and_is_told_once(
    folder: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async with wired(folder) as (end, stranger):
        stranger.say(Beat(1))
        stranger.say_bytes(BAD[what] + encoded([Beat(2)]))
        await stranger.is_cut.wait()
        await settle()
        assert end.heard == [Beat(1)]
        assert end.ends == 1
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "another instance sent a frame " in caplog.text
        assert len(caplog.records[0].getMessage()) < 300


@on_virtual_time
async def test_a_frame_that_never_ends_is_waited_for_and_forgotten_with_its_connection(folder: Path) -> None:
    async with wired(folder) as (end, stranger):
        stranger.say_bytes(encoded([Beat(1)])[:-1])
        await settle()
        stranger.writer.close()
        await settle()
        assert (end.heard, end.ends) == ([], 1)


@on_virtual_time
async def test_the_largest_frame_crosses_and_one_byte_more_is_not_sent(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with wired(folder) as (end, stranger):
        room = MAX_FRAME_BYTES - len(encoded([Hello(VERSION, "a", "x" * 70_000)])) + 70_004
        largest = Hello(VERSION, "a", "x" * room)
        end.wire.send([largest])
        async with asyncio.timeout(10):
            while not stranger.heard:  # noqa: ASYNC110 - four megabytes in pieces
                await asyncio.sleep(0.001)
        assert stranger.heard == [largest]
        end.wire.send([Hello(VERSION, "a", "x" * (room + 1))])
        await stranger.is_cut.wait()
        assert "can't tell another instance what this one holds: a frame of 4,194,305 bytes" in caplog.text


@on_virtual_time
async def test_what_is_too_much_for_one_frame_crosses_in_several_and_in_order(folder: Path) -> None:
    async with wired(folder) as (end, stranger):
        asks = [Ask("iris/blue", number, 0.0, ("r" * 60_000,)) for number in range(200)]
        end.wire.send(asks)
        async with asyncio.timeout(10):
            while len(stranger.heard) < len(asks):  # noqa: ASYNC110 - twelve megabytes in pieces
                await asyncio.sleep(0.001)
        assert stranger.heard == asks


@on_virtual_time
async def test_what_was_said_after_the_last_that_is_taken_in_is_dropped(folder: Path) -> None:
    """Also where it came in the same piece."""
    async with wired(folder) as (end, stranger):
        taken: list[object] = []

        def hear(message: object) -> None:
            taken.append(message)
            end.wire.close()

        end.wire._hear = hear
        stranger.say(Beat(1), Beat(2))
        stranger.say(Beat(3))
        await stranger.is_cut.wait()
        assert taken == [Beat(1)]
        end.wire.send([Beat(4)])
        assert stranger.heard == []


@on_virtual_time
async def test_who_reads_nothing_is_cut_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("router.peers.wire.MAX_WAITING_BYTES", 1_000_000)
    async with wired(folder) as (end, stranger):
        stranger.writer.transport.pause_reading()  # type: ignore[attr-defined]
        frames = 0
        while not end.ends and frames < 1_000:
            frames += 1
            end.wire.send([Hello(VERSION, "a", "x" * 10_000)])
            await asyncio.sleep(0)
        assert 90 < frames < 200
        assert "another instance reads nothing" in caplog.text


@on_virtual_time
async def test_a_wire_is_given_up_after_so_many_beats_on_which_nothing_came(folder: Path) -> None:
    async with wired(folder) as (end, stranger):
        for _ in range(5):
            end.wire.beat(5)
        stranger.say(Beat(1))
        await settle()
        for _ in range(5):
            end.wire.beat(5)
        await settle()
        assert end.ends == 0
        end.wire.beat(5)
        await settle()
        assert end.ends == 1


@on_virtual_time
async def test_a_wire_that_is_not_connected_takes_everything_and_does_nothing(folder: Path) -> None:
    end = End()
    end.wire.send([Beat(1)])
    end.wire.close()
    end.wire.abort()
    assert end.wire.address == ""
    async with wired(folder) as (connected, _):
        assert connected.wire.address == ""


def test_all_that_one_instance_may_hold_crosses() -> None:
    frame = encoded([view(1, 1, 1, b"", d={str(number): 1 for number in range(MAX_PERMITS)})])
    assert len(frame) < MAX_FRAME_BYTES
