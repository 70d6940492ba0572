"""Who writes into an InferenceEndpoint what became of it, and when?

I/O: a PATCH of `status` for each object that has news; beside it, Events (events.py) and Secrets of keys
(keys_secrets.py). It looks at the whole cluster twice a second, in slices of a few milliseconds.

1. It is asked whether this process leads before each write.
2. An object is written when there is news for it, at most once a second; for its utilization alone, every 5 s, or
   more seldom where there are many.
3. Objects are written in the order in which they had news, a few at once, each with the newest there is.
4. A failure puts off its own object alone, longer each time; it is said once, and again when it is another one.
5. What was written is not written again because the API server made something else of it. What was meant for an
   object that is gone may reach another that has its name by now; it gets its own within a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from router.core.model import Snapshot
from router.platforms.kubernetes.api import MERGE_PATCH, Api, ApiError
from router.platforms.kubernetes.cluster import Account, Cluster
from router.platforms.kubernetes.leading.conditions import Count
from router.platforms.kubernetes.leading.events import AT_ONCE as EVENTS_AT_ONCE
from router.platforms.kubernetes.leading.events import EventWriter, calendar_now
from router.platforms.kubernetes.leading.keys_secrets import KeysMaker
from router.platforms.kubernetes.leading.status import (
    EndpointStatus,
    News,
    counted,
    events_of,
    news,
    read_status,
    status_of,
)
from router.platforms.local.race import first

LOOK_S = 0.5
SLICE_S = 0.005
AT_ONCE = 10
WITHIN_S = 5.0
APART_S = 1.0
"""Between two writes of one object."""
UTILIZATION_APART_S = 5.0
"""Where nothing but its utilization is news."""
UTILIZATIONS_PER_S = 10
"""So many such writes for all objects together, about: of a thousand that are busy each is written as seldom as it
must be, by chance sooner or later, so that they don't come all at once."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
AGAIN_S = 10.0
"""How long after a failure of our own it begins anew."""

_OF_THE_SERVER = frozenset((0, 401, 429, *range(500, 600)))
"""Answers that say nothing of the object that was asked for."""

log = logging.getLogger("scoregate.platform")


class _Answer(Struct):
    status: object = None


class _Line:
    """What is kept of one object."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.read = read_status(account.status)
        """What it says, as it was read last."""
        self.result = self.written = self.read
        """What the API server made of what was written last, and what that was."""
        self.wanted = self.read
        """What it should say."""
        self.inputs: object = None
        """What `wanted` was made of."""
        self.told = self.read
        """What Events have told of it."""
        self.is_waiting = False
        self.due_s = self.utilization_due_s = -math.inf
        self.pause_s = 0.0
        """After the last failure; 0 once a write went well."""

    def follow(self, account: Account) -> None:
        if account.status != self.account.status:
            self.read = read_status(account.status)
        self.account = account

    @property
    def news(self) -> News:
        says = self.written if self.read == self.result else self.read
        return news(says, self.wanted)

    def is_due(self, now: float) -> bool:
        if now < self.due_s:
            return False
        return self.news == "more" or (self.news == "utilization" and now >= self.utilization_due_s)


class Reporter:
    """`run` it while this process leads, once all of the cluster is known. `utilization`: ratios by deployment key."""

    def __init__(
        self,
        api: Api,
        cluster: Cluster,
        utilization: Callable[[], Mapping[str, float]],
        *,
        leads: Callable[[], bool],
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._utilization = utilization
        self._leads = leads
        self._lines: dict[str, _Line] = {}
        self._waiting: asyncio.Queue[_Line] = asyncio.Queue()
        self._counted: tuple[Snapshot, dict[str, Count]] | None = None
        self._faults: dict[str, str] = {}
        self._keys = KeysMaker(api, cluster.keys_wanted, leads=leads)
        self._events = EventWriter(api, leads=leads)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._lines.clear()
            self._waiting = asyncio.Queue()
            writers = [self._write_all() for _ in range(AT_ONCE)]
            event_writers = [self._events.run() for _ in range(EVENTS_AT_ONCE)]
            try:
                await first(self._look_always(), self._keys.run(), *writers, *event_writers)
            except Exception:
                log.exception("status of the endpoints can't be reported, trying again in %g s", AGAIN_S)
            await asyncio.sleep(AGAIN_S)

    # -- what is news ----------------------------------------------------------------------------------------

    async def _look_always(self) -> None:
        while True:
            if self._leads():
                await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        counts, utilization = self._counts(), self._utilization()
        await asyncio.sleep(0)
        accounts = list(self._cluster.accounts())
        await asyncio.sleep(0)
        slice_ends_s = _now() + SLICE_S
        for account in accounts:
            if _now() >= slice_ends_s:
                await asyncio.sleep(0)
                slice_ends_s = _now() + SLICE_S
            try:
                self._look_at(account, counts, utilization)
            except Exception:
                log.exception("status of %s/%s can't be told", account.namespace, account.name)
        for uid in self._lines.keys() - {account.uid for account in accounts}:
            del self._lines[uid]

    def _counts(self) -> dict[str, Count]:
        snapshot = self._cluster.snapshot()
        if self._counted is None or self._counted[0] is not snapshot:
            self._counted = snapshot, counted(snapshot)
        return self._counted[1]

    def _look_at(self, account: Account, counts: dict[str, Count], utilization: Mapping[str, float]) -> None:
        line = self._lines.get(account.uid)
        if line is None:
            line = self._lines[account.uid] = _Line(account)
        else:
            line.follow(account)
        fault = self._keys.fault(account.namespace, account.secret)
        keys = [each.key for each in account.endpoint.deployments] if account.endpoint else []
        inputs = (account, fault, [(counts.get(key), utilization.get(key)) for key in keys])
        if inputs != line.inputs:
            line.inputs = inputs
            line.wanted = status_of(account, line.wanted, counts, utilization, calendar_now(), fault)
        if not line.is_waiting and line.is_due(_now()):
            line.is_waiting = True
            self._waiting.put_nowait(line)

    # -- writing it ------------------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        while True:
            line = await self._waiting.get()
            if line.account.uid in self._lines and line.news != "none" and self._leads():
                await self._write(line)
            line.is_waiting = False

    async def _write(self, line: _Line) -> None:
        account, wanted = line.account, line.wanted
        path = f"/apis/scoregate.io/v1/namespaces/{account.namespace}/inferenceendpoints/{account.name}/status"
        body = {"status": wanted}
        try:
            answer = await self._api.write("PATCH", path, body, content_type=MERGE_PATCH, within_s=WITHIN_S)
        except ApiError as error:
            self._failed(line, error)
            return
        line.written = wanted
        line.read = line.result = _result(answer, wanted)
        shared_s = len(self._lines) / UTILIZATIONS_PER_S * random.uniform(0.5, 1.5)
        line.due_s, line.utilization_due_s = _now() + APART_S, _now() + max(UTILIZATION_APART_S, shared_s)
        if line.pause_s:
            line.pause_s = 0.0
            self._works_again(account)
        self._events.tell(account, events_of(line.told, wanted))
        line.told = wanted
        if line.result != wanted:
            text = "the CustomResourceDefinition in the cluster keeps less of a status: apply that of this version"
            self._say_once("result", text, "less")

    def _failed(self, line: _Line, error: ApiError) -> None:
        line.pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * line.pause_s))
        pause_s = max(line.pause_s * random.uniform(0.5, 1.0), min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))
        line.due_s = _now() + pause_s
        if error.status != 404:  # it was deleted, as will be heard
            scope, fault = _scope(line.account, error.status), f"{error.status} {error.reason}"
            self._say_once(scope, f"status can't be written, trying again: {error}", fault)

    def _works_again(self, account: Account) -> None:
        scopes = [_scope(account, status) for status in (0, 403, 409)]
        if any([self._faults.pop(scope, None) is not None for scope in scopes]):
            log.info("status of %s/%s can be written again", account.namespace, account.name)

    def _say_once(self, scope: str, text: str, fault: str) -> None:
        if self._faults.get(scope) != fault:
            self._faults[scope] = fault
            log.warning("%s", text)


def _scope(account: Account, status: int) -> str:
    """Whom a refusal with this HTTP status concerns: everybody, a namespace, or this object."""
    if status in _OF_THE_SERVER:
        return "the API server"
    return account.namespace if status == 403 else f"{account.namespace}/{account.name}"


def _result(answer: bytes, written: EndpointStatus) -> EndpointStatus:
    try:
        return read_status(msgspec.json.decode(answer, type=_Answer).status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return written


def _now() -> float:
    return asyncio.get_running_loop().time()
