"""What the heads of replies say, read beside h11: the same where both take them, else the replica's fault."""

from __future__ import annotations

import h11
import pytest
from h11._connection import _body_framing
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.errors import ReplicaMisbehaved
from router.core.http1 import parse_response_head, status_line
from tests.core.heads import as_h11_spells, framing_of, head_of, reply_heads, response_by_h11


@settings(max_examples=1_500, deadline=None)
@given(reply_heads())
def test_a_reply_is_refused_or_means_what_h11_says(head: bytes) -> None:
    try:
        ours = parse_response_head(head)
    except ReplicaMisbehaved:
        return
    assert not (ours.chunked and ours.content_length is not None)
    theirs = response_by_h11(head)
    if theirs is None:
        return
    assert ours.status == theirs.status_code
    assert as_h11_spells(ours.headers) == list(theirs.headers)
    if isinstance(theirs, h11.Response) and ours.status not in (204, 304):
        expected = _body_framing(b"GET", theirs)
        assert expected in (framing_of(ours), ("http/1.0", ()))
        assert (expected[0] == "http/1.0") == (not ours.chunked and ours.content_length is None)


@pytest.mark.parametrize(
    "head",
    [
        (b"HTTP/1.1 101 x",), (b"HTTP/1.1 600 x",), (b"HTTP/1.1 099 x",), (b"HTTP/2 200 OK",), (b"",), (b"ICY 200 OK",),
        (b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Content-Length: 6"),
        (b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip, chunked"), (b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip"),
        (b"HTTP/1.1 200 OK", b"Content-Length: -1"), (b"HTTP/1.1 200 OK", b"Content-Length:"),
        (b"HTTP/1.1 200 OK", b"x-a: b\nx-b: c"), (b"HTTP/1.1 200 OK", b"x-a: \x00"), (b"HTTP/1.1 200 OK", b"x a: b"),
    ],
)  # fmt: skip
def test_a_reply_that_breaks_http_is_the_replicas_fault(head: tuple[bytes, ...]) -> None:
    with pytest.raises(ReplicaMisbehaved) as failure:
        parse_response_head(head_of(*head))
    assert failure.value.status == 502


@pytest.mark.parametrize(
    ("first", "lines", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", (), True), (b"HTTP/1.1 200 OK", (b"Connection: close",), False),
        (b"HTTP/1.0 200 OK", (), False), (b"HTTP/1.0 200 OK", (b"Connection: keep-alive",), True),
        (b"HTTP/1.1 200 OK", (b"Connection: close", b"Connection: x"), False),
    ],
)  # fmt: skip
def test_whether_the_replica_keeps_the_connection(first: bytes, lines: tuple[bytes, ...], keep_alive: bool) -> None:
    assert parse_response_head(head_of(first, *lines)).keep_alive == keep_alive


@given(st.integers(100, 999))
def test_a_status_line_is_read_back(status: int) -> None:
    line = status_line(status)
    assert line.startswith(b"HTTP/1.1 %d " % status)
    assert line.endswith(b"\r\n")
    if status <= 599 and status != 101:
        assert parse_response_head(line + b"\r\n").status == status
