"""How replies become bytes: read back by h11, framed anew in each way."""

from __future__ import annotations

import h11
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import BadRequest, Overloaded, RouterError
from router.core.replies import ReplyFraming, error_reply

DATE = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def read_back(method: bytes, wire: bytes, *, ends: bool) -> tuple[h11.Response, bytes, bool]:
    """The reply as h11 reads it: its head, its body, and whether the connection can go on."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    if ends:
        connection.receive_data(b"")
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    assert connection.trailing_data[0] == b""
    return response, body, connection.their_state is h11.DONE


@given(
    pieces=st.lists(st.binary(max_size=20), max_size=6),
    method=st.sampled_from((b"GET", b"POST", b"HEAD")),
    status=st.sampled_from((200, 201, 204, 304, 404, 500, 599)),
    is_http_10=st.booleans(),
    has_length=st.booleans(),
    keeps_alive=st.booleans(),
)
def test_a_reply_is_read_back_as_it_was(
    pieces: list[bytes], method: bytes, status: int, is_http_10: bool, has_length: bool, keeps_alive: bool
) -> None:
    body = b"".join(pieces)
    headers = [(b"x-a", b"1"), *([(b"content-length", b"%d" % len(body))] if has_length else [])]
    framing = ReplyFraming(method, is_http_10=is_http_10, keeps_alive=keeps_alive)
    wire = framing.head(status, headers, DATE)
    for piece in pieces:
        wire += framing.piece(piece, True)
    wire += framing.piece(b"", False)
    drops_body = method == b"HEAD" or status in (204, 304)
    response, got, goes_on = read_back(method, wire, ends=not framing.keeps_alive)
    assert response.status_code == status
    assert got == (b"" if drops_body else body)
    assert goes_on == framing.keeps_alive
    assert framing.keeps_alive == (keeps_alive and (drops_body or has_length or not is_http_10))
    names = [name for name, _ in response.headers]
    assert names.count(b"date") == names.count(b"x-a") == 1
    assert b"transfer-encoding" not in names or not is_http_10
    assert (b"content-length" in names) == (has_length and status != 204)


@pytest.mark.parametrize(
    ("is_http_10", "keeps_alive", "said"),
    [(False, True, None), (False, False, b"close"), (True, True, b"keep-alive"), (True, False, b"close")],
)
def test_the_connection_is_told_what_becomes_of_it(is_http_10: bool, keeps_alive: bool, said: bytes | None) -> None:
    framing = ReplyFraming(b"GET", is_http_10=is_http_10, keeps_alive=keeps_alive)
    lines = framing.head(200, [(b"content-length", b"0")], DATE).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"connection")] == ([b"connection: " + said] if said else [])


@pytest.mark.parametrize("status", [200, 204])
def test_a_reply_that_closes_is_said_once_and_closes(status: int) -> None:
    framing = ReplyFraming(b"GET", is_http_10=False, keeps_alive=True)
    head = framing.head(status, [(b"connection", b"close"), (b"content-length", b"0")], DATE)
    assert head.count(b"connection: close\r\n") == 1
    assert not framing.keeps_alive


def test_a_date_of_the_replica_stays() -> None:
    head = ReplyFraming(b"GET", is_http_10=False, keeps_alive=True).head(200, [(b"date", b"today")], DATE)
    assert b"date: today\r\n" in head
    assert DATE not in head


def test_empty_pieces_do_not_end_a_chunked_body() -> None:
    framing = ReplyFraming(b"GET", is_http_10=False, keeps_alive=True)
    framing.head(200, [], DATE)
    assert [framing.piece(b"", True), framing.piece(b"ab", True), framing.piece(b"", False)] == [
        b"",
        b"2\r\nab\r\n",
        b"0\r\n\r\n",
    ]


@pytest.mark.parametrize(
    ("before", "piece", "has_more"),
    [([], b"", False), ([], b"ab", False), ([], b"abcd", True), ([b"a"], b"b", False), ([b"abc"], b"d", False)],
)
def test_a_body_of_another_length_than_announced_is_an_error(before: list[bytes], piece: bytes, has_more: bool) -> None:
    framing = ReplyFraming(b"GET", is_http_10=False, keeps_alive=True)
    framing.head(200, [(b"content-length", b"3")], DATE)
    for each in before:
        framing.piece(each, True)
    with pytest.raises(ValueError, match="not as long"):
        framing.piece(piece, has_more)


@pytest.mark.parametrize("error", [BadRequest('not "this" \u20ac\n'), Overloaded("iris", 2.5)])
def test_an_error_is_json_with_its_headers_and_those_of_every_reply(error: RouterError) -> None:
    headers, body = error_reply(error, [(b"x-ms-request-id", b"1")])
    assert msgspec.json.decode(body) == {"error": {"code": error.code, "message": error.message}}
    fields = dict(headers)
    assert len(fields) == len(headers)
    assert fields[b"content-type"] == b"application/json"
    assert fields[b"content-length"] == b"%d" % len(body)
    assert fields[b"x-ms-request-id"] == b"1"
    assert fields.get(b"retry-after") == dict(error.headers).get(b"retry-after")
    assert (fields.get(b"connection") == b"close") == error.closes
