"""encrypted.py: what is special about a connection over TLS. That the rest is as over TCP, tests/wire shows."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from router.config import Limits
from router.listening import encrypted as module
from router.listening.encrypted import Encrypted
from router.protocol import ClientConnection
from tests.wire.encrypted_wires import EncryptedWire
from tests.wire.stage import CA, REFUSAL_ID, Stage
from tests.wire.wires import ClientWire, reply, request, until

SAID = request(body=b"[1]")
HELLO = bytes.fromhex("16030100")
"""How a handshake begins."""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage(tls=True) as one:
        yield one


async def raw(stage: Stage) -> ClientWire:
    """A client that has not said a word yet."""
    wire = await ClientWire.to(stage.address)
    stage._clients.append(wire)
    return wire


async def scored(stage: Stage, wire: ClientWire) -> None:
    await wire.send(SAID)
    replica, _ = await stage.replica.asked()
    await replica.send(reply(b"[2]"))
    assert (await wire.reply()).body == b"[2]"


async def test_a_request_and_its_reply(stage: Stage) -> None:
    wire = await stage.client()
    await scored(stage, wire)
    (connection,) = stage.connections
    assert connection.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert connection.transport.get_extra_info("peername")[0] == "127.0.0.1"
    assert connection.transport.get_extra_info("nothing", "given") == "given"
    assert not stage.clients.arriving


@pytest.mark.parametrize("said", [b"", HELLO])
async def test_a_handshake_has_the_time_of_a_head(said: bytes) -> None:
    async with Stage(tls=True, limits=Limits(head_timeout_ms=400)) as stage:
        wire = await raw(stage)
        if said:
            await wire.send(said)
        await until(lambda: stage.clients.count == 1)
        assert len(stage.clients.arriving) == 1
        await wire.rest()
        await until(lambda: not stage.clients.count)
        assert stage.clients.failed_handshakes == 1
        assert stage.refusals == []


async def test_after_the_handshake_its_deadline_is_over() -> None:
    async with Stage(tls=True, limits=Limits(head_timeout_ms=600)) as quick:
        wire = await quick.client()
        await scored(quick, wire)
        await asyncio.sleep(0.8)
        await wire.send(SAID)
        await quick.replica.wires[0].request()
        await quick.replica.wires[0].send(reply(b"[3]"))
        assert (await wire.reply()).body == b"[3]"


async def test_who_leaves_within_the_handshake_is_forgotten_and_no_failure(stage: Stage) -> None:
    """Load balancers look so whether the port is there."""
    for said in (b"", HELLO):
        wire = await raw(stage)
        if said:
            await wire.send(said)
        await until(lambda: stage.clients.count == 1)
        wire.close()
        await until(lambda: not stage.clients.count)
    assert stage.clients.failed_handshakes == 0


async def test_what_is_no_tls_ends_it_with_an_alert(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "scoregate.router")
    wire = await raw(stage)
    await wire.send(b"\x16\x03\x01\x00\x05hello")
    assert (await wire.rest())[:1] == b"\x15"
    await until(lambda: not stage.clients.count)
    assert stage.clients.failed_handshakes == 1
    assert "TLS with 127.0.0.1 failed: " in caplog.text


@pytest.mark.parametrize("said", [SAID, b"GET / HTTP/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"x"])
async def test_plain_http_is_told_that_this_is_none(stage: Stage, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(module, "_END_WITHIN_S", 60.0)
    wire = await raw(stage)
    await wire.send(said)
    answer = await wire.last_reply()
    assert answer.status == 400
    assert b"This port speaks HTTPS" in answer.body
    assert answer.get(b"x-request-id") == REFUSAL_ID
    assert answer.get(b"connection") == b"close"
    assert [error.code for error in stage.refusals] == ["BadRequest"]
    wire.close()
    await until(lambda: not stage.clients.count)


async def test_plain_http_that_stays_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_WITHIN_S", 0.05)
    wire = await raw(stage)
    await wire.send(SAID)
    await wire.last_reply()
    await until(lambda: not stage.clients.count)
    assert await wire.is_cut(b"more")


async def test_tls_at_the_plain_port_is_told_at_once() -> None:
    async with Stage() as stage:
        wire = await raw(stage)
        await wire.send(HELLO + bytes(200))
        answer = await wire.last_reply()
        assert answer.status == 400
        assert b"This port speaks plain HTTP" in answer.body
        wire.close()


async def test_a_handshake_is_a_connection_and_the_newcomer_over_the_limit_is_503() -> None:
    async with Stage(tls=True, limits=Limits(max_connections=1)) as stage:
        silent = await raw(stage)
        await until(lambda: stage.clients.count == 1)
        answer = await (await stage.client()).last_reply()
        assert answer.status == 503
        assert b"TooManyConnections" in answer.body
        silent.close()


async def test_many_over_the_limit_are_cut_and_shake_no_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REFUSED_IN_WORDS", 2)
    async with Stage(tls=True, limits=Limits(max_connections=1)) as stage:
        wires = [await raw(stage) for _ in range(10)]
        await until(lambda: stage.clients.count == 3)
        await until(lambda: stage.clients.failed_handshakes == 7)
        for wire in wires:
            wire.close()


async def test_an_idle_connection_makes_room_for_a_handshake() -> None:
    async with Stage(tls=True, limits=Limits(max_connections=1)) as stage:
        idle = await stage.client()
        await scored(stage, idle)
        await until(lambda: bool(stage.clients.idle))
        await raw(stage)
        assert await idle.closed()
        assert not idle.was_reset
        await until(lambda: stage.clients.count == 1)
        stage.clients.arriving.pop().abort()


async def test_a_router_that_ends_waits_for_no_handshake(stage: Stage) -> None:
    wire = await raw(stage)
    await until(lambda: len(stage.connections) == 1)
    stage.connections[0].shutdown()
    await wire.rest()
    await until(lambda: not stage.connections)


async def test_a_record_that_was_forged_ends_it_and_the_request_is_gone(stage: Stage) -> None:
    wire = await stage.client()
    await wire.send(SAID)
    replica, _ = await stage.replica.asked()
    await ClientWire.send(wire, b"\x17\x03\x03\x00\x20" + bytes(32))
    assert await replica.closed()
    with pytest.raises(ssl.SSLError, match="bad record mac"):
        await wire.hear()
    await until(lambda: not stage.clients.count)
    assert stage.clients.failed_handshakes == 0, "the handshake was good"


async def test_an_end_without_close_notify_is_an_end(stage: Stage) -> None:
    """TCP's alone: whoever sends it may not be the client. What it cuts is no request, for its length is known."""
    wire = await stage.client()
    await wire.send(request(b"Content-Length: 10", method=b"POST") + b"12345")
    replica = await stage.replica.connection()
    wire.sock.shutdown(socket.SHUT_WR)
    await replica.rest()
    assert b"12345" in replica.received
    await until(lambda: not stage.clients.count)


async def test_a_client_that_says_goodbye_is_gone_also_before_tcp_says_so(stage: Stage) -> None:
    wire = await stage.client()
    await wire.send(SAID)
    replica, _ = await stage.replica.asked()
    assert isinstance(wire, EncryptedWire)
    with pytest.raises(ssl.SSLWantReadError):
        wire.tls.unwrap()
    await wire.flush()
    assert await replica.closed()
    await until(lambda: not stage.clients.count)
    assert stage.statuses() == {499: 1}


async def test_records_of_one_byte_are_read_as_one_piece(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a call of its own, a head of them would cost its length squared."""
    calls = 0
    data_received = ClientConnection.data_received

    def counted(connection: ClientConnection, data: bytes) -> None:
        nonlocal calls
        calls += 1
        data_received(connection, data)

    monkeypatch.setattr(ClientConnection, "data_received", counted)
    stage.replica.answer_all(lambda asked: reply(asked.body))
    wire = await stage.client()
    assert isinstance(wire, EncryptedWire)
    said = request(b"X: " + b"a" * 2_000, body=b"[1]")
    for byte in said:
        wire.tls.write(bytes([byte]))
    await wire.flush()
    assert (await wire.reply()).body == b"[1]"
    assert calls < len(said) / 10


@asynccontextmanager
async def typing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """What is typed at OpenSSL's own client; a line of `K` updates the keys, and asks for an update in reply.

    The client takes together what it has not read yet: a line is typed once the one before has come here."""
    heard = 0
    data_received = Encrypted.data_received

    def counted(one: Encrypted, data: bytes) -> None:
        nonlocal heard
        data_received(one, data)
        heard += 1

    monkeypatch.setattr(Encrypted, "data_received", counted)
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{stage.address[1]}", "-tls1_3"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    stdin = process.stdin
    assert stdin is not None

    async def typed(line: bytes) -> None:
        before = heard
        if process.returncode is None:
            stdin.write(line)
        await until(lambda: heard > before or not stage.clients.count)

    await until(lambda: bool(stage.clients.open))
    yield typed
    stdin.close()
    await asyncio.wait_for(process.communicate(), 8)


async def test_a_client_that_only_updates_keys_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each update asks for one in reply; whoever does not read them must not fill the memory."""
    monkeypatch.setattr(module, "_ANSWERS_BYTES", 60)
    async with typing(stage, monkeypatch) as typed:
        for _ in range(20):
            await typed(b"K\n")
            if not stage.clients.count:
                break
        await until(lambda: not stage.clients.count)


@pytest.mark.parametrize(("unread_bytes", "stays"), [(0, True), (1, False)])
async def test_a_byte_of_a_request_excuses_only_who_reads_the_updates(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, unread_bytes: int, stays: bool
) -> None:
    monkeypatch.setattr(module, "_ANSWERS_BYTES", 60)
    monkeypatch.setattr(Encrypted, "get_write_buffer_size", lambda _: unread_bytes)
    async with typing(stage, monkeypatch) as typed:
        await typed(b"POST / HTTP/1.1\n")
        for _ in range(8):
            await typed(b"K\n")
            await typed(b"x: x\n")
        await until(lambda: bool(stage.clients.count) is stays)


async def test_what_openssl_holds_goes_with_its_connection(stage: Stage) -> None:
    wire = await stage.client()
    await scored(stage, wire)
    (connection,) = stage.connections
    held: weakref.ref[Encrypted] = weakref.ref(connection.transport)  # type: ignore[arg-type]
    gc.disable()
    try:
        del connection
        wire.close()
        await until(lambda: not stage.clients.count)
        for _ in range(3):
            await asyncio.sleep(0)
        assert held() is None
    finally:
        gc.enable()


def test_who_is_trusted_in_these_tests_is_one_ca() -> None:
    assert CA.trusting().get_ca_certs()[0]["subject"] == ((("commonName", "Test CA"),),)
