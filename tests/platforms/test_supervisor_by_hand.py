"""What an administrator set by hand, as the supervisor takes it in: declared.py and supervisor.py."""

import asyncio
import os
import signal
import time

import pytest
from msgspec.structs import replace

from router.core.keys import NamedKey, with_named
from router.core.model import Hold
from router.platforms import PlatformError
from router.platforms.local import LocalPlatform
from tests.places import a_place


def router_is_here(bench) -> None:
    bench.state.write_router(a_place())


async def test_a_replica_drained_by_hand_is_neither_stopped_nor_replaced_and_comes_back(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor(drain_timeout_s=600.0) as supervisor, LocalPlatform(bench.state.path) as platform:
        one, two = await bench.until_ready(2)
        pids = {status.pid for status in supervisor.replicas()}
        await platform.administration.drain(one.uid, True)
        await platform.drained(one.uid)  # as the router says then
        await asyncio.sleep(0.5)
        assert [(each.uid, each.ready, each.leaving) for each in bench.replicas()] == [
            (one.uid, True, True),
            (two.uid, True, False),
        ]
        await platform.administration.drain(one.uid, False)
        assert await bench.until_ready(2) == [one, two]
        assert {status.pid for status in supervisor.replicas()} == pids
        await platform.scale("iris", "blue", 1, [one.uid])
        await bench.until(lambda: [each.leaving for each in bench.replicas()] == [True, False])
        await asyncio.sleep(0.5)
        assert len(bench.replicas()) == 2, "its word from then is no word for now"
        await platform.drained(one.uid)
        assert await bench.until_ready(1) == [two]


async def test_a_word_that_comes_after_all_ends_nothing_either(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0), LocalPlatform(bench.state.path) as platform:
        (one,) = await bench.until_ready(1)
        await platform.drained(one.uid)
        await platform.scale("iris", "blue", 0)
        await bench.until(lambda: [each.leaving for each in bench.replicas()] == [True])
        await asyncio.sleep(0.5)
        assert len(bench.replicas()) == 1
        await platform.drained(one.uid)
        await bench.until_ready(0)


async def test_a_word_of_the_drain_before_is_no_word_of_this_one(bench):
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0), LocalPlatform(bench.state.path) as platform:
        (one,) = await bench.until_ready(1)
        await platform.administration.drain(one.uid, True)
        await platform.drained(one.uid)
        await platform.administration.drain(one.uid, False)
        await platform.administration.drain(one.uid, True)
        await platform.scale("iris", "blue", 0)
        await asyncio.sleep(0.5)
        assert [each.leaving for each in bench.replicas()] == [True]
        await platform.drained(one.uid)
        await bench.until_ready(0)


async def test_drains_of_before_are_forgotten_and_those_of_addresses_left_alone(bench):
    bench.declare(bench.endpoint(bench.deployment()))
    bench.state.path.mkdir()
    by_hand = bench.state.path / "by-hand.json"
    by_hand.write_text('{"drained": ["blue-0a1b", "iris/blue@127.0.0.1:1"]}')
    async with bench.supervisor():
        await bench.until(lambda: by_hand.read_text() == '{"drained":["iris/blue@127.0.0.1:1"]}\n')


async def test_one_that_is_drained_may_leave_at_once(bench):
    """The router has said already that it has nothing in flight, and says it once."""
    router_is_here(bench)
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor(drain_timeout_s=600.0), LocalPlatform(bench.state.path) as platform:
        (one,) = await bench.until_ready(1)
        await platform.administration.drain(one.uid, True)
        await platform.drained(one.uid)
        await platform.scale("iris", "blue", 0)
        await bench.until_ready(0)
        await bench.until(lambda: (bench.state.path / "by-hand.json").read_text() == "{}\n")


async def test_one_that_is_drained_leaves_before_one_that_serves_or_starts(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        one, two = await bench.until_ready(2)
        await platform.administration.drain(one.uid, True)
        await platform.scale("iris", "blue", 1, [two.uid])  # whoever scales has not heard of the drain
        await bench.until(lambda: one.uid not in [each.uid for each in bench.replicas()])
        assert await bench.until_ready(1) == [two]


async def test_one_that_is_drained_does_not_stand_in_for_one_that_serves_while_versions_change(bench):
    bench.declare(bench.endpoint(bench.deployment(count=2)))
    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        one, two = await bench.until_ready(2)
        await platform.administration.drain(one.uid, True)
        never_ready = {"readinessProbe": {"period": 0.1, "initialDelay": 600}}
        bench.declare(bench.endpoint(bench.deployment(count=2, variant="new", **never_ready)))
        await bench.until(lambda: one.uid not in [each.uid for each in bench.replicas()])
        assert bench.ready() == [two]


async def test_one_that_crashes_is_replaced_and_its_drain_forgotten(bench):
    bench.declare(bench.endpoint(bench.deployment()))
    async with bench.supervisor() as supervisor, LocalPlatform(bench.state.path) as platform:
        (one,) = await bench.until_ready(1)
        await platform.administration.drain(one.uid, True)
        os.kill(supervisor.replicas()[0].pid, signal.SIGKILL)
        assert await bench.until_ready(1) != [one]
        await bench.until(lambda: (bench.state.path / "by-hand.json").read_text() == "{}\n")


async def test_traffic_set_by_hand_stands_until_the_file_says_other_weights(bench, caplog):
    def declare(blue: int) -> None:
        endpoint = bench.endpoint(bench.deployment(), bench.deployment("green"), mode="key")
        endpoint["spec"]["traffic"] = {"blue": blue, "green": 100 - blue}
        bench.declare(endpoint)

    def weights():
        return bench.state.read_snapshot().endpoints[0].weights

    declare(90)
    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        await platform.administration.set_traffic("iris", {"green": 100}, {"blue": 90, "green": 10})
        assert weights() == (("blue", 0), ("green", 100))
        await platform.administration.change_keys("iris", lambda keys: replace(keys, primary_key="another-primary-key"))
        assert weights() == (("blue", 0), ("green", 100))
    async with bench.supervisor():
        assert weights() == (("blue", 0), ("green", 100))
        declare(50)
        await bench.until(lambda: weights() == (("blue", 50), ("green", 50)))
        declare(90)
        await bench.until(lambda: weights() == (("blue", 90), ("green", 10)))
    assert caplog.text.count("the traffic set for iris by hand ends") == 1
    assert "another-primary-key" not in (bench.state.path / "by-hand.json").read_text()


async def test_no_key_is_in_the_snapshot(bench):
    bench.declare(bench.endpoint(bench.deployment(), mode="key"))
    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        given = NamedKey(key="the-key-of-one-consumer")
        keys = await platform.administration.change_keys("iris", lambda keys: with_named(keys, "ann", given))
        text = (bench.state.path / "snapshot.json").read_text()
        assert bench.state.read_snapshot().endpoints[0].keys == keys.hashes
        for key in (keys.primary_key, keys.secondary_key, given.key):
            assert key not in text


async def test_a_hold_is_told_until_it_is_over_and_only_where_the_load_scales(bench):
    scaled = bench.deployment(scaleSettings={"minInstances": 1, "maxInstances": 3})
    bench.declare(bench.endpoint(scaled))
    today_s = time.time()  # noqa: TID251 - a hold is by the calendar

    def holds():
        return bench.state.read_snapshot().holds

    async with bench.supervisor(), LocalPlatform(bench.state.path) as platform:
        hold = Hold(replicas=2, until_s=today_s + 3600)
        await platform.administration.hold("iris", "blue", hold)
        assert holds() == {"iris/blue": hold}
        bench.declare(bench.endpoint(bench.deployment()))
        await bench.until(lambda: holds() == {})
        bench.declare(bench.endpoint(scaled))
        await bench.until(lambda: holds() == {"iris/blue": hold})
        await platform.administration.hold("iris", "blue", Hold(replicas=2, until_s=today_s - 1))
        await bench.until(lambda: holds() == {})
        await bench.until(lambda: (bench.state.path / "by-hand.json").read_text() == "{}\n")


async def test_without_a_supervisor_there_is_nothing_to_administer(bench):
    with pytest.raises(PlatformError, match="no supervisor"):
        await LocalPlatform(bench.state.path).administration.keys("iris")
