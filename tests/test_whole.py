"""whole.py: whichever worker is asked, it shows what all have counted, and what all who live have now."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.accesslog import DROPPED_LINES
from router.clients import FAILED_HANDSHAKES
from router.core.auth import Caller
from router.core.model import Addresses, Deployment, Load, Replica, RequestSettings
from router.core.sharing import Sharing
from router.core.tally import Ledger
from router.counters import Counters
from router.fleet import LiveDeployment
from router.gate import VERIFICATIONS
from router.ledger import FileLedger, Totals
from router.platforms import Standing
from router.pressure import Pressure
from router.whole import Noted, Taken, Whole

IRIS = Deployment(
    endpoint="iris",
    name="blue",
    workload=Addresses(addresses=()),
    request=RequestSettings(max_concurrent_requests_per_instance=2),
)
REPLICAS = [Replica(uid=f"r{n}", deployment="iris/blue", host="127.0.0.1", port=1, ready=True) for n in range(3)]


class Fleet:
    def __init__(self, live: LiveDeployment) -> None:
        self.live = live

    def note_loads(self) -> None:
        self.live.note_load()


class Worker:
    """One of several, in a process of the test's."""

    def __init__(self, folder: Path, place: str) -> None:
        self.ledger: Ledger = FileLedger(folder, place)
        self.live = LiveDeployment(IRIS, Pressure(), self.ledger, Sharing("here", lambda: None))
        self.live.update(IRIS, REPLICAS, None)
        self.unrouted_ones = {"": Counters(self.ledger, "", "")}
        self.caller = Caller(self.ledger, "iris", "batch")
        self.open = 0
        noted = Noted(self, Fleet(self.live), self.ledger)  # type: ignore[arg-type]
        self.noted = noted
        self.whole = Whole(self, noted, Totals(folder))

    def loads(self) -> Iterator[tuple[Load, Counters]]:
        yield self.live.load(), self.live.counters

    def instances(self) -> dict[str, int]:
        return {"up": 2, "missing": 1}

    def unrouted(self) -> dict[str, Counters]:
        return self.unrouted_ones

    def deployments(self) -> tuple[Deployment, ...]:
        return (IRIS,)

    def connections(self) -> dict[str, int]:
        return {"client": self.open, "client_idle": self.open - 1, "replica": 2 * self.open}

    def callers(self) -> Iterator[tuple[str, Caller]]:
        yield "iris", self.caller

    def verifications(self) -> dict[str, int]:
        raise AssertionError("it is in the ledger")

    def known_tokens(self) -> int:
        return 10 * self.open

    def certificate_expires_at_s(self) -> float | None:
        return 5.0

    def failed_handshakes(self) -> int:
        raise AssertionError("it is in the ledger")

    def dropped_log_lines(self) -> int:
        raise AssertionError("it is in the ledger")

    def standing(self) -> Standing:
        return Standing(1.5, "away")


@pytest.fixture
async def workers(tmp_path: Path) -> list[Worker]:
    return [Worker(tmp_path, place) for place in ("0", "1")]


async def test_what_is_counted_is_summed_up_whoever_is_asked(workers: list[Worker]) -> None:
    for number, worker in enumerate(workers, 1):
        counters = worker.live.counters
        for _ in range(number):
            counters.conclude(200, 0.2, 0.0002, 0.0, 10, 20)
        counters.conclude(500 + number, 2.0, 0.0002, 0.7, 1, 2)
        counters.note_troubles(number, 2 * number, 3 * number)
        worker.unrouted_ones[""].count(404)
        worker.caller.count(200, number)
        for name, size in ((VERIFICATIONS, 3), (FAILED_HANDSHAKES, 1), (DROPPED_LINES, 1)):
            worker.ledger.open((name,), size)[0][0] += number
    for asked in (worker.whole for worker in workers):
        ((load, counters),) = asked.loads()
        assert counters.requests == {200: 3, 501: 1, 502: 1}
        assert (counters.request_bytes, counters.reply_bytes) == (32, 64)
        assert counters.latency.cumulative()[-1] == counters.queue_wait.cumulative()[-1] == 5
        assert counters.latency.sum == pytest.approx(4.6)
        assert counters.queue_wait.cumulative()[0] == 3, "those that did not wait"
        assert (load.refused_total, counters.retried, counters.asked) == (3, 6, 9)
        assert asked.instances() == {"up": 2, "missing": 1}, "as the one that is asked sees them"
        unrouted = {endpoint: each.requests for endpoint, each in asked.unrouted().items()}
        assert unrouted == {"": {404: 2}}
        assert [(name, each.consumer, each.requests) for name, each in asked.callers()] == [("iris", "batch", {200: 3})]
        assert asked.verifications() == {"cached": 3, "verified": 0, "refused": 0}
        assert (asked.failed_handshakes(), asked.dropped_log_lines()) == (3, 3)


async def test_a_ledger_without_a_count_says_none(workers: list[Worker]) -> None:
    whole = workers[0].whole
    assert whole.verifications() == {"cached": 0, "verified": 0, "refused": 0}
    assert (whole.failed_handshakes(), whole.dropped_log_lines(), whole.unrouted()) == (0, 0, {})


async def test_what_is_so_now_is_that_of_all_as_soon_as_they_have_noted_it(workers: list[Worker]) -> None:
    one, other = workers
    held = [worker.live.admission.acquire() for worker in (one, one, other)]
    one.open, other.open = 3, 4
    ((load, *_),) = one.whole.loads()
    assert load.in_flight == 2, "its own are always there"
    other.noted.note()
    for asked in (one.whole, other.whole):
        ((load, *_),) = asked.loads()
        assert (load.in_flight, load.queued, load.busy) == (3, 0, 3)
        assert (load.ready, load.total) == (3, 3), "which all know alike"
        assert load.utilization == 0.5, "3 of 3 replicas x 2"
        assert asked.connections() == {"client": 7, "client_idle": 5, "replica": 14}
        assert asked.known_tokens() == 70
    one.live.admission.release(held[0])  # type: ignore[arg-type]
    one.live.admission.release(held[1])  # type: ignore[arg-type]
    ((load, *_),) = one.whole.loads()
    assert load.in_flight == 1
    one.noted.note()
    other.live.admission.release(held[2])  # type: ignore[arg-type]
    ((load, *_),) = other.whole.loads()
    assert (load.in_flight, load.busy, load.utilization) == (0, 0, 0.0)


async def test_no_more_replicas_are_busy_than_there_are(workers: list[Worker]) -> None:
    for worker in workers:
        for _ in range(3):
            worker.live.admission.acquire()
        worker.noted.note()
    ((load, *_),) = workers[0].whole.loads()
    assert (load.in_flight, load.busy, load.total) == (6, 3, 3)


async def test_what_every_worker_knows_alike_is_the_askeds(workers: list[Worker]) -> None:
    whole = workers[0].whole
    assert list(whole.deployments()) == [IRIS]
    assert whole.certificate_expires_at_s() == 5.0
    assert whole.standing() == Standing(1.5, "away")


def test_who_has_taken_more_connections_lets_others_go_first(tmp_path: Path) -> None:
    totals = Totals(tmp_path)
    one, other = (Taken(FileLedger(tmp_path, place), totals) for place in ("0", "1"))
    assert not one.is_ahead(), "it does not know of anybody yet"
    for each in (one, other):
        each.look(0)
    for _ in range(2):
        one.took_one()
        assert not one.is_ahead(), "a few more are no matter"
    one.took_one()
    assert one.is_ahead()
    assert not other.is_ahead()
    one.look(100)
    other.look(90)
    assert not one.is_ahead()
    other.look(80)
    assert one.is_ahead()


def test_nobody_waits_for_one_who_leaves(tmp_path: Path) -> None:
    totals = Totals(tmp_path)
    one, other = (Taken(FileLedger(tmp_path, place), totals) for place in ("0", "1"))
    one.look(50)
    other.look(3)
    one.look(50)
    assert one.is_ahead()
    other.leave()
    other.look(1)
    assert not one.is_ahead()
    assert math.isinf(totals.living("now taken")[1][0])
