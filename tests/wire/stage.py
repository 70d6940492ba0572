"""Where does a dialogue between a client, the router and its replicas take place?

A router's data path in this process, on real sockets: the protocol under uvicorn's own configuration, the app, the
fleet, the connections to replicas. Replicas are scripted; nothing else is made up. When the stage closes, every slot,
task and connection must have come back.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import uvicorn
from msgspec.structs import replace
from uvicorn.server import ServerState

from router.app import Router
from router.clients import Clients
from router.config import Limits, networks
from router.core.errors import RouterError
from router.core.model import Addresses, Deployment, Endpoint, Replica, RequestSettings, Snapshot
from router.core.sharing import Sharing
from router.core.tally import Memory
from router.fleet import Fleet
from router.forwarding import Forwarding
from router.listening.encrypted import encrypted
from router.listening.proxied import proxied
from router.protocol import ClientConnection, protocol_of
from router.tls import server_context
from router.upstream import Upstream
from tests.certificates import Authority, pair_of
from tests.gates import Gated
from tests.wire.encrypted_wires import EncryptedWire
from tests.wire.wires import ClientWire, Message, ReplicaWire, until

REFUSAL_ID = b"11111111-2222-4333-8444-555555555555"
KEY = "iris/blue"
CA = Authority()
CERTIFIED = CA.certify()


class ScriptedReplica:
    """A model server that says what the test says. `wires`: all connections it ever took, oldest first."""

    def __init__(self, uid: str, receive_buffer_bytes: int | None = None) -> None:
        self.uid = uid
        self.wires: list[ReplicaWire] = []
        self._sock = socket.socket()
        if receive_buffer_bytes is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.listen(64)
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        self._given = 0
        self._tasks = [asyncio.create_task(self._accept())]

    def noun(self) -> Replica:
        return Replica(uid=self.uid, deployment=KEY, host="127.0.0.1", port=self.port, ready=True)

    async def connection(self) -> ReplicaWire:
        """The next new connection of the router."""
        await until(lambda: len(self.wires) > self._given)
        self._given += 1
        return self.wires[self._given - 1]

    async def asked(self) -> tuple[ReplicaWire, Message]:
        """The next new connection, and the first request on it."""
        wire = await self.connection()
        return wire, await wire.request()

    def answer_all(self, answer: Callable[[Message], bytes]) -> None:
        """From now on by itself: this reply to each request, on each connection."""
        self._tasks.append(asyncio.create_task(self._answer_connections(answer)))

    async def refuse_connections(self) -> None:
        self._tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await self._tasks[0]
        self._sock.close()

    def heard(self) -> bytes:
        """All bytes that ever came, over all connections."""
        for wire in self.wires:
            if wire.sock.fileno() >= 0:
                wire.silent()
        return b"".join(bytes(wire.received) for wire in self.wires)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._sock.close()
        for wire in self.wires:
            wire.close()

    async def _accept(self) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._sock)
            sock.setblocking(False)
            self.wires.append(ReplicaWire(sock))

    async def _answer_connections(self, answer: Callable[[Message], bytes]) -> None:
        while True:
            await until_new(self)
            self._tasks.append(asyncio.create_task(self._answer(await self.connection(), answer)))

    async def _answer(self, wire: ReplicaWire, answer: Callable[[Message], bytes]) -> None:
        with suppress(AssertionError, OSError, TimeoutError):  # the router has closed it, or the test is over
            while True:
                await wire.send(answer(await wire.request()))


async def until_new(replica: ScriptedReplica) -> None:
    while len(replica.wires) <= replica._given:  # noqa: ASYNC110 - for as long as the test lasts
        await asyncio.sleep(0.001)


class Stage:
    """`async with` it. The endpoint is `iris`, without authentication, its one deployment `blue`."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        replicas: int = 1,
        send_buffer_bytes: int | None = None,
        replica_receive_buffer_bytes: int | None = None,
        trusted_proxies: str = "",
        replica_idle_ms: int = 60_000,
        endpoint: dict[str, Any] | None = None,
        deployment: dict[str, Any] | None = None,
        tls: bool = False,
        proxied_by: str | None = None,
        **request_settings: int,
    ) -> None:
        """`..._buffer_bytes`: what the kernel keeps on the way to a client, and to a replica. `proxied_by`: connections
        begin with a PROXY header of one of these networks."""
        self._limits = limits or Limits()
        self._send_buffer_bytes = send_buffer_bytes
        self.replicas = [ScriptedReplica(f"{KEY}#{n}", replica_receive_buffer_bytes) for n in range(replicas)]
        self._clients: list[ClientWire] = []
        settings = RequestSettings(**{"request_timeout_ms": 60_000, "max_queue_wait_ms": 60_000} | request_settings)
        self._deployment = Deployment(
            endpoint="iris", name="blue", workload=Addresses(addresses=()), request=settings, **deployment or {}
        )
        shape: dict[str, Any] = {"auth_mode": "none", "weights": (("blue", 100),)} | (endpoint or {})
        self._endpoint = Endpoint(name="iris", deployments=(self._deployment,), **shape)
        self.upstream = Upstream(connect_timeout_ms=8_000, idle_ms=replica_idle_ms)
        self.fleet = Fleet(self.upstream, Memory(), Sharing("here", lambda: None))
        self.clients = Clients(self._limits, lambda error, client: self._note(error), Memory())
        self.refusals: list[RouterError] = []
        self.gated = Gated()
        self._tls = CA.trusting() if tls else None
        self._config = uvicorn.Config(
            Router(self.fleet, self.gated.gate, self.upstream, Forwarding(networks(trusted_proxies)), None),
            http=self._http(proxied_by),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
        )
        self._state = ServerState()
        self._state.default_headers = [(b"date", b"Sat, 21 Nov 2026 12:00:00 GMT")]
        self._faults = _Faults()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._faults.seen.append(str(context)))
        logging.getLogger("scoregate.router").addHandler(self._faults)
        self._config.load()
        self.publish()
        sock = socket.socket()
        if self._send_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
        sock.bind(("127.0.0.1", 0))
        self._server = await loop.create_server(self._protocol, sock=sock, backlog=256)
        self.address: tuple[str, int] = sock.getsockname()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        try:
            await until(lambda: not self.clients.count and not self.in_flight and not self.queued)
        finally:
            self._server.close()
            self.upstream.close()
            for replica in self.replicas:
                await replica.close()
            for live in self.fleet.live.values():
                live.admission.close()
            await until(lambda: not self.upstream.open)
            logging.getLogger("scoregate.router").removeHandler(self._faults)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in others if "router" in repr(task.get_coro())], "a task of the router was left"
        assert not self._faults.seen, f"a fault of the router itself: {self._faults.seen}"

    # -- who plays -----------------------------------------------------------------------------------------

    @property
    def replica(self) -> ScriptedReplica:
        return self.replicas[0]

    @property
    def scheme(self) -> bytes:
        return b"http" if self._tls is None else b"https"

    async def client(self, receive_buffer_bytes: int | None = None, *, preface: bytes = b"") -> ClientWire:
        """`preface`: said before the client's first byte, by whatever passes it on."""
        if self._tls is None:
            wire = await ClientWire.to(self.address, receive_buffer_bytes)
            await wire.send(preface)
        else:
            wire = await EncryptedWire.over_tls(self.address, self._tls, receive_buffer_bytes, preface)
        self._clients.append(wire)
        return wire

    def publish(self, **changes: Any) -> None:
        """A new snapshot. `changes`: request settings that are different from now on."""
        self._deployment = replace(self._deployment, request=replace(self._deployment.request, **changes))
        self._endpoint = replace(self._endpoint, deployments=(self._deployment,))
        nouns = tuple(replica.noun() for replica in self.replicas)
        self.fleet.follow(Snapshot(endpoints=(self._endpoint,), replicas=nouns))
        self.gated.gate.follow((self._endpoint,))

    # -- how it goes ---------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        return sum(load.in_flight for load in self.fleet.loads())

    @property
    def queued(self) -> int:
        return sum(load.queued for load in self.fleet.loads())

    @property
    def retries(self) -> int:
        return sum(live.budget.retries_total for live in self.fleet.live.values())

    @property
    def connections(self) -> list[ClientConnection]:
        return list(self._state.connections)  # type: ignore[arg-type]

    def statuses(self) -> dict[int, int]:
        """Requests of the deployment by status, as the metrics count them."""
        return self.fleet.live[KEY].counters.requests

    def buffered_bytes(self) -> int:
        """What the router holds of bodies right now, in its own memory."""
        to_clients = sum(each.transport.get_write_buffer_size() for each in self.connections)
        to_replicas = sum(each._transport.get_write_buffer_size() for each in self.upstream.open)
        from_replicas = sum(each._buffered_bytes for each in self.upstream.open)
        exchanges = [each._exchange for each in self.connections if each._exchange is not None]
        return to_clients + to_replicas + from_replicas + sum(each._buffered_bytes for each in exchanges)

    # -- inside --------------------------------------------------------------------------------------------

    def _http(self, proxied_by: str | None) -> Callable[..., asyncio.Protocol]:
        """What makes a connection of a client. `context` is for the next one over TLS."""
        http = protocol_of(self.clients)
        if self._tls is not None:
            self.context = server_context(pair_of(CERTIFIED))
            http = encrypted(http, lambda: self.context, self.clients)
        return http if proxied_by is None else proxied(http, networks(proxied_by), self.clients)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes it for each connection."""
        protocol: asyncio.Protocol = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}
        )
        return protocol

    def _note(self, error: RouterError) -> bytes:
        self.refusals.append(error)
        return REFUSAL_ID


class _Faults(logging.Handler):
    """What the router logs as its own failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))
