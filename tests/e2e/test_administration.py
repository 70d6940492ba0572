"""A router process is administered from outside: by commands and by the Python client, while it scores."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.client import AsyncWebservice, ScoringError, Webservice
from tests.command_line import failed, run
from tests.models import PATIENCE_S, Model, served
from tests.router_process import RouterProcess, declare, routing


class Site(NamedTuple):
    router: RouterProcess
    file: Path

    @property
    def state_dir(self) -> Path:
        return self.router.state.path

    async def printed(self, *words: object) -> str:
        result = await asyncio.to_thread(run, *words, "--state-dir", self.state_dir)
        assert result.exit_code == 0, result.output
        return result.stdout.removesuffix("\n")

    async def failed(self, *words: object) -> str:
        return await asyncio.to_thread(failed, *words, "--state-dir", self.state_dir)

    def webservice(self, **settings: Any) -> AsyncWebservice:
        return AsyncWebservice("iris", self.router.place.public, **settings)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Until another process is so far."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - it looks at a process
            await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with served(Model()) as port:
        file = declare(tmp_path / "endpoints.yaml", port, mode="key")
        document = json.loads(file.read_text())
        document["spec"]["auth"]["alsoAccepts"] = ["token"]
        file.write_text(json.dumps(document))
        async with routing(tmp_path, "--access-log", "off") as router:
            await router.ready()
            yield Site(router, file)


async def scores(one: AsyncWebservice, refusal: int = 401) -> bool:
    try:
        return bool(await one.score([1]) == [1])
    except ScoringError as error:
        if error.status != refusal:
            raise
        return False


async def test_a_key_is_regenerated_under_load_and_no_request_is_refused(site: Site) -> None:
    """One client has the key that stays, the other gets whichever is good by itself."""
    ended = asyncio.Event()

    async def load(one: AsyncWebservice) -> int:
        scored = 0
        while not ended.is_set():
            assert await one.score([scored]) == [scored]
            scored += 1
        return scored

    secondary = await site.printed("key", "show", "iris", "secondary")
    async with site.webservice(key=secondary) as plain, site.webservice(state_dir=site.state_dir) as clever:
        loads = [asyncio.create_task(load(one)) for one in (plain, plain, clever, clever)]
        keys = [await site.printed("key", "regenerate", "iris", "primary") for _ in range(3)]
        async with site.webservice(key=keys[-1]) as newest:
            await until(lambda: scores(newest))
        ended.set()
        assert all(await asyncio.gather(*loads))
    assert len({secondary, *keys}) == 4


async def test_a_named_key_opens_until_it_is_removed_and_its_limit_counts(site: Site) -> None:
    key = await site.printed("key", "add", "iris", "mobile", "--rate", "0.001", "--burst", "1")
    async with site.webservice(key=key) as one:
        await until(lambda: scores(one))
        with pytest.raises(ScoringError) as caught:
            await one.score([1])
        assert (caught.value.status, (caught.value.retry_after_s or 0) > 0) == (429, True)
        await site.printed("key", "change", "iris", "mobile", "--no-rate")
        await until(lambda: scores(one, 429))
        await site.printed("key", "remove", "iris", "mobile", "--yes")
        await until(lambda: refused(one))


async def refused(one: AsyncWebservice) -> bool:
    return not await scores(one)


async def test_tokens_score_for_both_clients_and_can_be_taken_back(site: Site) -> None:
    await until(lambda: issues(site))  # the first signing key is being made
    token = await site.printed("token", "iris", "--subject", "me")
    async with site.webservice(token=token) as one:
        assert await scores(one)
        assert await asyncio.to_thread(sync_score, site.router.place.public, token) == [2]
        await site.printed("revoke", "iris", token)
        assert await refused(one)
    async with site.webservice(admin_url=site.router.place.admin, admin_key=admin_key(site)) as clever:
        token, refresh_by = await clever.get_token()
        assert refresh_by.tzinfo is not None
    async with site.webservice(token=token) as another:
        assert await scores(another)


async def issues(site: Site) -> bool:
    return not (await asyncio.to_thread(run, "token", "iris", "--state-dir", site.state_dir)).exit_code


def sync_score(url: str, token: str) -> Any:
    with Webservice("iris", url, token=token) as one:
        return one.score([2])


def admin_key(site: Site) -> str:
    return (site.state_dir / "vault" / "admin-key").read_text()


async def test_the_admin_key_is_its_owners_alone(site: Site) -> None:
    vault = site.state_dir / "vault"
    assert stat.S_IMODE(vault.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in vault.iterdir()} == {0o600}


async def test_what_is_served_is_shown_and_the_log_level_set(site: Site) -> None:
    assert "iris" in await site.printed("endpoints")
    [replica] = json.loads(await site.printed("replicas", "iris", "--json"))
    assert (replica["deployment"], replica["ready"]) == ("iris/blue", True)
    assert await site.printed("log-level", "debug") == await site.printed("log-level") == "debug"
    assert "fixed number" in await site.failed("scale", "iris/blue", "2")


async def test_a_drained_replica_takes_nothing_until_that_is_undone(site: Site) -> None:
    [replica] = json.loads(await site.printed("replicas", "--json"))
    await site.printed("drain", replica["uid"])

    async def leaving() -> bool:
        return bool(json.loads(await site.printed("replicas", "--json"))[0]["leaving"])

    await until(leaving)
    await site.printed("drain", replica["uid"], "--undo")
    await site.router.ready()
