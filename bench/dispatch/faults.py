"""What do replicas see of it when instances are killed, the owner and those who borrow from it?

I/O: processes, which it kills; loopback sockets, a monotonic clock.

Every few seconds one instance is killed with SIGKILL, the owner and others in turns, and soon after started again. What
it had in replicas these go on with, and nobody can know of it: so another request may begin there beside it, but only
within LEASE_S of the kill, and a replica that had a free slot of its own all the time had never more than its limit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from bench.dispatch.contenders import PATIENCE_S, Scoregate, Started, replicas, started
from bench.dispatch.counting import Overlap
from bench.dispatch.live import SETTLE_S, account
from bench.dispatch.load import Load, requests_of
from bench.dispatch.sending import Sender, Sent, send_all
from bench.measure import Cores
from bench.processes import running
from router.core.circle import LEASE_S

EVERY_S = 8.0
GONE_S = 2.0
"""From a kill to the new process's start."""
START_S = 4.0
"""So long that may take until it answers."""


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    instance: int
    was_owner: bool
    back_at: float
    """When the new process was started."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    load: Load
    kills: list[Kill]
    requests: int
    failed_there: int
    """Of the instance that was killed: refused until it was back, or lost with it."""
    failed_elsewhere: int
    most_in_flight: int
    overlaps_s: list[float]
    """Each overlap of a replica: how long after the last kill it began."""
    lasted_s: list[float]
    """How long each lasted."""
    beyond: int
    """Overlaps that began later than LEASE_S after a kill."""
    waits_ms: list[float]
    """The longest wait among those who came to living instances within 4 s of each kill."""


class Standing(msgspec.Struct):
    """What matters here of what an instance says of itself."""

    owns: int


def measured(load: Load, cores: Cores, kills: int, done: Callable[[float], None]) -> Faults:
    """Raises PeerError."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        account_port, ports = stack.enter_context(replicas(load.replicas, folder, cores.load))
        instances = stack.enter_context(started(Scoregate(load.instances, 1), folder, cores.proxy, ports))
        time.sleep(SETTLE_S)
        account(account_port)
        course = _Course(instances, folder, cores.proxy, stack)
        sent = asyncio.run(course.run(load, kills, done))
        overlaps = [each for one in account(account_port) for each in one.overlaps]
        return judged(load, course.kills, sent, overlaps)


class _Course:
    def __init__(self, instances: Started, folder: Path, core: int, stack: ExitStack) -> None:
        self.kills: list[Kill] = []
        self._commands, self._groups = instances.commands, list(instances.groups)
        self._addresses = instances.addresses
        self._folder, self._core, self._stack = folder, core, stack

    async def run(self, load: Load, kills: int, done: Callable[[float], None]) -> list[Sent]:
        sender = Sender(self._addresses)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(send_all(sender, requests_of(load), PATIENCE_S, done))
                group.create_task(self._kill_in_turns(kills))
            return sending.result()
        finally:
            sender.close()

    async def _kill_in_turns(self, kills: int) -> None:
        for number in range(kills):
            await asyncio.sleep(EVERY_S - GONE_S)
            owner = await asyncio.to_thread(self._owner)
            instance = owner if number % 2 == 0 and owner is not None else self._another(owner, number)
            at = time.monotonic()
            for pid in self._groups[instance].pids():
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(GONE_S)
            log = self._folder / f"again-{number}.log"
            self._groups[instance] = self._stack.enter_context(
                running(self._commands[instance], core=self._core, log=log)
            )
            kill = Kill(at=at, instance=instance, was_owner=instance == owner, back_at=time.monotonic())
            self.kills.append(kill)

    def _owner(self) -> int | None:
        """Which one says that it owns something."""
        return next((number for number, command in enumerate(self._commands) if _owns(command)), None)

    def _another(self, owner: int | None, number: int) -> int:
        others = [each for each in range(len(self._commands)) if each != owner]
        return others[number % len(others)]


def _owns(command: Sequence[str]) -> int:
    port = int(command[command.index("--admin-port") + 1])
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/instances")
        standings = msgspec.json.decode(connection.getresponse().read(), type=list[Standing])
    except (OSError, HTTPException, msgspec.MsgspecError):
        return 0
    finally:
        connection.close()
    return standings[0].owns


def judged(load: Load, kills: Sequence[Kill], sent: Sequence[Sent], overlaps: Iterable[Overlap]) -> Faults:
    """What the replicas saw, against the bound."""
    seen = list(overlaps)
    since = [_since_kill(each.began, kills) for each in seen]
    failed = [each for each in sent if each.failure]
    there = sum(any(_is_of(each, kill) for kill in kills) for each in failed)
    return Faults(
        load=load,
        kills=list(kills),
        requests=len(sent),
        failed_there=there,
        failed_elsewhere=len(failed) - there,
        most_in_flight=max((each.most for each in seen), default=1),
        overlaps_s=since,
        lasted_s=[each.ended - each.began for each in seen if each.ended],
        beyond=sum(each > LEASE_S for each in since),
        waits_ms=[_longest_ms(sent, kill) for kill in kills],
    )


def _since_kill(moment: float, kills: Sequence[Kill]) -> float:
    return min((moment - kill.at for kill in kills if kill.at <= moment), default=float("inf"))


def _is_of(sent: Sent, kill: Kill) -> bool:
    """It ended with the killed instance, or found it away."""
    return sent.instance == kill.instance and kill.at <= sent.ended < kill.back_at + START_S


def _longest_ms(sent: Sequence[Sent], kill: Kill) -> float:
    waits = [
        each.served.began - each.intended
        for each in sent
        if each.served is not None and kill.at <= each.intended < kill.at + 4.0
    ]
    return 1000 * max(waits, default=float("nan"))
