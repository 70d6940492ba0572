"""How is one wished replica kept running?

I/O: processes, probes, timers. A keeper lives through phases; each process it starts has a uid of its own:

    waiting    for its turn to start, or for the pause after a failure to pass; there is no process
    starting   the process runs, its readiness route has not answered yet
    ready      it answers
    unwell     it was ready, and its readiness probe fails
    leaving    it takes nothing new, finishes what it has, then ends; the keeper ends with it

A process that ends by itself, fails its liveness probe or never becomes ready is replaced, after a pause that
doubles.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec import Struct

from router.core.model import Deployment, Probe, Process, Replica, Route
from router.core.probing import Answer, ProbeRecord
from router.platforms.local.plan import backoff_s, worth_a_word
from router.platforms.local.ports import Ports
from router.platforms.local.race import first
from router.platforms.local.replica import ReplicaProcess
from router.platforms.local.state import StateDirectory
from router.platforms.probe import Prober

Phase = Literal["waiting", "starting", "ready", "unwell", "leaving"]

STARTING_PROBE_PERIOD_S = 0.1
DRAIN_POLL_S = 0.05
TURN_S = 30.0
"""How long a starting replica may keep others from starting; then it starts on beside them."""
STEADY_S = 10.0
"""Ready for so long, a replica's earlier failures are forgotten."""
STARTS_TO_TROUBLE = 3
"""So many processes in a row that ended without having been ready are no accident."""

log = logging.getLogger("scoregate.supervisor")


@dataclass
class Machine:
    """What all keepers of one supervisor share."""

    folder: Path
    """Of the endpoints file; commands run there."""
    state: StateDirectory
    ports: Ports
    prober: Prober
    turns: asyncio.Semaphore
    changed: Callable[[], None]
    """Called after each change that the snapshot or the terminal shows."""
    living_logs: set[Path] = field(default_factory=set)


class ReplicaStatus(Struct, frozen=True, kw_only=True):
    """One replica, for an operator's eyes."""

    deployment: str
    """The deployment's key."""
    uid: str
    """Empty while there is no process."""
    phase: Phase
    pid: int | None
    restarts: int
    log: Path | None
    """Of the process that runs, else of the last one."""
    failed_log: Path | None
    """Of the last process that failed."""
    fault: str
    """Why the last process failed; empty when none did."""


class Keeper:
    """Starts at once, and goes on until it is told to leave; then `task` ends."""

    def __init__(self, deployment: Deployment, process: Process, machine: Machine) -> None:
        self.deployment = deployment
        self.phase: Phase = "waiting"
        self._process = process
        self._machine = machine
        self._replica: ReplicaProcess | None = None
        self._log: Path | None = None
        self._failed_log: Path | None = None
        self._fault = ""
        self._restarts = 0
        self._failures = 0
        self._failed_starts = 0
        self._since_s = asyncio.get_running_loop().time()
        self._served = False
        """The present process has been ready, so it may have requests."""
        self._started = asyncio.Event()
        """The present process has become ready, or has ended."""
        self._leave = asyncio.Event()
        self._drain_timeout_s = math.inf
        self.task = asyncio.create_task(self._run(), name=f"keeper of {deployment.key}")

    def leave(self, drain_timeout_s: float) -> None:
        """Finish what is in flight, at most so long, then end; await `task` for that.

        A second call can only hasten it.
        """
        self._drain_timeout_s = min(drain_timeout_s, self._drain_timeout_s)
        self._leave.set()
        if self.phase == "waiting":
            self.task.cancel()
        self._enter("leaving")

    def runs(self, deployment: Deployment) -> bool:
        """Whether its processes are what this deployment asks for."""
        return _template(self.deployment) == _template(deployment)

    def status(self) -> ReplicaStatus:
        replica = self._replica
        return ReplicaStatus(
            deployment=self.deployment.key,
            uid=self.uid,
            phase=self.phase,
            pid=replica.group.pid if replica else None,
            restarts=self._restarts,
            log=self._log,
            failed_log=self._failed_log,
            fault=self._fault,
        )

    @property
    def uid(self) -> str:
        """Of the process that runs; empty while there is none."""
        return self._replica.uid if self._replica else ""

    @property
    def start_trouble(self) -> str:
        """Why its processes do not even become ready, for clients, too; empty while there is no such trouble."""
        if self._failed_starts < STARTS_TO_TROUBLE:
            return ""
        return self._fault.replace(f" {self._failed_log}", "")  # where its log is, is no client's business

    def in_snapshot(self) -> Replica | None:
        """None while there is no process."""
        if self._replica is None:
            return None
        return Replica(
            uid=self._replica.uid,
            deployment=self.deployment.key,
            host=self._machine.ports.host,
            port=self._replica.port,
            ready=self.phase == "ready" or (self.phase == "leaving" and self._served),
            leaving=self.phase == "leaving",
        )

    async def _run(self) -> None:
        while not self._leave.is_set():
            fault = await self._live()
            if fault is None:
                return
            self._enter("waiting")
            if not self._leave.is_set():
                await self._pause(fault)

    async def _live(self) -> str | None:
        """One process from start to end. Why it failed, or None when it was asked to leave."""
        self._served = False
        try:
            port = self._machine.ports.take()
        except OSError as error:
            return f"a replica of {self.deployment.key} can't start: {error}"
        try:
            async with self._machine.turns:
                self._enter("starting")
                try:
                    replica = await ReplicaProcess.start(
                        self.deployment, self._process, self._machine.folder, port, self._machine.state
                    )
                except OSError as error:
                    return f"a replica of {self.deployment.key} can't start: {error}"
                self._appear(replica)
                life = asyncio.create_task(self._attend(replica))
                with suppress(TimeoutError):
                    async with asyncio.timeout(TURN_S):
                        await self._started.wait()
            return await life
        finally:
            self._machine.ports.give_back(port)

    def _appear(self, replica: ReplicaProcess) -> None:
        self._replica = replica
        self._log = replica.log
        self._started.clear()
        self._machine.living_logs.add(replica.log)
        self._machine.state.drop_old_logs(self.deployment.endpoint, self.deployment.name, self._machine.living_logs)
        self._machine.changed()

    async def _attend(self, replica: ReplicaProcess) -> str | None:
        try:
            fault = await first(self._exit(replica), self._asked_to_leave(replica), self._probe(replica))
        finally:
            await replica.group.end()
            self._replica = None
            self._started.set()
            self._machine.living_logs.discard(replica.log)
            self._machine.state.forget_drained(replica.uid)
            self._machine.changed()
        return fault and f"replica {replica.uid} of {self.deployment.key} {fault}; {replica.last_words()}"

    async def _exit(self, replica: ReplicaProcess) -> str:
        return f"ended with exit code {await replica.group.wait()}"

    async def _asked_to_leave(self, replica: ReplicaProcess) -> None:
        """Returns when the replica may be stopped: it has drained, nobody could tell, or it took too long."""
        await self._leave.wait()
        asked_s = asyncio.get_running_loop().time()
        state = self._machine.state
        while self._served and not state.is_drained(replica.uid):
            if asyncio.get_running_loop().time() >= asked_s + self._drain_timeout_s:
                return
            await asyncio.sleep(DRAIN_POLL_S)

    async def _probe(self, replica: ReplicaProcess) -> str:
        """Follows readiness for ever; returns why the process must be replaced."""
        readiness = ProbeRecord(self.deployment.readiness_probe)
        liveness = self.deployment.liveness_probe
        patience_s = liveness.initial_delay + liveness.failure_threshold * liveness.period
        try:
            async with asyncio.timeout(patience_s):
                await self._become_ready(replica, readiness)
        except TimeoutError:
            return f"was not ready within {patience_s:g} s"
        return await first(self._follow_liveness(replica), self._follow_readiness(replica, readiness))

    async def _become_ready(self, replica: ReplicaProcess, record: ProbeRecord) -> None:
        await asyncio.sleep(self.deployment.readiness_probe.initial_delay)
        while not await self._is_ready(replica, record):  # noqa: ASYNC110 - it asks another process
            await asyncio.sleep(STARTING_PROBE_PERIOD_S)
        self._served = True
        self._failed_starts = 0
        self._started.set()
        self._enter("ready")

    async def _follow_readiness(self, replica: ReplicaProcess, record: ProbeRecord) -> str:
        while True:
            await asyncio.sleep(self.deployment.readiness_probe.period)
            self._enter("ready" if await self._is_ready(replica, record) else "unwell")

    async def _is_ready(self, replica: ReplicaProcess, record: ProbeRecord) -> bool:
        route, probe = self.deployment.readiness_route, self.deployment.readiness_probe
        return record.note(await self._ask(replica, route, probe))

    async def _follow_liveness(self, replica: ReplicaProcess) -> str:
        """The probe starts once the replica has been ready: until then `_probe`'s patience is what counts."""
        route, probe = self.deployment.liveness_route, self.deployment.liveness_probe
        record = ProbeRecord(probe, well=True)
        while True:
            await asyncio.sleep(probe.period)
            if not record.note(await self._ask(replica, route, probe)):
                return f"failed its liveness probe at {route.path}"

    async def _ask(self, replica: ReplicaProcess, route: Route, probe: Probe) -> Answer:
        host, tls = self._machine.ports.host, self.deployment.tls
        return await self._machine.prober.ask(host, replica.port, route, probe, tls)

    async def _pause(self, fault: str) -> None:
        self._restarts += 1
        self._failures += 1
        self._failed_starts += not self._served
        self._fault = fault
        self._failed_log = self._log
        pause_s = backoff_s(self._failures)
        if worth_a_word(self._failures):
            log.warning("%s; starting again in %g s (failure %d in a row)", fault, pause_s, self._failures)
        self._machine.changed()
        await asyncio.sleep(pause_s)

    def _enter(self, phase: Phase) -> None:
        """A leaving keeper stays leaving."""
        if phase == self.phase or (self._leave.is_set() and phase != "leaving"):
            return
        now_s = asyncio.get_running_loop().time()
        if self.phase == "ready" and now_s - self._since_s >= STEADY_S:
            self._failures = 0
        self.phase = phase
        self._since_s = now_s
        self._machine.changed()


def _template(deployment: Deployment) -> tuple[object, ...]:
    """What a running process was started and is probed with; all else takes effect without a new one."""
    return (
        deployment.workload,
        deployment.scoring_route,
        deployment.liveness_route,
        deployment.readiness_route,
        deployment.readiness_probe,
        deployment.liveness_probe,
        deployment.tls,
    )
