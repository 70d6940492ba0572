"""Where bodies end: whatever the splits, as h11 reads them, and refused alike when they break HTTP."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.framing import (
    Body,
    ChunkedBody,
    FramingError,
    LengthBody,
    NoBody,
    UntilCloseBody,
    request_body,
    response_body,
)

Outcome = tuple[bytes, bytes, bool]
"""The body, what is behind it, whether it is whole."""

MAX_LINE = 1_024
MAX_TRAILER = 8_192
sizes = st.sampled_from((b"%x", b"%X", b"0%x", b"%05x"))
extensions = st.sampled_from((b"", b"", b"", b";a", b";a=b", b';a="b;c"', b" ;x", b"\t"))
trailers = st.lists(st.sampled_from((b"x-a: 1", b"host: evil", b"x-b:", b"content-length: 5")), max_size=3)


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The bytes on the wire, and the body that they mean."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    wire = b""
    for piece in pieces:
        wire += draw(sizes) % len(piece) + draw(extensions) + b"\r\n" + piece + b"\r\n"
    wire += draw(st.sampled_from((b"0", b"000"))) + draw(extensions) + b"\r\n"
    wire += b"".join(line + b"\r\n" for line in draw(trailers)) + b"\r\n"
    return wire, b"".join(pieces)


@st.composite
def splits(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


def feed(body: Body, pieces: list[bytes]) -> Outcome:
    """As `exchange` feeds it: what comes behind the end is not the body's any more."""
    got, behind = b"", b""
    for piece in pieces:
        if body.done:
            behind += piece
        else:
            got += body.feed(piece)
            behind += body.rest
    return got, behind, body.done


def verdict(body: Body, pieces: list[bytes]) -> Outcome | str:
    try:
        return feed(body, pieces)
    except FramingError as error:
        return str(error)


def by_h11(head: bytes, wire: bytes) -> Outcome | None:
    """As h11 reads it, None if it refuses."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n" + wire)
    body = b""
    try:
        assert isinstance(connection.next_event(), h11.Request)
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    if event is h11.NEED_DATA:
        return body, b"", False
    return body, bytes(connection.trailing_data[0]), True


# -- chunked ---------------------------------------------------------------------------------------------------


@given(st.data(), chunked_bodies(), st.sampled_from((b"", b"GET / HTTP/1.1\r\n", b"\r\n", b"0\r\n\r\n")))
def test_a_chunked_body_is_the_same_in_any_splits_and_leaves_what_is_behind_it(
    data: st.DataObject, body: tuple[bytes, bytes], rest: bytes
) -> None:
    wire, expected = body
    assert feed(ChunkedBody(), data.draw(splits(wire + rest))) == (expected, rest, True)


@given(chunked_bodies(), st.sampled_from((b"", b"GET / HTTP/1.1\r\n")))
def test_h11_reads_the_same_where_it_reads_it_at_all(body: tuple[bytes, bytes], rest: bytes) -> None:
    """It refuses white space before an extension."""
    wire, expected = body
    assert by_h11(b"transfer-encoding: chunked", wire + rest) in ((expected, rest, True), None)


@given(st.lists(st.binary(max_size=2_000), max_size=5))
def test_what_one_end_writes_in_chunks_h11_reads(pieces: list[bytes]) -> None:
    """The encoding that `app` and `replies` write: size in hex, no empty chunk but the last."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
    whole = b"".join(pieces)
    assert by_h11(b"transfer-encoding: chunked", wire) == feed(ChunkedBody(), [wire]) == (whole, b"", True)


hostile_bits = st.sampled_from(
    (
        b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b";", b"0x", b"-1", b"+", b"_", b"g", b"5", b"0", b"0\r\n",
        b"\r\n\r\n", b"\x0b", b"\xff", b"ffffffffffffffff", b"10000000000000005",
        b"a: b\r\n", b" a: b\r\n", b": b\r\n", b"a : b\r\n",
    )
)  # fmt: skip


@st.composite
def hostile_bodies(draw: st.DrawFn) -> bytes:
    wire, _ = draw(chunked_bodies())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(wire)))
        wire = wire[:at] + draw(hostile_bits) + wire[at + draw(st.integers(0, 2)) :]
    return wire


@given(st.data(), hostile_bodies())
def test_every_split_of_a_body_has_the_same_end_be_it_good_or_bad(data: st.DataObject, wire: bytes) -> None:
    whole = verdict(ChunkedBody(), [wire])
    assert verdict(ChunkedBody(), data.draw(splits(wire))) == whole
    assert verdict(ChunkedBody(), [wire[at : at + 1] for at in range(len(wire))]) == whole


@given(hostile_bodies())
def test_a_body_that_h11_reads_too_has_the_same_end(wire: bytes) -> None:
    ours = verdict(ChunkedBody(), [wire])
    theirs = by_h11(b"transfer-encoding: chunked", wire)
    if isinstance(ours, tuple) and ours[2] and theirs is not None:
        assert theirs == ours


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n", b"g\r\n", b"0x5\r\nabcde\r\n", b"-1\r\n", b"+5\r\n", b" 5\r\nabcde\r\n", b"5_0\r\n", b";a\r\n",
        b"5,\r\n", b"5\nabcde\r\n", b"5\r\nabcde\n", b"5\r\nabcdef\r\n", b"5\r\nabcdeX\n0\r\n\r\n",
        b"5\r\nabcde0\r\n\r\n",
        b"5 5\r\n", b"5;\x00\r\n", b"5;a\rb\r\n", b"5\r\r\n", b"1000000000000000\r\n", b"0\r\n\n",
        b"0\r\na b: c\r\n\r\n",
        b"0\r\n a: b\r\n\r\n", b"0\r\na : b\r\n\r\n", b"0\r\n: b\r\n\r\n", b"0\r\nab\r\n\r\n", b"0\r\na: \x00\r\n\r\n",
        b"0\r\na: b\r c\r\n\r\n", b"\xd9\xa3\r\nabc\r\n", b"5;" + b"a" * MAX_LINE + b"\r\n", b"0" * MAX_LINE,
        b"0\r\na: " + b"a" * MAX_LINE, b"0\r\n" + b"a: b\r\n" * (MAX_TRAILER // 4 + 1),
    ],
)  # fmt: skip
def test_what_breaks_chunked_coding_is_refused_whole_and_byte_by_byte(wire: bytes) -> None:
    whole = verdict(ChunkedBody(), [wire])
    assert isinstance(whole, str)
    assert verdict(ChunkedBody(), [wire[at : at + 1] for at in range(len(wire))]) == whole


@pytest.mark.parametrize("is_whole", [True, False])
def test_lines_and_trailers_at_their_bound_are_taken(is_whole: bool) -> None:
    size = b"5;" + b"a" * (MAX_LINE - 4) + b"\r\n"
    field = b"a: " + b"b" * 509  # 512 bytes
    wire = size + b"abcde\r\n0\r\n" + (field + b"\r\n") * (MAX_TRAILER // 512) + b"\r\n"
    pieces = [wire] if is_whole else [wire[at : at + 1] for at in range(len(wire))]
    assert (len(size), feed(ChunkedBody(), pieces)) == (MAX_LINE, (b"abcde", b"", True))


def test_an_unfinished_line_is_all_that_is_ever_kept() -> None:
    body = ChunkedBody()
    assert body.feed(b"fffff\r\n" + b"x" * 65_536) == b"x" * 65_536
    assert body.feed(b"y" * 65_536) == b"y" * 65_536
    assert len(body._line) == 0


# -- the others ------------------------------------------------------------------------------------------------


@given(st.data(), st.binary(max_size=60), st.integers(0, 80))
def test_a_body_of_known_length_is_h11s_in_any_splits(data: st.DataObject, wire: bytes, length: int) -> None:
    outcome = feed(LengthBody(length), data.draw(splits(wire)))
    assert outcome == (wire[:length], wire[length:], len(wire) >= length)
    assert outcome == by_h11(b"content-length: %d" % length, wire)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_body_until_the_close_is_all_that_comes_and_never_whole(pieces: list[bytes]) -> None:
    assert feed(UntilCloseBody(), pieces) == (b"".join(pieces), b"", False)


def test_nothing_may_follow_a_head_without_a_body() -> None:
    with pytest.raises(FramingError, match="1 bytes behind"):
        NoBody().feed(b"x")
    assert (NoBody().done, NoBody().rest) == (True, b"")


@pytest.mark.parametrize(
    ("length", "chunked", "kind"),
    [(None, False, NoBody), (0, False, NoBody), (1, False, LengthBody), (None, True, ChunkedBody)],
)
def test_a_request_has_a_body_only_if_it_says_so(length: int | None, chunked: bool, kind: type[object]) -> None:
    assert type(request_body(length, chunked)) is kind


@pytest.mark.parametrize(
    ("method", "status", "length", "chunked", "kind"),
    [
        ("HEAD", 200, 5, False, NoBody),
        ("HEAD", 200, None, True, NoBody),
        ("HEAD", 200, None, False, NoBody),
        ("GET", 204, 5, False, NoBody),
        ("GET", 204, None, True, NoBody),
        ("GET", 304, 5, False, NoBody),
        ("GET", 304, None, True, NoBody),
        ("GET", 200, 5, False, LengthBody),
        ("GET", 200, None, True, ChunkedBody),
        ("POST", 500, None, False, UntilCloseBody),
    ],
)
def test_a_reply_ends_as_rfc_9112_says(
    method: str, status: int, length: int | None, chunked: bool, kind: type[object]
) -> None:
    assert type(response_body(method, status, length, chunked)) is kind


def test_a_reply_of_length_zero_is_whole_at_once() -> None:
    assert response_body("GET", 200, 0, False).done
