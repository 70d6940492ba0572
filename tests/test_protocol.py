"""What does an ASGI app see of a client's connection, and what if the app fails? What raw sockets show is in wire/."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.server import ServerState

from router.app import CANCELS, INFORMATIONAL, TASK
from router.clients import Clients
from router.config import Limits
from router.core.errors import BadRequest
from router.core.tally import Memory
from router.protocol import ClientConnection, protocol_of
from router.request import ARRIVED

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
GET = b"GET /a%20b/c?q=1&r HTTP/1.1\r\nHost: a.example\r\nX-Shade: Blue\r\n\r\n"


class Transport(asyncio.Transport):
    """Writes down what the protocol does with it."""

    def __init__(self, peer: object = ("10.0.0.9", 1234), can_write_eof: bool = True) -> None:
        super().__init__({"peername": peer, "sockname": ("10.0.0.1", 8080), "socket": self})
        self.written = b""
        self.done: list[str] = []
        self._can_write_eof = can_write_eof

    def write(self, data: Any) -> None:
        self.written += data

    def setsockopt(self, *option: object) -> None:
        """It is its own socket, and sends no bytes that a reset could overtake."""

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def write_eof(self) -> None:
        self.done.append("eof")

    def can_write_eof(self) -> bool:
        return self._can_write_eof

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def connected(
    app: App, transport: Transport | None = None, limits: Limits | None = None
) -> tuple[ClientConnection, Transport]:
    transport = transport or Transport()
    clients = Clients(limits or Limits(), lambda error, client: b"an-id", Memory())
    config: Any = SimpleNamespace(loaded_app=app)
    connection = ClientConnection(config, ServerState(), {}, clients=clients)
    connection.connection_made(transport)
    return connection, transport


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_the_scope_says_what_the_head_said() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)
        assert scope[TASK] is asyncio.current_task()
        await ok(scope, receive, send)

    connection, _ = connected(app)
    connection.data_received(GET)
    await settle()
    (scope,) = scopes
    assert scope["type"] == "http"
    assert scope["method"] == "GET"
    assert scope["http_version"] == "1.1"
    assert scope["raw_path"] == b"/a%20b/c"
    assert scope["query_string"] == b"q=1&r"
    assert scope["headers"] == [(b"host", b"a.example"), (b"x-shade", b"Blue")]
    assert scope["client"] == ("10.0.0.9", 1234)
    assert scope["server"] == ("10.0.0.1", 8080)
    assert scope["scheme"] == "http"
    assert scope["extensions"].keys() >= {CANCELS, INFORMATIONAL}
    assert scope[ARRIVED] > 0
    connection.connection_lost(None)


async def test_a_connection_without_an_address_has_no_client() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)
        await ok(scope, receive, send)

    connection, _ = connected(app, Transport(peer=""))
    connection.data_received(GET)
    await settle()
    assert scopes[0]["client"] is None
    connection.connection_lost(None)


@pytest.mark.parametrize("begins", [False, True])
async def test_an_app_that_fails_outside_its_own_handling_is_logged_and_the_connection_cut(
    begins: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise LookupError("oops")

    connection, transport = connected(app)
    connection.data_received(GET)
    await settle()
    assert "abort" in transport.done
    assert b"0\r\n\r\n" not in transport.written
    assert "oops" in caplog.text
    connection.connection_lost(None)


async def test_an_app_that_ends_without_a_whole_reply_has_the_connection_cut() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    connection, transport = connected(app)
    connection.data_received(GET)
    await settle()
    assert "abort" in transport.done
    connection.connection_lost(None)


async def test_an_error_of_a_reply_that_has_begun_is_no_fault_to_log(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise BadRequest("too late for a reply")

    connection, transport = connected(app)
    connection.data_received(GET)
    await settle()
    assert "abort" in transport.done
    assert caplog.text == ""
    connection.connection_lost(None)


async def test_losing_the_connection_cancels_the_app() -> None:
    cancelled = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    connection, _ = connected(app)
    connection.data_received(GET)
    await settle()
    connection.connection_lost(None)
    await settle()
    assert cancelled.is_set()


async def test_a_client_that_leaves_while_a_reply_is_drained_ends_the_wait() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})

    connection, _ = connected(app)
    connection.pause_writing()
    connection.data_received(GET)
    await settle()
    assert asyncio.all_tasks() - {asyncio.current_task()}
    connection.connection_lost(ConnectionResetError())
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_where_half_closing_is_impossible_the_last_reply_closes_the_connection() -> None:
    """TLS has no half-close."""
    connection, transport = connected(ok, Transport(can_write_eof=False))
    connection.data_received(b"what?\r\n\r\n")
    assert transport.written.startswith(b"HTTP/1.1 400 ")
    assert transport.done[-1] == "close"
    connection.connection_lost(None)


async def test_bytes_behind_the_end_are_dropped() -> None:
    connection, transport = connected(ok)
    connection.data_received(b"what?\r\n\r\n")
    reply = transport.written
    connection.data_received(GET)
    await settle()
    assert transport.written == reply
    connection.connection_lost(None)


async def test_every_connection_is_counted_once_and_forgotten_once() -> None:
    clients = Clients(Limits(), lambda error, client: b"an-id", Memory())
    config: Any = SimpleNamespace(loaded_app=ok)
    state = ServerState()
    connections = [protocol_of(clients)(config, state, {}) for _ in range(3)]
    for connection in connections:
        connection.connection_made(Transport())
        connection.data_received(GET)  # type: ignore[attr-defined]
    await settle()
    assert (clients.count, len(clients.idle), len(state.connections)) == (3, 3, 3)
    assert state.total_requests == 3
    for connection in connections:
        connection.connection_lost(None)
    assert (clients.count, len(clients.idle), len(state.connections)) == (0, 0, 0)


async def test_uvicorns_shutdown_closes_an_idle_connection_and_lets_a_busy_one_finish() -> None:
    go = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.wait()
        await ok(scope, receive, send)

    idle, idle_transport = connected(app)
    idle.shutdown()
    assert idle_transport.done == ["close"]
    busy, transport = connected(app)
    busy.data_received(GET)
    await settle()
    busy.shutdown()
    assert transport.done == []
    go.set()
    await settle()
    assert transport.written.endswith(b"ok")
    assert b"connection: close\r\n" in transport.written
    assert transport.done == ["close"]
    idle.connection_lost(None)
    busy.connection_lost(None)
