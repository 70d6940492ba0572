"""Which header fields cross the router, and which does it add?"""

from __future__ import annotations

import re

import pytest

from router.core.auth import hashed
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import Message, reply, request

GUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
GIVEN = b"0A1b2c3d-1111-2222-3333-444455556666"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _cross(
    stage: Stage, *lines: bytes, said: tuple[bytes, ...] = (), host: bytes = b"a.example"
) -> tuple[Message, Message]:
    """One exchange: the request as the replica gets it, the reply as the client does."""
    client = await stage.client()
    await client.send(request(*lines, body=b"{}", host=host))
    wire, asked = await stage.replica.asked()
    await wire.send(reply(b"ok", *said))
    return asked, await client.reply()


async def test_end_to_end_fields_cross_unchanged_both_ways(stage: Stage) -> None:
    asked, answer = await _cross(
        stage,
        b"Content-Type: application/json",
        b"X-Twice: 1",
        b"X-Twice: 2",
        b"Cookie: a=b; c=d",
        b"X-Bytes: caf\xe9",
        said=(b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"X-Reply: yes", b"Server: gunicorn"),
    )
    assert asked.get(b"content-type") == b"application/json"
    assert asked.all(b"x-twice") == [b"1", b"2"]
    assert asked.get(b"cookie") == b"a=b; c=d"
    assert asked.get(b"x-bytes") == b"caf\xe9"
    assert asked.get(b"host") == b"a.example"
    assert answer.all(b"set-cookie") == [b"a=1", b"b=2"]
    assert (answer.get(b"x-reply"), answer.get(b"server")) == (b"yes", b"gunicorn")
    assert answer.get(b"azureml-model-deployment") == b"blue"


HOP_BY_HOP = (
    b"Keep-Alive: timeout=5",
    b"TE: trailers",
    b"Trailer: X-T",
    b"Upgrade: h2c",
    b"Proxy-Authorization: Basic eA==",
    b"Proxy-Authenticate: Basic",
    b"Proxy-Connection: keep-alive",
    b"X-Named: 1",
    b"X-Also: 2",
)


@pytest.mark.parametrize(
    "connection",
    [
        (b"Connection: keep-alive, X-Named , x-also",),
        (b"Connection: X-Named", b"Connection: x-ALSO"),
        (b"Connection: X-Named, X-Also", b"Connection: keep-alive"),
        (b"Connection: keep-alive", b"Connection: X-Named, X-Also"),
    ],
    ids=["one line", "two lines", "usual one last", "usual one first"],
)
async def test_hop_by_hop_fields_never_cross_in_either_direction(stage: Stage, connection: tuple[bytes, ...]) -> None:
    asked, answer = await _cross(stage, *connection, *HOP_BY_HOP, said=(*connection, *HOP_BY_HOP))
    forbidden = {line.partition(b":")[0].lower() for line in HOP_BY_HOP}
    assert asked.names & forbidden == set()
    assert answer.names & forbidden == set()
    assert asked.get(b"connection") is None
    assert answer.get(b"connection") is None


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"X-Request-Id", b"X-Forwarded-For", b"Traceparent"])
async def test_what_the_replica_needs_is_there_even_if_connection_names_it(stage: Stage, name: bytes) -> None:
    asked, _ = await _cross(stage, b"Connection: " + name)
    assert asked.get(name.lower()) is not None
    assert asked.body == b"{}"


async def test_the_credential_stays_with_the_router(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint={"auth_mode": "key", "keys": hashed("s3cret", "0ther")})
    asked, answer = await _cross(stage, b"Authorization: Bearer s3cret")
    assert b"authorization" not in asked.names
    assert b"s3cret" not in stage.replica.heard()
    assert answer.status == 200


async def test_the_credential_is_forwarded_where_the_endpoint_says_so(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint={"forward_authorization": True})
    asked, _ = await _cross(stage, b"Authorization: Bearer s3cret")
    assert asked.get(b"authorization") == b"Bearer s3cret"


async def test_what_a_stranger_says_of_who_it_comes_for_is_not_believed(stage: Stage) -> None:
    asked, _ = await _cross(
        stage,
        b"X-Forwarded-For: 9.9.9.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.example",
        b"Forwarded: for=9.9.9.9",
    )
    assert asked.get(b"x-forwarded-for") == b"127.0.0.1"
    assert asked.get(b"x-forwarded-proto") == stage.scheme
    assert asked.get(b"x-forwarded-host") == b"a.example"
    assert asked.get(b"forwarded") == b'for=127.0.0.1;host="a.example";proto=' + stage.scheme


async def test_what_a_trusted_proxy_says_is_appended_to(open_stage: OpenStage) -> None:
    stage = await open_stage(trusted_proxies="127.0.0.0/8")
    asked, _ = await _cross(
        stage,
        b"X-Forwarded-For: 9.9.9.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example",
        b"Forwarded: for=9.9.9.9",
    )
    assert asked.get(b"x-forwarded-for") == b"9.9.9.9, 127.0.0.1"
    assert asked.get(b"x-forwarded-proto") == b"https"
    assert asked.get(b"x-forwarded-host") == b"shop.example"
    assert asked.get(b"forwarded") == b'for=9.9.9.9, for=127.0.0.1;host="a.example";proto=' + stage.scheme


async def test_the_hops_of_a_trusted_proxy_may_come_in_several_lines(open_stage: OpenStage) -> None:
    """RFC 9110 5.3: lines of one name are one list."""
    stage = await open_stage(trusted_proxies="127.0.0.1")
    asked, _ = await _cross(stage, b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-For: 2.2.2.2")
    hops = b",".join(asked.all(b"x-forwarded-for")).split(b",")
    assert [hop.strip() for hop in hops] == [b"1.1.1.1", b"2.2.2.2", b"127.0.0.1"]


@pytest.mark.parametrize("given", [None, b"not-a-guid", GIVEN + b"0", b"{" + GIVEN + b"}", b""])
async def test_a_request_gets_a_guid_where_it_brings_none(stage: Stage, given: bytes | None) -> None:
    lines = () if given is None else (b"X-Request-Id: " + given,)
    asked, answer = await _cross(stage, *lines, said=(b"X-Request-Id: the-models", b"x-ms-request-id: the-models"))
    made = asked.get(b"x-request-id")
    assert made is not None
    assert GUID.fullmatch(made)
    assert answer.get(b"x-request-id") == answer.get(b"x-ms-request-id") == made


async def test_a_guid_that_the_client_brings_is_kept(stage: Stage) -> None:
    asked, answer = await _cross(stage, b"X-Request-Id: " + GIVEN)
    assert asked.get(b"x-request-id") == answer.get(b"x-request-id") == answer.get(b"x-ms-request-id") == GIVEN


async def test_no_two_requests_get_the_same_id(stage: Stage) -> None:
    stage.replica.answer_all(lambda asked: reply(asked.get(b"x-request-id") or b""))
    client = await stage.client()
    ids = {(await client.ask(request(body=b"{}"))).body for _ in range(300)}
    assert len(ids) == 300


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        (b"abc-DEF_123", b"abc-DEF_123"),
        (b"a b;c<d>\xe9", b"abcd"),
        (b"x" * 60, b"x" * 40),
        (b"!" * 50 + b"y" * 50, b"y" * 40),
    ],
)
async def test_the_clients_own_id_is_cleaned_cut_and_echoed(stage: Stage, given: bytes, echoed: bytes) -> None:
    asked, answer = await _cross(stage, b"x-ms-client-request-id: " + given)
    assert asked.get(b"x-ms-client-request-id") == answer.get(b"x-ms-client-request-id") == echoed


@pytest.mark.parametrize(
    "name", [b"x-request-id", b"x-ms-client-request-id", b"x-ms-request-id", b"x-ms-foo-request-id"]
)
@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 431)])
async def test_an_id_of_over_100_characters_is_431(stage: Stage, name: bytes, size: int, status: int) -> None:
    stage.replica.answer_all(lambda asked: reply())
    client = await stage.client()
    assert (await client.ask(request(name + b": " + b"x" * size, body=b"{}"))).status == status


async def test_the_clients_trace_context_is_passed_on(stage: Stage) -> None:
    asked, _ = await _cross(stage, b"traceparent: " + PARENT, b"tracestate: rojo=00f067aa0ba902b7")
    assert asked.get(b"traceparent") == PARENT
    assert asked.get(b"tracestate") == b"rojo=00f067aa0ba902b7"


@pytest.mark.parametrize("given", [None, b"nonsense", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"])
async def test_a_trace_context_is_created_where_there_is_none(stage: Stage, given: bytes | None) -> None:
    lines = () if given is None else (b"traceparent: " + given, b"tracestate: a=b")
    asked, _ = await _cross(stage, *lines)
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", asked.get(b"traceparent") or b"")
    assert b"tracestate" not in asked.names


async def test_the_model_can_not_pretend_which_deployment_served(stage: Stage) -> None:
    _, answer = await _cross(stage, said=(b"azureml-model-deployment: green", b"x-ms-client-request-id: other"))
    assert answer.get(b"azureml-model-deployment") == b"blue"
    assert b"x-ms-client-request-id" not in answer.names


async def test_a_reply_has_one_date_the_models_own_if_it_has_one(stage: Stage) -> None:
    _, answer = await _cross(stage)
    assert answer.get(b"date") is not None
    _, answer = await _cross(await _same(stage), said=(b"Date: Mon, 01 Jan 2024 00:00:00 GMT",))
    assert answer.get(b"date") == b"Mon, 01 Jan 2024 00:00:00 GMT"


async def _same(stage: Stage) -> Stage:
    """Its kept connection closed, so that the next exchange has one of its own."""
    stage.replica.wires[-1].close()
    return stage
