"""Fixed addresses: which replicas there are, whether they are ready, and an endpoints file that changes."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from router.core.keys import regenerated
from router.core.model import Replica, Snapshot
from router.platforms import PlatformError, static
from router.platforms.keys import KeyStore
from router.platforms.local.state import StateDirectory
from router.platforms.static import StaticPlatform
from tests.places import a_place

PATIENCE_S = 20.0


class Model:
    """A replica somewhere else: it answers every request with `status`, and counts them by path."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        self.address = ""
        self.answers = asyncio.Event()
        self.answers.set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b" ")[1].decode())
            await self.answers.wait()
            writer.write(b"HTTP/1.1 %d Something\r\nContent-Length: 0\r\n\r\n" % self.status)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the platform was left in the middle of a probe
        finally:
            writer.transport.abort()


@asynccontextmanager
async def model() -> AsyncIterator[Model]:
    answering = Model()
    async with await asyncio.start_server(answering.talk, "127.0.0.1", 0) as listening:
        answering.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield answering


class Site:
    """An endpoints file with one endpoint, `iris`, and the platform's state beside it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "endpoints.yaml"
        self.keys = KeyStore(folder / "state")
        self._state_dir = folder / "state"

    def declare(
        self,
        *addresses: str,
        mode: str = "none",
        auth: dict[str, Any] | None = None,
        traffic: dict[str, int] | None = None,
        **deployment: Any,
    ) -> None:
        blue = {"name": "blue", "addresses": list(addresses), "readinessProbe": {"period": 0.05}, **deployment}
        spec = {"auth": auth or {"mode": mode}, "traffic": traffic, "deployments": [blue]}
        self.write(
            json.dumps(
                {
                    "apiVersion": "scoregate.io/v1",
                    "kind": "InferenceEndpoint",
                    "metadata": {"name": "iris"},
                    "spec": spec,
                }
            )
        )

    def write(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    def platform(self) -> StaticPlatform:
        return StaticPlatform(self.file, self._state_dir)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def until(watch: AsyncIterator[Snapshot], wanted: Callable[[Snapshot], bool]) -> Snapshot:
    async with asyncio.timeout(PATIENCE_S):
        async for snapshot in watch:
            if wanted(snapshot):
                return snapshot
    raise AssertionError("a watch never ends by itself")


async def upcoming(watch: AsyncIterator[Snapshot]) -> Snapshot:
    return await until(watch, lambda _: True)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it polls what has no event
            await asyncio.sleep(0.01)


def ready(snapshot: Snapshot) -> list[Replica]:
    return [replica for replica in snapshot.replicas if replica.ready]


async def test_a_look_that_fails_is_told_and_the_next_one_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where no descriptor is left."""
    async with model() as blue, model() as green:
        site.declare(blue.address)
        async with site.platform() as platform:
            watch = platform.watch()
            await until(watch, lambda snapshot: len(ready(snapshot)) == 1)
            with monkeypatch.context() as patch:
                patch.setattr(platform._living, "look", lambda: 1 / 0)
                await eventually(lambda: "the last good declaration stays" in caplog.text)
            site.declare(blue.address, green.address)
            await until(watch, lambda snapshot: len(ready(snapshot)) == 2)


async def test_that_another_router_has_ended_is_told_without_a_look(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    StateDirectory(tmp_path / "state").write_router(a_place(id="other", pid=other.pid))
    monkeypatch.setattr(static, "_POLL_S", 3600.0)
    async with model() as blue:
        site.declare(blue.address)
        async with site.platform() as platform:
            watch = platform.watch()
            await until(watch, lambda snapshot: [each.id for each in snapshot.instances] == ["other"])
            other.kill()
            await until(watch, lambda snapshot: not snapshot.instances)
    await other.wait()


async def test_replicas_are_not_ready_until_probed(site: Site) -> None:
    async with model() as blue:
        site.declare(blue.address, "[::1]:1")
        blue.answers.clear()
        async with site.platform() as platform:
            watch = platform.watch()
            first = await upcoming(watch)
            blue.answers.set()
            assert [(r.host, r.port, r.ready) for r in first.replicas] == [
                ("127.0.0.1", int(blue.address.split(":")[1]), False),
                ("::1", 1, False),
            ]
            later = await until(watch, lambda snapshot: len(ready(snapshot)) > 0)
            assert ready(later)[0].uid == first.replicas[0].uid
            assert not later.replicas[1].ready


async def test_readiness_is_followed(site: Site) -> None:
    async with model() as blue:
        site.declare(blue.address, readinessRoute={"path": "/ready"})
        async with site.platform() as platform:
            watch = platform.watch()
            for status in (200, 503, 200):
                blue.status = status
                await until(watch, lambda snapshot, status=status: len(ready(snapshot)) == (status == 200))
    assert set(blue.asked) == {"/ready"}


async def test_a_changed_file_takes_effect_and_what_stays_stays_ready(site: Site) -> None:
    async with model() as one, model() as two:
        site.declare(one.address)
        async with site.platform() as platform:
            watch = platform.watch()
            before = await until(watch, lambda snapshot: len(ready(snapshot)) == 1)
            site.declare(two.address, one.address, requestSettings={"requestTimeoutMs": 7})
            added = await upcoming(watch)
            assert added.endpoints[0].deployments[0].request.request_timeout_ms == 7
            assert added.replicas[1] == before.replicas[0]
            assert not added.replicas[0].ready
            await until(watch, lambda snapshot: len(ready(snapshot)) == 2)


async def test_a_changed_probe_does_not_make_it_unready(site: Site) -> None:
    async with model() as blue:
        site.declare(blue.address)
        async with site.platform() as platform:
            watch = platform.watch()
            before = await until(watch, lambda snapshot: len(ready(snapshot)) == 1)
            site.declare(
                blue.address, readinessRoute={"path": "/new"}, readinessProbe={"period": 0.05, "successThreshold": 999}
            )
            await eventually(lambda: blue.asked.count("/new") > 3)
            assert (await upcoming(platform.watch())).replicas == before.replicas
            blue.status = 503
            assert (await until(watch, lambda snapshot: not ready(snapshot))).replicas[0].uid == before.replicas[0].uid


async def test_an_address_is_the_same_replica_for_every_instance_whenever_it_started(site: Site) -> None:
    """They share its slots by its uid."""
    site.declare("127.0.0.1:2")
    async with site.platform() as first:
        watch = first.watch()
        await upcoming(watch)
        site.declare("127.0.0.1:1", "127.0.0.1:2")
        before = await upcoming(watch)
        async with site.platform() as late:
            assert (await upcoming(late.watch())).replicas == before.replicas
    assert [each.uid for each in before.replicas] == ["iris/blue@127.0.0.1:1", "iris/blue@127.0.0.1:2"]


async def test_a_broken_file_is_refused_and_the_last_good_one_stays(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        watch = platform.watch()
        first = await upcoming(watch)
        site.write("a: b: c")
        await eventually(lambda: len(caplog.records) > 0)
        assert await upcoming(platform.watch()) == first
        site.declare("127.0.0.1:2")
        assert (await upcoming(watch)).replicas[0].port == 2
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.name for record in errors] == ["scoregate.platform"]
    assert str(site.file) in errors[0].getMessage()
    assert "line 1" in errors[0].getMessage()


async def test_after_a_fault_of_ours_the_next_file_is_followed(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(_: Path) -> None:
        raise RuntimeError("out of luck")

    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        watch = platform.watch()
        await upcoming(watch)
        with monkeypatch.context() as broken:
            broken.setattr(static, "load_endpoints", load)
            site.declare("127.0.0.1:2")
            await eventually(lambda: "out of luck" in caplog.text)
        site.declare("127.0.0.1:3")
        assert (await upcoming(watch)).replicas[0].port == 3


async def test_keys_are_made_and_followed(site: Site) -> None:
    site.declare("127.0.0.1:1", mode="key")
    async with site.platform() as platform:
        watch = platform.watch()
        first = await upcoming(watch)
        assert first.endpoints[0].keys == site.keys.hashes("iris")
        site.keys.change("iris", partial(regenerated, which="secondary", key="another-secondary-key"))
        second = await upcoming(watch)
        assert second.endpoints[0].keys == site.keys.hashes("iris") != first.endpoints[0].keys


async def test_without_auth_there_are_no_keys(site: Site) -> None:
    site.declare("127.0.0.1:1", mode="none")
    async with site.platform() as platform:
        assert (await upcoming(platform.watch())).endpoints[0].keys is None
    assert not site.keys.folder.exists()


async def test_who_also_accepts_keys_has_some(site: Site) -> None:
    site.declare("127.0.0.1:1", auth={"mode": "token", "alsoAccepts": ["key"]})
    async with site.platform() as platform:
        assert (await upcoming(platform.watch())).endpoints[0].keys == site.keys.hashes("iris")
        assert (await platform.administration.keys("iris")).hashes == site.keys.hashes("iris")


async def test_what_is_set_by_hand_outlives_the_router(site: Site) -> None:
    site.declare("127.0.0.1:1", "127.0.0.1:2")
    async with site.platform() as platform:
        _, two = (await upcoming(platform.watch())).replicas
        await platform.administration.drain(two.uid, True)
        await platform.administration.set_traffic("iris", {"blue": 0}, {"blue": 100})
    async with site.platform() as platform:
        again = await upcoming(platform.watch())
        assert [each.leaving for each in again.replicas] == [False, True]
        assert again.endpoints[0].weights == (("blue", 0),)
        assert two.uid == again.replicas[1].uid
        await platform.administration.drain(again.replicas[1].uid, False)
        assert not (await upcoming(platform.watch())).replicas[1].leaving


async def test_a_drain_is_forgotten_with_its_address_and_traffic_with_other_weights(site: Site) -> None:
    by_hand = site.file.parent / "state" / "by-hand.json"
    site.declare("127.0.0.1:1", "127.0.0.1:2")
    async with site.platform() as platform:
        watch = platform.watch()
        for replica in (await upcoming(watch)).replicas:
            await platform.administration.drain(replica.uid, True)
        await platform.administration.set_traffic("iris", {"blue": 0}, None)
        site.declare("127.0.0.1:1", traffic={"blue": 0})
        seen = await until(watch, lambda snapshot: len(snapshot.replicas) == 1)
        await eventually(lambda: json.loads(by_hand.read_text()) == {"drained": ["iris/blue@127.0.0.1:1"]})
        assert seen.endpoints[0].weights == (("blue", 0),)
        site.declare("127.0.0.1:1", "127.0.0.1:2")
        seen = await until(watch, lambda snapshot: len(snapshot.replicas) == 2)
        assert [each.leaving for each in seen.replicas] == [True, False]
        assert seen.endpoints[0].weights == (("blue", 100),)


async def test_what_another_router_s_endpoints_have_set_is_left_alone(site: Site) -> None:
    by_hand = site.file.parent / "state" / "by-hand.json"
    by_hand.parent.mkdir()
    others = {"drained": ["rose/blue@127.0.0.1:9", "blue-0a1b", "iris/blue@127.0.0.1:9"]}
    by_hand.write_text(json.dumps(others))
    site.declare("127.0.0.1:1")
    async with site.platform():
        assert json.loads(by_hand.read_text()) == {"drained": ["rose/blue@127.0.0.1:9", "blue-0a1b"]}


async def test_a_state_directory_that_can_not_be_written_bars_no_start(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    state = site.file.parent / "state"
    (state / "by-hand.lock").mkdir(parents=True)
    (state / "by-hand.json").write_text('{"drained": ["iris/blue@127.0.0.1:9", "iris/blue@127.0.0.1:1"]}')
    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        assert (await upcoming(platform.watch())).replicas[0].leaving
        with pytest.raises(PlatformError, match=r"by-hand\.lock can't be opened"):
            await platform.administration.set_traffic("iris", {"blue": 0}, None)
    assert "by-hand.lock can't be opened" in caplog.text


async def test_decisions_of_another_time_are_none(site: Site) -> None:
    folder = site.file.parent / "state" / "decisions"
    folder.mkdir(parents=True)
    (folder / "iris.blue.jsonl").write_text('{"type": "decision"}\n')
    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        assert await platform.administration.decisions("iris", "blue", 9) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: b: c", "line 1"),
        (
            "{apiVersion: scoregate.io/v1, kind: InferenceEndpoint, metadata: {name: iris},"
            " spec: {deployments: [{name: blue, process: {command: [serve]}}]}}",
            "iris/blue has a process, but the static platform starts none: use `scoregate up`",
        ),
    ],
)
async def test_a_first_file_that_is_bad_is_an_error(site: Site, text: str, problem: str) -> None:
    site.write(text)
    with pytest.raises(PlatformError, match=problem):
        await site.platform().__aenter__()


async def test_it_can_not_scale(site: Site) -> None:
    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        with pytest.raises(PlatformError, match=r"static platform has fixed addresses, edit .*endpoints\.yaml instead"):
            await platform.scale("iris", "blue", 2)


async def test_nobody_leads_where_nothing_scales(site: Site) -> None:
    site.declare("127.0.0.1:1")
    async with site.platform() as platform:
        with pytest.raises(PlatformError, match="nothing to scale"):
            platform.leadership()
