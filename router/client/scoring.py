"""How is a score asked for, and what does the reply say?

Pure. A request to an endpoint's own URLs, and its reply read as JSON, or as an error with all that helps to find it
again. A key or a token is in no message and in no repr().
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

DEPLOYMENT_HEADER = "azureml-model-deployment"
_SENDABLE = re.compile(r"[!-~]+")
_SHOWN = 1_000
"""Characters of a reply that is no error of the router's."""


class ScoringError(Exception):
    """There is no score. `code` is the router's, as in `Unauthorized`; `Model` where the model answered so itself;
    `Unreachable` or `TimedOut`, with no `status`, where nobody did."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        """As the router's log has it."""
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        known = {"status": self.status, "request": self.request_id}
        details = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
        return f"{self.message} ({details})" if details else self.message


class Send(NamedTuple):
    """A request below the URL of the router."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None = None

    def __repr__(self) -> str:
        return f"Send({self.method} {self.path})"


class Replied(NamedTuple):
    """`headers` are found whatever their case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def is_sendable(text: str) -> bool:
    """Whether it may be in a header; what may not would be quoted by whoever refuses it."""
    return _SENDABLE.fullmatch(text) is not None


def path_of(endpoint: str, page: str) -> str:
    return f"/api/v1/endpoint/{endpoint}/{page}"


def scoring(endpoint: str, input_data: object, deployment: str | None, credential: str) -> Send:
    """`input_data`: bytes and str go as they are, anything else as JSON."""
    headers = {"content-type": "application/json", **_authorization(credential)}
    if deployment is not None:
        if not is_sendable(deployment):
            raise ValueError(f"{deployment[:40]!r} is not the name of a deployment")
        headers[DEPLOYMENT_HEADER] = deployment
    return Send("POST", path_of(endpoint, "score"), headers, _encoded(input_data))


def swagger(endpoint: str, credential: str) -> Send:
    return Send("GET", path_of(endpoint, "swagger.json"), _authorization(credential))


def is_refused(reply: Replied) -> bool:
    """Whether the router refused the credential, and no model has seen the request: one may answer 401 itself."""
    return reply.status == 401 and "www-authenticate" in reply.headers and _error(reply).code == "Unauthorized"


def value(reply: Replied) -> Any:
    """JSON read, or bytes where the reply is none. Raises ScoringError."""
    if not 200 <= reply.status < 300:
        raise _error(reply)
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if kind and not is_json:
        return reply.content
    try:
        return json.loads(reply.content)
    except ValueError:
        if is_json:
            raise _described(reply, "Model", "The reply says that it is JSON, and is not.") from None
        return reply.content


def _error(reply: Replied) -> ScoringError:
    if 300 <= reply.status < 400:
        place = reply.headers.get("location", "elsewhere")
        return _described(reply, "Redirect", f"The router redirects to {place[:_SHOWN]}: is the url right?")
    try:
        error = msgspec.json.decode(reply.content, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        text = reply.content[:_SHOWN].decode("utf-8", "replace")
        return _described(reply, "Model", text or "The reply is empty.")
    return _described(reply, error.code, error.message)


def _described(reply: Replied, code: str, message: str) -> ScoringError:
    wait = reply.headers.get("retry-after", "")
    return ScoringError(
        message,
        code=code,
        status=reply.status,
        request_id=reply.headers.get("x-ms-request-id") or reply.headers.get("x-request-id"),
        retry_after_s=int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 10 else None,
    )


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


def _authorization(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"} if credential else {}


def _encoded(input_data: object) -> bytes:
    if isinstance(input_data, bytes | bytearray | memoryview):
        return bytes(input_data)
    return (input_data if isinstance(input_data, str) else json.dumps(input_data)).encode()
