"""scaling.py: traffic, numbers of replicas and drained ones are shown and changed."""

from __future__ import annotations

import json
import time

import pytest

from tests.administered import Administered


def weights(router: Administered) -> dict[str, int]:
    return dict(router.platform.snapshot.endpoints[0].weights)


async def test_traffic_is_shown_without_and_set_with_arguments(router: Administered) -> None:
    async def shown(*words: str) -> list[list[str]]:
        return [line.split() for line in (await router.printed("traffic", "iris", *words)).splitlines()]

    assert await shown() == [["Deployment", "Traffic"], ["blue", "100%"], ["green", "0%"]]
    assert await shown("blue=90", "green=10") == [["Deployment", "Traffic"], ["blue", "90%"], ["green", "10%"]]
    assert weights(router) == {"blue": 90, "green": 10}
    assert await shown() == [["Deployment", "Traffic"], ["blue", "90%"], ["green", "10%"]]


@pytest.mark.parametrize("words", [("blue=40", "green=60"), ("blue=40 green=60",), ("blue=40,green=60%",)])
async def test_traffic_may_be_one_word_as_with_az_ml(router: Administered, words: tuple[str, ...]) -> None:
    await router.printed("traffic", "iris", *words)
    assert weights(router) == {"blue": 40, "green": 60}


async def test_traffic_changes_only_what_was_read(router: Administered) -> None:
    version = json.loads(await router.printed("traffic", "iris", "--json"))["trafficVersion"]
    changed = json.loads(await router.printed("traffic", "iris", "green=100", "--if-version", version, "--json"))
    assert changed["traffic"] == weights(router) == {"blue": 0, "green": 100}
    assert "by now" in await router.failed("traffic", "iris", "blue=100", "--if-version", version)
    assert weights(router) == {"blue": 0, "green": 100}


async def test_traffic_that_can_not_be(router: Administered) -> None:
    assert "100" in await router.failed("traffic", "iris", "blue=90")
    assert "red" in await router.failed("traffic", "iris", "red=100")
    for words in (("blue",), ("blue=-1",), ("blue=101",), ("blue=1", "blue=99"), ("--if-version", "x")):
        assert (await router.run("traffic", "iris", *words)).exit_code == 2
    assert weights(router) == {"blue": 100, "green": 0}


async def test_scale_holds_a_number_for_a_while_shows_it_and_ends_it(router: Administered) -> None:
    nothing = "iris/blue: no number of replicas is set by hand.\n"
    assert await router.printed("scale", "iris/blue") == nothing
    said = await router.printed("scale", "iris/blue", "3", "--for", "2h")
    hold = router.platform.snapshot.holds["iris/blue"]
    assert (hold.replicas, abs(hold.until_s - 7_200 - time.time()) < 60) == (3, True)  # noqa: TID251 - by the calendar
    assert said.startswith("iris/blue: 3 replicas until 2")
    assert said.endswith(" UTC; then the load sets the number again.\n")
    assert await router.printed("scale", "iris/blue") == said
    assert "iris/blue: 1 replica until" in await router.printed("scale", "iris/blue", "1")
    assert await router.printed("scale", "iris/blue", "--release") == nothing
    assert router.platform.snapshot.holds == {}


async def test_scale_as_json_says_until_when(router: Administered) -> None:
    said = json.loads(await router.printed("scale", "iris/blue", "2", "--json"))
    assert (said["hold"]["replicas"], said["hold"]["until"][-1]) == (2, "Z")


async def test_scale_out_of_bounds_or_of_a_fixed_number_is_a_message(router: Administered) -> None:
    assert "1 to 5" in await router.failed("scale", "iris/blue", "6")
    assert "fixed number" in await router.failed("scale", "iris/green", "1")
    assert "'red': known are" in await router.failed("scale", "iris/red", "1")


@pytest.mark.parametrize(
    "words",
    [("iris",), ("iris/blue", "-1"), ("iris/blue", "1", "--release"), ("iris/blue", "1", "--for", "1"), ("a/b/c", "1")],
)
async def test_scale_that_says_nothing_is_a_usage_error(router: Administered, words: tuple[str, ...]) -> None:
    assert (await router.run("scale", *words)).exit_code == 2
    assert router.platform.snapshot.holds == {}


async def test_drain_and_undo(router: Administered) -> None:
    uid = "iris/blue#1"
    assert await router.printed("drain", uid) == f"{uid} takes nothing new.\n"
    assert [each.leaving for each in router.platform.snapshot.replicas] == [True, False]
    assert json.loads(await router.printed("drain", uid, "--undo", "--json")) == {"uid": uid, "drained": False}
    assert [each.leaving for each in router.platform.snapshot.replicas] == [False, False]
    assert "iris/blue#2" in await router.failed("drain", "iris/blue#2")
