"""Is the client that a load balancer names the client, and is nobody else believed?"""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from router.config import Limits
from tests.wire.conftest import OpenStage
from tests.wire.wires import ClientWire, reply, request, until

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = SIGNATURE + struct.pack(
    "!BBH4s4sHH", 0x21, 0x11, 12, socket.inet_aton("203.0.113.9"), socket.inet_aton("192.0.2.1"), 4711, 443
)
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 0)
HERE = "127.0.0.0/8"


@pytest.mark.parametrize("preface", [V1, V2], ids=["version 1", "version 2"])
async def test_the_model_hears_of_the_client(open_stage: OpenStage, preface: bytes) -> None:
    stage = await open_stage(proxied_by=HERE)
    stage.replica.answer_all(lambda asked: reply(asked.get(b"x-forwarded-for") or b""))
    client = await stage.client(preface=preface)
    for _ in range(2):
        assert (await client.ask(request(body=b"{}"))).body == b"203.0.113.9"


async def test_what_the_client_itself_claims_is_not_believed(open_stage: OpenStage) -> None:
    """The balancer is trusted, and its client is not."""
    stage = await open_stage(proxied_by=HERE, trusted_proxies=HERE)
    stage.replica.answer_all(lambda asked: reply(asked.get(b"x-forwarded-for") or b""))
    client = await stage.client(preface=V2)
    answer = await client.ask(request(b"X-Forwarded-For: 6.6.6.6", body=b"{}"))
    assert answer.body == b"203.0.113.9"


async def test_a_balancer_that_asks_for_itself_is_served_as_itself(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE)
    stage.replica.answer_all(lambda asked: reply(asked.get(b"x-forwarded-for") or b""))
    client = await stage.client(preface=LOCAL)
    assert (await client.ask(request(body=b"{}"))).body == b"127.0.0.1"


@pytest.mark.parametrize("over", ["tcp"])
async def test_a_header_may_come_in_pieces(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE)
    stage.replica.answer_all(lambda asked: reply(b"fine"))
    client = await stage.client()
    await client.send_in_bytes(V2 + request(body=b"{}"))
    assert (await client.reply()).body == b"fine"


@pytest.mark.parametrize("over", ["tcp"])
@pytest.mark.parametrize(
    "said", [request(body=b"{}"), b"PROXY TCP4 nobody\r\n", V2[:12] + b"\x31" + V2[13:], b"\x16\x03\x01"]
)
async def test_what_begins_otherwise_is_closed_and_counted(open_stage: OpenStage, said: bytes) -> None:
    stage = await open_stage(proxied_by=HERE)
    client = await stage.client()
    await client.send(said)
    assert await client.closed()
    assert [refusal.status for refusal in stage.refusals] == [400]
    assert stage.replica.wires == []


@pytest.mark.parametrize("over", ["tcp"])
async def test_a_stranger_is_not_heard(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by="10.0.0.0/8")
    client = await stage.client()
    assert await client.closed()
    assert "it is not one of the trusted proxies" in stage.refusals[0].message


@pytest.mark.parametrize("over", ["tcp"])
async def test_a_second_header_is_the_clients_own_and_no_request(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE)
    client = await stage.client(preface=V1)
    await client.send(V1 + request(body=b"{}"))
    assert (await client.reply()).status == 400


@pytest.mark.parametrize("over", ["tcp"])
async def test_a_header_has_the_time_of_a_head(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE, limits=Limits(head_timeout_ms=100))
    client = await stage.client()
    await client.send(V1[:20])
    assert await client.closed()
    assert "took too long" in stage.refusals[0].message


@pytest.mark.parametrize("over", ["tcp"])
async def test_connections_without_a_header_yet_are_counted(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE, limits=Limits(max_connections=2))
    waiting = [await stage.client() for _ in range(2)]
    await until(lambda: stage.clients.count == 2)
    third = await stage.client()
    assert await third.closed()
    for each in waiting:
        each.close()
    await until(lambda: stage.clients.count == 0)


@pytest.mark.parametrize("over", ["tcp"])
async def test_who_leaves_before_the_header_leaves_nothing(open_stage: OpenStage) -> None:
    stage = await open_stage(proxied_by=HERE)
    for end in (ClientWire.close, ClientWire.reset):
        client = await stage.client(preface=V1[:7])
        await until(lambda: stage.clients.count == 1)
        end(client)
        await until(lambda: stage.clients.count == 0)
    await asyncio.sleep(0)
    assert stage.refusals == []


@pytest.mark.parametrize("over", ["tcp"])
async def test_who_has_left_before_it_was_met_is_no_stranger(open_stage: OpenStage) -> None:
    """As HAProxy's checks do: they say LOCAL, and reset the connection at once."""
    stage = await open_stage(proxied_by=HERE)
    sock = socket.create_connection(stage.address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    await asyncio.sleep(0.1)
    await until(lambda: stage.clients.count == 0)
    assert stage.refusals == []
