"""Does what was said arrive, however the bytes are split, and does nothing else come out of bytes that are no frame?"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.frames import (
    MAX_FRAME_BYTES,
    MAX_PERMITS,
    VERSION,
    Ask,
    Beat,
    Cancel,
    Echo,
    FrameError,
    FrameReader,
    GiveBack,
    Grant,
    Hello,
    MayOwn,
    Message,
    Pause,
    Recall,
    Refuse,
    View,
    Welcome,
    encoded,
)

words = st.text(max_size=12)
counts = st.integers(0, 2**40)
seconds = st.floats(0, 1e6)
names = st.text("abcXYZ019._-", min_size=1, max_size=64)
held = st.dictionaries(words, st.dictionaries(words, st.integers(0, 1_000), max_size=4), max_size=4)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, counts, names, words, words),
    st.builds(Welcome, counts, names, st.booleans()),
    st.builds(Beat, counts),
    st.builds(View, counts, counts, counts, st.binary(max_size=16), held),
    st.builds(Ask, words, counts, seconds, st.lists(words, max_size=3).map(tuple)),
    st.builds(Cancel, words, counts),
    st.builds(GiveBack, words, words, st.integers(1, 2**40)),
    st.builds(Pause, words, words, seconds),
    st.builds(Echo, counts),
    st.builds(MayOwn, st.booleans()),
    st.builds(Grant, counts, words, counts, words, st.booleans()),
    st.builds(Refuse, counts, words, counts, st.none() | seconds),
    st.builds(Recall, counts, words, words),
)


def read(*pieces: bytes) -> list[Message]:
    reader = FrameReader()
    return [message for piece in pieces for message in reader.feed(piece)]


@given(st.lists(st.lists(messages, max_size=4), max_size=4), st.lists(st.integers(0, 2_000), max_size=6))
def test_what_was_said_arrives_however_it_is_split(frames: list[list[Message]], cuts: list[int]) -> None:
    data = b"".join(map(encoded, frames))
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(at)]
    assert read(*pieces) == [message for frame in frames for message in frame]


def test_byte_by_byte() -> None:
    said: list[Message] = [Hello(VERSION, "a"), Ask("iris/blue", 1, 0.25, ("r1",)), MayOwn(False)]
    assert read(*(bytes([byte]) for byte in encoded(said))) == said


def test_a_frame_that_is_not_complete_says_nothing() -> None:
    assert read(encoded([Beat(1)])[:-1]) == []


def test_one_that_would_be_too_long_is_not_made() -> None:
    with pytest.raises(FrameError, match=r"a frame of 4,194,3\d\d bytes; the most is 4,194,304"):
        encoded([Recall(1, "a" * MAX_FRAME_BYTES)])


def test_one_that_says_it_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(FrameError, match="a frame of 4,194,305 bytes"):
        read((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_the_longest_is_read() -> None:
    said: list[Message] = [Recall(1, "a" * (MAX_FRAME_BYTES - 20))]
    assert len(encoded(said)) > MAX_FRAME_BYTES - 20
    assert read(encoded(said)) == said


def test_what_was_right_comes_out_before_the_error() -> None:
    reader, heard = FrameReader(), []
    feed = reader.feed(encoded([Beat(1)]) + b"\0\0\0\1\xc1")
    with pytest.raises(FrameError, match="a frame that can't be read"):  # noqa: PT012 - what came before it counts
        for message in feed:
            heard.append(message)
    assert heard == [Beat(1)]


@pytest.mark.parametrize(
    "said",
    [
        {"name": "no list"},
        [[99, 1]],
        [[4, "iris/blue", "not a number"]],
        [[6]],
        [[3, 1, 1, 1, b"", {"iris/blue": {"r1": "one"}}]],
        [[0, 1, b"\xff"]],
        [[0, 1, ""]],
        [[0, 1, "a name\n"]],
        [[0, 1, "a" * 65]],
        [[3, 1, 1, 1, b"", {"iris/blue": {"r1": -1}}]],
        [[3, 1, 1, 1, b"", {"iris/blue": {"r1": MAX_PERMITS, "r2": 1}}]],
        [[4, "iris/blue", 1, -0.5]],
        [[4, "iris/blue", 1, float("nan")]],
        [[6, "iris/blue", "r1", 0]],
        [[7, "iris/blue", "r1", float("inf")]],
        [7],
    ],
)
def test_other_things_are_no_messages(said: object) -> None:
    body = msgspec.msgpack.encode(said)
    with pytest.raises(FrameError, match="a frame that can't be read"):
        read(len(body).to_bytes(4, "big") + body)


def test_text_that_is_no_text() -> None:
    body = b"\x91\x93\x01\x01\xa1\xff"  # [[1, 1, a string of one byte that is no UTF-8]]
    with pytest.raises(FrameError, match="a frame that can't be read"):
        read(len(body).to_bytes(4, "big") + body)


@given(st.binary(max_size=60), st.booleans())
def test_whatever_comes_nothing_but_a_frame_error_is_raised(data: bytes, is_framed: bool) -> None:
    try:
        heard = read(len(data).to_bytes(4, "big") + data if is_framed else data)
    except FrameError as error:
        assert "frame" in str(error)  # noqa: PT017 - it may also be right
    else:
        assert all(isinstance(message, Message) for message in heard)


def test_what_a_later_version_adds_behind_is_passed_over() -> None:
    body = msgspec.msgpack.encode([[0, 2, "a", "", "", "new in version 2"]])
    assert read(len(body).to_bytes(4, "big") + body) == [Hello(2, "a")]
