"""administration/operation.py: what was asked is read strictly, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request

from router.administration.operation import BODY_TIMEOUT_S, MAX_BODY_BYTES, OneOf, Whole, read_body, read_query
from router.administration.refusals import Refusal
from router.administration.shapes import KeyRegeneration, Scale
from tests.virtual_time import now, on_virtual_time

LAST, API = {"last": Whole(1, 1_000, 20)}, {"api": OneOf(("v1", "v2"))}


def asking(query: bytes = b"", pieces: Sequence[bytes] = (), media_type: bytes = b"", *, ends: bool = True) -> Request:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    messages += [{"type": "http.request", "body": b"", "more_body": False}] if ends else []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    headers = [(b"content-type", media_type)] if media_type else []
    scope = {"type": "http", "method": "PUT", "path": "/", "query_string": query, "headers": headers}
    return Request(scope, receive)


async def refused(request: Request, kind: Any = KeyRegeneration) -> Refusal:
    with pytest.raises(Refusal) as told:
        await read_body(request, kind)
    return told.value


# -- the query -------------------------------------------------------------------------------------------------


def test_what_is_not_given_has_its_default() -> None:
    assert read_query(asking(), LAST | API) == {"last": 20, "api": "v1"}
    assert read_query(asking(b"last=1000&api=v2"), LAST | API) == {"last": 1_000, "api": "v2"}


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.0", "", "+1", "%201", "1e2", "9" * 5_000, "%d9%a1", "%00"])
def test_a_number_that_can_not_be_is_told_with_the_rule(text: str) -> None:
    with pytest.raises(Refusal, match=r"^last is '.{0,90}'; it must be a whole number from 1 to 1000\.$") as told:
        read_query(asking(f"last={text}".encode()), LAST)
    assert told.value.status == 400


@pytest.mark.parametrize("text", ["v3", "", "V1", "v1,v2"])
def test_a_word_that_is_none_of_them_is_told_with_those(text: str) -> None:
    with pytest.raises(Refusal, match=r"it must be v1 or v2\.$"):
        read_query(asking(f"api={text}".encode()), API)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"lsat=1", r"^The query has 'lsat', but known are: last\.$"),
        (b"last=1&last=2", r"^The query has last more than once\.$"),
        (b"x" * 5_000, r"^The query has 'x{40}', but known are: last\.$"),
        (b"last", r"^last is ''"),
    ],
)
def test_a_parameter_too_many_is_refused(query: bytes, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        read_query(asking(query), LAST)


def test_without_parameters_any_is_one_too_many() -> None:
    with pytest.raises(Refusal, match="known are: none"):
        read_query(asking(b"pretty=1"), {})


# -- the body --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", [b"", b"application/json", b"Application/JSON; charset=utf-8"])
async def test_a_body_comes_in_pieces(media_type: bytes) -> None:
    request = asking(pieces=[b'{"repl', b'icas": 2, "forSe', b"", b'conds": 3}'], media_type=media_type)
    assert await read_body(request, Scale) == Scale(replicas=2, for_seconds=3)


async def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert await read_body(asking(pieces=[b'{"replicas": 2.0, "forSeconds": 3e2}']), Scale) == Scale(
        replicas=2, for_seconds=300
    )
    told = await refused(asking(pieces=[b'{"replicas": 2.5, "forSeconds": 3}']), Scale)
    assert "$.replicas" in told.message


@pytest.mark.parametrize("pieces", [[], [b"{}"], [b" {\n} "]])
async def test_where_nothing_is_required_nothing_may_come(pieces: list[bytes]) -> None:
    assert await read_body(asking(pieces=pieces), KeyRegeneration) == KeyRegeneration()


async def test_where_no_body_is_wanted_none_is_read() -> None:
    assert await read_body(asking(pieces=[b"x" * 10], ends=False), None) is None


@pytest.mark.parametrize("media_type", [b"text/plain", b"application/x-www-form-urlencoded", b"application/jsonx"])
async def test_a_body_of_another_type_is_415(media_type: bytes) -> None:
    told = await refused(asking(pieces=[b"{}"], media_type=media_type))
    assert (told.status, told.code) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"1",
        b'"{}"',
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b"\xff\xfe{}",
        b'{"keyValue": "\xff"}',
        b'{"keyValue": NaN}',
        b'{"keyValue": 1e999}',
        b'{"keyValue": ' + b"[" * 60_000,
        b'{"other": ' + b"[" * 60_000,
        b"[" * 65_000,
        b'{"keyValue": "a\x00b"}',
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_no_json_object_of_that_kind_is_400(content: bytes) -> None:
    told = await refused(asking(pieces=[content]))
    assert (told.status, told.code) == (400, "BadRequest")
    assert len(told.message) < 300


async def test_a_field_too_many_is_named_and_values_are_not() -> None:
    told = await refused(asking(pieces=[b'{"keyvalue": "a-key-of-the-client"}']))
    assert "`keyvalue`" in told.message
    told = await refused(asking(pieces=[b'{"keyValue": ["a-key-of-the-client"]}']))
    assert "$.keyValue" in told.message
    assert "a-key-of" not in told.message
    told = await refused(asking(), Scale)
    assert "`replicas`" in told.message


async def test_a_body_has_its_limit() -> None:
    padding = b" " * (MAX_BODY_BYTES - 2)
    assert await read_body(asking(pieces=[b"{", padding, b"}"]), KeyRegeneration) == KeyRegeneration()
    told = await refused(asking(pieces=[b"{", padding, b"}", b" "], ends=False))
    assert (told.status, told.message) == (413, "The body may have 65,536 bytes; it has more.")


@on_virtual_time
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    told = await refused(asking(pieces=[b"{"], ends=False))
    assert (told.status, now()) == (408, BODY_TIMEOUT_S)


async def test_a_client_that_leaves_has_asked_nothing() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    told = await refused(Request({"type": "http", "method": "PUT", "path": "/", "headers": []}, receive))
    assert told.status == 400
