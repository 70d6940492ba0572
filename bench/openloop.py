"""What becomes of requests that are sent at their intended times, whatever the replies do?

I/O: connections to one server, a monotonic clock.

An open loop: nobody waits for a reply before the next request is sent. Latency counts from the moment when a request
should have left, so a server that stalls is charged for all that was due in the meantime, and a generator that can't
keep up is, too. How late it was itself is told beside it.

A request is sent once: nothing is retried, no redirect is followed. One that finds `max_in_flight` others is left out,
and counted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence

import aiohttp
import msgspec
import yarl

from bench.tally import Progress, Report, Tally

TIMER_S = 0.001
"""Event loops have timers of about a millisecond: waiting for less would be a busy loop."""
PROGRESS_EVERY_S = 0.5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    moments_s: Sequence[float]
    """When each request is to leave, in order, from the start; see `bench.arrivals`."""
    seconds: float = 0.0
    """How long the arrivals go on: the run lasts so long, also when the last request came before."""
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: bytes | None = b"{}"
    timeout_s: float = 60.0
    """For one request, from when it really left to the last byte of its reply."""
    max_in_flight: int = 1000


def ignore(_progress: Progress) -> None:
    """Nobody looks."""


async def generate(
    plan: Plan, on_progress: Callable[[Progress], None] = ignore, stop: asyncio.Event | None = None
) -> Report:
    """Runs the plan until the last reply; `stop` ends it at once, with the report of what was done so far."""
    async with _session() as session, asyncio.TaskGroup() as group:
        course = _Course(plan, session)
        work = group.create_task(course.run())
        beside = [group.create_task(_tell(course, on_progress))]
        if stop is not None:
            beside.append(group.create_task(_stop(stop, work)))
        await asyncio.wait([work])
        for task in beside:
            task.cancel()
    on_progress(course.progress())
    return course.report(interrupted=work.cancelled())


class _Course:
    """One run of a plan."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._session = session
        self._url = yarl.URL(plan.url)
        self._tally = Tally(len(plan.moments_s))
        # Not the loop's clock: uvloop's has whole milliseconds, and stands still while callbacks run.
        self._began = time.perf_counter()
        self._took_s = 0.0

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for moment_s in self._plan.moments_s:
                    await self._until(moment_s)
                    self._send(group, moment_s)
                await self._until(self._plan.seconds)
        finally:
            self._took_s = self._now_s()

    def progress(self) -> Progress:
        return self._tally.progress(self._now_s())

    def report(self, *, interrupted: bool) -> Report:
        planned_s = max(self._plan.seconds, self._plan.moments_s[-1] if self._plan.moments_s else 0.0)
        return self._tally.report(planned_s=planned_s, took_s=self._took_s, interrupted=interrupted)

    def _now_s(self) -> float:
        return time.perf_counter() - self._began

    async def _until(self, moment_s: float) -> None:
        await asyncio.sleep(0)  # also where it is late: replies that are there are read before the next request
        while (wait_s := moment_s - self._now_s()) > 0:  # noqa: ASYNC110 - it waits for a clock
            await asyncio.sleep(max(wait_s, TIMER_S))

    def _send(self, group: asyncio.TaskGroup, moment_s: float) -> None:
        if self._tally.in_flight >= self._plan.max_in_flight:
            self._tally.leave_out()
            return
        self._tally.in_flight += 1
        group.create_task(self._request(moment_s)).add_done_callback(self._landed)

    def _landed(self, _task: asyncio.Task[None]) -> None:
        self._tally.in_flight -= 1

    async def _request(self, moment_s: float) -> None:
        self._tally.sent(self._now_s() - moment_s)
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                status = await self._ask()
        except (aiohttp.ClientError, OSError) as error:
            self._tally.failed(_reason(error), self._now_s() - moment_s)
        else:
            self._tally.replied(status, self._now_s() - moment_s)

    async def _ask(self) -> int:
        """The status, once the reply is read to its end."""
        plan = self._plan
        request = self._session.request(
            plan.method, self._url, headers=plan.headers, data=plan.body, allow_redirects=False
        )
        async with request as reply:
            async for _ in reply.content.iter_any():
                pass
            return reply.status


async def _tell(course: _Course, on_progress: Callable[[Progress], None]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        on_progress(course.progress())


async def _stop(stop: asyncio.Event, work: asyncio.Task[None]) -> None:
    await stop.wait()
    work.cancel()


def _session() -> aiohttp.ClientSession:
    """Connections are kept alive and not limited: the plan limits what is in flight."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        auto_decompress=False,
    )
    # aiohttp sends a GET again in silence when a kept-alive connection breaks: the failure would not be seen.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch
    return session


def _reason(error: aiohttp.ClientError | OSError) -> str:
    """Few words, the same for the same trouble."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "name not found"
        case aiohttp.ClientConnectorError() if error.errno == errno.ECONNREFUSED:
            return "connection refused"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {os.strerror(error.errno)}" if error.errno else "cannot connect"
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientPayloadError():
            return "reply cut short"
        case aiohttp.ClientResponseError():
            return "reply is not HTTP"
        case aiohttp.ServerDisconnectedError() | OSError():
            return "connection lost"
    return type(error).__name__
