"""client/: an endpoint as users of Azure ML know it, waiting and awaiting, before a router that is really there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from bench.processes import free_port
from router import client
from router.administrator import Administrator, AsyncAdministrator
from router.administrator.place import Place
from router.client import AdministrationError, AsyncWebservice, ScoringError, Webservice
from router.core.model import AuthMode
from tests.administered import ADMIN_KEY, KEYS, Administered, administered
from tests.front import bearer
from tests.models import Model, served, until

Use = Callable[..., Awaitable[Any]]
"""Calls a method, by its name, of a Webservice with these settings."""


async def awaiting(settings: dict[str, Any], method: str, *given: Any, **named: Any) -> Any:
    async with AsyncWebservice("iris", **settings) as one:
        return await getattr(one, method)(*given, **named)


async def waiting(settings: dict[str, Any], method: str, *given: Any, **named: Any) -> Any:
    def use() -> Any:
        with Webservice("iris", **settings) as one:
            return getattr(one, method)(*given, **named)

    return await asyncio.to_thread(use)


@pytest.fixture(params=[waiting, awaiting])
def use(request: pytest.FixtureRequest) -> Use:
    used: Use = request.param
    return used


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Administered]:
    async with administered(tmp_path, blue=Model("blue"), green=Model("green")) as one:
        yield one


def opened_by(router: Administered, *modes: AuthMode) -> None:
    snapshot = router.platform.snapshot
    [iris] = snapshot.endpoints
    changed = replace(iris, auth_mode=modes[0], also_accepts=modes[1:])
    router.platform.publish(replace(snapshot, endpoints=(changed,)))


async def test_scores_with_a_key(router: Administered, use: Use) -> None:
    for key in (KEYS.primary_key, KEYS.secondary_key):
        settings = {"url": router.scoring, "key": key}
        assert await use(settings, "score", {"data": [1, 2]}) == {"data": [1, 2]}
        assert await use(settings, "run", '{"data": "ü"}') == {"data": "ü"}
        assert await use(settings, "score", b"\x00\x01") == b"\x00\x01"
        assert await use(settings, "get_swagger") == {"swagger": "2.0"}


async def test_a_deployment_can_be_forced(tmp_path: Path, use: Use) -> None:
    blue, green = Model("blue"), Model("green")
    async with administered(tmp_path, blue=blue, green=green) as router:
        settings = {"url": router.scoring, "key": KEYS.primary_key}
        await use(settings, "score", {}, deployment="green")
        assert (len(blue.asked), len(green.asked)) == (0, 1)
        await use(settings, "score", {})
        assert (len(blue.asked), len(green.asked)) == (1, 1)
        with pytest.raises(ScoringError) as caught:
            await use(settings, "score", {}, deployment="red")
        assert caught.value.status == 404


async def test_a_refusal_has_the_routers_words(router: Administered, use: Use) -> None:
    for settings in ({"key": "another-key-of-somebody"}, {"token": "another-key-of-somebody"}, {}):
        with pytest.raises(ScoringError) as caught:
            await use({"url": router.scoring, **settings}, "score", {})
        error = caught.value
        assert (error.status, error.code) == (401, "Unauthorized")
        assert error.request_id
        assert "another-key" not in str(error)


async def test_where_the_endpoint_is(router: Administered) -> None:
    for one in (Webservice("iris", state_dir=router.state_dir), AsyncWebservice("iris", router.scoring + "/")):
        assert one.name == "iris"
        assert one.scoring_uri == f"{router.scoring}/api/v1/endpoint/iris/score"
        assert one.swagger_uri == f"{router.scoring}/api/v1/endpoint/iris/swagger.json"
        async with httpx.AsyncClient(trust_env=False, headers=bearer(KEYS.primary_key)) as plain:
            assert (await plain.post(one.scoring_uri, content=b"{}")).status_code == 200
            assert (await plain.get(one.swagger_uri)).status_code == 200
    assert Webservice("iris").scoring_uri == "http://127.0.0.1:8080/api/v1/endpoint/iris/score"


async def test_keys_are_shown_and_regenerated(router: Administered, use: Use) -> None:
    settings = {"state_dir": str(router.state_dir)}
    assert await use(settings, "get_keys") == (KEYS.primary_key, KEYS.secondary_key)
    assert await use(settings, "regen_key", "Secondary", "a-key-of-my-own-choice") is None
    assert await use(settings, "get_keys") == (KEYS.primary_key, "a-key-of-my-own-choice")
    await use(settings, "regen_key", "Primary")
    primary, secondary = await use(settings, "get_keys")
    assert primary != KEYS.primary_key
    assert secondary == "a-key-of-my-own-choice"
    with pytest.raises(AdministrationError, match="16 to 256") as caught:
        await use(settings, "regen_key", "Primary", set_key="tooshort")
    assert "tooshort" not in caught.value.message


async def test_a_token_is_had_and_opens_the_endpoint(router: Administered, use: Use) -> None:
    token, refresh_by = await use({"admin_url": router.internal, "admin_key": ADMIN_KEY}, "get_token")
    assert abs(refresh_by - datetime.now(UTC) - timedelta(hours=12)) < timedelta(minutes=1)  # noqa: TID251
    assert await use({"url": router.scoring, "token": token}, "score", [1]) == [1]


@pytest.mark.parametrize("modes", [("key",), ("token",), ("none",), ("token", "key")])
async def test_who_administers_needs_no_credential(
    router: Administered, use: Use, modes: tuple[AuthMode, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_by(router, *modes)
    assert await use({"state_dir": router.state_dir}, "score", [1]) == [1]
    monkeypatch.setenv("SCOREGATE_ADMIN_KEY", ADMIN_KEY)
    assert await use({"url": router.scoring, "admin_url": router.internal}, "score", [1]) == [1]


async def test_a_key_regenerated_while_requests_are_scored_costs_none(router: Administered) -> None:
    async with AsyncWebservice("iris", state_dir=router.state_dir) as one:

        async def score() -> int:
            scored = 0
            while not replaced.is_set():
                assert await one.score([scored]) == [scored]
                scored += 1
            return scored

        replaced = asyncio.Event()
        scoring = [asyncio.create_task(score()) for _ in range(8)]
        keys = [await one.get_keys()]
        for key in ("Primary", "Secondary", "Primary"):
            await one.regen_key(key)  # type: ignore[arg-type]
            keys.append(await one.get_keys())
            await one.score([])
        replaced.set()
        assert sum(await asyncio.gather(*scoring)) > 8
        assert len({pair for pair in keys}) == 4


async def test_a_revoked_token_is_replaced_by_itself(router: Administered) -> None:
    opened_by(router, "token")
    async with AsyncWebservice("iris", state_dir=router.state_dir) as one:
        assert await one.score([1]) == [1]
        await router.printed("revoke", "iris", "--all", "--yes")
        assert await asyncio.gather(*(one.score([number]) for number in range(20))) == [
            [number] for number in range(20)
        ]


async def test_many_who_begin_at_once_fetch_one_credential(
    router: Administered, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_by(router, "token")
    asked: list[str] = []

    def counted(kind: Callable[..., Any]) -> Callable[..., Any]:
        def made(place: Place, *rest: Any) -> Any:
            asked.append(place.url)
            return kind(place, *rest)

        return made

    monkeypatch.setattr(client, "AsyncAdministrator", counted(AsyncAdministrator))
    monkeypatch.setattr(client, "Administrator", counted(Administrator))
    async with AsyncWebservice("iris", state_dir=router.state_dir) as one:
        await asyncio.gather(*(one.score([]) for _ in range(20)))
    assert len(asked) == 2  # the endpoint, and a token for it
    with Webservice("iris", state_dir=router.state_dir) as another:
        await asyncio.gather(*(asyncio.to_thread(another.score, []) for _ in range(8)))
    assert len(asked) == 4


async def test_without_access_to_the_administration_the_message_says_what_is_missing(use: Use) -> None:
    for method, given in (("get_keys", ()), ("regen_key", ("Primary",)), ("get_token", ())):
        with pytest.raises(AdministrationError, match="give admin_url and admin_key, or state_dir"):
            await use({"key": KEYS.primary_key}, method, *given)


async def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither admin_url nor state_dir"):
        Webservice("iris", admin_key=ADMIN_KEY)
    for url in ("router.example", "ftp://router.example", "http://", ""):
        with pytest.raises(ValueError, match=f"the url is {url!r}, but it must be"):
            Webservice("iris", url)
    with pytest.raises(AdministrationError, match="No router runs"):
        Webservice("iris", state_dir=tmp_path)
    with pytest.raises(AdministrationError, match="does not hold certificates"):
        Webservice("iris", "https://router.example", ca_bundle=tmp_path / "none")


async def test_the_admin_key_goes_to_no_other_machine_over_plain_http(use: Use) -> None:
    settings = {"admin_url": "http://192.0.2.1:1", "admin_key": ADMIN_KEY}
    with pytest.raises(AdministrationError, match="over plain HTTP"):
        await use(settings, "get_keys")


async def test_where_nobody_answers(use: Use) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ScoringError) as caught:
        await use({"url": url}, "score", {})
    assert (caught.value.code, caught.value.status) == ("Unreachable", None)
    assert url in caught.value.message


async def test_who_answers_too_late(use: Use) -> None:
    model = Model()
    model.gate.clear()
    async with served(model) as port:
        with pytest.raises(ScoringError) as caught:
            await use({"url": f"http://127.0.0.1:{port}", "timeout_s": 0.3}, "score", {})
        assert caught.value.code == "TimedOut"
        await until(lambda: model.left == 1)


async def test_a_proxy_of_the_environment_never_sees_a_credential(
    router: Administered, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(proxy := Model()) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert await use({"state_dir": router.state_dir}, "score", [1]) == [1]
    assert proxy.begun == 0


async def test_one_that_is_closed_scores_no_more_and_no_secret_is_in_a_repr(router: Administered) -> None:
    one = Webservice("iris", router.scoring, key=KEYS.primary_key, admin_url=router.internal, admin_key=ADMIN_KEY)
    assert repr(one) == f"Webservice('iris', '{router.scoring}')"
    one.close()
    with pytest.raises(RuntimeError, match="closed"):
        one.score({})
