"""What does a credential on the wire open, in whatever form it comes, and what is said to those it does not?"""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from router.core.auth import digest, hashed
from router.core.model import JwtSettings, KeyHashes, NamedHash, RateLimit
from router.request import Request
from tests.gates import unsigned
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage
from tests.wire.wires import SCORE, ClientWire, reply, request

KEY = b"the-one-and-only-key"
OTHER = b"the-other-key-of-iris"
TOKEN = unsigned("https://issuer.example")
PLAIN = hashed(KEY.decode(), OTHER.decode())
BOTH: dict[str, Any] = {
    "auth_mode": "key",
    "also_accepts": ("jwt",),
    "keys": PLAIN,
    "jwt": JwtSettings(issuer="https://issuer.example", audiences=("iris",)),
}
RIGHT = b"Authorization: Bearer " + KEY


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    """Opened by two keys, and by one token."""
    one = await open_stage(endpoint=BOTH)
    one.gated.issuers.take(TOKEN)
    one.replica.answer_all(lambda asked: reply(b"scored"))
    return one


@pytest.mark.parametrize(
    "line",
    [
        RIGHT, b"Authorization: Bearer " + OTHER, b"Authorization: Bearer " + TOKEN, b"authorization: bearer " + KEY,
        b"AUTHORIZATION: BEARER " + KEY, b"Authorization:Bearer " + KEY, b"Authorization:   Bearer    " + KEY,
        b"Authorization: Bearer " + KEY + b" \t ", b"Authorization: bearer  " + TOKEN,
    ],
)  # fmt: skip
async def test_what_is_right_opens_however_it_is_spelled(stage: Stage, line: bytes) -> None:
    client = await stage.client()
    answer = await client.ask(request(line, body=b"{}"))
    assert (answer.status, answer.body) == (200, b"scored")
    assert KEY not in stage.replica.heard()
    assert TOKEN not in stage.replica.heard()


WRONG: dict[str, tuple[bytes, ...]] = {
    "empty": (b"Authorization:",),
    "blank": (b"Authorization:    ",),
    "scheme alone": (b"Authorization: Bearer",),
    "no credential": (b"Authorization: Bearer    ",),
    "no scheme": (b"Authorization: " + KEY,),
    "basic": (b"Authorization: Basic " + KEY,),
    "two schemes": (b"Authorization: Bearer Bearer " + KEY,),
    "scheme glued": (b"Authorization: Bearer" + KEY,),
    "tab": (b"Authorization: Bearer\t" + KEY,),
    "inner tab": (b"Authorization: Bearer \t" + KEY,),
    "two in one": (RIGHT + b", Bearer " + OTHER,),
    "trailing word": (RIGHT + b" x",),
    "trailing comma": (RIGHT + b",",),
    "trailing parameter": (RIGHT + b';realm="x"',),
    "trailing zero": (RIGHT + b"\xc2\xa0",),
    "quoted": (b'Authorization: Bearer "' + KEY + b'"',),
    "cut": (RIGHT[:-1],),
    "longer": (RIGHT + b"y",),
    "upper case": (b"Authorization: Bearer " + KEY.upper(),),
    "digest": (b"Authorization: Bearer " + digest(KEY).hex().encode(),),
    "not ASCII": (b"Authorization: Bearer \xff\xfe\xfd",),
    "not ASCII scheme": ("Authorization: Beärer ".encode() + KEY,),
    "bytes in the key": (b"Authorization: Bearer " + KEY + b"\x80",),
    "large": (b"Authorization: Bearer " + b"x" * 20_000,),
    "large token": (b"Authorization: Bearer eyJ" + b"." * 16_000,),
    "dots": (b"Authorization: Bearer ..",),
    "token, cut": (b"Authorization: Bearer " + TOKEN[:-1],),
    "other header": (b"X-Authorization: Bearer " + KEY, b"Proxy-Authorization: Bearer " + KEY, b"api-key: " + KEY),
    "cookie": (b"Cookie: Authorization=Bearer " + KEY,),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_401_and_told_nothing(stage: Stage, case: str) -> None:
    client = await stage.client()
    answer = await client.ask(request(*WRONG[case], body=b"{}"))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, "Unauthorized")
    sent = any(line.lower().startswith(b"authorization") for line in WRONG[case])
    assert answer.get(b"www-authenticate") == (b'Bearer error="invalid_token"' if sent else b"Bearer")
    assert KEY not in answer.body
    assert len(answer.body) < 300
    assert not stage.replica.heard()
    assert (await client.ask(request(RIGHT, body=b"{}"))).status == 200, "the connection is as good as before"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((RIGHT, RIGHT), 400),
        ((RIGHT, b"authorization: Bearer wrong"), 400),
        ((b"Authorization: Bearer wrong", RIGHT), 400),
        ((b"Authorization:", RIGHT), 400),
        ((RIGHT, b"Authorization: Bearer " + TOKEN), 400),
        ((RIGHT + b"\x00",), 400),
        ((b"Authorization : Bearer " + KEY,), 400),
        ((b"Authorization: Bearer", b" " + KEY), 400),
        ((b"Authorization: Bearer " + b"x" * 40_000,), 431),
    ],
)
async def test_what_is_no_http_or_says_it_twice_does_not_come_so_far(
    stage: Stage, lines: tuple[bytes, ...], status: int
) -> None:
    client = await stage.client()
    await client.send(request(*lines, body=b"{}"))
    assert (await client.last_reply()).status == status
    assert not stage.replica.heard()


@pytest.mark.parametrize(
    "query", [b"access_token=" + KEY, b"access_token=" + TOKEN, b"key=" + KEY, b"Authorization=Bearer%20" + KEY]
)
async def test_a_credential_in_the_url_is_not_looked_at(stage: Stage, query: bytes) -> None:
    client = await stage.client()
    answer = await client.ask(request(path=SCORE + b"?" + query, body=b"access_token=" + KEY))
    assert (answer.status, answer.get(b"www-authenticate")) == (401, b"Bearer")
    assert stage.gated.issuers.asked == 0


async def answered_without_its_body(client: ClientWire, line: bytes) -> tuple[int, bytes | None]:
    """A large body is announced, and never sent."""
    await client.send(request(line, b"Content-Length: 1000000", b"Expect: 100-continue", method=b"POST"))
    answer = await client.reply()
    return answer.status, answer.get(b"retry-after")


async def test_who_is_not_let_in_need_not_send_a_body(open_stage: OpenStage) -> None:
    batch = NamedHash(name="batch", digest=digest(OTHER), rate_limit=RateLimit(requests_per_second=0.5))
    stage = await open_stage(endpoint={"auth_mode": "key", "keys": KeyHashes(PLAIN.primary, PLAIN.primary, (batch,))})
    stage.replica.answer_all(lambda asked: reply(b"scored"))
    line = b"Authorization: Bearer " + OTHER
    assert await answered_without_its_body(await stage.client(), b"Authorization: Bearer wrong") == (401, None)
    assert (await (await stage.client()).ask(request(line, body=b"{}"))).status == 200
    assert await answered_without_its_body(await stage.client(), line) == (429, b"2")
    assert stage.fleet.loads()[0].arrived_total == 1, "neither took a slot"


async def test_a_request_that_is_sent_to_two_replicas_counts_once(open_stage: OpenStage) -> None:
    batch = NamedHash(name="batch", digest=digest(OTHER), rate_limit=RateLimit(requests_per_second=0.01, burst=2))
    keys = KeyHashes(PLAIN.primary, PLAIN.primary, (batch,))
    stage = await open_stage(replicas=2, endpoint={"auth_mode": "key", "keys": keys})
    await stage.replicas[0].refuse_connections()
    stage.replicas[1].answer_all(lambda asked: reply(b"scored"))
    client = await stage.client()
    line = b"Authorization: Bearer " + OTHER
    statuses = [(await client.ask(request(line, body=b"{}"))).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert stage.retries > 0


@pytest.mark.parametrize("line", [b"Authorization: Bearer wrong-key-of-iris", b"Authorization: Bearer a.b.c"])
async def test_nothing_of_a_refused_request_waits_for_the_garbage_collector(open_stage: OpenStage, line: bytes) -> None:
    """A stranger sends thousands, and the collector is made to come seldom."""
    keys = hashed("first-key-of-iris", "second-key-of-iris")
    stage = await open_stage(endpoint={"auth_mode": "key", "keys": keys})
    client = await stage.client()
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, Request) for each in gc.get_objects())
        for _ in range(5):
            assert (await client.ask(request(line, body=b"{}"))).status == 401
        assert sum(isinstance(each, Request) for each in gc.get_objects()) - before <= 1
    finally:
        gc.enable()
