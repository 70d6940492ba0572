"""What do the replicas at these fixed addresses do?

I/O: the endpoints file, the keys folder, what is set by hand and the routers of the state directory, all followed; a
readiness probe to each replica. Nothing is started, stopped or scaled here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace

from router.core.model import (
    Addresses,
    Deployment,
    Endpoint,
    Instance,
    Pods,
    Probe,
    Replica,
    ReplicaTls,
    Route,
    Snapshot,
)
from router.core.probing import ProbeRecord
from router.platforms import UP_TO_DATE, PlatformError, Standing
from router.platforms.by_hand import ByHand, ByHandFile, standing, with_drain, with_weights
from router.platforms.endpoints_file import WatchedFile, load_endpoints
from router.platforms.file_administration import FileAdministration
from router.platforms.keys import KeyStore
from router.platforms.local.instances import LivingInstances
from router.platforms.local.state import StateDirectory, own_id
from router.platforms.memory import MemoryPlatform
from router.platforms.probe import Prober
from router.platforms.sizing import FileSizing
from router.pulse import pulse

_POLL_S = 0.2
"""At files; that another router of this machine has ended is told by the system."""
_FIRST_PAUSE_S = 0.1
_PROBES_AT_ONCE = 64

log = logging.getLogger("scoregate.platform")


class _Probed:
    """A replica, and the task that asks it with its deployment's readiness probe."""

    def __init__(self, deployment: Deployment, replica: Replica) -> None:
        self.deployment = deployment
        self.replica = replica
        self.task: asyncio.Task[None] | None = None


class StaticPlatform:
    """Entering raises PlatformError for a file or a key that can't be used. Later, what is bad is refused with a
    line in the log, and the last good declaration stays."""

    def __init__(self, file: Path, state_dir: Path) -> None:
        self._file = file
        self._keys = KeyStore(state_dir)
        self._watched = (WatchedFile(file), WatchedFile(self._keys.folder))
        self._by_hand = ByHandFile(state_dir)
        self._living = LivingInstances(StateDirectory(state_dir), self._see_instances)
        self._instances: tuple[Instance, ...] = ()
        self._declared: tuple[Endpoint, ...] = ()
        self._probed: dict[tuple[str, str], _Probed] = {}
        self._published = MemoryPlatform()
        self.administration = FileAdministration(state_dir, self._newest, self._newest)
        self.sizing = FileSizing(state_dir, lambda: len(self._living.look()))
        self._prober = Prober()
        self._turns = asyncio.Semaphore(_PROBES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._by_hand.look()
        self._instances = self._living.look()
        await self._take_in_files()
        self._start(self._follow_files())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._living.close()
        await self._prober.__aexit__(kind, error, trace)

    def watch(self) -> AsyncIterator[Snapshot]:
        return self._published.watch()

    async def scale(self, endpoint: str, deployment: str, replicas: int, leave_first: Sequence[str] = ()) -> None:
        raise PlatformError(
            f"{endpoint}/{deployment} can't have {replicas} replicas: the static platform has fixed addresses, "
            f"edit {self._file} instead"
        )

    def leadership(self) -> AsyncIterator[bool]:
        """Raises PlatformError: an autoscaler here has nothing to do, and its owner should know."""
        raise PlatformError("the static platform has fixed addresses: there is nothing to scale")

    async def drained(self, uid: str) -> None:
        """No replica of this platform is ever leaving: an address is there, or it is not."""

    @property
    def own_instance(self) -> str:
        return own_id()

    def standing(self) -> Standing:
        """Its file is at hand at any time; a bad one is told in the log."""
        return UP_TO_DATE

    def note_utilization(self, ratios: Mapping[str, float]) -> None:
        """`scoregate status` asks the router itself."""

    def _newest(self) -> Snapshot:
        return self._published.snapshot

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _follow_files(self) -> None:
        while True:
            await pulse(_POLL_S)
            try:
                self._see_instances()
                if self._by_hand.look():
                    self._publish()
                if any([watched.settled() for watched in self._watched]):
                    await self._take_in_files()
            except PlatformError as error:
                log.error("%s\nrefused: the last good declaration stays", error)
            except Exception:  # of ours, or no descriptor is left: a later look may do better
                log.exception("can't follow %s: the last good declaration stays", self._file)

    def _see_instances(self) -> None:
        instances = self._living.look()
        if instances != self._instances:
            self._instances = instances
            self._publish()

    async def _take_in_files(self) -> None:
        before, endpoints = self._declared, await asyncio.to_thread(self._load)
        self._adopt(endpoints)
        names = {endpoint.name for endpoint in (*before, *endpoints)}
        await asyncio.to_thread(self._by_hand.tidy, partial(self._standing, names))

    def _load(self) -> tuple[Endpoint, ...]:
        endpoints = load_endpoints(self._file)
        for deployment in (each for endpoint in endpoints for each in endpoint.deployments):
            if not isinstance(deployment.workload, Addresses):
                raise PlatformError(f"{self._file}: {deployment.key} {_says(deployment)}, or give addresses")
        return tuple(self._keys.keyed(endpoint) for endpoint in endpoints)

    def _adopt(self, endpoints: tuple[Endpoint, ...]) -> None:
        """From now on these are the endpoints. An address that stays keeps its uid and whether it is ready."""
        before, self._probed = self._probed, {}
        for deployment in (each for endpoint in endpoints for each in endpoint.deployments):
            for address in _addresses(deployment):
                known = before.pop((deployment.key, address), None)
                self._probed[deployment.key, address] = self._follow(deployment, address, known)
        for gone in before.values():
            _cancel(gone)
        self._declared = endpoints
        self._publish()

    def _standing(self, names: Collection[str], hand: ByHand) -> ByHand:
        """What stands of it, as far as these endpoints go: others may be another router's."""

        def is_gone(replica: str) -> bool:
            deployment, _, address = replica.partition("@")
            return deployment.partition("/")[0] in names and (deployment, address) not in self._probed

        now_s = time.time()  # noqa: TID251 - what is held is held by the calendar
        return standing(hand, self._declared, is_gone, now_s)

    def _follow(self, deployment: Deployment, address: str, known: _Probed | None) -> _Probed:
        if known is not None and _readiness(known.deployment) == _readiness(deployment):
            return known
        if known is not None:
            _cancel(known)
        probed = _Probed(deployment, known.replica if known else self._replica(deployment, address))
        probed.task = self._start(self._probe(probed))
        return probed

    def _replica(self, deployment: Deployment, address: str) -> Replica:
        host, _, port = address.rpartition(":")
        uid = f"{deployment.key}@{address}"  # as every other instance says, whenever it started
        return Replica(uid=uid, deployment=deployment.key, host=host.strip("[]"), port=int(port), ready=False)

    async def _probe(self, probed: _Probed) -> None:
        """Every period; until it is ready for the first time more often, with growing pauses."""
        route, probe, tls = _readiness(probed.deployment)
        record = ProbeRecord(probe, well=probed.replica.ready)
        pause_s = min(_FIRST_PAUSE_S, probe.period)
        await asyncio.sleep(probe.initial_delay)
        while True:
            async with self._turns:
                answer = await self._prober.ask(probed.replica.host, probed.replica.port, route, probe, tls)
            ready = record.note(answer)
            if ready != probed.replica.ready:
                log.info("%s is %s", probed.replica.uid, "ready" if ready else "not ready")
                probed.replica = replace(probed.replica, ready=ready)
                self._publish()
            await asyncio.sleep(pause_s)
            pause_s = probe.period if ready else min(2 * pause_s, probe.period)

    def _publish(self) -> None:
        hand = self._by_hand.present
        replicas = tuple(with_drain(probed.replica, hand) for probed in self._probed.values())
        endpoints = tuple(with_weights(endpoint, hand) for endpoint in self._declared)
        snapshot = Snapshot(endpoints=endpoints, replicas=replicas, instances=self._instances)
        self._published.publish(snapshot)


def _addresses(deployment: Deployment) -> tuple[str, ...]:
    return deployment.workload.addresses if isinstance(deployment.workload, Addresses) else ()


def _says(deployment: Deployment) -> str:
    if isinstance(deployment.workload, Pods):
        return "has a workload, but the static platform knows no cluster: use --platform kubernetes"
    return "has a process, but the static platform starts none: use `scoregate up`"


def _readiness(deployment: Deployment) -> tuple[Route, Probe, ReplicaTls | None]:
    return deployment.readiness_route, deployment.readiness_probe, deployment.tls


def _cancel(probed: _Probed) -> None:
    if probed.task is not None:
        probed.task.cancel()
