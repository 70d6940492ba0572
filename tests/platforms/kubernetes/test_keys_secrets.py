"""Are keys made where they are missing, and told to nobody?"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from router.platforms import PlatformError
from router.platforms.kubernetes.api import Api, ApiError
from router.platforms.kubernetes.cluster import KeysWanted, Owner
from router.platforms.kubernetes.keys_secret import KeysSecret
from router.platforms.kubernetes.leading.keys_secrets import (
    AT_ONCE,
    LONGEST_PAUSE_S,
    KeysMaker,
    SecretTaken,
    create_keys,
)
from tests.kubernetes.fake import FakeApiServer
from tests.platforms.kubernetes.nouns import decoded
from tests.platforms.kubernetes.reported import Answers, Call, StubApi, as_written, refused
from tests.virtual_time import now, on_virtual_time

OWNER = Owner("scoregate.io/v1", "InferenceEndpoint", "iris", "uid-iris")
IRIS = KeysWanted("models", "iris-keys", "iris", True, OWNER)


def one_is_there(of_type: str) -> Answers:
    def answer(call: Call) -> bytes | Exception:
        if call.method == "POST":
            return refused(409, "AlreadyExists")
        return msgspec.json.encode({"type": of_type, "data": {"primaryKey": "c2VjcmV0"}})

    return answer


@asynccontextmanager
async def making(api: StubApi, wanted: Callable[[], list[KeysWanted]], leads: Callable[[], bool]) -> AsyncIterator[Any]:
    maker = KeysMaker(api, wanted, leads=leads)  # type: ignore[arg-type]
    task = asyncio.create_task(maker.run())
    try:
        yield maker
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def always() -> bool:
    return True


@on_virtual_time
async def test_a_secret_has_two_different_keys_its_labels_and_its_owner() -> None:
    api = StubApi()
    assert await create_keys(api, IRIS)  # type: ignore[arg-type]
    assert await create_keys(api, IRIS)  # type: ignore[arg-type]
    first, second = (call.body for call in api.calls)
    assert {(call.method, call.path) for call in api.calls} == {("POST", "/api/v1/namespaces/models/secrets")}
    assert (first["kind"], first["type"]) == ("Secret", "scoregate.io/keys")
    assert first["metadata"] == {
        "name": "iris-keys",
        "namespace": "models",
        "labels": {"app.kubernetes.io/managed-by": "scoregate", "scoregate.io/endpoint": "iris"},
        "ownerReferences": [
            {
                "apiVersion": "scoregate.io/v1",
                "kind": "InferenceEndpoint",
                "name": "iris",
                "uid": "uid-iris",
                "controller": False,
                "blockOwnerDeletion": False,
            }
        ],
    }
    keys = [*first["data"].values(), *second["data"].values()]
    assert len({base64.b64decode(key) for key in keys}) == 4
    decoded(KeysSecret, first).hashes()  # is what a router takes


@on_virtual_time
async def test_a_secret_of_an_adopted_endpoint_has_no_owner() -> None:
    api = StubApi()
    await create_keys(api, IRIS._replace(owner=None))  # type: ignore[arg-type]
    assert "ownerReferences" not in api.calls[0].body["metadata"]


@on_virtual_time
async def test_one_that_somebody_else_was_faster_to_make_is_left_alone() -> None:
    api = StubApi(one_is_there("scoregate.io/keys"))
    assert not await create_keys(api, IRIS)  # type: ignore[arg-type]
    assert [call.method for call in api.calls] == ["POST", "GET"]


@on_virtual_time
async def test_one_of_another_type_is_told_by_its_type() -> None:
    with pytest.raises(SecretTaken, match="Secret iris-keys in namespace models is of type Opaque, but it must be"):
        await create_keys(StubApi(one_is_there("Opaque")), IRIS)  # type: ignore[arg-type]


@on_virtual_time
async def test_an_answer_that_is_no_secret_is_not_quoted() -> None:
    def answer(call: Call) -> bytes | Exception:
        return refused(409, "AlreadyExists") if call.method == "POST" else b'{"type": 7, "x": "hush"}'

    with pytest.raises(PlatformError, match="is no Secret") as raised:
        await create_keys(StubApi(answer), IRIS)  # type: ignore[arg-type]
    assert raised.value.__suppress_context__


@on_virtual_time
async def test_a_refusal_is_raised_and_nothing_is_asked_after_it() -> None:
    api = StubApi(lambda _: refused(403, "Forbidden"))
    with pytest.raises(ApiError):
        await create_keys(api, IRIS)  # type: ignore[arg-type]
    assert len(api.calls) == 1


@on_virtual_time
async def test_who_does_not_lead_makes_none() -> None:
    api, leads = StubApi(), False
    async with making(api, lambda: [IRIS], lambda: leads):
        await asyncio.sleep(58)
        assert api.calls == []
        leads = True
        await asyncio.sleep(1)
        assert len(api.calls) == 1


@on_virtual_time
async def test_it_is_asked_whether_it_leads_before_each_secret() -> None:
    wanted = [IRIS._replace(secret=f"iris-{n}") for n in range(2 * AT_ONCE)]
    api, leads = StubApi(takes_s=2.0), True
    async with making(api, lambda: wanted, lambda: leads):
        await asyncio.sleep(1)
        leads = False
        await asyncio.sleep(10)
    assert len(api.calls) == AT_ONCE


@on_virtual_time
async def test_one_that_is_being_made_is_not_made_twice() -> None:
    api = StubApi(takes_s=4.0)
    async with making(api, lambda: [IRIS], always):
        await asyncio.sleep(3.9)
    assert len(api.calls) == 1


@on_virtual_time
async def test_one_that_its_user_wants_to_make_is_not_made() -> None:
    api = StubApi()
    async with making(api, lambda: [IRIS._replace(creates=False)], always):
        await asyncio.sleep(60)
    assert api.calls == []


@on_virtual_time
async def test_what_fails_is_tried_again_ever_later_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    api = StubApi(lambda _: refused(403, "Forbidden", "no right"))
    async with making(api, lambda: [IRIS], always) as maker:
        await asyncio.sleep(600)
        assert maker.fault("models", "iris-keys") == (False, "PATCH /x: no right")
        assert maker.fault("models", "other") is None
        api.answers = as_written
        await asyncio.sleep(LONGEST_PAUSE_S + 1)
        assert maker.fault("models", "iris-keys") is None
    times = [call.at_s for call in api.calls]
    assert times[1] - times[0] >= 0.5
    assert 10 < len([time for time in times if time < 600]) < 30
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Secret iris-keys in namespace models can't be made for endpoint iris" in caplog.text


@on_virtual_time
async def test_one_that_stays_missing_was_deleted_and_is_made_anew_but_not_at_once() -> None:
    api = StubApi()
    async with making(api, lambda: [IRIS], always):
        await asyncio.sleep(4)
        assert len(api.calls) == 1
        await asyncio.sleep(4)
        assert len(api.calls) == 2


@on_virtual_time
async def test_one_that_hangs_delays_no_other_and_there_is_a_limit_at_once() -> None:
    wanted = [IRIS]
    api = StubApi(takes_s=5.0)
    async with making(api, lambda: wanted, always):
        await asyncio.sleep(1)
        wanted += [IRIS._replace(secret=f"other-{n}") for n in range(30)]
        await asyncio.sleep(0.6)
        assert len(api.calls) == AT_ONCE
        await asyncio.sleep(20)
        assert {call.body["metadata"]["name"] for call in api.calls} == {each.secret for each in wanted}
        assert api.most_at_once == AT_ONCE


@on_virtual_time
async def test_one_that_two_endpoints_name_is_made_once_and_goes_with_neither() -> None:
    api = StubApi()
    async with making(api, lambda: [IRIS, IRIS._replace(endpoint="rose")], always):
        await asyncio.sleep(1)
    assert len(api.calls) == 1
    assert "ownerReferences" not in api.calls[0].body["metadata"]
    assert now() == 1


async def test_on_an_api_server_no_key_is_in_a_log_or_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        server.create_namespace("models")
        async with await Api.open() as api:
            server.answer_with(422, times=1)
            with pytest.raises(ApiError) as refusal:
                await create_keys(api, IRIS)
            assert await create_keys(api, IRIS)
            assert not await create_keys(api, IRIS)
            server.put("secrets", {"metadata": {"name": "taken"}, "type": "Opaque"}, "models")
            with pytest.raises(SecretTaken, match="is of type Opaque"):
                await create_keys(api, IRIS._replace(secret="taken"))
        made = server.get("secrets", "iris-keys", "models")
        sent = [asked.body for asked in server.requests if asked.method == "POST"]
    assert made is not None
    assert len(sent) == 4
    for body in sent:
        for key in msgspec.json.decode(body)["data"].values():
            for text in (key, base64.b64decode(key).decode()):
                assert text not in caplog.text
                assert text not in repr(refusal.value)
