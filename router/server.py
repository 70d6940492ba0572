"""How is a router put together, and how does it start, follow its platform and stop?

I/O: listeners, signals, the platform. Nothing is decided here; this is the one place that knows all the parts.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from prometheus_client import ProcessCollector
from prometheus_client.registry import Collector

from router.accesslog import AccessLog
from router.admin import admin_app
from router.administration import Desk
from router.administration.access import Access
from router.administration.parts import Parts
from router.app import Router
from router.clients import Clients
from router.config import ConfigError, Limits, RouterConfig
from router.core.auth import Caller
from router.core.circle import Peer
from router.core.errors import RouterError
from router.core.hygiene import request_id
from router.core.loads import Gathered
from router.core.model import Deployment, InstanceStanding, Load, Routing, Snapshot
from router.counters import Counters
from router.fleet import Fleet
from router.forwarding import Forwarding
from router.gate import Gate
from router.listening import listener, url_of
from router.listening.between_instances import BetweenInstances
from router.listening.certificate import Certificate
from router.listening.entrances import Entrances
from router.listening.turns import ReadyFirst
from router.load_page import instances_app
from router.metrics import Observed, registry_of
from router.neighbours import Neighbours
from router.peers import Peers
from router.peers.calling import Address
from router.platforms import Platform, Standing
from router.platforms.identity import OwnIdentity
from router.platforms.local.state import StateDirectory, own_id, own_place
from router.platforms.peer_socket import peer_socket
from router.post import Post
from router.pressure import Pressure
from router.processes import ProcessesCollector
from router.protocol import protocol_of
from router.pulse import pulse
from router.records import refusal_record
from router.request import RandomDigits
from router.routing_page import routing_of
from router.tokens.issuers import Issuers
from router.tokens.own import OwnTokens
from router.tokens.revocations import Revocations
from router.upstream import Upstream
from router.whole import Noted, Taken, Whole

_FILES_BESIDE = 128
"""Open files that are no connection of a request: logs, listeners, probes, state."""
_DRAIN_LOOK_S = 0.05
_NOTE_S = 0.1
_READY_LOOK_S = 0.02
_VAULT_PAUSE_S = 5.0
_NOTHING_KNOWN = "no endpoints are known yet"

_log = logging.getLogger("scoregate.router")


class RouterServer:
    """One router process. Needs a running event loop."""

    def __init__(self, config: RouterConfig, platform: Platform, post: Post) -> None:
        self._config = config
        self._platform = platform
        self._post = post
        self._upstream = Upstream(connect_timeout_ms=config.connect_timeout_ms, idle_ms=config.replica_idle_ms)
        self._access_log = _opened(config.access_log, post)
        self._clients = Clients(_within_files(config.limits), self._refused, post.ledger)
        self._digits = RandomDigits()
        self._stop, self._followed = asyncio.Event(), asyncio.Event()
        self._is_leaving = False
        forwarding = Forwarding(config.trusted_proxies)
        self._certificate = None if config.tls_dir is None else Certificate(config.tls_dir, config.client_ca)
        vault, clock = platform.administration.vault, time.time  # noqa: TID251 - tokens expire by the calendar
        self._revocations = Revocations(vault, clock)
        self._own_tokens = OwnTokens(vault, self._revocations, clock)
        self._issuers = Issuers()
        self._own_identity = OwnIdentity(lambda: vault)
        self._neighbours = Neighbours(self, self._own_identity.client)
        self._peers = Peers(self._own_identity.peer)
        self._fleet = Fleet(self._upstream, post.ledger, self._peers.sharing)
        self._access = Access(vault)
        parts = Parts(self, platform.administration, self._own_tokens, self._revocations)
        self._desk = Desk(parts, self._access, clock)
        self._gate = Gate(self._own_tokens, self._issuers, self._revocations, clock, post.ledger)
        self._noted = Noted(self, self._fleet, post.ledger)
        self._share = None if post.shared is None else Taken(post.ledger, post.shared.totals)
        self._app = Router(self._fleet, self._gate, self._upstream, forwarding, self._access_log)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ConfigError for an address that can't be listened on."""
        config = self._config
        with (
            self._post.sockets(config) as sockets,
            BetweenInstances(config, self._own_identity, self._meeting_path()) as between,
        ):
            entrances = Entrances(config, self._certificate, sockets, self._share)
            registry = registry_of(*self._shown())
            ready_first = self._share and ReadyFirst(self.not_ready_because)
            admin_listener = listener(admin_app(self, registry, self._desk), "h11", 1, ready_first)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
            reporting = asyncio.create_task(self._report_drained())
            sharing = asyncio.create_task(self._follow_vault())
            noting = asyncio.create_task(self._note())
            renewing = asyncio.create_task(self._renew_certificate())
            administering = asyncio.create_task(admin_listener.serve([sockets.admin]))
            meeting = asyncio.create_task(between.serve(instances_app(self), self._peers.answer))
            beating = asyncio.create_task(self._peers.run())
            # whoever lists the others only once it is listed itself: of two that start, one sees the other
            self._announce(entrances.url, url_of(sockets.admin), between)
            following = asyncio.create_task(self._follow())
            try:
                await self._wait_to_be_ready(following)
                await entrances.open(self._app, protocol_of(self._clients), self._clients)
                await admin_listener.until_started(administering)
                await self._wait_for_stop(following)
                if self._is_leaving:
                    entrances.close_to_newcomers()
                    admin_listener.close_to_newcomers()
                await self._drain(entrances)
            finally:
                StateDirectory(config.state_dir).remove_router(own_id())
                await self._peers.close()
                self._fleet.pressure.close()
                admin_listener.should_exit = True
                for task in (tasks := (following, reporting, sharing, noting, renewing, meeting, beating)):
                    task.cancel()
                ends = (administering, entrances.shut(), self._issuers.close(), self._neighbours.close())
                await asyncio.gather(*tasks, *ends, return_exceptions=True)
                await self._clients.cut()
                self._upstream.close()
                if self._access_log is not None:
                    self._access_log.close()

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()

    def leave(self) -> None:
        """Stop, while other workers go on: they take whoever comes from now on."""
        self._is_leaving = True
        self.stop()

    # -- what the internal port and the metrics show -------------------------------------------------------

    def not_ready_because(self) -> str | None:
        if self._stop.is_set():
            return "it is stopping"
        if self._fleet.has_snapshot:
            return None if self._peers.has_joined else "it has not met the other instances yet"
        return f"no endpoints are known yet: {reason}" if (reason := self.standing().reason) else _NOTHING_KNOWN

    def standing(self) -> Standing:
        return self._platform.standing()

    def load(self) -> list[Load]:
        return self._fleet.loads()

    def routing(self) -> Routing:
        overheads = (live.counters.overhead for live in self._fleet.live.values())
        return routing_of(overheads, self._config.most_workers)

    async def load_of_all(self) -> Gathered:
        return await self._neighbours.gathered()

    async def standings(self) -> list[InstanceStanding]:
        return await self._neighbours.standings()

    def seen(self) -> list[Peer]:
        return self._peers.seen()

    def owned_by(self) -> Counter[str]:
        return self._peers.owned_by()

    @property
    def own_instance(self) -> str:
        return self._platform.own_instance

    @property
    def snapshot(self) -> Snapshot | None:
        """None until there is a first."""
        return self._fleet.snapshot if self._fleet.has_snapshot else None

    @property
    def pressure(self) -> Pressure:
        return self._fleet.pressure

    def loads(self) -> Iterator[tuple[Load, Counters]]:
        for live in self._fleet.live.values():
            live.note_troubles()
            yield live.load(), live.counters

    def instances(self) -> Mapping[str, int]:
        return self._peers.by_state()

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

    def callers(self) -> Iterator[tuple[str, Caller]]:
        return self._gate.callers()

    def verifications(self) -> Mapping[str, int]:
        return self._gate.verifications

    def known_tokens(self) -> int:
        return self._gate.known_tokens

    def certificate_expires_at_s(self) -> float | None:
        """Seconds since the epoch; None without HTTPS."""
        return None if self._certificate is None else self._certificate.expires_at_s

    def failed_handshakes(self) -> int:
        return self._clients.failed_handshakes

    def dropped_log_lines(self) -> int:
        return 0 if self._access_log is None else self._access_log.dropped

    # -- inside --------------------------------------------------------------------------------------------

    def _refused(self, error: RouterError, client: str) -> bytes:
        """A request that broke HTTP or a limit before the app saw it."""
        name = request_id(None, self._digits.take())
        self._fleet.count_unrouted("", error.status)
        if self._access_log is not None:
            self._access_log.append(refusal_record(error, client, name))
        return name

    async def _follow(self) -> None:
        await self._revocations.refresh()  # before the first request
        async for snapshot in self._platform.watch():
            is_first = not self._fleet.has_snapshot
            try:
                self._peers.follow(snapshot.instances, self._platform.own_instance)
                self._gate.follow(snapshot.endpoints)
                self._fleet.follow(snapshot)
            except Exception:  # of ours: the next one may do better, and must be heard
                if is_first:
                    raise
                _log.exception("a snapshot of the platform can't be taken in; what it said before is served on")
            self._followed.set()
            if is_first:
                _calm_gc()

    async def _follow_vault(self) -> None:
        """What all instances share: keys that sign tokens, what was revoked, the administrator's key, and how they know
        each other."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._revocations.run())
                    tasks.create_task(self._own_tokens.run())
                    tasks.create_task(self._access.run())
                    tasks.create_task(self._own_identity.run())
            except* Exception:  # of ours: what is known of it stays in force
                _log.exception("can't follow the vault; trying again")
            await asyncio.sleep(_VAULT_PAUSE_S)

    def _shown(self) -> tuple[Observed, Collector]:
        """What this router shows of itself, or all workers together; and of their processes."""
        shared = self._post.shared
        if shared is None:
            return self, ProcessCollector(registry=None)
        return Whole(self, self._noted, shared.totals), ProcessesCollector(shared.parent, shared.processes)

    async def _note(self) -> None:
        """What is so at the moment, for the other workers' eyes."""
        while self._share is not None:
            self._noted.note()
            self._share.look(self._clients.count)
            await pulse(_NOTE_S)

    async def _renew_certificate(self) -> None:
        if self._certificate is not None:
            await self._certificate.follow()

    async def _report_drained(self) -> None:
        """Tell the platform of each leaving replica, once, that it has nothing in flight any more."""
        told: set[str] = set()
        while True:
            self._followed.clear()
            self._fleet.forget_retired()
            drained = self._fleet.drained()
            told &= drained
            for uid in drained - told:
                try:
                    await self._platform.drained(uid)
                    told.add(uid)
                except Exception:  # it is told again: a replica must not wait for ever because a disk was full once
                    _log.exception("can't report that %s has drained; trying again", uid)
            news = self._fleet.is_settled(told) and self._followed.wait()  # only a snapshot makes anything leave
            await (news or asyncio.sleep(_DRAIN_LOOK_S))

    async def _wait_to_be_ready(self, following: asyncio.Task[None]) -> None:
        """One of several workers takes no client's connection before it knows what to serve: another does, or will."""
        while self._share is not None and not (self._stop.is_set() or following.done()):
            if self.not_ready_because() is None:
                return
            await asyncio.sleep(_READY_LOOK_S)

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

    async def _drain(self, entrances: Entrances) -> None:
        """Not ready at once; no new connections after the grace; requests in flight finish; then everything is
        closed."""
        _log.info("stopping: not ready, finishing %d requests", sum(load.in_flight for load in self.load()))
        self._clients.is_draining = True
        self._peers.drain()
        self._fleet.pressure.release()
        await asyncio.sleep(self._config.drain_grace_ms / 1000)
        await entrances.shut()

    def _meeting_path(self) -> str:
        """Of the unix socket: in a cluster the others find it by the worker's number, elsewhere it is told."""
        name = str(self._post.index) if self._config.platform == "kubernetes" else own_id()
        return peer_socket(self._config.state_dir, name)

    def _announce(self, public: str, admin: str, between: BetweenInstances) -> None:
        self._peers.announce(Address(between.url, between.path))
        place = own_place(public=public, admin=admin, peer=between.url, index=self._post.index, socket=between.path)
        StateDirectory(self._config.state_dir).write_router(place)
        _log.info("scoring on %s, internal on %s", place.public, place.admin)


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


def _opened(where: str, post: Post) -> AccessLog | None:
    lock = None if post.shared is None else post.shared.access_log_lock
    try:
        return None if where == "off" else AccessLog(where, post.ledger, lock)
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
