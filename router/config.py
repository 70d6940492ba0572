"""How does this router process run?

Pure. Frozen values that the command line (flags, then `SCOREGATE_*` environment) fills in; validated here, acted on
elsewhere.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

PlainHttp = Literal["refuse", "redirect"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_LAST_PORT = 65_535


class ConfigError(ValueError):
    """A setting that can't be; the message names the setting, the value and the rule."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client, and all of them, may take. `metadata` says what each is, for `--help` and the README."""

    max_head_bytes: int = field(
        default=32_768, metadata={"help": "Size of a request head; beyond it 431.", "least": 1_024}
    )
    max_headers: int = field(default=100, metadata={"help": "Header fields in a request; beyond it 431.", "least": 1})
    head_timeout_ms: int = field(
        default=10_000, metadata={"help": "Time for a whole request head; beyond it 408.", "least": 1}
    )
    body_idle_timeout_ms: int = field(
        default=30_000,
        metadata={
            "help": "Time without a byte of a body, either way; beyond it 408, or an abort.",
            "least": 1,
        },
    )
    idle_timeout_ms: int = field(
        default=75_000, metadata={"help": "Life of a kept-alive connection without a request.", "least": 1}
    )
    max_idle_connections: int = field(
        default=10_000, metadata={"help": "Kept-alive connections; beyond it the oldest closes.", "least": 0}
    )
    max_connections: int = field(
        default=20_000,
        metadata={"help": "Client connections in all; beyond it an idle one closes, or 503.", "least": 1},
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, least = getattr(self, setting.name), setting.metadata["least"]
            if value < least:
                raise ConfigError(f"{setting.name} is {value}; it must be at least {least}.")


@dataclass(frozen=True, kw_only=True)
class RouterConfig:
    """One router, of one process or several."""

    platform: str
    state_dir: Path
    file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    tls_dir: Path | None = None
    """Holds the certificate and its key; None: no HTTPS."""
    tls_port: int = 8443
    client_ca: Path | None = None
    """Certificates that those of clients are checked with; None: clients show none."""
    plain_http: PlainHttp = "refuse"
    """What a request over plain HTTP is answered where HTTPS is served."""
    allow_insecure_connections: bool = False
    """Plain HTTP scores, too, on any address."""
    admin_port: int = 9001
    admin_host: str = "127.0.0.1"
    peer_port: int = 0
    """Where other instances and the autoscaler ask, over mutual TLS; 0 picks one."""
    peer_host: str = "127.0.0.1"
    access_log: str = "-"
    """`-` is standard output, `off` is none, anything else a file."""
    trusted_proxies: tuple[Network, ...] = ()
    """Peers whose X-Forwarded-* and Forwarded headers are believed."""
    proxy_protocol: bool = False
    """Each connection begins with a PROXY header, from one of those."""
    connect_timeout_ms: int = 1_000
    replica_idle_ms: int = 1_500
    """Below the 2 s after which gunicorn, Azure ML's model server, drops an idle connection."""
    drain_grace_ms: int = 1_000
    """After SIGTERM: how long new connections are still taken, so that load balancers see that it is not ready."""
    drain_timeout_ms: int = 300_000
    """After the grace: how long requests in flight may take; then they are cut."""
    workers: int = 1
    """Processes that share the ports."""
    max_workers: int = 0
    """So many there may be later; 0: as many as `workers`, and no more."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.platform == "static" and self.file is None:
            raise ConfigError("--platform static needs --file: the endpoints file with the addresses.")
        if self.platform != "static" and self.file is not None:
            where = "`scoregate up FILE`" if self.platform == "local" else "`kubectl apply -f FILE`"
            raise ConfigError(
                f"--file is for --platform static; on the {self.platform} platform, {where} declares the endpoints."
            )
        self._check_tls()
        if self.proxy_protocol and not self.trusted_proxies:
            raise ConfigError("--proxy-protocol needs --trusted-proxies: the load balancers that send the header.")
        for name in ("connect_timeout_ms", "replica_idle_ms", "drain_timeout_ms"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        self._check_workers()
        if self.drain_grace_ms < 0:
            raise ConfigError(f"drain_grace_ms is {self.drain_grace_ms}; it must be at least 0.")

    @property
    def most_workers(self) -> int:
        return max(self.workers, self.max_workers)

    def _check_workers(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"--workers is {self.workers}; it must be at least 1.")
        if self.max_workers and self.max_workers < self.workers:
            raise ConfigError(
                f"--max-workers is {self.max_workers}; it must be at least --workers, which is {self.workers}."
            )
        last = self.peer_port + self.most_workers - 1
        if self.peer_port and last > _LAST_PORT:
            raise ConfigError(
                f"--peer-port is {self.peer_port}, and each of {self.most_workers} workers needs one of its own: the "
                f"last would be {last}, beyond {_LAST_PORT}."
            )

    def _check_tls(self) -> None:
        if self.tls_dir is None:
            if not (self.allow_insecure_connections or _is_loopback(self.host)):
                raise ConfigError(
                    f"--host is {self.host}, where keys and data would cross a network as plain HTTP. Serve HTTPS with "
                    "--tls-dir, or, where something in front ends TLS, say --allow-insecure-connections."
                )
            if self.client_ca is not None:
                raise ConfigError("--client-ca is for HTTPS; it needs --tls-dir.")
            if self.plain_http != "refuse":
                raise ConfigError("--plain-http redirect sends clients to HTTPS; it needs --tls-dir.")
            return
        if self.plain_http != "refuse" and self.allow_insecure_connections:
            raise ConfigError("--plain-http redirect and --allow-insecure-connections: plain HTTP can't do both.")
        if self.port == self.tls_port != 0:
            raise ConfigError(f"--port and --tls-port are both {self.port}; they must differ.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, ::1` to networks. Raises ConfigError."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"trusted proxies are addresses or networks, as in 10.0.0.0/8: {error}") from None


def is_within(address: str, of: tuple[Network, ...]) -> bool:
    """Whether this is an address, and of one of these networks."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(known, "ipv4_mapped", None) or known  # an IPv4 peer, on a socket that takes both kinds
    return any(plain in network for network in of)
