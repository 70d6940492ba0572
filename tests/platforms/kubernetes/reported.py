"""What is a Reporter told in a test, and what does it say?

I/O: none. Accounts to report on, a cluster that has them, and an API server that writes down what it is asked, at what
time of the loop, and answers as the test says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from router.core.model import Deployment, Endpoint, KeyHashes, Pods, Replica, ScaleSettings, Snapshot, Trouble
from router.platforms.kubernetes.api import ApiError
from router.platforms.kubernetes.cluster import Account, KeysWanted
from router.platforms.kubernetes.leading.conditions import Condition, Count
from router.platforms.kubernetes.leading.reporting import Reporter

NOON = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 7, 1, 12, 5, 0, tzinfo=UTC)
HASHES = KeyHashes(primary=b"p" * 32, secondary=b"s" * 32)
SCALED = ScaleSettings(min_instances=0, max_instances=10)


def deployment(name: str = "blue", endpoint: str = "iris", scale: ScaleSettings | None = SCALED) -> Deployment:
    workload = Pods(namespace="models", kind="Deployment", name=f"{endpoint}-{name}")
    return Deployment(endpoint=endpoint, name=name, workload=workload, scale=scale)


def account(name: str = "iris", weights: dict[str, int] | None = None, **changes: Any) -> Account:
    """All is well with it, and a deployment `blue` takes all requests, unless `changes` say otherwise."""
    weights = {"blue": 100} if weights is None else weights
    noun = Endpoint(
        name=name,
        auth_mode="key",
        keys=HASHES,
        weights=tuple(weights.items()),
        deployments=tuple(deployment(each, name) for each in weights),
    )
    well = Account(
        namespace="models",
        name=name,
        uid=f"uid-{name}",
        generation=3,
        status={},
        endpoint=noun,
        problems=(),
        name_taken_by=None,
        missing=(),
        secret=f"{name}-keys",
        keys="ready",
        keys_problem="",
    )
    return replace(well, **changes)


def trouble(kind: Any, reason: str = "why", deployment: str = "iris/blue") -> Trouble:
    return Trouble(deployment=deployment, kind=kind, reason=reason)


def replicas(key: str, ready: int, starting: int = 0, leaving: int = 0) -> tuple[Replica, ...]:
    states = [(True, False)] * ready + [(False, False)] * starting + [(False, True)] * leaving
    return tuple(
        Replica(uid=f"{key}#{n}", deployment=key, host="10.0.0.1", port=5001, ready=is_ready, leaving=is_leaving)
        for n, (is_ready, is_leaving) in enumerate(states)
    )


def by_type(conditions: Sequence[Condition]) -> dict[str, Condition]:
    return {each.type: each for each in conditions}


READY = {"iris/blue": Count(2, 3, 3)}


class StubCluster:
    """What the test puts in it."""

    def __init__(self, *accounts: Account) -> None:
        self.has = {each.uid: each for each in accounts}
        self.now = Snapshot(replicas=replicas("iris/blue", 1))
        self.wanted: list[KeysWanted] = []
        self.utilization: dict[str, float] = {}

    def put(self, account: Account) -> None:
        self.has[account.uid] = account

    def snapshot(self) -> Snapshot:
        return self.now

    def accounts(self) -> list[Account]:
        return list(self.has.values())

    def keys_wanted(self) -> list[KeysWanted]:
        return self.wanted


class Call(NamedTuple):
    at_s: float
    method: str
    path: str
    body: Any
    content_type: str


Answers = Callable[[Call], bytes | Exception]


def as_written(call: Call) -> bytes:
    """The object as it is now."""
    return msgspec.json.encode(call.body or {})


def refused(status: int, reason: str = "", what: str = "no", retry_after_s: float | None = None) -> ApiError:
    return ApiError("PATCH /x", what, status=status, reason=reason, retry_after_s=retry_after_s)


class StubApi:
    """`answers` decides; each answer takes `takes_s`. `most_at_once`: how many calls were held at one moment."""

    def __init__(self, answers: Answers = as_written, takes_s: float = 0.0) -> None:
        self.answers = answers
        self.takes_s = takes_s
        self.calls: list[Call] = []
        self.most_at_once = 0
        self._now = 0

    async def write(
        self, method: str, path: str, body: Any, *, content_type: str = "json", within_s: float = 5
    ) -> bytes:
        return await self._call(Call(self._time(), method, path, msgspec.to_builtins(body), content_type))

    async def read(self, path: str) -> bytes:
        return await self._call(Call(self._time(), "GET", path, None, ""))

    def to(self, part: str) -> list[Call]:
        return [each for each in self.calls if part in each.path]

    async def _call(self, call: Call) -> bytes:
        self.calls.append(call)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self._now -= 1
        answer = self.answers(call)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def reporting(api: Any, cluster: Any, leads: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    reporter = Reporter(api, cluster, lambda: getattr(cluster, "utilization", {}), leads=leads)
    task = asyncio.create_task(reporter.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
