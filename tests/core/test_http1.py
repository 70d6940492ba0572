"""What heads say, read beside h11: the same where both take them, and nothing but a clear refusal elsewhere.

h11 is the more lenient of the two. Whatever a lenient reader would make of a head that the router takes, it must be
what the router makes of it: of two that disagree, one can be made to see a request that the other did not.
"""

from __future__ import annotations

import pytest
from h11._connection import _body_framing
from hypothesis import given, settings

from router.core.errors import BadRequest, ExpectationFailed, HeadTooLarge, NotImplementedHere, RouterError
from router.core.http1 import RequestHead, parse_request_head
from tests.core.heads import (
    as_h11_spells,
    framing_of,
    head_of,
    hostile_heads,
    origin_form,
    request_by_h11,
    valid_heads,
)

MAX_HEADERS = 100


def parsed(*lines: bytes, first: bytes = b"POST /a HTTP/1.1", host: bytes = b"host: a") -> RequestHead:
    return parse_request_head(head_of(first, host, *lines), MAX_HEADERS)


def check_against_h11(head: bytes) -> RequestHead | None:
    """What the router makes of the head, None if it refuses; checked to be what h11 makes of it, if that takes it."""
    try:
        ours = parse_request_head(head, MAX_HEADERS)
    except RouterError:
        return None
    theirs = request_by_h11(head)
    if theirs is not None:
        request, connection = theirs
        target, headers = origin_form(request.target, list(request.headers))
        assert (ours.method, ours.target) == (request.method, target)
        assert as_h11_spells(ours.headers) == headers
        assert ours.is_http_10 == (request.http_version == b"1.0")
        assert framing_of(ours) == _body_framing(request.method, request)
        assert ours.expects_continue == connection.they_are_waiting_for_100_continue
        assert ours.is_http_10 or ours.keep_alive == connection._cstate.keep_alive  # h11 never keeps an HTTP/1.0 one
    return ours


# -- beside h11 ------------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(valid_heads())
def test_a_valid_request_is_taken_and_means_what_h11_says(head: bytes) -> None:
    assert request_by_h11(head) is not None
    assert check_against_h11(head) is not None


@settings(max_examples=2_000, deadline=None)
@given(hostile_heads())
def test_a_hostile_head_is_refused_or_means_what_h11_says(head: bytes) -> None:
    ours = check_against_h11(head)
    if ours is not None:
        for name, value in ours.headers:
            assert name == name.strip().lower() != b""
            assert value == value.strip(b" \t")
            assert not {0, 10, 13} & {*name, *value}
        assert not (ours.chunked and ours.content_length is not None)


# -- rule by rule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"), (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5, 5",), (b"Content-Length: +5",), (b"Content-Length: -5",), (b"Content-Length: 0x5",),
        (b"Content-Length: 5 5",), (b"Content-Length: 1_0",), (b"Content-Length:",), (b"Content-Length : 5",),
        (b"Content-Length: 18446744073709551616",), (b"Content-Length: \x0b5",), (b"Content-Length: \xd9\xa3",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Transfer-Encoding : chunked",), (b"Transfer-Encoding:\r\n chunked",), (b"x-a: b\r\n folded",),
        (b"x-a: b\nx-b: c",), (b"x-a: b\rx-b: c",), (b"x-a: \x00",), (b"x-a",), (b": x",), (b"x a: b",), (b" x: y",),
        (b"Host: b",), (b"Authorization: a", b"Authorization: b"), (b"X-Request-Id: a", b"x-request-id: a"),
        (b"azureml-model-deployment: a", b"azureml-model-deployment: b"), (b"\xe9: b",), (b"x\x00y: b",),
    ],
)  # fmt: skip
def test_ambiguous_and_broken_fields_are_bad_requests(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(BadRequest):
        parsed(*lines)


@pytest.mark.parametrize(
    "coding", [b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"xchunked"]
)
def test_codings_other_than_chunked_are_refused(coding: bytes) -> None:
    with pytest.raises((NotImplementedHere, BadRequest)):
        parsed(b"Transfer-Encoding: " + coding)


def test_chunked_twice_is_refused() -> None:
    with pytest.raises((NotImplementedHere, BadRequest)):
        parsed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")


@pytest.mark.parametrize("spelling", [b"chunked", b"Chunked", b"CHUNKED", b"chunked ", b"\tchunked"])
def test_chunked_is_taken_in_any_spelling(spelling: bytes) -> None:
    head = parsed(b"Transfer-Encoding: " + spelling)
    assert (head.chunked, head.content_length) == (True, None)


def test_http_10_can_not_be_chunked() -> None:
    with pytest.raises(BadRequest):
        parsed(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0")


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (b"GET /", BadRequest), (b"GET / HTTP/2.0", BadRequest), (b"GET / HTTP/1.2", BadRequest), (b"", BadRequest),
        (b"GET  / HTTP/1.1", BadRequest), (b"GET / HTTP/1.1 ", BadRequest), (b"GET / http/1.1", BadRequest),
        (b"GET\t/ HTTP/1.1", BadRequest), (b"GET b/c HTTP/1.1", BadRequest), (b"GET ftp://b/ HTTP/1.1", BadRequest),
        (b"GET /\x00 HTTP/1.1", BadRequest), (b"GET /\x7f HTTP/1.1", BadRequest),
        (b"GET http://a b/ HTTP/1.1", BadRequest),
        (b"CONNECT a:80 HTTP/1.1", NotImplementedHere), (b"BREW / HTTP/1.1", NotImplementedHere),
        (b"get / HTTP/1.1", NotImplementedHere),
    ],
)  # fmt: skip
def test_other_request_lines_are_refused(first: bytes, error: type[RouterError]) -> None:
    with pytest.raises(error):
        parsed(first=first)


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://b.example/c?d", b"/c?d", b"b.example"),
        (b"HTTPS://b:8080", b"/", b"b:8080"),
        (b"/c://d", b"/c://d", b"a"),
        (b"//b/c", b"//b/c", b"a"),
        (b"*", b"*", b"a"),
    ],
)
def test_an_absolute_url_is_its_path_and_its_host(target: bytes, path: bytes, host: bytes) -> None:
    head = parsed(first=b"OPTIONS " + target + b" HTTP/1.1")
    assert (head.target, [value for name, value in head.headers if name == b"host"]) == (path, [host])


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"a@b", b"a,b", b'a"b', b"a\\b", b"\xe9", b"a?b", b"a#b"])
def test_what_is_no_host_name_is_refused(host: bytes) -> None:
    with pytest.raises(BadRequest):
        parsed(host=b"host: " + host)


def test_only_http_10_goes_without_a_host() -> None:
    with pytest.raises(BadRequest, match="needs a Host"):
        parse_request_head(head_of(b"GET / HTTP/1.1"), MAX_HEADERS)
    assert parse_request_head(head_of(b"GET / HTTP/1.0"), MAX_HEADERS).is_http_10


def test_the_number_of_fields_is_limited() -> None:
    lines = [b"x-%d: y" % number for number in range(MAX_HEADERS - 1)]
    assert len(parsed(*lines).headers) == MAX_HEADERS
    with pytest.raises(HeadTooLarge, match="101 header fields; 100"):
        parsed(*lines, b"x-more: y")


@pytest.mark.parametrize(
    ("version", "lines", "keep_alive"),
    [
        (b"1.1", (), True), (b"1.1", (b"Connection: close",), False), (b"1.1", (b"Connection: x, Close",), False),
        (b"1.1", (b"Connection: x", b"Connection: close"), False), (b"1.1", (b"Connection: closed",), True),
        (b"1.1", (b"Connection: close", b"Connection: keep-alive"), False), (b"1.0", (b"Connection: close",), False),
        (b"1.0", (), False), (b"1.0", (b"Connection: Keep-Alive",), True),
        (b"1.0", (b"Connection: keep-alive, close",), False),
    ],
)  # fmt: skip
def test_who_keeps_the_connection(version: bytes, lines: tuple[bytes, ...], keep_alive: bool) -> None:
    assert parsed(*lines, first=b"GET / HTTP/" + version).keep_alive == keep_alive


def test_expect_takes_100_continue_only_and_not_from_http_10() -> None:
    assert parsed(b"Expect: 100-Continue").expects_continue
    assert not parsed(b"Expect: 100-continue", first=b"POST / HTTP/1.0").expects_continue
    with pytest.raises(ExpectationFailed):
        parsed(b"Expect: 200-ok")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize(
    ("framing", "length", "chunked"), [(b"content-length: 5", 5, False), (b"transfer-encoding: chunked", None, True)]
)
def test_an_offer_to_upgrade_takes_no_body_away(
    upgrade: bytes, framing: bytes, length: int | None, chunked: bool
) -> None:
    head = parsed(b"Connection: Upgrade", b"Upgrade: " + upgrade, framing)
    assert (head.content_length, head.chunked) == (length, chunked)
