"""Does a replica that speaks HTTPS get its requests, and nobody else in its place?"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from router.core.errors import ReplicaMisbehaved, ReplicaUnreachable
from router.core.model import Replica, ReplicaTls, Snapshot
from router.replica_connection import ReplicaConnection
from router.replica_tls import secured
from router.tls import server_context
from router.upstream import Upstream
from tests.certificates import NAME, Authority, pair_of
from tests.wire.conftest import OpenStage
from tests.wire.stage import KEY
from tests.wire.wires import PATIENCE_S, request, until

OURS, STRANGERS = Authority("Ours"), Authority("Somebody else's")
TRUSTED = ReplicaTls(server_name=NAME, ca_bundle=OURS.pem.decode())

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it was sent, on one connection for as long as that lasts."""
    while head := await _head(reader):
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (length, body))


async def until_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As somebody on the way could end it: the connection closes, and TLS says nothing of an end."""
    await _head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\na part of")
    await asyncio.sleep(0.05)
    sock: Any = writer.get_extra_info("socket")
    copy = socket.socket(fileno=socket.dup(sock.fileno()))
    copy.shutdown(socket.SHUT_WR)
    copy.close()
    await reader.read()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


class SecureReplica:
    def __init__(self, port: int) -> None:
        self.connections = 0
        self.noun = Replica(uid="one", deployment=KEY, host="127.0.0.1", port=port, ready=True)


@asynccontextmanager
async def replica(
    talk: Talk = echo, authority: Authority = OURS, *, plain: bool = False
) -> AsyncIterator[SecureReplica]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one.connections += 1
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    context = None if plain else server_context(pair_of(authority.certify()))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    one = SecureReplica(server.sockets[0].getsockname()[1])
    async with server:
        yield one
        server.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(connect_timeout_ms=8_000, idle_ms=60_000)
    yield upstream
    upstream.close()
    await until(lambda: not upstream.open)


@pytest.fixture
async def hasty() -> AsyncIterator[Upstream]:
    upstream = Upstream(connect_timeout_ms=500, idle_ms=60_000)
    yield upstream
    await until(lambda: not upstream.open)


async def connected(upstream: Upstream, to: SecureReplica, tls: ReplicaTls | None = TRUSTED) -> ReplicaConnection:
    upstream.follow([to.noun])
    return await upstream.connect(to.noun, math.inf, 60_000, None if tls is None else secured(tls))


async def score(connection: ReplicaConnection, body: bytes = b"{}") -> bytes:
    connection.begin("POST", math.inf, 60_000, asyncio.current_task())
    connection.write(request(body=body))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await connection.next_head()
            pieces = []
            while piece := await connection.read():
                pieces.append(piece)
            return b"".join(pieces)
    finally:
        connection.end(request_whole=True)


async def test_requests_go_over_one_kept_connection(upstream: Upstream) -> None:
    async with replica() as one:
        for number in range(5):
            assert await score(await connected(upstream, one), b"%d" % number) == b"%d" % number
        assert one.connections == 1
        upstream.close()


async def test_large_bodies_pass_both_ways(upstream: Upstream) -> None:
    body = bytes(range(256)) * 40_000
    async with replica() as one:
        assert await score(await connected(upstream, one), body) == body
        upstream.close()


@pytest.mark.parametrize(
    ("authority", "tls", "says"),
    [
        (STRANGERS, TRUSTED, "its certificate is not good"),
        (OURS, ReplicaTls(ca_bundle=OURS.pem.decode()), "its certificate is not good"),
        (OURS, replace(TRUSTED, server_name="other.example"), "its certificate is not good"),
        (OURS, replace(TRUSTED, ca_bundle=None), "its certificate is not good"),
    ],
    ids=["another authority", "the address is not in it", "another name", "no public authority's"],
)
async def test_who_can_not_prove_it_gets_no_byte(
    upstream: Upstream, authority: Authority, tls: ReplicaTls, says: str
) -> None:
    async with replica(authority=authority) as one:
        with pytest.raises(ReplicaUnreachable, match=says) as caught:
            await connected(upstream, one, tls)
        assert caught.value.nothing_sent
        await until(lambda: not upstream.open)
        assert one.connections == 0


async def test_one_that_speaks_plain_http_is_told_so(hasty: Upstream) -> None:
    async with replica(plain=True) as one:
        with pytest.raises(ReplicaUnreachable):
            await connected(hasty, one)
        await until(lambda: not hasty.open)


async def test_a_handshake_that_hangs_has_the_time_of_a_connect(hasty: Upstream) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with replica(silent, plain=True) as one:
        with pytest.raises(ReplicaUnreachable, match=r"took no connection within 0\.5 s"):
            await connected(hasty, one)
        await until(lambda: not hasty.open)


async def test_a_connection_serves_the_settings_that_it_was_opened_with(upstream: Upstream) -> None:
    async with replica() as one:
        first = await connected(upstream, one)
        await score(first)
        with pytest.raises(ReplicaUnreachable):
            await connected(upstream, one, replace(TRUSTED, server_name="other.example"))
        await until(lambda: not first.is_open)
        await score(await connected(upstream, one))
        assert one.connections == 2
        upstream.close()


async def test_a_reply_up_to_the_end_of_the_connection_is_whole_only_if_tls_says_so(upstream: Upstream) -> None:
    async with replica(until_close) as one:
        assert await score(await connected(upstream, one)) == b"all of it"
    async with replica(cut) as one:
        with pytest.raises(ReplicaMisbehaved):
            await score(await connected(upstream, one))


async def test_a_deployment_says_how_its_replicas_are_spoken_to(open_stage: OpenStage) -> None:
    stage = await open_stage(deployment={"tls": TRUSTED})
    async with AsyncExitStack() as replicas:
        one = await replicas.enter_async_context(replica())
        endpoint = stage.fleet.snapshot.endpoints[0]

        def publish(tls: ReplicaTls | None) -> None:
            deployment = replace(endpoint.deployments[0], tls=tls)
            served = replace(endpoint, deployments=(deployment,))
            stage.fleet.follow(Snapshot(endpoints=(served,), replicas=(one.noun,)))

        publish(TRUSTED)
        client = await stage.client()
        answer = await client.ask(request(body=b"over TLS"))
        assert (answer.status, answer.body) == (200, b"over TLS")
        publish(replace(TRUSTED, ca_bundle=STRANGERS.pem.decode()))
        answer = await client.ask(request(body=b"{}"))
        assert answer.status == 502
        assert b"its certificate is not good" in answer.body
        publish(TRUSTED)
        assert (await client.ask(request(body=b"again"))).body == b"again"
        stage.upstream.close()


async def test_a_bundle_that_is_none_is_told_with_each_request(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match="caBundle holds no certificate that can be read") as caught:
        secured(ReplicaTls(ca_bundle=broken))
    async with replica() as one:
        with pytest.raises(ReplicaUnreachable, match="can't be asked over TLS: caBundle holds no certificate"):
            await upstream.connect(one.noun, math.inf, 60_000, caught.value)  # type: ignore[arg-type]
        assert one.connections == 0


def test_the_systems_own_authorities_are_read_once() -> None:
    assert secured(ReplicaTls()).context is secured(ReplicaTls(server_name="a")).context
    assert secured(ReplicaTls()).context.verify_mode == ssl.CERT_REQUIRED
