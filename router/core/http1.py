"""What does the head of an HTTP/1.1 message say, and how is one written?

Pure. Heads arrive whole (`protocol` and `upstream` collect them under a limit) and are read by httptools, the
strictest parser measured (docs/decisions/0002-heads-by-httptools-bodies-by-us.md). Each head gets a parser of its
own, which never sees a byte of a body: a body's length follows from what this file makes of the head, and nothing
that a parser believes about upgrades, HEAD or a connection that should have closed can lose or invent one.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade
from httptools.parser.parser import HttpRequestParser, HttpResponseParser

from router.core.errors import (
    BadRequest,
    ExpectationFailed,
    HeadTooLarge,
    NotImplementedHere,
    ReplicaMisbehaved,
)

Header = tuple[bytes, bytes]

_SINGLE = (b"host", b"authorization", b"expect", b"x-request-id", b"azureml-model-deployment")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")
_MAX_HOST_BYTES = 300
"""A name of 255 bytes (RFC 1035 2.3.4), and a port."""
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


class RequestHead(NamedTuple):
    method: bytes
    target: bytes
    """As sent; in origin form (a path) unless it is `*`."""
    is_http_10: bool
    headers: list[Header]
    """Names in lower case, values without outer white space, in the order they came."""
    content_length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool


class ResponseHead(NamedTuple):
    status: int
    headers: list[Header]
    content_length: int | None
    chunked: bool
    keep_alive: bool


class _HeaderList:
    """What httptools calls back for each header field."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[Header] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # httptools leaves white space behind a value (field-notes: `b"chunked "`); llhttp has taken that before it.
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def parse_request_head(head: bytes, max_headers: int) -> RequestHead:
    """`head`: from the request line to the empty line, both included.

    Raises BadRequest, HeadTooLarge (more than `max_headers` fields), NotImplementedHere, ExpectationFailed.
    """
    line = head[: head.index(b"\r\n")]
    words = line.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadRequest("A request line is a method, a target and HTTP/1.1 or HTTP/1.0, with one space between them.")
    headers = _read_request_headers(head)
    if len(headers) > max_headers:
        raise HeadTooLarge(f"The request has {len(headers)} header fields; {max_headers} are taken.")
    method, target, version = words
    if method == b"CONNECT":
        raise NotImplementedHere("CONNECT makes tunnels; the router serves scoring requests only.")
    is_http_10 = version == b"HTTP/1.0"
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_duplicates(headers)
    host = fields.get(b"host")
    if host is None:
        if not is_http_10:
            raise BadRequest("An HTTP/1.1 request needs a Host header; this one has none (RFC 9112 3.2).")
    elif _HOST.fullmatch(host) is None or len(host) > _MAX_HOST_BYTES:
        raise BadRequest(f"Not a host name: {_shown(host.rpartition(b'@')[2])}")
    if b"#" in target:
        raise BadRequest("A request target has no fragment (RFC 9112 3.2).")
    if target[:1] != b"/":
        target, headers = _origin_form(target, headers)
    length = fields.get(b"content-length")
    connection = fields.get(b"connection")
    keep_alive = not is_http_10 if connection is None else _keeps_alive(headers, is_http_10)
    return RequestHead(
        method,
        target,
        is_http_10,
        headers,
        None if length is None else int(length),
        b"transfer-encoding" in fields and _is_chunked_request(headers, is_http_10),
        keep_alive,
        b"expect" in fields and _expects_continue(fields[b"expect"], is_http_10),
    )


def _read_request_headers(head: bytes) -> list[Header]:
    fields = _HeaderList()
    try:
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        pass  # the head is read; that a body follows all the same is decided by its framing (uvicorn#2722)
    except HttpParserInvalidMethodError:
        raise NotImplementedHere(f"Method {_shown(head.split(b' ', 1)[0][:16])} is not known here.") from None
    except HttpParserError as error:
        raise BadRequest(f"The request head breaks HTTP/1.1: {error}") from None
    return fields.headers


def _check_duplicates(headers: list[Header]) -> None:
    names = [name for name, _ in headers]
    for name in _SINGLE:
        if names.count(name) > 1:
            raise BadRequest(f"Header {name.decode()} may come once; this request has it {names.count(name)} times.")


def _origin_form(target: bytes, headers: list[Header]) -> tuple[bytes, list[Header]]:
    """`http://host/path` to `/path`; its host takes the place of the Host header's (RFC 9112 3.2.2)."""
    if target == b"*":
        return target, headers
    scheme, separator, rest = target.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    if (
        not separator
        or scheme.lower() not in (b"http", b"https")
        or not _HOST.fullmatch(authority)
        or len(authority) > _MAX_HOST_BYTES
    ):
        shown = scheme + b"://..." if separator else target.partition(b"?")[0]
        raise BadRequest(f"The request target must be a path or an http URL, not {_shown(shown)}")
    headers = [(b"host", authority), *(field for field in headers if field[0] != b"host")]
    return slash + path if slash else b"/", headers


def _is_chunked_request(headers: list[Header], is_http_10: bool) -> bool:
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if is_http_10:
        raise BadRequest("An HTTP/1.0 request can't have Transfer-Encoding (RFC 9112 6.1).")
    if codings != [b"chunked"]:
        raise NotImplementedHere(
            f"Transfer-Encoding {_shown(b', '.join(codings))} is not known here; chunked is (RFC 9112 6.1)."
        )
    return True


def _expects_continue(expect: bytes, is_http_10: bool) -> bool:
    if expect.lower() != b"100-continue":
        raise ExpectationFailed(f"Expect takes 100-continue only, not {_shown(expect)}.")
    return not is_http_10


def connection_options(headers: list[Header]) -> set[bytes]:
    """The options of all `Connection` headers, in lower case."""
    values = b",".join(value for name, value in headers if name == b"connection")
    return {option.strip().lower() for option in values.split(b",")}


def _keeps_alive(headers: list[Header], is_http_10: bool) -> bool:
    options = connection_options(headers)
    return b"close" not in options and (not is_http_10 or b"keep-alive" in options)


def parse_response_head(head: bytes) -> ResponseHead:
    """`head`: from the status line to the empty line, both included. Raises ReplicaMisbehaved."""
    fields = _HeaderList()
    parser = HttpResponseParser(fields)
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError as error:
        raise ReplicaMisbehaved(f"The replica's reply breaks HTTP/1.1: {error}") from None
    status = parser.get_status_code()
    if not 100 <= status <= 599 or status == 101:
        raise ReplicaMisbehaved(
            f"The replica replied with status {status}; 100 to 599 are taken, and 101 was not asked for."
        )
    headers = fields.headers
    values = dict(headers)
    length = values.get(b"content-length")
    is_http_10 = head[5:8] != b"1.1"
    chunked = False
    if b"transfer-encoding" in values:
        chunked = [value.lower() for name, value in headers if name == b"transfer-encoding"] == [b"chunked"]
        if not chunked:
            raise ReplicaMisbehaved("The replica's Transfer-Encoding is not chunked; no other is known here.")
    keep_alive = not is_http_10
    if b"connection" in values:
        keep_alive = _keeps_alive(headers, is_http_10)
    return ResponseHead(status, headers, None if length is None else int(length), chunked, keep_alive)


def status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    return b"HTTP/1.1 %d \r\n" % status if line is None else line


def _shown(value: bytes) -> str:
    """For a message, which the access log keeps too: callers leave out what may be secret."""
    return repr(value[:64])[1:]
