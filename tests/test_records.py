"""records.py: the access log says what became of a request, and nothing that is secret."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.core.auth import Caller
from router.core.errors import ClientGone, ClientTooSlow, Unauthorized
from router.core.model import Endpoint
from router.core.tally import Memory
from router.records import record_of, refusal_record
from router.request import Request

DIGITS = b"0123456789abcdef" * 3


def request_of(*headers: tuple[bytes, bytes], **scope: Any) -> Request:
    whole = {
        "method": "POST",
        "path": "/api/v1/endpoint/iris/score",
        "raw_path": b"/api/v1/endpoint/iris/score",
        "query_string": b"",
        "client": ("192.0.2.1", 5),
        "headers": list(headers),
    }
    return Request(whole | scope, DIGITS)


def test_a_record_has_what_the_request_was_found_to_be() -> None:
    request = request_of((b"x-ms-client-request-id", b"mine"))
    request.status, request.attempts, request.replica_uid = 200, 2, "blue-1"
    request.waited_s, request.overhead_s = 0.0125, 0.0005
    request.body_bytes, request.reply_bytes = 10, 20
    request.endpoint = Endpoint(name="iris", deployments=())
    request.caller = Caller(Memory(), "iris", "batch")
    request.trace = b"traceparent: 00-%b-%b-01\r\n" % (b"1" * 32, b"2" * 16)
    record = record_of(request, 0.5, "203.0.113.9")
    assert record.time > 1_700_000_000
    assert (record.request_id, record.client_request_id) == (request.request_id.decode(), "mine")
    assert (record.method, record.path, record.client) == ("POST", "/api/v1/endpoint/iris/score", "203.0.113.9")
    assert (record.status, record.attempts, record.replica, record.endpoint) == (200, 2, "blue-1", "iris")
    assert (record.duration_ms, record.queue_ms, record.overhead_ms) == (500.0, 12.5, 0.5)
    assert (record.request_bytes, record.reply_bytes) == (10, 20)
    assert record.trace == f"00-{'1' * 32}-{'2' * 16}-01"
    assert record.consumer == "batch"
    assert (record.deployment, record.code, record.error) == ("", "", "")


def test_a_failure_has_its_code_and_message() -> None:
    request = request_of()
    request.error, request.status = ClientGone(), ClientGone.status
    record = record_of(request, 0.1, "127.0.0.1")
    assert (record.status, record.code) == (499, "ClientClosedRequest")
    assert record.error


def test_a_request_that_no_app_saw_has_its_error_and_its_client() -> None:
    record = refusal_record(ClientTooSlow("too slow"), "192.0.2.1", b"an-id")
    assert (record.status, record.code, record.error) == (408, "RequestTimeout", "too slow")
    assert (record.client, record.request_id, record.method, record.path) == ("192.0.2.1", "an-id", "", "")


def test_a_path_is_cut_and_safe_to_print_whatever_it_holds() -> None:
    record = record_of(request_of(raw_path=b"/\xff\x00\n" + b"a" * 5_000), 0.0, "127.0.0.1")
    assert record.path.isascii()
    assert len(record.path) < 1_100


@given(secret=st.from_regex(re.compile(r"[A-Za-z0-9]{24,40}"), fullmatch=True))
def test_no_secret_gets_into_a_record(secret: str) -> None:
    given_as = secret.encode()
    request = request_of(
        (b"authorization", b"Bearer " + given_as),
        (b"cookie", given_as),
        (b"x-api-key", given_as),
        query_string=b"key=" + given_as,
    )
    request.first_body = given_as
    request.error = Unauthorized("The key is not one of endpoint iris's.", presented=True)
    assert secret not in repr(record_of(request, 0.1, "127.0.0.1"))
