"""administration/__init__.py: the way that every request for administration goes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from router.administration import OPERATIONS, ROOT
from router.platforms import PlatformError
from router.platforms.administration import Conflict, NotPermitted, Unfit, Unknown
from tests.administration.office import ADMIN_KEY, BLUE, IRIS, Office, audited, until

GUARDED = [(each.method, ROOT + each.path) for each in OPERATIONS if not each.is_open]


def filled(path: str) -> str:
    names = {"{endpoint}": "iris", "{deployment}": "blue", "{key}": "primary", "{uid:path}": "two"}
    for name, value in names.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize(
    "key", [None, "", "the-administrators-key-of-the-test", ADMIN_KEY + "s", "primary-key-of-the-tests"]
)
async def test_nothing_is_done_without_the_right_key(office: Office, method: str, path: str, key: str | None) -> None:
    before = office.platform.snapshot, dict(office.administration.kept)
    async with office.client(key) as client:
        reply = await client.request(method, filled(path))
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "Unauthorized"
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert ("invalid_token" in reply.headers["www-authenticate"]) == bool(key)
    assert (office.platform.snapshot, office.administration.kept) == before


@pytest.mark.parametrize("authorization", ["Basic {}", "{}", "Bearer", "Bearer {} x", "bearer\t{}"])
async def test_the_key_comes_as_a_bearer_or_not_at_all(office: Office, authorization: str) -> None:
    async with office.client(None) as client:
        reply = await client.get(IRIS, headers={"authorization": authorization.format(ADMIN_KEY)})
    assert reply.status_code == 401


async def test_the_scheme_may_be_spelled_in_any_case(office: Office) -> None:
    async with office.client(None) as client:
        assert (await client.get(IRIS, headers={"authorization": f"bEaReR {ADMIN_KEY}"})).status_code == 200


async def test_who_tries_too_often_is_told_to_wait_and_the_right_key_opens_even_then(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with office.client("a-key-that-is-not-the-right-one") as stranger, office.client() as administrator:
        statuses = [(await stranger.get(IRIS)).status_code for _ in range(13)]
        assert statuses == [401] * 10 + [429] * 3
        assert (await stranger.get(IRIS)).headers["retry-after"] == "10"
        assert (await administrator.get(IRIS)).status_code == 200
        office.now_s += 10
        assert (await stranger.get(IRIS)).status_code == 401
    assert [each["status"] for each in audited(caplog)] == [401] * 11


async def test_a_wrong_key_leaves_a_line_and_no_trace_of_itself(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with office.client("guess-number-one-of-many") as stranger:
        await stranger.put(f"{IRIS}/keys/primary", content=b'{"keyValue": "a-key-in-a-body-of-a-stranger"}')
    assert audited(caplog) == [{"action": "putKey", "status": 401, "outcome": "refused", "code": "Unauthorized"}]
    assert "guess-number" not in caplog.text
    assert "a-key-in" not in caplog.text


async def test_over_plain_http_only_this_machine_is_answered(office: Office) -> None:
    async with office.client(address="10.1.2.3") as client:
        reply = await client.get(IRIS)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "HttpsRequired")
        assert (await client.get("/load")).status_code == 200
        assert (await client.get("/.well-known/jwks.json")).status_code == 200
    transport = httpx.ASGITransport(office.app, client=("10.1.2.3", 1))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://router.example", headers=headers) as client:
        assert (await client.get(IRIS)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"host": "rebound.example:9001"}, "HostRefused"), ({"origin": "https://evil.example"}, "OriginRefused")],
)
async def test_no_page_in_a_browser_gets_in(client: httpx.AsyncClient, headers: dict[str, str], code: str) -> None:
    reply = await client.get(IRIS, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, code)
    assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "POST", "TRACE"])
async def test_what_no_operation_does_is_405_with_what_can_be_done(client: httpx.AsyncClient, method: str) -> None:
    reply = await client.request(method, f"{BLUE}/scale")
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == {"PUT", "DELETE"}
    assert reply.json()["error"]["code"] == "MethodNotAllowed"


@pytest.mark.parametrize("path", ["/admin", f"{ROOT}/endpoints/", f"{ROOT}/nothing", f"{IRIS}/keys/", "/%00"])
async def test_what_is_nowhere_is_404_in_the_same_shape(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.get(path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "NotFound")


async def test_get_and_head_say_the_same(client: httpx.AsyncClient) -> None:
    get, head = await client.get(f"{IRIS}/keys"), await client.head(f"{IRIS}/keys")
    assert (get.status_code, head.status_code) == (200, 200)
    assert get.headers == head.headers


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_no_reply_is_kept_by_anybody(client: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await client.request(method, filled(path))).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unknown("there is none"), 404, "NotFound"),
        (Conflict("it is another"), 409, "Conflict"),
        (Unfit("it can't be"), 422, "Unfit"),
        (NotPermitted("a right is missing"), 403, "NotPermitted"),
        (PlatformError("it is away"), 503, "PlatformUnavailable"),
    ],
)
async def test_what_a_platform_refuses_is_told(
    office: Office,
    client: httpx.AsyncClient,
    error: PlatformError,
    status: int,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def set_traffic(*_: Any) -> None:
        raise error

    caplog.set_level(logging.INFO)
    office.administration.set_traffic = set_traffic  # type: ignore[method-assign]
    reply = await client.put(f"{IRIS}/traffic", json={"traffic": {"blue": 100}})
    assert (reply.status_code, reply.json()) == (status, {"error": {"code": code, "message": str(error)}})
    [line] = audited(caplog)
    assert (line["status"], line["code"]) == (status, code)
    assert line["outcome"] == ("failed" if status == 503 else "refused")


async def test_a_fault_is_told_to_the_log_and_not_to_the_client(
    office: Office, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def keys(endpoint: str) -> None:
        raise RuntimeError("something within")

    office.administration.keys = keys  # type: ignore[method-assign,assignment]
    reply = await client.get(f"{IRIS}/keys")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "InternalError")
    assert "something within" not in reply.text
    assert "something within" in caplog.text


async def test_until_endpoints_are_known_it_is_503(office: Office, client: httpx.AsyncClient) -> None:
    office.has_snapshot = False
    for path in (f"{ROOT}/endpoints", IRIS, BLUE, f"{IRIS}/keys"):
        reply = await client.get(path)
        assert (reply.status_code, reply.json()["error"]["message"]) == (503, "no endpoints are known yet")


async def test_reading_what_is_no_secret_leaves_no_line(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path in (f"{ROOT}/endpoints", BLUE, f"{BLUE}/replicas", f"{ROOT}/load", f"{ROOT}/signing-keys"):
        assert (await client.get(path)).status_code == 200
    assert audited(caplog) == []


async def test_a_change_that_is_cut_off_leaves_a_line(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.Event()

    async def drain(*_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    caplog.set_level(logging.INFO)
    office.administration.drain = drain  # type: ignore[method-assign]
    async with office.client() as client:
        task = asyncio.create_task(client.post(f"{ROOT}/replicas/two/drain"))
        await until(asked.is_set)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    [line] = audited(caplog)
    assert (line["replica"], line["status"], line["outcome"]) == ("two", 0, "interrupted")


async def test_the_public_keys_need_no_key_and_are_soon_asked_again(office: Office) -> None:
    async with office.client(None) as client:
        reply = await client.get("/.well-known/jwks.json")
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "max-age=30")
    assert reply.json() == office.tokens.jwks()


async def test_every_operation_has_its_own_name_and_place() -> None:
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)
    assert len({(each.method, each.path) for each in OPERATIONS}) == len(OPERATIONS)
    assert [each.name for each in OPERATIONS if each.method != "GET" and not each.is_audited] == []
