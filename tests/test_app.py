"""app.py: what happens to a request, under any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from router.app import CANCELS
from tests.front import SCORE, SCORE_V1, bearer, front, keys
from tests.models import until

NO_ROUTE = (
    "No route found or no valid deployments to route to, please check that the endpoint has at least one deployment "
    "with positive weight values or use a deployment specific header to route."
)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def error_of(reply: httpx.Response) -> tuple[str, str]:
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert reply.headers["content-type"] == "application/json"
    return body["error"]["code"], body["error"]["message"]


@pytest.mark.parametrize("url", [SCORE, SCORE_V1])
async def test_both_url_forms_score_and_the_reply_says_who_served(url: str) -> None:
    async with front() as one, one.client() as client:
        reply = await client.post(url, json={"data": [1]})
        assert (reply.status_code, reply.json()) == (200, {"data": [1]})
        assert reply.headers["azureml-model-deployment"] == "blue"
        assert reply.headers["x-ms-request-id"] == reply.headers["x-request-id"]
        (asked,) = one.models["blue"].asked
        assert (asked.method, asked.path) == ("POST", "/score")
        assert asked.headers["x-request-id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_reaches_the_model(method: str) -> None:
    async with front() as one, one.client() as client:
        one.models["blue"].answer = b"a reply"
        reply = await client.request(method, SCORE)
        assert reply.status_code == 200
        assert reply.content == (b"" if method == "HEAD" else b"a reply")
        assert reply.headers["content-length"] == "7"
        assert [asked.method for asked in one.models["blue"].asked] == [method]


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 424, 429, 500, 503])
async def test_the_models_own_status_headers_and_body_pass_unchanged(status: int) -> None:
    async with front() as one, one.client() as client:
        own = [(b"x-ms-run-function-failed", b"True"), (b"x-ms-run-fn-exec-ms", b"7"), (b"x-ms-server-version", b"v/1")]
        one.models["blue"].headers = own
        reply = await client.get(f"/api/v1/endpoint/iris/status/{status}")
        assert reply.status_code == status
        assert reply.content == (b"" if status in (204, 304) else b"the model says so")
        assert {name.decode(): value.decode() for name, value in own}.items() <= dict(reply.headers).items()


async def test_a_model_can_not_forge_what_is_the_routers_to_say() -> None:
    async with front() as one, one.client() as client:
        one.models["blue"].headers = [
            (b"azureml-model-deployment", b"forged"),
            (b"x-ms-request-id", b"forged"),
            (b"x-request-id", b"forged"),
        ]
        reply = await client.post(SCORE)
        assert reply.headers.get_list("azureml-model-deployment") == ["blue"]
        assert len(reply.headers.get_list("x-ms-request-id")) == 1
        assert "forged" not in str(reply.headers)


async def test_any_sub_path_and_query_reach_the_replica_byte_for_byte() -> None:
    async with front() as one, one.client() as client:
        url = "/api/v1/endpoint/iris/v1/chat/completions?a=1&b=%2F&a=2"
        assert (await client.post(url)).status_code == 200
        (asked,) = one.models["blue"].asked
        assert (asked.path, asked.query) == ("/v1/chat/completions", "a=1&b=%2F&a=2")


async def test_the_scoring_url_keeps_its_query() -> None:
    async with front() as one, one.client() as client:
        assert (await client.post(SCORE + "?verbose=true")).status_code == 200
        assert one.models["blue"].asked[0].query == "verbose=true"


@pytest.mark.parametrize(
    "url",
    ["/", "/score", "/api/v1/endpoint/none/score", "/api/v1/service/none/score", "/api/v1/service/iris/other", "/iris"],
)
async def test_an_unknown_endpoint_or_path_is_404(url: str) -> None:
    async with front() as one, one.client() as client:
        reply = await client.post(url, content=b"x")
        assert reply.status_code == 404
        assert error_of(reply)[0] == "NotFound"
        assert reply.headers["x-ms-request-id"]
        assert one.models["blue"].begun == 0
        assert one.fleet.unrouted[""].requests == {404: 1}


async def test_swagger_passes_through_with_the_same_auth_as_scoring() -> None:
    async with front(**keys()) as one, one.client() as client:
        for prefix in ("endpoint", "service"):
            url = f"/api/v1/{prefix}/iris/swagger.json"
            assert (await client.get(url)).status_code == 401
            reply = await client.get(url, headers=bearer("secondary-key-of-iris"))
            assert (reply.status_code, reply.content) == (200, b'{"swagger": "2.0"}')
        assert [asked.path for asked in one.models["blue"].asked] == ["/swagger.json"] * 2


async def test_a_model_without_swagger_is_404_with_azure_mls_text() -> None:
    async with front() as one, one.client() as client:
        one.models["blue"].swagger = None
        reply = await client.get("/api/v1/endpoint/iris/swagger.json")
        assert reply.status_code == 404
        assert error_of(reply) == ("SwaggerNotFound", "Swagger not found")


@pytest.mark.parametrize("key", ["primary-key-of-iris", "secondary-key-of-iris"])
async def test_both_keys_open_the_endpoint_and_neither_reaches_the_model(key: str) -> None:
    async with front(**keys()) as one, one.client() as client:
        assert (await client.post(SCORE, headers=bearer(key))).status_code == 200
        (asked,) = one.models["blue"].asked
        assert key not in str(asked)
        assert "authorization" not in asked.headers


async def test_the_credential_reaches_a_model_that_declares_that_it_wants_it() -> None:
    async with front(forward_authorization=True, **keys()) as one, one.client() as client:
        await client.post(SCORE, headers=bearer("primary-key-of-iris"))
        assert one.models["blue"].asked[0].headers["authorization"] == "Bearer primary-key-of-iris"


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        (bearer("wrong"), 'Bearer error="invalid_token"'),
        (bearer(""), 'Bearer error="invalid_token"'),
        ({"Authorization": "Basic cHJpbWFyeQ=="}, 'Bearer error="invalid_token"'),
        ({"Authorization": "primary-key-of-iris"}, 'Bearer error="invalid_token"'),
    ],
)
async def test_who_has_no_key_is_401_with_a_challenge(headers: dict[str, str], challenge: str) -> None:
    async with front(**keys()) as one, one.client() as client:
        reply = await client.post(SCORE, headers=headers, content=b"secret data")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == challenge
        assert error_of(reply)[0] == "Unauthorized"
        assert one.models["blue"].begun == 0


async def test_mode_none_asks_for_nothing_and_passes_on_no_credential() -> None:
    async with front(auth_mode="none") as one, one.client() as client:
        assert (await client.post(SCORE, headers=bearer("anything"))).status_code == 200
        assert "authorization" not in one.models["blue"].asked[0].headers


async def test_weights_split_the_traffic() -> None:
    weights = (("blue", 90), ("green", 10))
    async with front("blue", "green", weights=weights, settings={"max_concurrent_requests_per_instance": 0}) as one:
        async with one.client() as client:
            served_by = [(await client.post(SCORE)).headers["azureml-model-deployment"] for _ in range(300)]
        assert 10 <= served_by.count("green") <= 60  # 30 expected; the router's chance is seeded here
        assert served_by.count("green") == len(one.models["green"].asked)
        assert served_by.count("blue") == len(one.models["blue"].asked) == 300 - served_by.count("green")


@pytest.mark.parametrize("weights", [(("blue", 100), ("green", 0)), (("blue", 0), ("green", 0))])
async def test_the_header_forces_a_deployment_even_one_without_traffic(weights: Any) -> None:
    async with front("blue", "green", weights=weights) as one, one.client() as client:
        reply = await client.post(SCORE, headers={"azureml-model-deployment": "green"})
        assert reply.headers["azureml-model-deployment"] == reply.headers["x-model"] == "green"
        assert (len(one.models["blue"].asked), len(one.models["green"].asked)) == (0, 1)


@pytest.mark.parametrize(
    ("weights", "headers"),
    [((("blue", 0),), {}), ((("blue", 100),), {"azureml-model-deployment": "red"})],
)
async def test_no_deployment_to_route_to_is_404_with_azure_mls_text(weights: Any, headers: dict[str, str]) -> None:
    async with front(weights=weights) as one, one.client() as client:
        reply = await client.post(SCORE, headers=headers)
        assert reply.status_code == 404
        assert error_of(reply) == ("NoRoute", NO_ROUTE)


async def test_a_body_at_the_limit_passes_and_one_byte_more_is_413_before_the_model_sees_it() -> None:
    async with front(max_payload_bytes=1_000) as one, one.client() as client:
        assert (await client.post(SCORE, content=bytes(1_000))).content == bytes(1_000)
        reply = await client.post(SCORE, content=bytes(1_001))
        assert reply.status_code == 413
        assert reply.headers["connection"] == "close"
        code, message = error_of(reply)
        assert code == "PayloadTooLarge"
        assert "1,000" in message
        assert one.models["blue"].begun == 1


async def test_a_declared_length_over_the_limit_is_413_before_a_byte_is_read() -> None:
    read: list[bytes] = []

    async def unread() -> AsyncIterator[bytes]:
        read.append(bytes(1_001))
        yield read[-1]

    async with front(max_payload_bytes=1_000) as one, one.client() as client:
        reply = await client.post(SCORE, content=unread(), headers={"content-length": "1001"})
        assert (reply.status_code, error_of(reply)[0]) == (413, "PayloadTooLarge")
        assert read == []
        assert one.models["blue"].begun == 0


async def test_a_body_of_unknown_length_is_413_when_the_count_passes_the_limit() -> None:
    async with front(max_payload_bytes=1_000) as one, one.client() as client:
        assert (await client.post(SCORE, content=pieces(bytes(400), bytes(600)))).status_code == 200
        reply = await client.post(SCORE, content=pieces(bytes(400), bytes(601)))
        assert reply.status_code == 413
        await until(lambda: one.models["blue"].left == one.models["blue"].begun - 1)
        assert len(one.models["blue"].asked) == 1, "the model must not get a request that looks whole"


async def test_a_request_id_that_is_no_guid_is_replaced_and_a_good_one_kept() -> None:
    guid = "01234567-89ab-4cde-8f01-23456789abcd"
    async with front() as one, one.client() as client:
        for given in (guid, "no-guid"):
            reply = await client.post(SCORE, headers={"x-request-id": given, "x-ms-client-request-id": "a b/c_1-2"})
            assert (reply.headers["x-request-id"] == guid) == (given == guid)
            assert reply.headers["x-ms-client-request-id"] == "abc_1-2"
        assert one.models["blue"].asked[0].headers["x-request-id"] == guid


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
async def test_an_id_over_100_characters_is_431(name: str) -> None:
    async with front() as one, one.client() as client:
        assert (await client.post(SCORE, headers={name: "a" * 100})).status_code == 200
        reply = await client.post(SCORE, headers={name: "a" * 101})
        assert reply.status_code == 431
        assert len(one.models["blue"].asked) == 1


async def test_a_replica_that_is_not_there_is_502_and_no_ready_one_is_503() -> None:
    async with front() as one, one.client() as client:
        one._ports = {"blue": 1}
        one.publish()
        reply = await client.post(SCORE)
        assert (reply.status_code, error_of(reply)[0]) == (502, "ReplicaUnreachable")
        one._ports = {}
        one.publish(settings={"max_queue_wait_ms": 10})
        reply = await client.post(SCORE)
        assert reply.status_code == 503
        assert error_of(reply) == ("NoReadyReplicas", "No ready replicas for service iris")
        assert int(reply.headers["retry-after"]) >= 1


async def test_a_full_queue_is_503_with_azure_mls_text_and_a_time_to_retry() -> None:
    async with front(settings={"max_queue_length": 0}) as one, one.client() as client:
        one.models["blue"].gate.clear()
        first = asyncio.create_task(client.post(SCORE))
        await until(lambda: one.in_flight == 1)
        reply = await client.post(SCORE)
        assert reply.status_code == 503
        assert error_of(reply) == ("Overloaded", "Too many requests for service iris (overloaded)")
        assert int(reply.headers["retry-after"]) >= 1
        one.models["blue"].gate.set()
        assert (await first).status_code == 200


async def test_a_request_that_takes_too_long_is_504_and_the_models_work_is_cancelled() -> None:
    async with front(settings={"request_timeout_ms": 400}) as one, one.client() as client:
        one.models["blue"].gate.clear()
        reply = await client.post(SCORE)
        assert (reply.status_code, error_of(reply)[0]) == (504, "RequestTimeout")
        await until(lambda: one.models["blue"].left == 1)


async def test_a_fault_of_the_router_is_500_without_a_trace_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async with front() as one, one.client() as client:
        one.app._forwarding = None  # type: ignore[assignment]
        reply = await client.post(SCORE)
        assert reply.status_code == 500
        assert error_of(reply)[0] == "InternalError"
        assert "Traceback" not in reply.text
        assert "NoneType" not in reply.text
        assert reply.headers["x-ms-request-id"] in caplog.text
        assert one.statuses() == {500: 1}


async def test_a_client_that_is_cancelled_frees_the_slot_and_cancels_the_models_work() -> None:
    async with front() as one, one.client() as client:
        one.models["blue"].gate.clear()
        asking = asyncio.create_task(client.post(SCORE))
        await until(lambda: len(one.models["blue"].asked) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert one.in_flight == 0
        assert one.statuses() == {499: 1}
        await until(lambda: one.models["blue"].left == 1)


async def test_other_scopes_than_http_are_refused() -> None:
    async with front() as one:
        with pytest.raises(NotImplementedError, match="websocket"):
            one.app({"type": "websocket"}, None, None)  # type: ignore[arg-type]


async def test_a_server_may_leave_out_what_asgi_calls_optional_and_give_headers_as_lists() -> None:
    """ASGI: `scheme` (http), `raw_path`, `client`, `server`, `root_path` are optional; headers are iterables of two."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if any(not message.get("more_body", True) for message in sent):
            return {"type": "http.disconnect"}
        return {"type": "http.request"} if not sent else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/api/v1/endpoint/iris/a path",
        "query_string": b"",
        "headers": [[b"host", b"router"], [b"accept", b"*/*"]],
    }
    async with front() as one:
        one.models["blue"].answer = b"whole"
        await one.app(scope, receive, send)
        assert sent[0]["status"] == 200, sent
        assert sent[-1]["body"] == b"whole"
        (asked,) = one.models["blue"].asked
        assert (asked.path, asked.headers["accept"]) == ("/a path", "*/*")
        assert asked.headers["x-forwarded-proto"] == "http"


async def test_the_slot_is_free_while_the_client_still_takes_the_last_piece() -> None:
    last_taken = asyncio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"} if not last_taken.is_set() else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if not message.get("more_body", True):
            await last_taken.wait()

    scope = {"type": "http", "method": "GET", "path": SCORE, "extensions": {CANCELS: {}}, "scheme": "http"}
    scope |= {"query_string": b"", "headers": []}
    async with front() as one:
        serving = asyncio.create_task(one.app(scope, receive, send))
        await until(lambda: len(one.models["blue"].asked) == 1)
        await until(lambda: one.in_flight == 0)
        assert not serving.done()
        last_taken.set()
        await serving


async def test_what_ends_before_a_deployment_is_chosen_counts_for_its_endpoint() -> None:
    async with front(auth_mode="key") as one, one.client() as client:
        assert (await client.post(SCORE)).status_code == 401
        assert one.fleet.unrouted["iris"].requests == {401: 1}


async def test_a_client_that_owes_its_body_for_ever_gives_back_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a server that has no limit of its own for that."""
    monkeypatch.setattr("router.cancelling.BODY_WITHIN_S", 0.05)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": SCORE, "headers": [(b"content-length", b"5")]}
    async with front() as one, asyncio.timeout(20):
        await one.app(scope, receive, send)
        assert sent[0]["status"] == 408
        assert one.in_flight == 0
