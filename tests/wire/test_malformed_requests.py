"""What is refused because it is no HTTP/1.1, or could be read in two ways?"""

from __future__ import annotations

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.stage import REFUSAL_ID, Stage
from tests.wire.wires import HOST, LAST_CHUNK, SCORE, chunk, reply, request, turns

_LINE = b"POST " + SCORE + b" HTTP/1.1\r\n"
_HOST_LINE = b"Host: " + HOST + b"\r\n"
_TE = b"Transfer-Encoding: chunked\r\n"
_OK_BODY = b"5\r\nhello\r\n0\r\n\r\n"


def _with(*lines: bytes, body: bytes = b"hello") -> bytes:
    return _LINE + _HOST_LINE + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


HEADS = {
    "bare LF behind the request line": (400, _LINE[:-2] + b"\n" + _HOST_LINE + b"\r\n"),
    "bare LF behind a field": (400, _with(b"X-A: 1\nX-B: 2")),
    "bare LF before the empty line": (400, _with(b"X-A: 1\n")),
    "bare CR in a value": (400, _with(b"X-A: 1\rX-B: 2")),
    "folded field": (400, _with(b"X-A: 1", b" 2")),
    "folded with a tab": (400, _with(b"X-A: 1", b"\t2")),
    "folded first field": (400, _LINE + b" X-A: 1\r\n" + _HOST_LINE + b"\r\n"),
    "space before the colon": (400, _with(b"Content-Length : 5")),
    "tab before the colon": (400, _with(b"Transfer-Encoding\t: chunked", body=_OK_BODY)),
    "space in a name": (400, _with(b"X A: 1")),
    "empty name": (400, _with(b": 1")),
    "field without a colon": (400, _with(b"X-A")),
    "name with a forbidden character": (400, _with(b"X(A): 1")),
    "name that is not ASCII": (400, _with(b"X-\xc3\xa4: 1")),
    "NUL in a value": (400, _with(b"X-A: 1\x002")),
    "NUL in a name": (400, _with(b"X\x00A: 1")),
    "control character in a value": (400, _with(b"X-A: 1\x012")),
    "DEL in a value": (400, _with(b"X-A: 1\x7f2")),
    "vertical tab before chunked": (400, _with(b"Transfer-Encoding: \x0bchunked", body=_OK_BODY)),
    "NUL in the target": (400, b"GET " + SCORE + b"\x00 HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "space in the target": (400, b"GET " + SCORE + b" x HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "tab in the target": (400, b"GET " + SCORE + b"\tx HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "byte over 127 in the target": (400, b"GET " + SCORE + b"/\xff HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "fragment in the target": (400, b"GET " + SCORE + b"#part HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "target without a slash": (400, b"GET score HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "target of another scheme": (400, b"GET ftp://a.example/ HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "no version": (400, b"GET " + SCORE + b"\r\n" + _HOST_LINE + b"\r\n"),
    "HTTP/0.9": (400, b"GET " + SCORE + b" HTTP/0.9\r\n" + _HOST_LINE + b"\r\n"),
    "HTTP/2.0": (400, b"GET " + SCORE + b" HTTP/2.0\r\n" + _HOST_LINE + b"\r\n"),
    "HTTP/1.2": (400, b"GET " + SCORE + b" HTTP/1.2\r\n" + _HOST_LINE + b"\r\n"),
    "HTTP/1.10": (400, b"GET " + SCORE + b" HTTP/1.10\r\n" + _HOST_LINE + b"\r\n"),
    "http/1.1": (400, b"GET " + SCORE + b" http/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "the HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "space before the method": (400, b" GET " + SCORE + b" HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "two spaces": (400, b"GET  " + SCORE + b" HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "space behind the version": (400, b"GET " + SCORE + b" HTTP/1.1 \r\n" + _HOST_LINE + b"\r\n"),
    "a TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "unknown method": (501, b"BREW " + SCORE + b" HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "method in lower case": (501, b"get " + SCORE + b" HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "CONNECT": (501, b"CONNECT a.example:443 HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "line feeds alone": (400, b"GET " + SCORE + b" HTTP/1.1\nHost: a\n\n"),
    "CONNECT with a path": (501, b"CONNECT " + SCORE + b" HTTP/1.1\r\n" + _HOST_LINE + b"\r\n"),
    "host name without end": (400, b"GET " + SCORE + b" HTTP/1.1\r\nHost: " + b"h" * 301 + b"\r\n\r\n"),
    "length and chunks": (400, _with(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=_OK_BODY)),
    "chunks and length": (400, _with(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=_OK_BODY)),
    "two lengths": (400, _with(b"Content-Length: 5", b"Content-Length: 6")),
    "the same length twice": (400, _with(b"Content-Length: 5", b"Content-Length: 5")),
    "a list of lengths": (400, _with(b"Content-Length: 5, 5")),
    "length with a plus": (400, _with(b"Content-Length: +5")),
    "negative length": (400, _with(b"Content-Length: -5")),
    "hexadecimal length": (400, _with(b"Content-Length: 0x5")),
    "length with an underscore": (400, _with(b"Content-Length: 1_0")),
    "length with a fraction": (400, _with(b"Content-Length: 5.0")),
    "length in other digits": (400, _with("Content-Length: ٥".encode())),  # noqa: RUF001
    "empty length": (400, _with(b"Content-Length: ")),
    "length with a space inside": (400, _with(b"Content-Length: 5 5")),
    "length beyond 64 bits": (400, _with(b"Content-Length: 18446744073709551621")),
    "xchunked": ((400, 501), _with(b"Transfer-Encoding: xchunked", body=_OK_BODY)),
    "gzip, chunked": ((400, 501), _with(b"Transfer-Encoding: gzip, chunked", body=_OK_BODY)),
    "chunked, gzip": ((400, 501), _with(b"Transfer-Encoding: chunked, gzip", body=_OK_BODY)),
    "chunked, chunked": ((400, 501), _with(b"Transfer-Encoding: chunked, chunked", body=_OK_BODY)),
    "chunked twice": ((400, 501), _with(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=_OK_BODY)),
    "chunked, identity": ((400, 501), _with(b"Transfer-Encoding: chunked, identity", body=_OK_BODY)),
    "identity": ((400, 501), _with(b"Transfer-Encoding: identity", b"Content-Length: 5")),
    "chunked with a parameter": ((400, 501), _with(b"Transfer-Encoding: chunked;a=b", body=_OK_BODY)),
    "empty coding": ((400, 501), _with(b"Transfer-Encoding: ", body=_OK_BODY)),
    "chunks in HTTP/1.0": (400, _LINE.replace(b"1.1", b"1.0") + _HOST_LINE + _TE + b"\r\n" + _OK_BODY),
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_malformed_head_is_refused_and_no_replica_sees_anything(stage: Stage, name: str) -> None:
    statuses, data = HEADS[name]
    client = await stage.client()
    await client.send(data + request(body=b"smuggled"))
    answer = await client.last_reply()
    assert answer.status in (statuses if isinstance(statuses, tuple) else (statuses,))
    assert answer.get(b"connection") == b"close"
    assert answer.get(b"x-ms-request-id") == REFUSAL_ID
    assert stage.replica.wires == []


BODIES = {
    "size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size that is no number": b"five\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "underscore in the size": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "size beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size of many zeros": b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n",
    "bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "bare CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "control character in an extension": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "huge extension": b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
    "extension without an end": b"5;" + b"a" * 100_000,
    "no line end behind the data": b"5\r\nhello0\r\n\r\n",
    "bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhello world\r\n0\r\n\r\n",
    "data shorter than its size": b"9\r\nhello\r\n0\r\n\r\n" + b"x" * 20,
    "trailer without a colon": b"5\r\nhello\r\n0\r\ntrailer\r\n\r\n",
    "trailer with an empty name": b"5\r\nhello\r\n0\r\n: x\r\n\r\n",
    "trailer with a space before the colon": b"5\r\nhello\r\n0\r\nX : x\r\n\r\n",
    "folded trailer": b"5\r\nhello\r\n0\r\nX: x\r\n y\r\n\r\n",
    "bare LF in the trailer": b"5\r\nhello\r\n0\r\nX: x\n\r\n\r\n",
    "NUL in the trailer": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
    "huge trailer": b"5\r\nhello\r\n0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("when", ["with its head", "behind its head"])
async def test_a_malformed_chunked_body_is_400_and_no_replica_sees_it_whole(stage: Stage, name: str, when: str) -> None:
    client = await stage.client()
    await client.send(_LINE + _HOST_LINE + _TE + b"\r\n" + (BODIES[name] if when == "with its head" else b""))
    if when == "behind its head":
        await turns()
        await client.send(BODIES[name])
    answer = await client.last_reply()
    assert answer.status == 400
    assert answer.get(b"connection") == b"close"
    assert LAST_CHUNK not in stage.replica.heard()
    for wire in stage.replica.wires:
        await wire.rest()


async def test_a_broken_body_stays_broken_whatever_comes_behind_it(stage: Stage) -> None:
    """The request waits for a slot while its body breaks, and then seems to go on as if nothing had happened."""
    first, second = await stage.client(), await stage.client()
    await first.send(request(body=b"first"))
    wire, _ = await stage.replica.asked()
    await second.send(_LINE + _HOST_LINE + _TE + b"\r\n" + b"what?\r\n")
    await turns()
    await second.send(chunk(b"hello") + b"0\r\n\r\n" + request(body=b"smuggled"))
    await turns()
    await wire.send(reply(b"done"))
    await first.reply()
    stage.replica.answer_all(lambda asked: reply(b"seen: " + asked.body))
    assert (await second.last_reply()).status == 400
    heard = stage.replica.heard()
    assert LAST_CHUNK not in heard
    assert b"smuggled" not in heard
    assert b"hello" not in heard


async def test_a_request_of_bare_line_feeds_never_becomes_one(open_stage: OpenStage) -> None:
    stage = await open_stage(limits=Limits(head_timeout_ms=100))
    client = await stage.client()
    await client.send(request(body=b"hello").replace(b"\r\n", b"\n"))
    assert (await client.last_reply()).status in (400, 408)
    assert stage.replica.wires == []
