"""administrator/: a real API answers, to one who waits and one who awaits; whoever does not answer is told apart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, get_origin

import pytest

from bench.processes import free_port
from router.administrator import Administrator, AsyncAdministrator, calls, trust
from router.administrator.calls import AdministrationError, Call
from router.administrator.place import Place
from tests.administered import ADMIN_KEY, KEYS, Administered, administered
from tests.models import Model, served

Ask = Callable[[Place, Call[Any]], Awaitable[Any]]


async def awaiting(place: Place, call: Call[Any], **settings: Any) -> Any:
    async with AsyncAdministrator(place, **settings) as administrator:
        return await administrator.ask(call)


async def waiting(place: Place, call: Call[Any], **settings: Any) -> Any:
    def ask() -> Any:
        with Administrator(place, **settings) as administrator:
            return administrator.ask(call)

    return await asyncio.to_thread(ask)


@pytest.fixture(params=[waiting, awaiting])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[Administered]:
    async with administered(tmp_path, blue=Model("blue")) as one:
        yield one


def place(router: Administered, key: str = ADMIN_KEY) -> Place:
    return Place(router.internal, key)


async def refusal(asking: Awaitable[Any]) -> AdministrationError:
    with pytest.raises(AdministrationError) as caught:
        await asking
    assert caught.value.__cause__ is None
    return caught.value


EVERY: list[Call[Any]] = [
    calls.endpoints(),
    calls.endpoint("iris"),
    calls.deployment("iris", "blue"),
    calls.replicas("iris", "blue"),
    calls.decisions("iris", "blue", 5),
    calls.scale("iris", "blue", 2, 60),
    calls.release("iris", "blue"),
    calls.keys("iris"),
    calls.regenerate_key("iris", "primary"),
    calls.put_key("iris", "app", version=KEYS.version),
    calls.token_v1("iris"),
    calls.token_v2("iris", "me"),
    calls.revoke("iris", None),
    calls.revoke("iris", "some-id"),
    calls.signing_keys(),
    calls.rotate_signing_keys(),
    calls.set_traffic("iris", {"blue": 100}),
    calls.drain("iris/blue#1"),
    calls.undo_drain("iris/blue#1"),
    calls.log_level(),
    calls.set_log_level("info"),
]


@pytest.mark.parametrize("call", EVERY, ids=repr)
async def test_the_api_answers_every_call_with_what_it_is_read_as(router: Administered, call: Call[Any]) -> None:
    said = await awaiting(place(router), call)
    assert isinstance(said, get_origin(call.kind) or call.kind)


async def test_one_connection_asks_again_and_again(router: Administered, ask: Ask) -> None:
    async with AsyncAdministrator(place(router)) as administrator:
        for _ in range(3):
            assert (await administrator.ask(calls.keys("iris"))).primary_key == KEYS.primary_key
    assert (await ask(place(router), calls.keys("iris"))).version == KEYS.version


async def test_a_refusal_is_the_apis(router: Administered, ask: Ask) -> None:
    error = await refusal(ask(place(router), calls.keys("rose")))
    assert (error.status, error.code) == (404, "NotFound")
    assert "known are iris" in error.message
    error = await refusal(ask(place(router), calls.regenerate_key("iris", "primary", version="old")))
    assert (error.status, error.code) == (409, "Conflict")


async def test_a_wrong_key_says_whose_it_is_not(router: Administered, ask: Ask) -> None:
    error = await refusal(ask(place(router, "another-key-of-somebody"), calls.keys("iris")))
    assert error.status == 401
    assert error.message.startswith(f"{router.internal}: ")
    assert "another-key" not in error.message


async def test_where_nobody_listens_the_message_says_what_to_do(ask: Ask) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    error = await refusal(ask(Place(url, ADMIN_KEY), calls.keys("iris")))
    assert (error.code, error.status) == ("Unreachable", None)
    assert all(words in error.message for words in (url, "scoregate up FILE", "kubectl port-forward"))


@pytest.mark.parametrize(("call", "is_in_doubt"), [(calls.keys("iris"), False), (calls.drain("u"), True)])
async def test_who_gets_no_reply_in_time_is_told_what_that_means(call: Call[Any], is_in_doubt: bool) -> None:
    model = Model()
    model.gate.clear()
    async with served(model) as port:
        url = f"http://127.0.0.1:{port}"
        for asked in (waiting, awaiting):
            error = await refusal(asked(Place(url, ADMIN_KEY), call, timeout_s=0.3))
            assert error.code == "Unreachable"
            assert error.message.startswith(f"{url} did not answer in time")
            assert ("whether it was done is not known" in error.message) is is_in_doubt
        model.gate.set()
    assert len(model.asked) == 2  # nothing is asked twice


async def test_who_is_no_router_is_told_so(ask: Ask) -> None:
    model = Model()
    model.answer = b"hello"
    async with served(model) as port:
        error = await refusal(ask(Place(f"http://127.0.0.1:{port}", ADMIN_KEY), calls.keys("iris")))
    assert error.code == "BadReply"
    assert error.message.startswith(f"http://127.0.0.1:{port}: What answers there, with status 200, is not")


async def test_a_proxy_of_the_environment_never_sees_the_key(
    router: Administered, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(proxy := Model()) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert await ask(place(router), calls.endpoints())
    assert proxy.begun == 0


def test_certificates_are_needed_for_https_only(tmp_path: Path) -> None:
    assert trust("http://127.0.0.1:1", tmp_path / "none") is False
    assert isinstance(trust("https://router.example", None), ssl.SSLContext)
    assert isinstance(trust("HTTPS://router.example", None), ssl.SSLContext)
    for content in (None, "not PEM"):
        if content is not None:
            (tmp_path / "none").write_text(content)
        with pytest.raises(AdministrationError, match="does not hold certificates in PEM form"):
            trust("https://router.example", tmp_path / "none")
