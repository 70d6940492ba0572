"""Does a following keep up with its collection, through all that an API server does?"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest

from router.platforms import UP_TO_DATE, Standing
from router.platforms.kubernetes.api import Api
from router.platforms.kubernetes.following import Collection, Following
from tests.platforms.kubernetes.scripted import (
    PODS,
    Pod,
    ScriptedApi,
    Watch,
    bookmark,
    error_line,
    event,
    fails,
    following,
    page,
    pod,
)
from tests.virtual_time import VirtualTimeLoop, on_virtual_time


@on_virtual_time
async def test_a_list_in_pages_then_events_each_told_once() -> None:
    events = Watch(
        (event("ADDED", pod("c", 6)), event("MODIFIED", pod("a", 7)), bookmark(8), event("DELETED", pod("b", 9)))
    )
    async with following(page(5, pod("a", 1), token="t"), page(5, pod("b", 2)), events, Watch()) as world:
        await asyncio.sleep(1)
        assert world.told == [("a", "a1"), ("b", "a2"), ("c", "a6"), ("a", "a7"), ("b", None)]
        assert (world.following.synced, world.standing()) == (True, UP_TO_DATE)
        first, second, watch = world.api.asked
        assert first.query == {"limit": "500"}
        assert second.query == {"limit": "500", "continue": "t"}
        assert watch.query == {"resourceVersion": "5", "allowWatchBookmarks": "true", "timeoutSeconds": "30"}
        assert watch.within_s == 35.0


@on_virtual_time
async def test_it_is_synced_only_once_the_last_page_is_there() -> None:
    async with following(page(5, pod("a", 1), token="t"), fails(500), page(5)) as world:
        await asyncio.sleep(0.05)
        assert (world.following.synced, world.known) == (False, {"a": "a1"})
        await asyncio.sleep(1)
        assert world.following.synced


@on_virtual_time
async def test_selectors_go_with_each_request_and_a_namespace_with_each_reason() -> None:
    async with following(page(5), Watch(), field_selector="type=x", label_selector="app=y") as world:
        await asyncio.sleep(1)
        for asked in world.api.asked:
            assert (asked.query["fieldSelector"], asked.query["labelSelector"]) == ("type=x", "app=y")
    assert Collection("/api/v1/namespaces/models/pods", Pod).name == "pods in models"


@on_virtual_time
async def test_after_its_normal_end_a_watch_goes_on_from_where_it_was_without_a_pause_or_a_list() -> None:
    async with following(page(5), Watch((bookmark(9),)), Watch(ends_s=30), Watch()) as world:
        await asyncio.sleep(70)
        assert [asked.query.get("resourceVersion") for asked in world.api.asked] == [None, "5", "9", "9"]
        assert world.moments == [0, 0, 30, 60]
        assert world.standing() == UP_TO_DATE


@on_virtual_time
async def test_watches_of_many_processes_do_not_all_end_at_once() -> None:
    for chance, timeout in [(0.0, "24"), (0.999, "36")]:
        async with following(page(5), Watch(), chance=chance) as world:
            await asyncio.sleep(1)
            assert world.api.asked[1].query["timeoutSeconds"] == timeout


@on_virtual_time
async def test_watches_that_end_as_soon_as_they_begin_are_opened_ever_later() -> None:
    brief = Watch(ends_s=0.0)
    async with following(page(5), brief, brief, brief, Watch((bookmark(6),)), brief, Watch()) as world:
        await asyncio.sleep(60)
        assert world.moments == [0, 0, 0.075, 0.225, 0.525, 30.525, 30.6]


@pytest.mark.parametrize("in_the_stream", [True, False])
@on_virtual_time
async def test_a_version_that_is_too_old_is_met_by_a_new_list_at_once_and_the_differences_are_told(
    in_the_stream: bool,
) -> None:
    expired = Watch((error_line(410, "Expired"),)) if in_the_stream else fails(410)
    first = page(5, pod("a", 1), pod("b", 2), pod("c", 3))
    second = page(9, pod("a", 1), pod("b", 7), pod("c", 8, uid="z"), pod("d", 6))
    async with following(first, expired, second, Watch()) as world:
        await asyncio.sleep(0.01)
        assert world.told[3:] == [("b", "a7"), ("c", None), ("c", "z8"), ("d", "a6")]
        assert world.standing() == UP_TO_DATE


@on_virtual_time
async def test_after_an_outage_the_new_list_is_asked_for_at_once_too() -> None:
    """Else the longest pauses would come when the API server is back and its watch cache is new."""
    expired = Watch((error_line(410, "Expired"),))
    async with following(page(5), *[fails(0)] * 8, expired, page(9, pod("a", 9)), Watch()) as world:
        await asyncio.sleep(100)
        assert world.moments[9] == world.moments[10] == world.moments[11]
        assert world.api.asked[10].within_s == 10, "the outage is over"
        assert (world.known, world.standing()) == ({"a": "a9"}, UP_TO_DATE)


@on_virtual_time
async def test_each_watch_that_brought_something_earns_a_list_at_once() -> None:
    expired = Watch((bookmark(6), error_line(410, "Expired")))
    async with following(page(5), expired, page(7), expired, page(9), Watch()) as world:
        await asyncio.sleep(0.01)
        assert len(world.api.asked) == 6


@on_virtual_time
async def test_versions_that_are_always_too_old_do_not_become_a_storm_of_lists() -> None:
    async with following(*([page(5), fails(410)] * 20)) as world:
        await asyncio.sleep(5)
        assert 8 < len(world.api.asked) < 20
        assert world.standing().reason == "pods: the API server answers 410: no"


@on_virtual_time
async def test_a_token_that_expired_begins_the_list_anew_and_forgets_nothing() -> None:
    steps = (page(5, pod("a", 1), token="t"), fails(410), page(6, pod("a", 1), pod("b", 6)), Watch())
    async with following(*steps) as world:
        await asyncio.sleep(0.01)
        assert world.told == [("a", "a1"), ("b", "a6")]
        assert "continue" not in world.api.asked[2].query


@pytest.mark.parametrize("status", [0, 401, 403, 429, 500, 503])
@on_virtual_time
async def test_a_failure_forgets_nothing_is_told_and_goes_on_from_where_it_was(status: int) -> None:
    after = Watch((event("ADDED", pod("b", 6)),))
    async with following(page(5, pod("a", 1)), Watch(ends_s=30, error=fails(status)), fails(status), after) as world:
        await asyncio.sleep(30.05)
        assert world.standing() == Standing(pytest.approx(30.05), f"pods: {fails(status).what}")
        assert world.known == {"a": "a1"}
        await asyncio.sleep(10)
        assert [asked.query.get("resourceVersion") for asked in world.api.asked] == [None, "5", "5", "5"]
        assert (world.known, world.standing()) == ({"a": "a1", "b": "a6"}, UP_TO_DATE)


@on_virtual_time
async def test_a_stream_that_breaks_off_with_another_error_is_followed_by_a_list() -> None:
    broken = Watch((event("ADDED", pod("b", 6)), error_line(500, "InternalError")))
    async with following(page(5), broken, page(7, pod("b", 6)), Watch()) as world:
        await asyncio.sleep(0.01)
        assert "500" in world.standing().reason
        await asyncio.sleep(1)
        assert [asked.is_watch for asked in world.api.asked] == [False, True, False, True]
        assert (world.told, world.standing()) == ([("b", "a6")], UP_TO_DATE)


@on_virtual_time
async def test_pauses_double_up_to_ten_seconds_and_a_page_is_given_more_time_after_each_failure() -> None:
    async with following(*([fails(0)] * 12), page(5), Watch((bookmark(5),)), fails(0), chance=1.0) as world:
        await asyncio.sleep(200)
        pauses = [after - before for before, after in zip(world.moments, world.moments[1:], strict=False)]
        assert pauses[:9] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
        assert [asked.within_s for asked in world.api.asked[:7]] == [10, 20, 30, 40, 50, 60, 60]
        assert pauses[-1] == pytest.approx(0.1), "it begins anew after a success"


@on_virtual_time
async def test_pauses_are_jittered() -> None:
    for chance, pause_s in [(0.0, 0.05), (1.0, 0.1)]:
        async with following(fails(500), chance=chance) as world:
            await asyncio.sleep(1)
            assert world.moments[1] == pytest.approx(pause_s)


@pytest.mark.parametrize(("bidden_s", "least_s", "most_s"), [(7.0, 7.0, 8.4), (86_400.0, 30.0, 36.0)])
@on_virtual_time
async def test_the_api_server_may_bid_to_wait_but_not_for_ever(bidden_s: float, least_s: float, most_s: float) -> None:
    for chance in (0.0, 0.999):
        async with following(fails(429, bidden_s), page(5), chance=chance) as world:
            await asyncio.sleep(100)
            assert least_s <= world.moments[1] <= most_s


@on_virtual_time
async def test_each_reason_is_logged_once_and_the_end_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scoregate.platform")
    steps = (page(5), fails(0), fails(0), fails(0), fails(403), fails(403), Watch((bookmark(5),)), Watch())
    async with following(*steps) as world:
        await asyncio.sleep(60)
        assert world.standing() == UP_TO_DATE
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "pods: no answer within 10 s; going on with what is known"),
        ("WARNING", "pods: the API server answers 403: no; going on with what is known"),
        ("INFO", "pods: the API server is followed again"),
    ]


@on_virtual_time
async def test_it_is_well_as_soon_as_a_watch_is_accepted_though_nothing_comes() -> None:
    async with following(page(5), fails(0), Watch()) as world:
        await asyncio.sleep(0.01)
        assert world.standing().reason
        await asyncio.sleep(0.1)
        assert world.standing() == UP_TO_DATE


@on_virtual_time
async def test_before_anything_was_had_it_is_behind_since_its_start() -> None:
    await asyncio.sleep(5)
    async with following(*[fails(403)] * 3) as world:
        assert world.standing() == UP_TO_DATE
        await asyncio.sleep(0.5)
        assert (world.following.synced, world.standing().behind_s) == (False, pytest.approx(0.5))


@on_virtual_time
async def test_an_object_that_can_not_be_read_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    bad = {"metadata": {"name": "bad", "namespace": "models", "uid": "a", "resourceVersion": "3"}, "phase": 7}
    nameless: dict[str, Any] = {"metadata": {"name": None}}
    first = page(5, pod("a", 1), bad, nameless, pod("b", 2))
    watch = Watch((event("MODIFIED", bad), event("ADDED", pod("c", 7)), event("MODIFIED", pod("bad", 8))), ends_s=0.1)
    again = Watch((event("MODIFIED", bad), event("DELETED", bad), event("ADDED", bad)))
    async with following(first, watch, again) as world:
        await asyncio.sleep(1)
        assert world.told == [("a", "a1"), ("b", "a2"), ("c", "a7"), ("bad", "a8"), ("bad", None)]
        assert world.standing() == UP_TO_DATE
    said = [record.getMessage() for record in caplog.records]
    assert [message.partition(" is left out")[0] for message in said] == [
        "pods: models/bad",
        "pods: one without a name",
        "pods: models/bad",
        "pods: models/bad",
    ]
    assert "$.phase" in said[0]


@pytest.mark.parametrize("nonsense", [b'{"type":"ADDED","obj', b"\xff", event("BOOKMARK", {}), event("DELETED", {})])
@on_virtual_time
async def test_an_event_that_makes_no_sense_ends_in_a_new_list(nonsense: bytes) -> None:
    async with following(page(5), Watch((nonsense,)), page(6, pod("a", 6)), Watch()) as world:
        await asyncio.sleep(0.01)
        assert "an event that can't be read" in world.standing().reason
        await asyncio.sleep(1)
        assert (world.known, world.standing()) == ({"a": "a6"}, UP_TO_DATE)


@pytest.mark.parametrize("nonsense", [b"<html>", b'{"items":[]}', b'{"metadata":{"resourceVersion":""},"items":[]}'])
@on_virtual_time
async def test_a_list_that_makes_no_sense_is_asked_for_again_later(nonsense: bytes) -> None:
    async with following(page(5, pod("a", 1)), fails(410), nonsense, page(7, pod("a", 1)), Watch()) as world:
        await asyncio.sleep(0.01)
        assert "a list that can't be read" in world.standing().reason
        await asyncio.sleep(1)
        assert (world.told, world.standing()) == ([("a", "a1")], UP_TO_DATE)


@on_virtual_time
async def test_events_of_a_kind_that_is_not_known_are_passed_over() -> None:
    async with following(page(5), Watch((event("NOVELTY", {}), event("ADDED", pod("a", 6))))) as world:
        await asyncio.sleep(1)
        assert world.known == {"a": "a6"}


@on_virtual_time
async def test_where_the_resource_is_not_installed_there_are_none_until_it_is() -> None:
    async with following(*[fails(404)] * 9, page(5, pod("a", 1)), Watch(), optional=True, chance=1.0) as world:
        await asyncio.sleep(0.01)
        assert (world.following.synced, world.standing()) == (True, UP_TO_DATE)
        await asyncio.sleep(200)
        assert world.moments[:8] == [0, 1, 3, 7, 15, 30, 45, 60]
        assert {asked.within_s for asked in world.api.asked[:9]} == {10}
        assert world.known == {"a": "a1"}


@on_virtual_time
async def test_any_other_collection_that_is_not_there_is_a_failure() -> None:
    async with following(*[fails(404)] * 9) as world:
        await asyncio.sleep(0.01)
        assert (world.following.synced, world.standing().reason) == (False, "pods: the API server answers 404: no")


@on_virtual_time
async def test_an_api_server_that_forgets_a_resource_for_a_moment_takes_nothing_away() -> None:
    """As one that starts does: it has not read its custom resources yet."""
    steps = (page(5, pod("a", 1)), *[fails(404)] * 9, page(5, pod("a", 1)), Watch())
    async with following(*steps, optional=True) as world:
        await asyncio.sleep(20)
        assert "404" in world.standing().reason
        await asyncio.sleep(30)
        assert (world.told, world.standing()) == ([("a", "a1")], UP_TO_DATE)


@on_virtual_time
async def test_a_resource_that_is_gone_for_long_is_gone() -> None:
    async with following(page(5, pod("a", 1)), *[fails(404)] * 30, optional=True, chance=1.0) as world:
        await asyncio.sleep(55)
        assert world.known == {"a": "a1"}
        await asyncio.sleep(20)
        assert (world.told[-1], world.standing()) == (("a", None), UP_TO_DATE)


@on_virtual_time
async def test_how_long_it_was_not_there_is_counted_anew_each_time() -> None:
    there = page(5, pod("a", 1))
    steps = (there, fails(404), there, Watch((bookmark(6),), ends_s=100), fails(404), there, Watch())
    async with following(*steps, optional=True) as world:
        await asyncio.sleep(200)
        assert world.told == [("a", "a1")]


@on_virtual_time
async def test_an_outage_between_does_not_count_to_how_long_it_was_not_there() -> None:
    steps = (page(5, pod("a", 1)), fails(404), *[fails(0)] * 20, *[fails(404)] * 5, page(5, pod("a", 1)), Watch())
    async with following(*steps, optional=True, chance=1.0) as world:
        await asyncio.sleep(400)
        assert world.told == [("a", "a1")]


@on_virtual_time
async def test_watches_without_a_single_line_end_in_a_list_that_shows_whether_time_went_back() -> None:
    """As after etcd was restored from a backup: a watch from a version of the future is accepted and silent."""
    quiet = [Watch()] * 4
    steps = (
        page(900, pod("a", 899)),
        *quiet,
        page(20, pod("a", 7), pod("b", 8)),
        *quiet,
        page(20, pod("b", 8)),
        Watch(),
    )
    async with following(*steps) as world:
        await asyncio.sleep(125)
        assert world.known == {"a": "a7", "b": "a8"}
        assert world.api.asked[-1].query["resourceVersion"] == "20"
        await asyncio.sleep(120)
        assert [asked.at for asked in world.api.asked if not asked.is_watch] == [0, 120, 240]


@on_virtual_time
async def test_a_flood_leaves_others_their_turn() -> None:
    """Each change takes 1 ms to tell, and a slice is 3 ms."""
    longest_ms = turn_ms = told = 0

    async def others() -> None:
        nonlocal turn_ms
        while True:
            turn_ms = 0
            await asyncio.sleep(0)

    def slowly(key: str, thing: Pod | None) -> None:
        nonlocal longest_ms, turn_ms, told
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop._now += 0.001
        told += 1
        turn_ms += 1
        longest_ms = max(longest_ms, turn_ms)

    flood = Watch(tuple(event("DELETED", pod(f"a{n}", n + 10)) for n in range(100)), ends_s=0.0)
    api = ScriptedApi((page(5, *[pod(f"a{n}", 1) for n in range(200)]), flood, fails(410), page(900)))
    subject = Following(cast(Api, api), Collection(PODS, Pod), slowly, chance=lambda: 0.5)
    tasks = [asyncio.create_task(subject.run()), asyncio.create_task(others())]
    for _ in range(2_000):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (told, longest_ms) == (400, 3)
