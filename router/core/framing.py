"""Where does a message's body end?

Pure. One object for each body: bytes off the wire go into `feed`, the body's bytes come out; `done` says that it is
whole, and `rest` is what came behind it, which belongs to the next message (or to nobody). Trailer fields are checked
and dropped: they never become headers (RFC 9110 6.5.1).
"""

from __future__ import annotations

import re
from typing import Protocol

_MAX_CHUNK_LINE_BYTES = 1_024
_MAX_TRAILER_BYTES = 8_192
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class FramingError(Exception):
    """The body breaks RFC 9112 section 7; where it ends can't be known."""


class Body(Protocol):
    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes: ...


class NoBody:
    """Nothing follows the head."""

    __slots__ = ()
    done = True
    rest = b""

    def feed(self, data: bytes) -> bytes:
        raise FramingError(f"{len(data)} bytes behind a message that has no body")


class LengthBody:
    """`Content-Length: N`."""

    __slots__ = ("_missing_bytes", "done", "rest")

    def __init__(self, length_bytes: int) -> None:
        self._missing_bytes = length_bytes
        self.done = length_bytes == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        missing = self._missing_bytes - len(data)
        if missing > 0:
            self._missing_bytes = missing
            return data
        self.done = True
        if missing < 0:
            self.rest = data[missing:]
            data = data[:missing]
        self._missing_bytes = 0
        return data


class UntilCloseBody:
    """A reply with neither length nor chunks: it ends with the connection, and only a clean end ends it well."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedBody:
    """`Transfer-Encoding: chunked` (RFC 9112 7.1).

    Theory: `_line` waits for a line (a chunk's size, the empty line behind its data, a trailer field); while
    `_missing_bytes` > 0, data goes straight through. Only an unfinished line is ever kept, and lines are bounded.
    """

    __slots__ = ("_line", "_missing_bytes", "_state", "_trailer_bytes", "done", "rest")

    def __init__(self) -> None:
        self._state = "size"  # size -> data -> data-end -> size ... -> trailer -> done
        self._missing_bytes = 0
        self._line = b""
        self._trailer_bytes = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Raises FramingError."""
        if self._line:
            data = self._line + data
            self._line = b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._state == "data":
                piece = data[at : at + self._missing_bytes]
                pieces.append(piece)
                at += len(piece)
                self._missing_bytes -= len(piece)
                if not self._missing_bytes:
                    self._state = "data-end"
                continue
            newline = data.find(b"\n", at, at + _MAX_CHUNK_LINE_BYTES)
            if newline < 0:
                if end - at >= _MAX_CHUNK_LINE_BYTES:
                    raise FramingError(f"a chunk line is longer than {_MAX_CHUNK_LINE_BYTES} bytes")
                self._line = data[at:]
                break
            self._take_line(data[at:newline])
            at = newline + 1
        if self.done:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        if line[-1:] != b"\r":
            raise FramingError("a chunk line ends without a carriage return")
        line = line[:-1]
        if self._state == "size":
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise FramingError(f"not a chunk size: {line[:32]!r}")
            self._missing_bytes = int(match[1], 16)
            self._state = "data" if self._missing_bytes else "trailer"
        elif self._state == "data-end":
            if line:
                raise FramingError("a chunk is longer than its size says")
            self._state = "size"
        elif not line:
            self.done = True
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _MAX_TRAILER_BYTES:
                raise FramingError(f"the trailer is longer than {_MAX_TRAILER_BYTES} bytes")
            if _TRAILER_LINE.fullmatch(line) is None:
                raise FramingError(f"not a trailer field: {line[:32]!r}")


def request_body(content_length: int | None, chunked: bool) -> Body:
    if chunked:
        return ChunkedBody()
    return LengthBody(content_length) if content_length else NoBody()


def response_body(method: str, status: int, content_length: int | None, chunked: bool) -> Body:
    """RFC 9112 6.3: a reply to HEAD and 204 and 304 have no body, whatever their headers say."""
    if method == "HEAD" or status in (204, 304):
        return NoBody()
    if chunked:
        return ChunkedBody()
    return UntilCloseBody() if content_length is None else LengthBody(content_length)
