"""Who puts several routers before the same replicas, and how are they started?

I/O: starts processes, writes their configuration files, asks each instance once for a score.

An instance is one process that clients can choose; each knows all replicas. Ours find each other through the state
directory; the others know nothing of each other, as they ship.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bench import configs, peers
from bench.dispatch.sending import Address
from bench.processes import ProcessGroup, free_ports, running
from bench.proxies import PLACEHOLDER_KEY, START_S, PeerError

PATH = f"/api/v1/endpoint/{configs.ENDPOINT}/score"
PATIENCE_S = 120
"""For a place in a queue, everywhere."""
PROBE_S = 30
"""Ours is the only one that probes replicas: seldom, so that it is not compared by that."""

HAPROXY = """\
global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client {patience_s}s
    timeout server {patience_s}s
    timeout queue {patience_s}s
listen bench
    bind 127.0.0.1:{port}
    http-reuse always
    balance leastconn
    default-server maxconn 1
{servers}
"""


class Contender(Protocol):
    """Some instances, of one kind."""

    name: str
    title: str
    program: str | None
    install: str
    instances: int
    """That a client can choose."""

    def commands(self, folder: Path, ports: Sequence[int], replica_ports: Sequence[int]) -> list[list[str]]:
        """Write the configuration of each instance, and tell how to start it in the foreground."""

    def authorization(self, folder: Path) -> str | None:
        """What each request says of who it is; None where that is not known yet."""


class _Stateless(Contender):
    def authorization(self, folder: Path) -> str | None:
        return f"Bearer {PLACEHOLDER_KEY}"


class HAProxy(_Stateless):
    """`maxconn 1` for each replica; whoever finds none waits in the one queue of its HAProxy."""

    name, title = "haproxy", "HAProxy, maxconn 1"

    def __init__(self, instances: int = 6) -> None:
        self.instances = instances
        self.program, self.install = peers.HAProxy().program, peers.HAProxy.install

    def commands(self, folder: Path, ports: Sequence[int], replica_ports: Sequence[int]) -> list[list[str]]:
        servers = "\n".join(f"    server replica{port} 127.0.0.1:{port}" for port in replica_ports)
        commands = []
        for port in ports:
            file = folder / f"haproxy-{port}.cfg"
            file.write_text(HAPROXY.format(port=port, servers=servers, patience_s=PATIENCE_S))
            commands.append([str(self.program), "-db", "-f", str(file)])
        return commands


class Envoy(_Stateless):
    """Least request, of two. A limit for each replica would have to be a breaker's, which refuses and does not queue;
    so it has none."""

    name, title = "envoy", "Envoy, least request"

    def __init__(self, instances: int = 6) -> None:
        self.instances = instances
        self.program, self.install = peers.Envoy().program, peers.Envoy.install

    def commands(self, folder: Path, ports: Sequence[int], replica_ports: Sequence[int]) -> list[list[str]]:
        commands = []
        for port in ports:
            file = folder / f"envoy-{port}.json"
            file.write_text(json.dumps(self._config(port, replica_ports)))
            options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
            commands.append([str(self.program), "--config-path", str(file), *options])
        return commands

    @staticmethod
    def _config(port: int, replica_ports: Sequence[int]) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(configs.envoy(port, replica_ports[0]))
        cluster = config["static_resources"]["clusters"][0]
        [lb_endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        address = lb_endpoint["endpoint"]["address"]["socket_address"]
        cluster["lb_policy"] = "LEAST_REQUEST"
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
            {"endpoint": {"address": {"socket_address": address | {"port_value": each}}}} for each in replica_ports
        ]
        routes = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        routes["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = f"{PATIENCE_S}s"
        return config


class Scoregate(Contender):
    """`routers` of `workers` processes each; a client chooses a router, not a worker."""

    install = "it needs the whole repository"

    def __init__(self, routers: int, workers: int) -> None:
        self.instances, self.workers = routers, workers
        self.name = f"scoregate-{routers}x{workers}"
        self.title = f"Scoregate, {routers} x {workers}"
        self.program = sys.executable

    def commands(self, folder: Path, ports: Sequence[int], replica_ports: Sequence[int]) -> list[list[str]]:
        file = folder / "endpoints.yaml"
        file.write_text(declared(replica_ports))
        command = [str(self.program), "-m", "router", "router", "--platform", "static", "--file", str(file)]
        command += ["--state-dir", str(folder), "--access-log", "off", "--workers", str(self.workers)]
        command += ["--host", "127.0.0.1"]
        pairs = zip(ports, free_ports(len(ports)), strict=True)
        return [[*command, "--port", str(port), "--admin-port", str(admin_port)] for port, admin_port in pairs]

    def authorization(self, folder: Path) -> str | None:
        file = folder / "keys" / f"{configs.ENDPOINT}.json"
        return f"Bearer {msgspec.json.decode(file.read_bytes(), type=_Keys).primary_key}" if file.exists() else None


class _Keys(msgspec.Struct, rename="camel"):
    primary_key: str


def declared(replica_ports: Sequence[int], slots: int = 1) -> str:
    """The endpoint, in front of these, so many requests at a time in each."""
    settings = {
        "maxConcurrentRequestsPerInstance": slots,
        "requestTimeoutMs": PATIENCE_S * 1000,
        "maxQueueWaitMs": PATIENCE_S * 1000,
        "maxQueueLength": 100_000,
    }
    deployment = {
        "name": "blue",
        "addresses": [f"127.0.0.1:{port}" for port in replica_ports],
        "requestSettings": settings,
        "readinessProbe": {"period": PROBE_S},
    }
    spec = {"auth": {"mode": "key"}, "traffic": {"blue": 100}, "deployments": [deployment]}
    declaration = {
        "apiVersion": "scoregate.io/v1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": configs.ENDPOINT},
        "spec": spec,
    }
    return json.dumps(declaration)  # which is YAML, too


def all_contenders() -> list[Contender]:
    return [Scoregate(6, 1), Scoregate(3, 2), HAProxy(), Envoy()]


class Started:
    """Instances that have all answered rightly."""

    def __init__(self, commands: Sequence[list[str]], groups: list[ProcessGroup], addresses: list[Address]) -> None:
        self.commands, self.groups, self.addresses = commands, groups, addresses


@contextmanager
def started(contender: Contender, folder: Path, core: int, replica_ports: Sequence[int]) -> Iterator[Started]:
    """Raises PeerError."""
    ports = free_ports(contender.instances)
    commands = contender.commands(folder, ports, replica_ports)
    with ExitStack() as stack:
        groups = [
            stack.enter_context(running(command, core=core, log=folder / f"output-{number}.log"))
            for number, command in enumerate(commands)
        ]
        give_up_at = time.monotonic() + START_S
        addresses = [
            _answering(contender, folder, port, group, give_up_at) for port, group in zip(ports, groups, strict=True)
        ]
        yield Started(commands, groups, addresses)


@contextmanager
def replicas(count: int, folder: Path, core: int) -> Iterator[tuple[int, list[int]]]:
    """The port of their accounts, and theirs. Raises PeerError."""
    command, log = [sys.executable, "-m", "bench.dispatch.counting", str(count)], folder / "replicas.log"
    with running(command, core=core, log=log) as group:
        give_up_at = time.monotonic() + START_S
        while not (told := log.read_bytes()).endswith(b"]\n"):
            _wait(group, "the replicas", give_up_at)
        account_port, *ports = msgspec.json.decode(told, type=list[int])
        yield account_port, ports


def _answering(contender: Contender, folder: Path, port: int, group: ProcessGroup, give_up_at: float) -> Address:
    while True:
        authorization = contender.authorization(folder)
        if authorization and _status(port, "POST", PATH, authorization, b'{"n": 0, "s": 0.001}') == 200:
            return Address(port=port, path=PATH, authorization=authorization)
        _wait(group, contender.title, give_up_at)


def _wait(group: ProcessGroup, title: str, give_up_at: float) -> None:
    if not group.alive:
        raise PeerError(f"{title} ended at the start: {group.last_words()}")
    if time.monotonic() > give_up_at:
        raise PeerError(f"{title} gave no right answer within {START_S:.0f} s: {group.last_words()}")
    time.sleep(0.05)


def _status(port: int, method: str, path: str, authorization: str, body: bytes) -> int | None:
    """None: it does not listen yet."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body or None, {"Authorization": authorization})
        reply = connection.getresponse()
        reply.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return reply.status
