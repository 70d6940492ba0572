"""supervisor.py and declared.py: how many replicas a deployment has, which leave, and what keeps it from more."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from router.core.model import Replica
from router.platforms.local import keeper, supervisor
from router.platforms.local import replica as processes
from router.platforms.local.state import ScaleWish

MUTE = {"command": ["$(PYTHON)", "-c", "import time; time.sleep(600)"]}
BROKEN = {"command": ["$(PYTHON)", "-c", "raise SystemExit('no model')"]}


def scaled(bench, fewest: int, most: int, **more):
    return bench.endpoint(bench.deployment(scaleSettings={"minInstances": fewest, "maxInstances": most}, **more))


def wish(replicas: int, *leave_first: str) -> ScaleWish:
    return ScaleWish(replicas, None, leave_first)


async def test_one_that_scales_starts_with_its_fewest_and_follows_wishes_within_its_bounds(bench):
    bench.declare(scaled(bench, 1, 3))
    async with bench.supervisor():
        await bench.until_ready(1)
        for wished, counts in [(2, 2), (9, 3), (0, 1)]:
            bench.state.write_wish("iris", "blue", wish(wished))
            await bench.until_ready(counts)
            assert bench.wished() == counts


async def test_none_are_started_where_none_are_needed(bench):
    bench.declare(scaled(bench, 0, 3))
    async with bench.supervisor():
        await bench.until(lambda: bench.wished() == 0)
        bench.state.write_wish("iris", "blue", wish(1))
        await bench.until_ready(1)


async def test_a_wish_of_an_earlier_run_holds_within_the_bounds_of_now(bench):
    bench.state.write_wish("iris", "blue", wish(9))
    bench.declare(scaled(bench, 0, 2))
    for _ in range(2):
        async with bench.supervisor():
            await bench.until_ready(2)


async def test_an_edit_moves_the_number_only_where_its_bounds_ask(bench):
    bench.declare(scaled(bench, 1, 4))
    async with bench.supervisor():
        bench.state.write_wish("iris", "blue", wish(2))
        before = await bench.until_ready(2)
        bench.declare(scaled(bench, 1, 9, requestSettings={"requestTimeoutMs": 7000}))
        await bench.until(
            lambda: bench.state.read_snapshot().endpoints[0].deployments[0].request.request_timeout_ms == 7000
        )
        assert (bench.wished(), bench.ready()) == (2, before)
        bench.declare(scaled(bench, 3, 9))
        await bench.until_ready(3)
        bench.declare(scaled(bench, 0, 1))
        await bench.until_ready(1)


async def test_one_that_begins_to_scale_starts_at_what_it_has(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor():
        before = await bench.until_ready(2)
        bench.declare(scaled(bench, 1, 3))
        await bench.until(lambda: bench.state.read_snapshot().endpoints[0].deployments[0].scale is not None)
        assert (bench.wished(), bench.ready()) == (2, before)


async def test_one_that_scales_no_longer_has_its_fixed_number_again(bench):
    bench.declare(scaled(bench, 1, 3))
    async with bench.supervisor():
        bench.state.write_wish("iris", "blue", wish(3))
        await bench.until_ready(3)
        bench.declare(bench.endpoint(bench.deployment(count=1)))
        await bench.until_ready(1)
        assert bench.state.read_wish("iris", "blue") is None


async def test_those_that_are_named_leave_first(bench):
    bench.declare(scaled(bench, 1, 4))
    async with bench.supervisor():
        bench.state.write_wish("iris", "blue", wish(4))
        oldest, second, third, youngest = await bench.until_ready(4)
        bench.state.write_wish("iris", "blue", wish(3, second.uid, oldest.uid))
        assert await bench.until_ready(3) == [oldest, third, youngest]
        bench.state.write_wish("iris", "blue", wish(1, "gone", third.uid))
        assert await bench.until_ready(1) == [oldest]


async def test_what_waits_for_its_turn_to_start_is_wished_already(bench, monkeypatch):
    monkeypatch.setattr(supervisor, "STARTS_AT_ONE_TIME", 1)
    bench.declare(bench.endpoint(bench.deployment(count=3, process=MUTE)))
    async with bench.supervisor():
        await bench.until(lambda: len(bench.replicas()) == 1)
        assert bench.wished() == 3


async def get(replica: Replica, path: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://{replica.host}:{replica.port}{path}")


def reasons(bench) -> list[tuple[str, str, str]]:
    return [(each.deployment, each.kind, each.reason) for each in bench.state.read_snapshot().troubles]


async def test_one_that_fails_to_start_again_and_again_is_in_trouble_until_another_is_declared(bench, monkeypatch):
    monkeypatch.setattr(keeper, "backoff_s", lambda failures: 0.01)
    well = bench.deployment("green")
    bench.declare(bench.endpoint(bench.deployment(process=BROKEN), well))
    async with bench.supervisor() as running:
        await bench.until(lambda: reasons(bench) != [])
        ((deployment, kind, reason),) = reasons(bench)
        assert (deployment, kind) == ("iris/blue", "start")
        assert reason.endswith("of iris/blue ended with exit code 1; its log ends with: no model")
        assert running.replicas()[0].restarts >= 3
        bench.declare(bench.endpoint(bench.deployment(process=MUTE), well))
        await bench.until(lambda: reasons(bench) == [])


DEAF = """
import signal, time
with open("tries", "a+") as tries:
    tries.seek(0)
    if len(tries.read()) < 3:
        tries.write("x")
        raise SystemExit("not yet")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("deaf", "w").close()
time.sleep(600)
"""


async def test_one_that_only_has_to_end_yet_is_no_trouble_of_the_next(bench, monkeypatch):
    monkeypatch.setattr(keeper, "backoff_s", lambda failures: 0.01)
    monkeypatch.setattr(processes, "GRACE_S", 2.0)
    bench.declare(bench.endpoint(bench.deployment(process={"command": ["$(PYTHON)", "-c", DEAF]})))
    async with bench.supervisor():
        await bench.until((bench.folder / "deaf").exists)
        await bench.until(lambda: len(reasons(bench)) == 1)
        bench.declare(bench.endpoint(bench.deployment(process=MUTE)))
        await bench.until(lambda: reasons(bench) == [])
        assert [each.leaving for each in bench.replicas()].count(True) == 1


FLAKY = """
import os, sys
with open("tries", "a+") as tries:
    tries.seek(0)
    if len(tries.read()) < 4:
        tries.write("x")
        raise SystemExit("not yet")
os.execv(sys.executable, [sys.executable, "replica.py", os.environ["PORT"]])
"""


async def test_two_failed_starts_are_no_trouble_yet_and_one_that_succeeds_ends_it(bench, monkeypatch):
    told: list[int] = []

    def pause_s(failures: int) -> float:
        told.append(len(reasons(bench)))
        return 0.3  # time enough to publish what is known after this failure

    monkeypatch.setattr(keeper, "backoff_s", pause_s)
    process = {"command": ["$(PYTHON)", "-c", FLAKY]}
    bench.declare(bench.endpoint(bench.deployment(process=process)))
    async with bench.supervisor() as running:
        (replica,) = await bench.until_ready(1)
        assert told == [0, 0, 0, 1], "before each pause: what the failures up to the last one amount to"
        await get(replica, "/status/503")
        await bench.until(lambda: running.replicas()[0].phase == "unwell" and bench.ready() == [])
        assert reasons(bench) == [], "it did start"
        (bench.folder / "tries").write_text("")
        with pytest.raises(httpx.TransportError):
            await get(replica, "/exit")
        await bench.until(lambda: len(told) == 9)
        assert told[4:] == [0, 0, 0, 0, 1], "the crash of one that had started is no failed start"
        await bench.until_ready(1)


async def test_one_that_has_something_ready_is_in_no_trouble(bench, monkeypatch):
    monkeypatch.setattr(keeper, "backoff_s", lambda failures: 0.01)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor() as running:
        before = await bench.until_ready(1)
        bench.declare(bench.endpoint(bench.deployment(process=BROKEN)))
        await bench.until(lambda: any(status.restarts > 4 for status in running.replicas()))
        assert bench.ready() == before
        assert reasons(bench) == []


async def test_one_that_starts_and_then_crashes_is_not_one_that_can_not_start(bench, monkeypatch):
    monkeypatch.setattr(keeper, "backoff_s", lambda failures: 0.3)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor() as running:
        for crash in range(1, 5):
            (replica,) = await bench.until_ready(1)
            with pytest.raises(httpx.TransportError):
                await get(replica, "/exit")
            await bench.until(lambda crash=crash: running.replicas()[0].restarts == crash and bench.ready() == [])
            await asyncio.sleep(0.1)  # time enough to publish a trouble
            assert reasons(bench) == []
