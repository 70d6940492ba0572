"""calls.py: what is sent for each call, and how replies are read, refusals and what is no router's included."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from router.administrator import calls
from router.administrator.calls import AdministrationError, Call, read
from router.core.model import RateLimit

IRIS = "/admin/v1/endpoints/iris"
BLUE = f"{IRIS}/deployments/blue"


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (calls.endpoints(), "GET", "/admin/v1/endpoints", None),
        (calls.endpoint("iris"), "GET", IRIS, None),
        (calls.deployment("iris", "blue"), "GET", BLUE, None),
        (calls.replicas("iris", "blue"), "GET", f"{BLUE}/replicas", None),
        (calls.decisions("iris", "blue", 5), "GET", f"{BLUE}/decisions?last=5", None),
        (calls.scale("iris", "blue", 2, 60), "PUT", f"{BLUE}/scale", {"replicas": 2, "forSeconds": 60}),
        (calls.release("iris", "blue"), "DELETE", f"{BLUE}/scale", None),
        (calls.keys("iris"), "GET", f"{IRIS}/keys", None),
        (calls.regenerate_key("iris", "primary"), "POST", f"{IRIS}/keys/primary/regenerate", {}),
        (
            calls.regenerate_key("iris", "primary", "k", "7"),
            "POST",
            f"{IRIS}/keys/primary/regenerate",
            {"keyValue": "k", "version": "7"},
        ),
        (calls.put_key("iris", "app", version="7"), "PUT", f"{IRIS}/keys/app", {"version": "7"}),
        (
            calls.put_key("iris", "app", version="7", value="k", expires_at=None, rate_limit=None),
            "PUT",
            f"{IRIS}/keys/app",
            {"version": "7", "keyValue": "k", "expiresAt": None, "rateLimit": None},
        ),
        (
            calls.put_key(
                "iris",
                "app",
                version="7",
                expires_at=datetime(2031, 1, 1, tzinfo=UTC),
                rate_limit=RateLimit(requests_per_second=1, burst=2),
            ),
            "PUT",
            f"{IRIS}/keys/app",
            {
                "version": "7",
                "expiresAt": "2031-01-01T00:00:00Z",
                "rateLimit": {"requestsPerSecond": 1, "burst": 2},
            },
        ),
        (calls.remove_key("iris", "app"), "DELETE", f"{IRIS}/keys/app", None),
        (calls.token_v1("iris"), "POST", f"{IRIS}/token?api=v1", {}),
        (calls.token_v2("iris", "me"), "POST", f"{IRIS}/token?api=v2", {"subject": "me"}),
        (calls.revoke("iris", None), "DELETE", f"{IRIS}/tokens", {}),
        (calls.revoke("iris", "id"), "DELETE", f"{IRIS}/tokens", {"tokenId": "id"}),
        (calls.signing_keys(), "GET", "/admin/v1/signing-keys", None),
        (calls.rotate_signing_keys(), "POST", "/admin/v1/signing-keys/rotate", None),
        (calls.set_traffic("iris", {"blue": 100}), "PUT", f"{IRIS}/traffic", {"traffic": {"blue": 100}}),
        (calls.set_traffic("iris", {}, "7"), "PUT", f"{IRIS}/traffic", {"traffic": {}, "version": "7"}),
        (calls.drain("u"), "POST", "/admin/v1/replicas/u/drain", None),
        (calls.undo_drain("u"), "DELETE", "/admin/v1/replicas/u/drain", None),
        (calls.log_level(), "GET", "/admin/v1/log-level", None),
        (calls.set_log_level("info"), "PUT", "/admin/v1/log-level", {"level": "info"}),
    ],
)
def test_what_is_sent(call: Call[Any], method: str, path: str, body: object) -> None:
    sent = None if call.body is None else json.loads(call.body)
    assert (call.method, call.path, sent) == (method, path, body)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("iris/blue@127.0.0.1:5001#1", "iris%2Fblue%40127.0.0.1%3A5001%231"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a?b", "a%3Fb"),
        ("ü", "%C3%BC"),
    ],
)
def test_a_name_leads_nowhere_else(name: str, part: str) -> None:
    assert calls.drain(name).path == f"/admin/v1/replicas/{part}/drain"
    assert calls.endpoint(name).path == f"/admin/v1/endpoints/{part}"


def test_a_key_is_not_in_a_calls_repr() -> None:
    call = calls.regenerate_key("iris", "primary", "secret-key-of-mine")
    assert "secret" not in repr(call)
    assert repr(call) == f"Call(POST {IRIS}/keys/primary/regenerate)"


def test_a_refusal_has_the_apis_code_and_message() -> None:
    with pytest.raises(AdministrationError) as caught:
        read(calls.keys("iris"), 409, b'{"error": {"code": "Conflict", "message": "somebody was faster"}}')
    error = caught.value
    assert (error.status, error.code, error.message, str(error)) == (409, "Conflict", *["somebody was faster"] * 2)


@pytest.mark.parametrize("status", [200, 302, 404, 500])
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"error": "no"}', b'{"primaryKey": "secret', b"\xff"])
def test_what_is_no_routers_reply_is_told_so_and_not_quoted(status: int, content: bytes) -> None:
    with pytest.raises(AdministrationError) as caught:
        read(calls.keys("iris"), status, content)
    assert (caught.value.code, caught.value.status) == ("BadReply", status)
    assert f"with status {status}, is not the internal port" in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None
