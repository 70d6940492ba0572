"""Several workers share the ports of one router: one may die, hang, come or go, and clients and figures don't lose by
it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.platforms.local.running import started as start_of
from tests.front import SCORE
from tests.models import Model, served
from tests.router_process import STARTS_WITHIN_S, RouterProcess, connections_of, declare, routing

ACROSS = 8
"""Clients that ask at the same time, each over a connection of its own."""

MOST = 60
"""Clients that come one by one, until each worker has some."""


class Crewed:
    """A router of several workers before one replica, and one who looks at it."""

    def __init__(self, router: RouterProcess, model: Model) -> None:
        self.router = router
        self.model = model

    @property
    def workers(self) -> dict[int, int]:
        """Process ids by number, of those that listen."""
        return {place.index: place.pid for place in self.router.state.living_routers()}

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not condition():
                assert self.router.process.returncode is None, f"{what}: {self.router.said.decode()}"
                await asyncio.sleep(0.02)

    async def until_workers(self, count: int) -> None:
        await self.until(f"{count} workers", lambda: len(self.workers) == count)

    def wish(self, workers: int) -> None:
        file = self.router.state.path / "workers.json"
        file.with_suffix(".new").write_text(json.dumps({"workers": workers}))
        file.with_suffix(".new").replace(file)

    async def scrape(self) -> dict[str, float]:
        """Sums over labels, by name; of the whole router, by any of its workers."""
        async with self.router.client() as client:
            text = (await client.get(f"{self.router.place.admin}/metrics")).text
        sums: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("le", "+Inf") == "+Inf":
                    sums[sample.name] += sample.value  # type: ignore[assignment]
        return dict(sums)

    async def until_all_say(self, **figures: float) -> dict[str, float]:
        """Until whoever answers has these: what a worker has in flight is told to the others ten times a second."""
        now: list[dict[str, float]] = []
        try:
            async with asyncio.timeout(STARTS_WITHIN_S):
                while not now or any(not figures.items() <= each.items() for each in now):
                    now = [await self.scrape() for _ in range(6)]
        except TimeoutError:
            pytest.fail(f"not {figures}: {[{name: each.get(name) for name in figures} for each in now]}")
        return now[-1]


@asynccontextmanager
async def crewed(folder: Path, workers: int, *options: str, printed: bool = False) -> AsyncIterator[Crewed]:
    model = Model()
    async with served(model) as port:
        declare(folder / "endpoints.yaml", port, maxConcurrentRequestsPerInstance=0)
        log = () if printed else ("--access-log", "off")
        async with routing(folder, "--workers", str(workers), *log, *options, waits=False) as router:
            one = Crewed(router, model)
            try:
                await one.until_workers(workers)
                router.place = router.state.living_routers()[0]
                await router.ready()
                yield one
            finally:
                model.gate.set()
                await end(one)


async def end(one: Crewed) -> None:
    """Whatever the test did: the workers end with their parent."""
    workers = list(one.workers.values())
    if one.router.process.returncode is None:
        one.router.process.kill()
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Load:
    """What clients got while it ran: replies by status, and failures without a reply."""

    def __init__(self) -> None:
        self.replies: Counter[int] = Counter()
        self.failures: list[str] = []
        self.is_over = False

    async def ask(self, one: Crewed) -> None:
        async with one.router.client() as client:
            while not self.is_over:
                try:
                    self.replies[(await client.post(SCORE, content=b"{}")).status_code] += 1
                except httpx.TransportError as error:
                    self.failures.append(repr(error))


@asynccontextmanager
async def load(one: Crewed) -> AsyncIterator[Load]:
    made = Load()
    async with asyncio.TaskGroup() as clients:
        for _ in range(ACROSS):
            clients.create_task(made.ask(one))
        yield made
        made.is_over = True


async def test_a_worker_that_is_killed_is_replaced_and_its_requests_alone_are_lost(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        async with load(one) as made:
            await asyncio.sleep(0.5)
        replies = made.replies.total()
        assert set(made.replies) == {200}
        assert made.failures == []
        before = await one.until_all_say(
            scoregate_requests_total=replies, scoregate_request_seconds_count=replies, scoregate_in_flight=0
        )

        victim = one.workers[0]
        os.kill(victim, signal.SIGKILL)
        for _ in range(20):  # whoever answers now knows what the dead one counted
            now = await one.scrape()
            assert now["scoregate_requests_total"] == replies
            assert now["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
        await one.until("a replacement", lambda: one.workers.get(0, victim) != victim)
        assert (await one.scrape())["scoregate_requests_total"] == replies

        async with load(one) as made:
            await asyncio.sleep(0.5)
            os.kill(one.workers[1], signal.SIGKILL)
            await asyncio.sleep(0.5)
            await one.until_workers(2)
        assert set(made.replies) == {200}
        assert len(made.failures) <= ACROSS, "those that the killed one had; nobody was refused a connection"
        last = await one.until_all_say(scoregate_in_flight=0)
        counted = last["scoregate_requests_total"] - replies
        assert made.replies.total() <= counted + ACROSS, "a reply may be out, and the one who sent it killed"
        assert counted <= made.replies.total() + len(made.failures)
        # the killed one may have been between the two
        assert 0 <= last["scoregate_request_seconds_count"] - last["scoregate_overhead_seconds_count"] <= 1


async def test_requests_of_other_workers_go_on_when_one_is_killed(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        one.model.gate.clear()
        made = Load()
        async with asyncio.TaskGroup() as clients:
            for number in range(1, MOST + 1):
                clients.create_task(made.ask(one))
                await one.until("it has come", lambda number=number: one.model.begun == number)  # type: ignore[misc]
                taken = {index: connections_of(pid, one.router.port) for index, pid in one.workers.items()}
                if min(taken.values()) > 1:
                    break
            assert min(taken.values()) > 1, f"each worker has some: {taken}"
            victim = one.workers[0]
            os.kill(victim, signal.SIGKILL)
            await one.until("its requests are lost", lambda: len(made.failures) == taken[0])
            await one.until("a replacement", lambda: one.workers.get(0, victim) != victim)
            made.is_over = True
            one.model.gate.set()
        assert len(made.failures) == taken[0], "and no other one's"
        assert set(made.replies) == {200}
        assert made.replies.total() >= taken[1]


async def test_figures_never_fall_and_what_is_in_flight_is_that_of_all(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        one.model.gate.clear()
        async with load(one) as made:
            await one.until("all have come", lambda: one.model.begun == ACROSS)
            await one.until_all_say(scoregate_in_flight=ACROSS)
            one.model.gate.set()
            made.is_over = True
        total = 0.0
        async with load(one):
            for number in range(30):
                if number == 10:
                    os.kill(one.workers[0], signal.SIGKILL)
                now = await one.scrape()
                assert now["scoregate_requests_total"] >= total
                total = now["scoregate_requests_total"]


async def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        hung = one.workers[1]
        os.kill(hung, signal.SIGSTOP)
        await one.until("a replacement", lambda: one.workers.get(1, hung) != hung)
        assert start_of(hung) is None, "it is gone"
        word = f"worker 1, process {hung}, hangs: it is killed".encode()
        await one.until("it is told", lambda: word in one.router.said)


async def test_more_and_fewer_workers_come_and_go_under_load_without_a_failure(tmp_path: Path) -> None:
    async with crewed(tmp_path, 1, "--max-workers", "3") as one:
        async with load(one) as made:
            one.wish(3)
            await one.until_workers(3)
            await asyncio.sleep(0.5)
            one.wish(1)
            await one.until_workers(1)
            await asyncio.sleep(0.3)
        assert made.failures == []
        assert set(made.replies) == {200}
        assert list(one.workers) == [0], "the highest numbers leave"
        await one.until_all_say(scoregate_requests_total=made.replies.total())


async def test_all_finish_what_they_have_when_the_router_is_stopped(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        one.model.gate.clear()
        async with asyncio.TaskGroup() as group:
            clients = [one.router.client() for _ in range(ACROSS)]
            asked = [group.create_task(client.post(SCORE, content=b"{}")) for client in clients]
            await one.until("all have come", lambda: one.model.begun == ACROSS)
            one.router.send_signal()
            async with asyncio.timeout(STARTS_WITHIN_S):
                while await connects(one.router.port):  # noqa: ASYNC110 - until its grace is over
                    await asyncio.sleep(0.05)
            one.model.gate.set()
        assert {task.result().status_code for task in asked} == {200}
        for client in clients:
            await client.aclose()
        assert await one.router.ended() == 0
        assert one.workers == {}


async def connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    async with crewed(tmp_path, 2) as one:
        pids = list(one.workers.values())
        one.router.process.kill()
        await one.router.process.wait()
        async with asyncio.timeout(STARTS_WITHIN_S):
            while any(start_of(pid) is not None for pid in pids):  # noqa: ASYNC110 - it looks at processes
                await asyncio.sleep(0.02)
        assert one.workers == {}


async def test_a_router_whose_workers_cannot_start_ends_with_their_word(tmp_path: Path) -> None:
    declare(tmp_path / "endpoints.yaml", 1)
    options = ("--workers", "2", "--access-log", str(tmp_path / "no" / "folder"))
    async with routing(tmp_path, *options, waits=False) as router:
        assert await router.ended() == 1
    assert b"Can't write the access log" in router.said
    assert b"Traceback" not in router.said
    assert router.state.living_routers() == []


async def test_every_line_of_the_one_access_log_is_whole(tmp_path: Path) -> None:
    """Standard output is a pipe here."""
    async with crewed(tmp_path, 2, printed=True) as one:
        async with load(one) as made:
            await asyncio.sleep(1.0)
        one.router.send_signal()
        assert await one.router.ended() == 0
        lines = [json.loads(line) for line in one.router.printed.splitlines()]
        assert len({line["requestId"] for line in lines}) == len(lines) == made.replies.total()
