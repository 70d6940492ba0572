"""What is one thing that the administration does, seen from outside?

I/O: reads the request. An operation as data: what serves it, what describes it (openapi.py) and what is written into
the audit log about it are the same; and how what was asked is read, strictly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request

from router.administration.parts import Parts
from router.administration.refusals import Refusal, bad_request

MAX_BODY_BYTES = 65_536
BODY_TIMEOUT_S = 10.0

_MEDIA_TYPE = "application/json"

Method = Literal["GET", "PUT", "POST", "DELETE"]


class Whole(NamedTuple):
    """A query parameter: a whole number."""

    least: int
    most: int
    default: int


class OneOf(NamedTuple):
    """A query parameter: one of these words, the first when it is not given."""

    words: tuple[str, ...]


class Call:
    """What was asked. `told` is what the audit line says besides who, what and how it ended: nothing secret."""

    def __init__(self, path: Mapping[str, str], now_s: float) -> None:
        self.path = path
        self.now_s = now_s
        self.query: dict[str, Any] = {}
        self.body: Any = None
        self.told: dict[str, Any] = {}

    def told_change(self, before: Any, after: Any) -> None:
        self.told |= {"from": before, "to": after}


class Answer(NamedTuple):
    content: Any
    status: int = 200


Act = Callable[[Parts, Call], Awaitable[Answer]]


class Operation(Struct, frozen=True, kw_only=True):
    method: Method
    path: str
    """In Starlette's spelling, below the root of the API."""
    name: str
    summary: str
    act: Act
    reply: Any
    """The type of what it answers; a tuple of types where it is one of them."""
    body: type[Struct] | None = None
    query: Mapping[str, Whole | OneOf] = {}
    also: tuple[int, ...] = ()
    """Statuses beside 200 and those that its shape brings with it."""
    is_audited: bool = False
    """It changes something, or shows a secret."""
    is_open: bool = False
    """Without a key."""


def read_query(request: Request, allowed: Mapping[str, Whole | OneOf]) -> dict[str, Any]:
    """Every parameter, the default of those that are not given. Raises Refusal."""
    values: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise bad_request(f"The query has {name[:40]!r}, but known are: {known}.")
        if name in values:
            raise bad_request(f"The query has {name} more than once.")
        values[name] = _read_parameter(name, text, allowed[name])
    for name, rule in allowed.items():
        values.setdefault(name, rule.default if isinstance(rule, Whole) else rule.words[0])
    return values


def _read_parameter(name: str, text: str, rule: Whole | OneOf) -> int | str:
    if isinstance(rule, OneOf):
        if text in rule.words:
            return text
        raise bad_request(f"{name} is {text[:40]!r}; it must be {' or '.join(rule.words)}.")
    if text.isascii() and text.isdigit() and len(text) <= len(str(rule.most)) and rule.least <= int(text) <= rule.most:
        return int(text)
    raise bad_request(f"{name} is {text[:40]!r}; it must be a whole number from {rule.least} to {rule.most}.")


async def read_body(request: Request, kind: type[Struct] | None) -> Any:
    """As that kind; nothing at all is an empty object. None where no body is wanted: what comes is left unread.

    Raises Refusal, which quotes nothing of it but the name of a field.
    """
    if kind is None:
        return None
    content = await _received(request)
    if content and _media_type(request) not in ("", _MEDIA_TYPE):
        raise Refusal(415, "UnsupportedMediaType", f"The body must be {_MEDIA_TYPE}.")
    try:
        return msgspec.convert(_with_whole_numbers(msgspec.json.decode(content or b"{}")), kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"The body is not as it must be: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("The body must be a JSON object, in UTF-8.") from None


def _with_whole_numbers(value: Any) -> Any:
    """In JSON, 5.0 is a whole number, too."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(each) for name, each in value.items()}
    return value


async def _received(request: Request) -> bytes:
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                content += piece
                if len(content) > MAX_BODY_BYTES:
                    raise Refusal(413, "PayloadTooLarge", f"The body may have {MAX_BODY_BYTES:,} bytes; it has more.")
    except TimeoutError:
        raise Refusal(408, "RequestTimeout", f"The body took more than {BODY_TIMEOUT_S:.0f} s to come.") from None
    except ClientDisconnect:
        raise bad_request("The body is not whole: the client left.") from None
    return bytes(content)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
