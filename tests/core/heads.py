"""Which heads do the tests feed, right ones and hostile ones, and how does h11 read them?"""

from __future__ import annotations

import h11
from hypothesis import strategies as st

from router.core.http1 import RequestHead, ResponseHead

Header = tuple[bytes, bytes]


def head_of(first: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((first, *lines, b"", b""))


def framing_of(head: RequestHead | ResponseHead) -> tuple[str, tuple[int, ...]]:
    """In h11's words."""
    return ("chunked", ()) if head.chunked else ("content-length", (head.content_length or 0,))


def request_by_h11(head: bytes) -> tuple[h11.Request, h11.Connection] | None:
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request)
    return event, connection


def response_by_h11(head: bytes) -> h11.Response | h11.InformationalResponse | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    try:
        connection.receive_data(head)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    return event


def as_h11_spells(headers: list[Header]) -> list[Header]:
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


def origin_form(target: bytes, headers: list[Header]) -> tuple[bytes, list[Header]]:
    """What an absolute URL means by RFC 9112 3.2.2."""
    scheme, found, rest = target.partition(b"://")
    if not found or target.startswith(b"/"):
        return target, headers
    authority, _, path = rest.partition(b"/")
    assert scheme.lower() in (b"http", b"https")
    return b"/" + path, [(b"host", authority), *(header for header in headers if header[0] != b"host")]


# -- requests that are right -----------------------------------------------------------------------------------

tokens = st.text("abcXYZ019-_.!~", min_size=1, max_size=12).map(lambda text: b"x-" + text.encode())
values = st.text("abc XYZ\t019,;=:\"'()<>@[]{}?/\\~\xe9", max_size=20).map(lambda text: text.encode("latin-1"))
targets = st.text("abc/XYZ019%.?&=~;:@!$'()*+,-_", max_size=30).map(lambda text: b"/" + text.encode())
framings = st.sampled_from(
    (b"", b"content-length: 0", b"Content-Length: 12", b"CONTENT-LENGTH:007", b"transfer-encoding: chunked")
)
connections = st.sampled_from((b"", b"", b"connection: close", b"Connection: keep-alive", b"connection: x, CLOSE"))
spaces = st.sampled_from((b"", b" ", b"\t", b"  \t "))


@st.composite
def valid_heads(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from((b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"HEAD", b"TRACE")))
    lines = [draw(st.sampled_from((b"Host: a.example:80", b"host:a", b"HOST: [::1]:8080"))), draw(framings)]
    lines += [draw(connections), draw(st.sampled_from((b"", b"", b"Expect: 100-Continue")))]
    for name, value in draw(st.lists(st.tuples(tokens, values), max_size=5)):
        lines.append(name + b":" + draw(spaces) + value.strip(b" \t") + draw(spaces))
    lines = draw(st.permutations([line for line in lines if line]))
    return head_of(method + b" " + draw(targets) + b" HTTP/1.1", *lines)


# -- requests that are not -------------------------------------------------------------------------------------

odd_lines = st.sampled_from(
    (
        b"Content-Length: 5", b"Content-Length: 6", b"Content-Length: 5, 5", b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 5 5", b"Content-Length: 0x5", b"Content-Length: 1_0", b"Content-Length:",
        b"Content-Length: 5a",
        b"Content-Length : 5", b" Content-Length: 5", b"Content-Length: 18446744073709551616", b"Content_Length: 5",
        b"Content-Length: \x0b5", b"Content-Length: 5\x0c", b"Content-Length: \xa05", b"Content-Length\x00: 5",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked ", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked", b"Transfer-Encoding:", b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:,",
        b"Transfer-Encoding : chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: \"chunked\"", b"Transfer_Encoding: chunked", b"Trailer: x", b"TE: trailers",
        b"Host: b", b"Host:", b"Host: a b", b"Host: a/b", b"Host: a@b", b"Host: a,b", b"Host: \xe9",
        b"Connection: upgrade", b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: close", b"Connection: keep-alive",
        b"Expect: 100-continue", b"Expect: 200-ok", b"Expect:", b"x-a: b\r\n folded", b"x-a", b": x", b"x a: b",
        b"x-a\t: b",
        b"x-a: \x00", b"x-a: \x7f", b"x-a: \r", b"x-a: b\nx-b: c", b"x-a: b\n", b"x-a: b\rx-b: c", b"\xe9: b",
        b"x-a: \xe9",
        b"GET / HTTP/1.1", b"\tx: y",
    )
)  # fmt: skip
first_lines = st.sampled_from(
    (
        b"GET / HTTP/1.1", b"POST /a HTTP/1.1", b"POST /a HTTP/1.0", b"HEAD /a?b HTTP/1.1", b"post / HTTP/1.1",
        b"G / HTTP/1.1",
        b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1", b"GET / http/1.1",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0", b"GET / HTTP/1", b"GET / HTTP/01.1", b"GET /", b"GET", b"", b"GET / HTTP/1.1\n",
        b"GET / /b HTTP/1.1",
        b"GET http://b/c HTTP/1.1", b"GET HTTP://b:80 HTTP/1.1", b"GET ftp://b/ HTTP/1.1", b"GET http:///c HTTP/1.1",
        b"GET http://u@b/ HTTP/1.1", b"GET b/c HTTP/1.1", b"GET ?a HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET * HTTP/1.1",
        b"CONNECT a:80 HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\xe9 HTTP/1.1", b"GET /\x7f HTTP/1.1",
        b"GET /# HTTP/1.1",
        b"PRI * HTTP/2.0", b"GET /a\rb HTTP/1.1", b"SOURCE / HTTP/1.1", b"M-SEARCH / HTTP/1.1", b"GET //b/c HTTP/1.1",
    )
)  # fmt: skip


@st.composite
def hostile_heads(draw: st.DrawFn) -> bytes:
    """Odd lines among good ones, a few bytes changed, and one empty line: the last, as the connection cuts it."""
    lines = draw(st.lists(odd_lines, max_size=4))
    if draw(st.integers(0, 9)):
        lines.insert(draw(st.integers(0, len(lines))), b"Host: a")
    head = head_of(draw(first_lines), *lines)
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        at = draw(st.integers(0, len(head)))
        bits = draw(st.one_of(st.binary(max_size=2), st.sampled_from((b"\r\n", b"\n", b"\r", b" ", b":", b"\t"))))
        head = head[:at] + bits + head[at + draw(st.integers(0, 2)) :]
    return head.lstrip(b"\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


# -- replies ---------------------------------------------------------------------------------------------------

status_lines = st.sampled_from(
    (
        b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 500", b"HTTP/1.1 200 ",
        b"HTTP/1.1 204 x",
        b"HTTP/1.1 304 x", b"HTTP/1.1 103 Early", b"HTTP/1.1 101 Switch", b"HTTP/1.1 599 x", b"HTTP/1.1 600 x",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/2 200 OK", b"HTTP/1.2 200 OK", b"http/1.1 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 +20 OK", b"HTTP/1.1\t200 OK", b"ICY 200 OK", b"HTTP/1.1 200 \xe9", b"HTTP/1.1 200 O\x00K", b"",
    )
)  # fmt: skip


@st.composite
def reply_heads(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(odd_lines, max_size=3))
    return head_of(draw(status_lines), *lines).lstrip(b"\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
