"""What does a browser hear, before and after a page of another origin scores?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.core.auth import hashed
from router.core.model import Cors
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import Message, reply, request

APP = b"https://app.example.com"
PREFLIGHT = (
    b"Origin: " + APP,
    b"Access-Control-Request-Method: POST",
    b"Access-Control-Request-Headers: authorization,content-type",
)
KEYED: dict[str, Any] = {"auth_mode": "key", "keys": hashed("first-key-of-iris", "second-key-of-iris")}
ALLOWED: dict[str, Any] = {**KEYED, "cors": Cors(allow_origins=(APP.decode(),))}


async def preflight(stage: Stage, *lines: bytes) -> Message:
    client = await stage.client()
    return await client.ask(request(*(lines or PREFLIGHT), method=b"OPTIONS"))


async def test_a_preflight_needs_no_credential_and_no_replica(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint=ALLOWED)
    answer = await preflight(stage)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.get(b"access-control-allow-origin") == APP
    assert answer.get(b"access-control-allow-methods") == b"GET, POST"
    assert b"authorization" in (answer.get(b"access-control-allow-headers") or b"")
    assert answer.get(b"x-ms-request-id")
    assert answer.get(b"content-length") is None
    assert stage.replica.wires == []
    assert stage.fleet.unrouted["iris"].requests == {204: 1}


async def test_the_connection_goes_on_after_a_preflight(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint=ALLOWED)
    stage.replica.answer_all(lambda asked: reply(b"scored"))
    client = await stage.client()
    assert (await client.ask(request(*PREFLIGHT, method=b"OPTIONS"))).status == 204
    answer = await client.ask(request(b"Origin: " + APP, b"Authorization: Bearer first-key-of-iris", body=b"{}"))
    assert (answer.status, answer.body) == (200, b"scored")
    assert answer.all(b"access-control-allow-origin") == [APP]


async def test_by_default_the_model_is_asked_and_wants_a_key(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint=KEYED)
    stage.replica.answer_all(
        lambda asked: reply(b"", b"Access-Control-Allow-Origin: https://models.example", status=204)
    )
    assert (await preflight(stage)).status == 401
    answer = await preflight(stage, *PREFLIGHT, b"Authorization: Bearer first-key-of-iris")
    assert answer.all(b"access-control-allow-origin") == [b"https://models.example"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"Origin: https://evil.example", "origin https://evil.example"),
        (b"Access-Control-Request-Method: DELETE", "method DELETE"),
        (b"Access-Control-Request-Headers: x-evil", "header x-evil"),
    ],
)
async def test_what_may_not_be_is_403_and_says_why(open_stage: OpenStage, line: bytes, says: str) -> None:
    stage = await open_stage(endpoint=ALLOWED)
    name = line.partition(b":")[0]
    answer = await preflight(stage, *(each for each in PREFLIGHT if not each.startswith(name)), line)
    assert answer.status == 403
    error = json.loads(answer.body)["error"]
    assert error["code"] == "CrossOriginRefused"
    assert says in error["message"]
    assert answer.get(b"access-control-allow-methods") is None


async def test_a_page_may_read_why_it_was_refused(open_stage: OpenStage) -> None:
    """Else its author sees a "CORS error", and looks in the wrong place."""
    stage = await open_stage(endpoint=ALLOWED)
    client = await stage.client()
    answer = await client.ask(request(b"Origin: " + APP, body=b"{}"))
    assert answer.status == 401
    assert answer.get(b"access-control-allow-origin") == APP
    assert b"x-ms-request-id" in (answer.get(b"access-control-expose-headers") or b"")


async def test_another_origins_request_is_served_and_not_shown_to_it(open_stage: OpenStage) -> None:
    """CORS is no access control: the browser keeps the reply from the page."""
    stage = await open_stage(endpoint={"cors": Cors(allow_origins=(APP.decode(),))})
    stage.replica.answer_all(
        lambda asked: reply(b"scored", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: true")
    )
    client = await stage.client()
    answer = await client.ask(request(b"Origin: https://evil.example", body=b"{}"))
    assert answer.status == 200
    assert not [name for name in answer.names if name.startswith(b"access-control-")]
    assert b"Origin" in answer.all(b"vary")


async def test_what_else_the_model_says_stays(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint={"cors": Cors(allow_origins=("*",))})
    stage.replica.answer_all(lambda asked: reply(b"scored", b"Vary: Accept", b"Access-Control-Max-Age: 5"))
    client = await stage.client()
    answer = await client.ask(request(body=b"{}"))
    assert answer.all(b"vary") == [b"Accept"]
    assert answer.get(b"access-control-max-age") is None
    assert answer.get(b"access-control-allow-origin") == b"*"


async def test_options_that_is_no_preflight_reaches_the_model(open_stage: OpenStage) -> None:
    stage = await open_stage(endpoint=ALLOWED)
    stage.replica.answer_all(lambda asked: reply(b"", b"Allow: POST", status=204))
    answer = await preflight(stage, b"Authorization: Bearer first-key-of-iris", b"Origin: " + APP)
    assert (answer.status, answer.get(b"allow")) == (204, b"POST")
