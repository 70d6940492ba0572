"""scoring.py: what is sent to an endpoint, and what its reply is read as."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from router.client.scoring import Replied, ScoringError, is_refused, is_sendable, scoring, swagger, value


def replied(status: int, content: bytes = b"", **headers: str) -> Replied:
    return Replied(status, httpx.Headers({name.replace("_", "-"): text for name, text in headers.items()}), content)


def error_of(reply: Replied) -> ScoringError:
    with pytest.raises(ScoringError) as caught:
        value(reply)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"\x00raw", b"\x00raw"),
        (bytearray(b"raw"), b"raw"),
        (memoryview(b"raw"), b"raw"),
        ('{"data": "ü"}', '{"data": "ü"}'.encode()),
        ({"data": [1.5, None]}, b'{"data": [1.5, null]}'),
        ([], b"[]"),
        (None, b"null"),
    ],
)
def test_bytes_and_text_go_as_they_are_and_the_rest_as_json(given: object, sent: bytes) -> None:
    send = scoring("iris", given, None, "")
    assert (send.method, send.path, send.content) == ("POST", "/api/v1/endpoint/iris/score", sent)
    assert send.headers == {"content-type": "application/json"}


def test_what_no_json_can_say_is_an_error_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        scoring("iris", object(), None, "")


def test_the_credential_and_the_deployment_are_headers() -> None:
    headers = scoring("iris", b"", "green", "key").headers
    assert headers["authorization"] == "Bearer key"
    assert headers["azureml-model-deployment"] == "green"
    send = swagger("iris", "key")
    assert (send.method, send.path, send.headers) == (
        "GET",
        "/api/v1/endpoint/iris/swagger.json",
        {"authorization": "Bearer key"},
    )
    assert "key" not in repr(send)


@pytest.mark.parametrize("text", ["", "a b", "a\r\nb", "ü", "a\n"])
def test_what_no_header_can_hold(text: str) -> None:
    assert not is_sendable(text)
    with pytest.raises(ValueError, match="is not the name of a deployment"):
        scoring("iris", b"", text, "")


@pytest.mark.parametrize(
    ("content_type", "content", "read"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}),
        ("application/json; charset=utf-8", b"null", None),
        ("Application/JSON", b"1", 1),
        ("application/problem+json", b"1", 1),
        ("", b"[1]", [1]),
        ("", b"no json", b"no json"),
        ("", b"\xff", b"\xff"),
        ("image/png", b"1", b"1"),
        ("text/plain", b"{}", b"{}"),
    ],
)
def test_the_value_is_json_where_the_reply_is(content_type: str, content: bytes, read: Any) -> None:
    assert value(replied(200, content, content_type=content_type)) == read
    assert value(replied(201, content, content_type=content_type)) == read


def test_nan_as_models_write_it_is_read() -> None:
    assert str(value(replied(200, b"[NaN]", content_type="application/json"))) == "[nan]"


def test_a_reply_that_says_it_is_json_and_is_not() -> None:
    error = error_of(replied(200, b"oops", content_type="application/json"))
    assert (error.code, error.status) == ("Model", 200)


def test_a_refusal_of_the_router_has_all_that_helps() -> None:
    body = json.dumps({"error": {"code": "Overloaded", "message": "Too many requests."}}).encode()
    error = error_of(replied(503, body, retry_after="7", x_ms_request_id="id-1", x_request_id="id-2"))
    assert (error.status, error.code, error.message) == (503, "Overloaded", "Too many requests.")
    assert (error.request_id, error.retry_after_s) == ("id-1", 7)
    assert str(error) == "Too many requests. (status 503, request id-1)"
    assert str(ScoringError("Nobody.", code="Unreachable")) == "Nobody."


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 5_000, "٣", ""])
def test_a_wait_that_is_no_number_of_seconds_is_none(text: str) -> None:
    reply = Replied(503, {"retry-after": text}, b"")
    assert error_of(reply).retry_after_s is None


@pytest.mark.parametrize("content", [b"a traceback", b'{"error": "text"}', b'{"error": {"code": 1}}', b"[]"])
def test_an_error_of_the_model_is_shown_as_it_is(content: bytes) -> None:
    error = error_of(replied(500, content, x_request_id="id-2"))
    assert (error.status, error.code, error.message, error.request_id) == (500, "Model", content.decode(), "id-2")


def test_a_long_or_broken_text_of_the_model_is_cut_and_mended() -> None:
    assert error_of(replied(500, b"x" * 10_000)).message == "x" * 1_000
    assert error_of(replied(500, b"\xff")).message == "�"
    assert error_of(replied(500)).message == "The reply is empty."


REFUSAL = b'{"error": {"code": "Unauthorized", "message": "no"}}'


@pytest.mark.parametrize(
    ("reply", "is_the_routers"),
    [
        (replied(401, REFUSAL, www_authenticate="Bearer"), True),
        (replied(401, REFUSAL), False),
        (replied(401, b"log in", www_authenticate="Bearer"), False),
        (replied(403, REFUSAL, www_authenticate="Bearer"), False),
        (replied(200, REFUSAL, www_authenticate="Bearer"), False),
    ],
)
def test_a_refusal_of_the_routers_is_told_from_the_models(reply: Replied, is_the_routers: bool) -> None:
    assert is_refused(reply) is is_the_routers


def test_a_redirect_says_where_to() -> None:
    error = error_of(replied(308, location="https://router.example/x"))
    assert (error.code, error.status) == ("Redirect", 308)
    assert "https://router.example/x" in error.message
