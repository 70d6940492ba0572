"""What does a reply of the router's own look like?"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from router.config import Limits
from router.core.auth import hashed
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import LAST_CHUNK, Message, reply, request

GUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEYED = {"auth_mode": "key", "keys": hashed("first-key", "second-key")}

CASES: dict[str, tuple[int, str, bytes, dict[str, Any]]] = {
    "malformed": (400, "BadRequest", b"what?\r\n\r\n", {}),
    "no key": (401, "Unauthorized", request(body=b"{}"), {"endpoint": KEYED}),
    "no such endpoint": (404, "NotFound", request(path=b"/api/v1/endpoint/rose/score"), {}),
    "no such path": (404, "NotFound", request(path=b"/"), {}),
    "no such deployment": (404, "NoRoute", request(b"azureml-model-deployment: red"), {}),
    "slow head": (408, "RequestTimeout", b"GET / HTTP/1.1\r\n", {"limits": Limits(head_timeout_ms=300)}),
    "too large": (413, "PayloadTooLarge", request(body=b"12345"), {"endpoint": {"max_payload_bytes": 4}}),
    "expectation": (417, "ExpectationFailed", request(b"Expect: miracles"), {}),
    "long head": (431, "RequestHeaderFieldsTooLarge", request(b"X: " + b"x" * 40_000), {}),
    "method": (501, "NotImplemented", request(method=b"BREW"), {}),
    "no replica": (503, "NoReadyReplicas", request(body=b"{}"), {"replicas": 0, "max_queue_wait_ms": 1}),
    "silent replica": (504, "RequestTimeout", request(body=b"{}"), {"request_timeout_ms": 50}),
}


def _check_shape(answer: Message, status: int, code: str) -> None:
    assert answer.status == status
    assert answer.get(b"content-type") == b"application/json"
    assert answer.get(b"date") is not None
    error = json.loads(answer.body)
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"code", "message"}
    assert error["error"]["code"] == code
    assert "Traceback" not in error["error"]["message"]
    assert GUID.fullmatch(answer.get(b"x-ms-request-id") or b"")
    assert answer.get(b"x-request-id") == answer.get(b"x-ms-request-id")


@pytest.mark.parametrize("case", CASES)
async def test_every_refusal_is_json_with_code_message_and_id(open_stage: OpenStage, case: str) -> None:
    status, code, data, settings = CASES[case]
    stage = await open_stage(**settings)
    client = await stage.client()
    await client.send(data)
    _check_shape(await client.reply(), status, code)


async def test_a_replica_that_takes_no_connection_is_502(stage: Stage) -> None:
    await stage.replica.refuse_connections()
    client = await stage.client()
    _check_shape(await client.ask(request(body=b"{}")), 502, "ReplicaUnreachable")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 700 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000,
    ],
)
async def test_a_reply_that_is_no_http_is_502_and_its_connection_ends(stage: Stage, said: bytes) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(said)
    _check_shape(await client.reply(), 502, "ReplicaMisbehaved")
    assert await wire.closed()
    stage.replica.answer_all(lambda asked: reply(b"next"))
    assert (await client.ask(request(body=b"{}"))).body == b"next"


async def test_a_chunked_reply_that_breaks_is_cut(stage: Stage) -> None:
    client = await stage.client()
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    await client.until(b"ok\r\n")
    await wire.send(b"what?\r\n0\r\n\r\n")
    assert LAST_CHUNK not in b"\r\n" + await client.rest()
    assert await wire.closed()


async def test_the_models_own_errors_pass_unchanged(stage: Stage) -> None:
    client = await stage.client()
    lines = (b"x-ms-run-function-failed: True", b"x-ms-run-fn-exec-ms: 12", b"x-ms-server-version: azmlinfsrv/1.5")
    await client.send(request(body=b"{}"))
    wire, _ = await stage.replica.asked()
    await wire.send(reply(b"run() raised", b"Content-Type: text/plain", *lines, status=500))
    answer = await client.reply()
    assert (answer.status, answer.body, answer.get(b"content-type")) == (500, b"run() raised", b"text/plain")
    assert answer.get(b"x-ms-run-function-failed") == b"True"
    assert answer.get(b"x-ms-run-fn-exec-ms") == b"12"
    assert answer.get(b"x-ms-server-version") == b"azmlinfsrv/1.5"


@pytest.mark.parametrize("status", [200, 201, 299, 302, 404, 418, 424, 503, 599])
async def test_any_status_of_the_model_passes(stage: Stage, status: int) -> None:
    stage.replica.answer_all(lambda asked: reply(b"own", status=status))
    client = await stage.client()
    answer = await client.ask(request(body=b"{}"))
    assert (answer.status, answer.body) == (status, b"own")


@pytest.mark.parametrize(
    ("line", "challenge"),
    [
        (None, b"Bearer"),
        (b"Authorization: Bearer wrong", b'Bearer error="invalid_token"'),
        (b"Authorization: Basic Zmlyc3Qta2V5", b'Bearer error="invalid_token"'),
        (b"Authorization: Bearer caf\xe9", b'Bearer error="invalid_token"'),
        (b"Authorization: Bearer", b'Bearer error="invalid_token"'),
    ],
)
async def test_a_wrong_or_missing_key_is_401_and_reaches_no_replica(
    open_stage: OpenStage, line: bytes | None, challenge: bytes
) -> None:
    stage = await open_stage(endpoint=KEYED)
    stage.replica.answer_all(lambda asked: reply(b"in"))
    client = await stage.client()
    lines = () if line is None else (line,)
    answer = await client.ask(request(*lines, body=b"{}"))
    assert (answer.status, answer.get(b"www-authenticate")) == (401, challenge)
    assert stage.replica.wires == []
    for key in (b"first-key", b"second-key"):
        assert (await client.ask(request(b"Authorization: Bearer " + key, body=b"{}"))).body == b"in"


async def test_swagger_that_the_model_has_not_is_the_routers_404(stage: Stage) -> None:
    stage.replica.answer_all(lambda asked: reply(b"nope", status=404))
    client = await stage.client()
    answer = await client.ask(request(path=b"/api/v1/service/iris/swagger.json"))
    _check_shape(answer, 404, "SwaggerNotFound")
    assert json.loads(answer.body)["error"]["message"] == "Swagger not found"
