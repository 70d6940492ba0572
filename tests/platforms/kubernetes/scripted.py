"""What would an API server have to say for this? One that follows a script, and a following of it.

Time is virtual. The pods here have just a phase.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from msgspec import Struct

from router.platforms import Standing
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.following import Collection, Following
from tests.virtual_time import now

PODS = "/api/v1/pods"


class Metadata(Struct, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Pod(Struct):
    metadata: Metadata
    phase: str = ""


def pod(name: str, version: int, uid: str = "a", **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "models", "uid": uid, "resourceVersion": str(version)},
        **fields,
    }


def event(kind: str, thing: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode()


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version), "creationTimestamp": None}})


def error_line(code: int, reason: str) -> bytes:
    status = {"kind": "Status", "code": code, "reason": reason, "message": "too old resource version: 1 (9)"}
    return event("ERROR", status)


def page(version: int, *pods: dict[str, Any], token: str = "") -> bytes:
    return json.dumps({"metadata": {"resourceVersion": str(version), "continue": token}, "items": pods}).encode()


def fails(status: int, retry_after_s: float | None = None) -> ApiError:
    what = f"the API server answers {status}: no" if status else "no answer within 10 s"
    return ApiError("GET", what, status=status, retry_after_s=retry_after_s)


class Watch(NamedTuple):
    """Each line comes so long after the one before; then it ends, by itself or with an error."""

    lines: tuple[bytes, ...] = ()
    each_s: float = 0.0
    ends_s: float = 30.0
    error: ApiError | None = None


Step = bytes | ApiError | Watch


class Asked(NamedTuple):
    at: float
    is_watch: bool
    query: dict[str, str]
    within_s: float


class ScriptedApi:
    """Answers one step after the other. After the last it is silent."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = list(steps)
        self.asked: list[Asked] = []

    async def read(self, path: str, query: Mapping[str, str] | None = None, *, within_s: float = 10.0) -> bytes:
        assert path == PODS
        self.asked.append(Asked(now(), False, dict(query or {}), within_s))
        step = await self._next()
        assert isinstance(step, bytes), f"a list came, not {step}"
        return step

    async def watch(
        self, path: str, query: Mapping[str, str], *, silent_s: float, opened: Callable[[], None]
    ) -> AsyncGenerator[bytes, None]:
        assert path == PODS
        self.asked.append(Asked(now(), True, dict(query), silent_s))
        step = await self._next()
        assert isinstance(step, Watch), f"a watch came, not {step!r}"
        opened()
        for line in step.lines:
            await asyncio.sleep(step.each_s)
            yield line
        await asyncio.sleep(step.ends_s)
        if step.error:
            raise step.error

    async def _next(self) -> bytes | Watch:
        if not self.steps:
            await asyncio.sleep(1e9)
        step = self.steps.pop(0)
        if isinstance(step, ApiError):
            raise step
        return step


class World(NamedTuple):
    api: ScriptedApi
    following: Following[Pod]
    told: list[tuple[str, str | None]]
    """The key, and uid, version and phase."""

    @property
    def known(self) -> dict[str, str]:
        last = dict(self.told)
        return {key: pod for key, pod in last.items() if pod is not None}

    def standing(self) -> Standing:
        return self.following.standing(now())

    @property
    def moments(self) -> list[float]:
        """Of the requests, counted from the first."""
        return [round(asked.at - self.api.asked[0].at, 3) for asked in self.api.asked]


@asynccontextmanager
async def following(*steps: Step, chance: float = 0.5, **collection: Any) -> AsyncIterator[World]:
    api = ScriptedApi(steps)
    told: list[tuple[str, str | None]] = []

    def changed(key: str, thing: Pod | None) -> None:
        known = f"{thing.metadata.uid}{thing.metadata.resource_version}{thing.phase}" if thing else None
        told.append((key.removeprefix("models/"), known))

    subject = Following(cast(Api, api), Collection(PODS, Pod, **collection), changed, chance=lambda: chance)
    task = asyncio.create_task(subject.run())
    try:
        yield World(api, subject, told)
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError), outcome
