"""Who keeps the declared replicas running on this machine?

I/O: processes and the state directory, whose snapshot only the supervisor writes.

Ten times a second, and at once when a replica changes, it compares what is declared (declared.py) with what
runs, does what plan.py says through one keeper per wished replica (keeper.py), and writes the snapshot if it
differs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from router.core.model import Deployment, Endpoint, Replica, Snapshot, Trouble
from router.platforms.local.declared import Declared, process_of
from router.platforms.local.keeper import Keeper, Machine, ReplicaStatus
from router.platforms.local.plan import Seat, plan
from router.platforms.local.ports import Ports
from router.platforms.local.state import StateDirectory
from router.platforms.probe import Prober

LOOK_PERIOD_S = 0.1
DRAIN_TIMEOUT_S = 30.0
STARTS_AT_ONE_TIME = 2 * (os.cpu_count() or 1)

log = logging.getLogger("scoregate.supervisor")


class Supervisor:
    """`async with` it: replicas start on entry and are gone on exit.

    Entry raises PlatformError for an unusable endpoints file or when the state directory has a supervisor.
    """

    def __init__(
        self,
        file: Path,
        state: StateDirectory,
        host: str = "127.0.0.1",
        drain_timeout_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        """`drain_timeout_s`: how much longer than a request may take a leaving replica is waited for."""
        self.state = state
        self._file = file.absolute()
        self._host = host
        self._drain_timeout_s = drain_timeout_s
        self._keepers: list[Keeper] = []
        self._drained: frozenset[str] = frozenset()
        """uids of those that leave by hand, and stay."""
        self._wake = asyncio.Event()
        self._published: Snapshot | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.enter_context(self.state.lock())
            self.state.forget_every_drained()
            self._declared = Declared(self._file, self.state)
            prober = await opening.enter_async_context(Prober())
            self._machine = Machine(
                folder=self._file.parent,
                state=self.state,
                ports=Ports(self._host),
                prober=prober,
                turns=asyncio.Semaphore(STARTS_AT_ONE_TIME),
                changed=self._wake.set,
            )
            self._reconcile()
            self._following = asyncio.create_task(self._follow(), name="supervisor")
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every replica at once, without draining: whoever stops the machine stops the router first."""
        async with self._open.pop_all():
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            for keeper in self._keepers:
                keeper.leave(drain_timeout_s=0.0)
            await asyncio.gather(*(keeper.task for keeper in self._keepers), return_exceptions=True)
            self._keepers.clear()
            self.state.remove_snapshot()

    def replicas(self) -> list[ReplicaStatus]:
        return [keeper.status() for keeper in self._keepers]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._declared.endpoints

    @property
    def wished(self) -> dict[str, int]:
        """Number of replicas by deployment key."""
        return self._declared.wished

    async def _follow(self) -> None:
        complaint = ""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_PERIOD_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                self._declared.look()
                self._reconcile()
                complaint = ""
            except Exception as error:  # a full disk, say: what runs goes on running
                if complaint != str(error):
                    complaint = str(error)
                    log.exception("can't follow %s and %s", self._file, self.state.path)

    def _reconcile(self) -> None:
        self._bury()
        self._follow_drains()
        declared = {d.key: d for endpoint in self._declared.endpoints for d in endpoint.deployments}
        for keeper in self._keepers:
            if keeper.deployment.key not in declared:
                self._let_go(keeper)
        for deployment in declared.values():
            self._carry_out(deployment)
        self._publish()
        now_s = time.time()  # noqa: TID251 - what is held is held by the calendar
        self._declared.tidy({keeper.uid for keeper in self._keepers}, now_s)

    def _follow_drains(self) -> None:
        """A router says of each that is drained by hand that it has nothing in flight: no word for its end, once it is
        back."""
        before, self._drained = self._drained, self._declared.drained
        for keeper in self._keepers:
            if keeper.uid in before - self._drained and keeper.phase != "leaving":
                self.state.forget_drained(keeper.uid)

    def _let_go(self, keeper: Keeper) -> None:
        if keeper.phase != "leaving" and keeper.uid and keeper.uid not in self._drained:
            self.state.forget_drained(keeper.uid)  # it can't be of now: no router knows yet
        keeper.leave(self._drain_within_s(keeper.deployment))

    def _carry_out(self, deployment: Deployment) -> None:
        seats = [
            Seat(number, ready=self._serves(keeper), outdated=not keeper.runs(deployment))
            for number, keeper in enumerate(self._keepers)
            if keeper.deployment.key == deployment.key and keeper.phase != "leaving"
        ]
        numbers = {keeper.uid: number for number, keeper in enumerate(self._keepers)}
        leave_first = (*self._drained, *self._declared.leave_first.get(deployment.key, ()))
        named = [numbers[uid] for uid in dict.fromkeys(leave_first) if uid in numbers]
        steps = plan(self._declared.wished[deployment.key], seats, named)
        for number in steps.leave:
            self._let_go(self._keepers[number])
        for _ in range(steps.start):
            self._keepers.append(Keeper(deployment, process_of(deployment), self._machine))

    def _serves(self, keeper: Keeper) -> bool:
        """One that is drained by hand has its place, but whoever takes requests is worth more."""
        return keeper.phase == "ready" and keeper.uid not in self._drained

    def _drain_within_s(self, deployment: Deployment) -> float:
        """No request that the replica holds can take longer, so this only ends what a router forgot."""
        return deployment.request.request_timeout_ms / 1000 + self._drain_timeout_s

    def _bury(self) -> None:
        """Forget keepers that ended; one that failed by a fault of ours is replaced by the next plan."""
        for keeper in self._keepers:
            if keeper.task.done() and not keeper.task.cancelled() and keeper.task.exception():
                log.error("%s failed", keeper.task.get_name(), exc_info=keeper.task.exception())
        self._keepers = [keeper for keeper in self._keepers if not keeper.task.done()]

    def _troubles(self) -> Iterator[Trouble]:
        """Deployments that have nothing ready, and a replica that fails to start again and again."""
        for deployment in (each for endpoint in self._declared.endpoints for each in endpoint.deployments):
            keepers = [keeper for keeper in self._keepers if keeper.deployment.key == deployment.key]
            reasons = [keeper.start_trouble for keeper in keepers if keeper.phase != "leaving"]
            if any(reasons) and not any(keeper.phase == "ready" for keeper in keepers):
                yield Trouble(deployment=deployment.key, kind="start", reason=next(filter(None, reasons)))

    def _replicas(self) -> Iterator[Replica]:
        for keeper in self._keepers:
            if (replica := keeper.in_snapshot()) is not None:
                yield replace(replica, leaving=True) if replica.uid in self._drained else replica

    def _publish(self) -> None:
        snapshot = Snapshot(
            endpoints=self._declared.endpoints,
            replicas=tuple(self._replicas()),
            wished=self._declared.wished,
            troubles=tuple(self._troubles()),
            holds=self._declared.holds,
        )
        if snapshot != self._published:
            self.state.write_snapshot(snapshot)
            self._published = snapshot
