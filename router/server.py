"""How is a router put together, and how does it start, follow its platform and stop?

I/O: listeners, signals, the platform. Nothing is decided here; this is the one place that knows all the parts.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import resource
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp

from router.accesslog import AccessLog
from router.admin import admin_app
from router.app import Router
from router.clients import Clients
from router.config import ConfigError, Limits, RouterConfig
from router.core.errors import RouterError
from router.core.hygiene import request_id
from router.core.model import Deployment, Load
from router.fleet import Fleet
from router.forwarding import Forwarding
from router.metrics import Counters, registry_of
from router.platforms import Platform, Standing
from router.platforms.local.state import RouterPlace, StateDirectory
from router.pressure import Pressure
from router.protocol import protocol_of
from router.records import refusal_record
from router.request import RandomDigits
from router.upstream import Upstream

_BACKLOG = 4_096
_FILES_BESIDE = 64
"""Open files that are no connection of a request: logs, listeners, probes, state."""
_DRAIN_LOOK_S = 0.05
_NOTHING_KNOWN = "no endpoints are known yet"

_log = logging.getLogger("scoregate.router")


class Listener(uvicorn.Server):
    """uvicorn's server, with signals left to ours: it would close at SIGTERM, and end by the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def until_started(self, serving: asyncio.Task[None]) -> None:
        while not self.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.005)  # uvicorn sets a flag, and has no event to wait for


class RouterServer:
    """One router process. Needs a running event loop."""

    def __init__(self, config: RouterConfig, platform: Platform) -> None:
        self._config = config
        self._platform = platform
        self._upstream = Upstream(connect_timeout_ms=config.connect_timeout_ms, idle_ms=config.replica_idle_ms)
        self._fleet = Fleet(self._upstream)
        self._access_log = _opened(config.access_log)
        self._clients = Clients(_within_files(config.limits), self._refused)
        self._digits = RandomDigits()
        self._stop = asyncio.Event()
        forwarding = Forwarding(config.trusted_proxies)
        self._app = Router(self._fleet, self._upstream, forwarding, self._access_log)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ConfigError for an address that can't be listened on."""
        config = self._config
        with (
            _bound(config.host, config.port, "--port") as public,
            _bound(config.admin_host, config.admin_port, "--admin-port") as admin,
        ):
            registry = registry_of(self)
            patience_s = math.ceil(config.drain_timeout_ms / 1000)
            listener = _listener(self._app, protocol_of(self._clients), patience_s)
            admin_listener = _listener(admin_app(self, registry), "h11", 1)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            following = asyncio.create_task(self._follow())
            reporting = asyncio.create_task(self._report_drained())
            serving = asyncio.create_task(listener.serve([public]))
            administering = asyncio.create_task(admin_listener.serve([admin]))
            try:
                await listener.until_started(serving)
                await admin_listener.until_started(administering)
                self._announce(public, admin)
                await self._wait_for_stop(following)
                await self._drain(listener, serving)
            finally:
                self._fleet.pressure.close()
                admin_listener.should_exit = listener.should_exit = True
                following.cancel()
                reporting.cancel()
                await asyncio.gather(following, reporting, serving, administering, return_exceptions=True)
                await self._clients.cut()
                self._upstream.close()
                if self._access_log is not None:
                    self._access_log.close()

    # -- what the internal port and the metrics show -------------------------------------------------------

    def not_ready_because(self) -> str | None:
        if self._stop.is_set():
            return "it is stopping"
        if self._fleet.has_snapshot:
            return None
        return f"no endpoints are known yet: {reason}" if (reason := self.standing().reason) else _NOTHING_KNOWN

    def standing(self) -> Standing:
        return self._platform.standing()

    def load(self) -> list[Load]:
        return self._fleet.loads()

    @property
    def pressure(self) -> Pressure:
        return self._fleet.pressure

    def loads(self) -> Iterator[tuple[Load, Counters, int]]:
        for live in self._fleet.live.values():
            yield live.load(), live.counters, live.budget.retries_total

    def deployments(self) -> Iterator[Deployment]:
        return (live.noun for live in self._fleet.live.values())

    def unrouted(self) -> Mapping[str, Counters]:
        return self._fleet.unrouted

    def connections(self) -> dict[str, int]:
        return {
            "client": self._clients.count,
            "client_idle": len(self._clients.idle),
            "replica": len(self._upstream.open),
        }

    def dropped_log_lines(self) -> int:
        return 0 if self._access_log is None else self._access_log.dropped

    # -- inside --------------------------------------------------------------------------------------------

    def _refused(self, error: RouterError, client: str) -> bytes:
        """A request that broke HTTP or a limit before the app saw it."""
        name = request_id(None, self._digits.take())
        self._fleet.unrouted[""].count(error.status)
        if self._access_log is not None:
            self._access_log.append(refusal_record(error, client, name))
        return name

    async def _follow(self) -> None:
        async for snapshot in self._platform.watch():
            is_first = not self._fleet.has_snapshot
            self._fleet.follow(snapshot)
            if is_first:
                _calm_gc()

    async def _report_drained(self) -> None:
        """Tell the platform of each leaving replica, once, that it has nothing in flight any more."""
        told: set[str] = set()
        while True:
            self._fleet.forget_retired()
            drained = self._fleet.drained()
            told &= drained
            for uid in drained - told:
                try:
                    await self._platform.drained(uid)
                    told.add(uid)
                except Exception:  # it is told again: a replica must not wait for ever because a disk was full once
                    _log.exception("can't report that %s has drained; trying again", uid)
            await asyncio.sleep(_DRAIN_LOOK_S)

    async def _wait_for_stop(self, following: asyncio.Task[None]) -> None:
        """Until a signal. A platform that fails at the start ends the router; later it serves what it last knew."""
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((stop, following), return_when=asyncio.FIRST_COMPLETED)
            if following.done() and not self._fleet.has_snapshot:
                following.result()
            elif following.done():
                _log.error("the platform is gone; serving what it last said", exc_info=following.exception())
            await stop
        finally:
            stop.cancel()

    async def _drain(self, listener: Listener, serving: asyncio.Task[None]) -> None:
        """Not ready at once; no new connections after the grace; requests in flight finish; then everything is
        closed."""
        _log.info("stopping: not ready, finishing %d requests", sum(load.in_flight for load in self.load()))
        self._clients.is_draining = True
        self._fleet.pressure.release()
        await asyncio.sleep(self._config.drain_grace_ms / 1000)
        listener.should_exit = True
        await serving

    def _announce(self, public: socket.socket, admin: socket.socket) -> None:
        place = RouterPlace(admin=_url(admin), public=_url(public), pid=os.getpid())
        StateDirectory(self._config.state_dir).write_router(place)
        _log.info("scoring on %s, internal on %s", place.public, place.admin)


def _listener(app: ASGIApp, http: object, patience_s: int) -> Listener:
    """`patience_s`: for requests in flight, once it shall end."""
    return Listener(
        uvicorn.Config(
            app,
            http=http,  # type: ignore[arg-type]  # it takes any callable that makes a protocol
            ws="none",
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=patience_s,
        )
    )


def _within_files(limits: Limits) -> Limits:
    """Every connection is an open file, and a request has two: no more clients than the system gives files for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * limits.max_connections + _FILES_BESIDE
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    most = max(1, (max(soft, files) - _FILES_BESIDE) // 2)
    if most >= limits.max_connections:
        return limits
    _log.warning(
        "max_connections is %d, but open files are limited to %d: %d connections are taken (see ulimit -n)",
        limits.max_connections,
        max(soft, files),
        most,
    )
    return replace(limits, max_connections=most)


def _opened(where: str) -> AccessLog | None:
    try:
        return None if where == "off" else AccessLog(where)
    except OSError as error:
        raise ConfigError(
            f"Can't write the access log {where}: {error.strerror}. Choose another --access-log."
        ) from None


def _calm_gc() -> None:
    """What there is once all that is served is known stays; a request leaves no cycles, so looking for them often only
    adds to the tail latency."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextmanager
def _bound(host: str, port: int, option: str) -> Iterator[socket.socket]:
    """A socket to listen on. Raises ConfigError naming the option to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise ConfigError(f"Can't listen on {host}:{port}: {error.strerror}. Choose another {option}.") from None
        yield sock
    finally:
        sock.close()


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
