"""supervisor.py and declared.py: what is declared runs, and nothing else does."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

import router
from router.core.keys import regenerated
from router.core.model import Deployment, Process, RequestSettings
from router.platforms import PlatformError
from router.platforms.keys import KeyStore
from router.platforms.local.state import ScaleWish, own_id
from tests.places import a_place


async def get(replica, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{replica.host}:{replica.port}{path}")


def router_is_here(bench) -> None:
    bench.state.write_router(a_place())


async def test_a_full_disk_stops_nothing_and_is_told_once(bench, caplog):
    bench.declare(bench.endpoint(bench.deployment()))
    snapshot = bench.state.path / "snapshot.json"
    async with bench.supervisor() as supervisor:
        await bench.until_ready(1)
        snapshot.unlink()
        snapshot.mkdir()  # no file can take its place
        os.kill(supervisor.replicas()[0].pid, signal.SIGKILL)
        await bench.until(lambda: "can't follow" in caplog.text)
        await bench.until(lambda: [(s.phase, s.restarts) for s in supervisor.replicas()] == [("ready", 1)])
        snapshot.rmdir()
        await bench.until_ready(1)


async def test_what_is_declared_runs_and_stops(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2), bench.deployment("green")))
    async with bench.supervisor() as supervisor:
        blue = await bench.until_ready(2)
        green = await bench.until_ready(1, "iris/green")
        assert len({replica.uid for replica in blue + green}) == 3
        statuses = supervisor.replicas()
        assert {status.phase for status in statuses} == {"ready"}
        assert supervisor.wished == {"iris/blue": 2, "iris/green": 1}
    assert bench.state.read_snapshot() is None
    await bench.until(lambda: not any(bench.group(status.pid) for status in statuses))


async def test_scale_up_and_down(bench):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        oldest = await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(3, 1))
        await bench.until_ready(3)
        bench.state.write_wish("iris", "blue", ScaleWish(1, 1))
        assert await bench.until_ready(1) == oldest
        bench.state.write_wish("iris", "blue", ScaleWish(0, 1))
        await bench.until_ready(0)


async def test_a_leaving_replica_stays_until_the_router_says_that_it_drained(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0):
        (replica,) = await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(0, 1))
        await bench.until(lambda: [each.leaving for each in bench.replicas()] == [True])
        assert (await get(replica, "/")).status_code == 200
        bench.state.note_drained(replica.uid, own_id())
        await bench.until_ready(0)
        assert not bench.state.is_drained(replica.uid)


async def test_a_leaving_replica_stays_until_all_routers_say_so_and_waits_for_none_that_died(bench):
    router_is_here(bench)
    sleeping = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    bench.state.write_router(a_place(pid=sleeping.pid))
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0):
        (replica,) = await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(0, 1))
        await bench.until(lambda: [each.leaving for each in bench.replicas()] == [True])
        bench.state.note_drained(replica.uid, own_id())
        await asyncio.sleep(0.3)
        assert (await get(replica, "/")).status_code == 200
        sleeping.kill()
        await bench.until_ready(0)
    await sleeping.wait()


async def test_a_drain_that_nobody_reports_has_an_end(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=0.2):
        await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(0, 1))
        await bench.until_ready(0)


async def test_stopping_waits_for_no_drain(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0) as supervisor:
        await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(0, 1))
        await bench.until(lambda: [each.leaving for each in bench.replicas()] == [True])
        (status,) = supervisor.replicas()
    await bench.until(lambda: not bench.group(status.pid))


async def test_a_wish_ends_when_the_file_says_another_count(bench):
    bench.declare(bench.endpoint(bench.deployment(count=1)))
    async with bench.supervisor():
        bench.state.write_wish("iris", "blue", ScaleWish(3, 1))
        await bench.until_ready(3)
        bench.declare(bench.endpoint(bench.deployment(count=2)))
        await bench.until_ready(2)
        assert bench.state.read_wish("iris", "blue") is None


async def test_a_broken_wish_is_named_and_changes_nothing(bench, caplog):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        before = await bench.until_ready(1)
        bench.state.write_wish("iris", "blue", ScaleWish(0, 99))
        await bench.until(lambda: bench.state.read_wish("iris", "blue") is None)
        (bench.state.path / "scale" / "iris.blue.json").write_text("{")
        await bench.until(lambda: "iris.blue.json can't be read" in caplog.text)
        assert bench.ready() == before


async def test_endpoints_come_and_go_with_the_file(bench):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        iris = await bench.until_ready(1)
        bench.declare(bench.endpoint(bench.deployment()), bench.endpoint(bench.deployment(), name="wine"))
        wine = await bench.until_ready(1, "wine/blue")
        assert bench.ready() == iris
        bench.declare(bench.endpoint(bench.deployment(), name="wine"))
        await bench.until_ready(0)
        assert bench.ready("wine/blue") == wine
        assert [each.name for each in bench.state.read_snapshot().endpoints] == ["wine"]


async def test_request_settings_change_without_a_new_process(bench):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        before = await bench.until_ready(1)
        bench.declare(bench.endpoint(bench.deployment(requestSettings={"requestTimeoutMs": 7000})))

        def settings():
            return bench.state.read_snapshot().endpoints[0].deployments[0].request

        await bench.until(lambda: settings().request_timeout_ms == 7000)
        assert bench.ready() == before


async def test_another_command_replaces_replicas_and_never_has_fewer_ready(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2, variant="old")))
    async with bench.supervisor():
        old = {each.uid for each in await bench.until_ready(2)}
        bench.declare(bench.endpoint(bench.deployment(count=2, variant="new")))
        fewest, most = 2, 2

        def replaced() -> bool:
            nonlocal fewest, most
            fewest = min(fewest, len(bench.ready()))
            most = max(most, sum(not each.leaving for each in bench.replicas()))
            return len(bench.replicas()) == 2 and not old & {each.uid for each in bench.ready()}

        await bench.until(replaced)
        assert (fewest, most) == (2, 3)
        for replica in await bench.until_ready(2):
            assert (await get(replica, "/")).text == "new"


async def test_a_broken_file_is_refused_once_and_the_last_good_one_stays(bench, caplog):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor():
        before = await bench.until_ready(1)
        bench.write("kind: [")
        await bench.until(lambda: "the last good one stays in force" in caplog.text)
        bench.file.unlink()
        await bench.until(lambda: caplog.text.count("the last good one stays") == 2)
        assert bench.ready() == before
        bench.declare(bench.endpoint(bench.deployment(count=2)))
        await bench.until_ready(2)
    refused = [record for record in caplog.records if "stays" in record.message]
    assert [record.levelno for record in refused] == [logging.ERROR] * 2
    assert str(bench.file) in refused[0].message


async def test_keys_reach_the_snapshot_as_hashes_and_follow_a_change(bench):
    bench.declare(bench.endpoint(bench.deployment(), mode="key"))

    def hashes():
        return bench.state.read_snapshot().endpoints[0].keys

    async with bench.supervisor():
        await bench.until_ready(1)
        store = KeyStore(bench.state.path)
        assert hashes() == store.hashes("iris")
        assert store.read("iris").primary_key not in (bench.state.path / "snapshot.json").read_text()
        before = hashes()
        store.change("iris", partial(regenerated, which="primary", key="another-primary-key"))
        await bench.until(lambda: hashes() != before)
        assert hashes() == store.hashes("iris")


async def test_addresses_belong_to_another_platform(bench):
    elsewhere = {"name": "blue", "addresses": ["10.0.0.5:5001"]}
    bench.declare(bench.endpoint(elsewhere))
    with pytest.raises(PlatformError, match="use `scoregate router --platform static`"):
        async with bench.supervisor():
            pass


async def test_a_broken_file_at_start_raises_and_leaves_the_directory_free(bench):
    bench.write("kind: [")
    with pytest.raises(PlatformError, match=r"endpoints\.yaml"):
        async with bench.supervisor():
            pass
    bench.declare(bench.endpoint(bench.deployment(count=0)))
    async with bench.supervisor():
        pass


async def test_one_supervisor_per_directory(bench):
    bench.declare(bench.endpoint(bench.deployment(count=0)))
    async with bench.supervisor():
        with pytest.raises(PlatformError, match=f"process {os.getpid()}"):
            async with bench.supervisor():
                pass
        assert bench.state.read_snapshot() is not None


ALONE = """
import asyncio, sys
from pathlib import Path
from router.platforms.local.state import StateDirectory
from router.platforms.local.supervisor import Supervisor

async def run():
    async with Supervisor(Path(sys.argv[1]), StateDirectory(Path(sys.argv[2]))) as supervisor:
        while len([s for s in supervisor.replicas() if s.phase == "ready"]) < 2:
            await asyncio.sleep(0.01)
        print(*(status.pid for status in supervisor.replicas()), flush=True)
        await asyncio.sleep(600)

asyncio.run(run())
"""


async def test_no_replica_outlives_a_killed_supervisor(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    alone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ALONE, bench.file, bench.state.path),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(router.__file__).parent.parent)},
    )
    groups = [int(pid) for pid in (await alone.stdout.readline()).split()]
    assert [len(bench.group(pid)) for pid in groups] == [2, 2]
    alone.kill()
    await alone.wait()
    await bench.until(lambda: not any(bench.group(pid) for pid in groups))
    async with bench.supervisor():  # and the directory is free
        await bench.until_ready(2)


def test_a_leaving_replica_is_waited_for_longer_than_its_longest_request(bench) -> None:
    patient = Deployment(
        endpoint="iris",
        name="blue",
        workload=Process(command=("serve",)),
        request=RequestSettings(request_timeout_ms=600_000),
    )
    assert bench.supervisor()._drain_within_s(patient) > 600.0
