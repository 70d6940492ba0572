"""What lists and watches of a Kubernetes API server do, the fake's as a real one's."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.contract.conftest import World
from tests.kubernetes.documents import pod, secret
from tests.kubernetes.fake import FakeApiServer
from tests.kubernetes.plain import Line


async def names(world: World, plural: str, **query: str) -> list[str]:
    reply = await world.client.get(world.path(plural), **query)
    assert reply.status == 200, reply
    return [item["metadata"]["name"] for item in reply.body["items"]]


def told(lines: list[Line]) -> list[tuple[str, str]]:
    return [(line.type, line.name) for line in lines]


# 1: one growing resourceVersion


async def test_every_write_has_a_larger_version_and_a_list_is_not_behind_its_items(world: World) -> None:
    await world.make_customs("a", "b")
    before = await world.client.get(world.customs)
    items = [int(item["metadata"]["resourceVersion"]) for item in before.body["items"]]
    assert items[0] < items[1] <= int(before.version)
    changed = await world.client.patch(f"{world.customs}/a", {"spec": {"size": 2}})
    assert int(changed.version) > int(before.version)


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_event(world: World) -> None:
    await world.make_customs("a")
    first = await world.client.get(world.customs)
    same = await world.client.patch(f"{world.customs}/a", {"spec": {"size": 1}})
    assert same.version == first.body["items"][0]["metadata"]["resourceVersion"]
    async with world.client.watch(world.customs, resourceVersion=first.version, timeoutSeconds="1") as watch:
        assert await watch.rest() == []


# 2: watches


async def test_a_watch_tells_what_happened_after_the_list_that_it_starts_from(world: World) -> None:
    await world.make_customs("old")
    listed = await world.client.get(world.customs)
    await world.make_customs("new")
    await world.client.patch(f"{world.customs}/old", {"spec": {"size": 2}})
    last = await world.client.get(f"{world.customs}/old")
    await world.client.delete(f"{world.customs}/old")
    async with world.client.watch(world.customs, resourceVersion=listed.version, timeoutSeconds="1") as watch:
        lines = await watch.rest()
    assert told(lines) == [("ADDED", "new"), ("MODIFIED", "old"), ("DELETED", "old")]
    assert lines[2].version > lines[1].version == int(last.version)
    assert lines[2].object["spec"] == {"size": 2}


async def test_an_open_watch_tells_at_once(world: World) -> None:
    listed = await world.client.get(world.customs)
    async with world.client.watch(world.customs, resourceVersion=listed.version) as watch:
        await world.make_customs("a")
        assert (line := await watch.next()) is not None
        assert (line.type, line.name) == ("ADDED", "a")


async def test_a_watch_of_no_version_begins_with_what_is_there(world: World) -> None:
    await world.make_customs("a", "b")
    async with world.client.watch(world.customs, timeoutSeconds="1") as watch:
        assert sorted(told(await watch.rest())) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_bookmark_comes_to_who_allows_it_and_holds_a_version_and_no_name(world: World) -> None:
    await world.make("pods", pod("a"))
    listed = await world.client.get(world.path("pods"))
    query = {"resourceVersion": listed.version, "timeoutSeconds": "4"}
    async with (
        world.client.watch(world.path("pods"), **query, allowWatchBookmarks="true") as allowed,
        world.client.watch(world.path("pods"), **query) as plain,
    ):
        await world.make("pods", pod("b"))  # with no news of a kind, v1.20 sends no bookmark of it either
        lines, others = await asyncio.gather(allowed.rest(), plain.rest())
    assert "BOOKMARK" not in [line.type for line in others]
    marks = [line for line in lines if line.type == "BOOKMARK"]
    assert marks
    for mark in marks:
        assert mark.object["kind"] == "Pod"
        assert mark.version >= int(listed.version)
        assert {field for field, value in mark.object["metadata"].items() if value is not None} == {"resourceVersion"}
    async with world.client.watch(world.path("pods"), resourceVersion=str(marks[-1].version), timeoutSeconds="1") as on:
        assert on.status == 200
        assert "ERROR" not in [line.type for line in await on.rest()]


# 3: too old, and from the future


async def test_a_watch_from_too_old_a_version_is_told_so_in_its_one_line(world: World) -> None:
    async with world.client.watch(world.customs, resourceVersion="1") as watch:
        assert watch.status == 200
        (line,) = await watch.rest()
    assert line.type == "ERROR"
    assert (line.object["kind"], line.object["code"], line.object["reason"]) == ("Status", 410, "Expired")


async def test_a_watch_from_the_future_is_silent(world: World) -> None:
    async with world.client.watch(world.customs, resourceVersion="999999999", timeoutSeconds="1") as watch:
        assert watch.status == 200
        assert await watch.rest() == []


async def test_a_list_from_the_future_times_out_and_says_when_to_ask_again(world: World) -> None:
    reply = await world.client.get(world.path("pods"), resourceVersion="999999999")
    assert (reply.status, reply.reason) == (504, "Timeout")
    assert reply.body["details"]["retryAfterSeconds"] == 1
    assert reply.headers["retry-after"] == "1"


# 4: selectors


async def test_a_label_watch_sees_what_ends_to_match_deleted_and_what_begins_to_match_added(world: World) -> None:
    listed = await world.client.get(world.path("secrets"))
    await world.make("secrets", {**secret("s"), "metadata": {"name": "s", "labels": {"app": "a"}}})
    for label in ("b", "a"):
        await world.client.patch(world.path("secrets", "s"), {"metadata": {"labels": {"app": label}}})
    query = {"resourceVersion": listed.version, "labelSelector": "app=a", "timeoutSeconds": "1"}
    async with world.client.watch(world.path("secrets"), **query) as watch:
        lines = await watch.rest()
    assert told(lines) == [("ADDED", "s"), ("DELETED", "s"), ("ADDED", "s")]
    assert lines[0].version < lines[1].version < lines[2].version
    assert lines[1].object["metadata"]["labels"] == {"app": "a"}


async def test_a_namespace_shows_its_own_and_the_path_of_all_shows_all(world: World) -> None:
    mine, other = (f"/api/v1/namespaces/{name}/secrets" for name in (world.namespace, "default"))
    name = f"of-{world.namespace}"
    labels = {"test": world.namespace}
    listed = await world.client.get("/api/v1/secrets")
    for path in (other, mine):
        assert (await world.client.post(path, {"metadata": {"name": name, "labels": labels}})).status == 201
    await world.client.delete(f"{other}/{name}")
    query = {"labelSelector": f"test={world.namespace}", "resourceVersion": listed.version, "timeoutSeconds": "1"}
    gone = ["ADDED", "DELETED"]
    for path, expected in ((mine, ["ADDED"]), (other, gone), ("/api/v1/secrets", ["ADDED", *gone])):
        async with world.client.watch(path, **query) as watch:
            lines = await watch.rest()
        assert sorted(line.type for line in lines) == sorted(expected), path
    assert {line.object["metadata"]["namespace"] for line in lines} == {"default", world.namespace}
    assert await names(world, "secrets", labelSelector=query["labelSelector"]) == [name]


async def test_a_field_selector_picks_secrets_by_their_type(world: World) -> None:
    listed = await world.client.get(world.path("secrets"))
    await world.make("secrets", secret("keys"))
    await world.make("secrets", secret("other", kind="Opaque"))
    selector = {"fieldSelector": "type=scoregate.io/keys"}
    assert await names(world, "secrets", **selector) == ["keys"]
    query = {"resourceVersion": listed.version, "timeoutSeconds": "1", **selector}
    async with world.client.watch(world.path("secrets"), **query) as watch:
        assert told(await watch.rest()) == [("ADDED", "keys")]


async def test_fields_that_a_kind_cannot_be_asked_by_are_refused(world: World) -> None:
    for selector in ("type=x", "metadata.name"):
        reply = await world.client.get(world.path("pods"), fieldSelector=selector)
        assert (reply.status, reply.reason) == (400, "BadRequest"), selector


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("a=b", "pqr"),
        ("a==b,c in (d, e)", "pq"),
        ("c notin (d)", "qrs"),
        ("a!=b", "s"),
        ("!c", "rs"),
        ("c", "pq"),
        ("x.io/y-z=1", "s"),
    ],
)
async def test_label_selectors(world: World, selector: str, found: str) -> None:
    labels: dict[str, dict[str, str]] = {"p": {"a": "b", "c": "d"}, "q": {"a": "b", "c": "e"}}
    labels |= {"r": {"a": "b"}, "s": {"x.io/y-z": "1"}}
    for name, each in labels.items():
        await world.client.post(world.customs, world.custom(name, metadata={"name": name, "labels": each}))
    reply = await world.client.get(world.customs, labelSelector=selector)
    assert "".join(item["metadata"]["name"] for item in reply.body["items"]) == found


@pytest.mark.parametrize("selector", ["!!", "a=b,", "a in b", "a in (b", "=x", "a=b c", "-x=1"])
async def test_label_selectors_that_cannot_be_read(world: World, selector: str) -> None:
    reply = await world.client.get(world.customs, labelSelector=selector)
    assert (reply.status, reply.reason) == (400, "BadRequest")


# Pages


async def test_all_pages_of_a_list_are_of_one_moment(world: World) -> None:
    await world.make_customs("a", "b", "c", "d", "e")
    page = await world.client.get(world.customs, limit="2")
    seen, versions = [], set()
    assert page.body["metadata"]["remainingItemCount"] == 3
    await world.make_customs("bb", "dd")
    await world.client.patch(f"{world.customs}/d", {"spec": {"size": 2}})
    await world.client.delete(f"{world.customs}/e")
    while True:
        seen += [(item["metadata"]["name"], item["spec"]["size"]) for item in page.body["items"]]
        versions.add(page.version)
        if not (token := page.body["metadata"].get("continue")):
            break
        page = await world.client.get(world.customs, **{"limit": "2", "continue": token})
        assert page.status == 200, page
    assert seen == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]
    assert len(versions) == 1
    async with world.client.watch(world.customs, resourceVersion=versions.pop(), timeoutSeconds="1") as watch:
        assert told(await watch.rest()) == [("ADDED", "bb"), ("ADDED", "dd"), ("MODIFIED", "d"), ("DELETED", "e")]


async def test_a_page_whose_moment_was_forgotten_is_gone(world: World) -> None:
    await world.make_customs("a", "b", "c")
    page = await world.client.get(world.customs, limit="1")
    await world.make_customs("d")
    world.breaks(FakeApiServer.compact, "compact")
    token = page.body["metadata"]["continue"]
    gone = await world.client.get(world.customs, **{"limit": "1", "continue": token})
    assert (gone.status, gone.reason) == (410, "Expired")
    onward = gone.body["metadata"]["continue"]  # what is left, as of now
    rest = await world.client.get(world.customs, **{"continue": onward})
    assert [item["metadata"]["name"] for item in rest.body["items"]] == ["b", "c", "d"]
    assert len((await world.client.get(world.customs, limit="500")).body["items"]) == 4


async def test_what_cannot_be_read_in_a_query_is_refused(world: World) -> None:
    assert (await world.client.get(world.path("pods"), **{"limit": "1", "continue": "abc"})).status == 400
    assert (await world.client.get(world.path("pods"), limit="abc")).status == 400
    assert (await world.client.get(world.path("pods"), resourceVersion="abc")).status in (400, 500)


async def test_only_items_of_custom_resources_say_their_kind(world: World) -> None:
    await world.make("pods", pod("a"))
    await world.make_customs("a")
    (typed,) = (await world.client.get(world.path("pods"))).body["items"]
    (custom,) = (await world.client.get(world.customs)).body["items"]
    assert "kind" not in typed
    assert (custom["kind"], custom["apiVersion"]) == (world.custom_kind, "test.scoregate.io/v1")


# An API server that fails


async def test_a_paused_server_answers_nothing_and_then_tells_all(world: World) -> None:
    listed = await world.client.get(world.customs)
    async with world.client.watch(world.customs, resourceVersion=listed.version) as watch:
        world.breaks(FakeApiServer.pause, "pause", "apiserver")
        asking = asyncio.create_task(world.client.post(world.customs, world.custom("a")))
        done, _ = await asyncio.wait([asking], timeout=0.3)
        assert not done
        world.breaks(FakeApiServer.resume, "resume", "apiserver")
        assert (await asking).status == 201
        assert (line := await watch.next()) is not None
        assert line.name == "a"


async def test_a_killed_server_breaks_its_watches_and_starts_with_all_it_knew(world: World) -> None:
    await world.make_customs("a")
    listed = await world.client.get(world.customs)
    async with world.client.watch(world.customs, resourceVersion=listed.version) as watch:
        if world.fake is not None:
            await world.fake.stop()
        else:
            world.breaks(FakeApiServer.pause, "kill", "apiserver")
        with pytest.raises(httpx.TransportError):
            await watch.next()
    with pytest.raises(httpx.ConnectError):
        await world.client.get(world.customs)
    if world.fake is not None:
        await world.fake.start()
    else:
        world.breaks(FakeApiServer.pause, "start", "apiserver")
    again = await world.until(lambda body: bool(body.get("items")), world.customs)
    assert int(again["metadata"]["resourceVersion"]) >= int(listed.version)
    assert [item["metadata"]["name"] for item in again["items"]] == ["a"]
