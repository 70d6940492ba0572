"""What did administrators do?

I/O: the log. One JSON object on one line for each change, each reading of a key, each token, and each request that was
refused at the door; never a key or a token. Control characters, and all that is not ASCII, are escaped: nobody can
write a second line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_TEXT_CHARACTERS = 200

_log = logging.getLogger("scoregate.audit")
_log.setLevel(logging.INFO)  # whatever the level of the others: this is no diagnosis


def write(now_s: float, client: str, action: str, told: Mapping[str, Any], status: int, code: str) -> None:
    """`told`: the thing, and what became of it. `code`: of the refusal, "" for none; `status` 0: it was cut off."""
    line: dict[str, Any] = {"time": shown_time(now_s), "client": client, "action": action}
    line |= {name: _short(value) for name, value in told.items()}
    line |= {"status": status, "outcome": _outcome(status)} | ({"code": code} if code else {})
    _log.info("%s", json.dumps(line))


def shown_time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _outcome(status: int) -> str:
    if not status:
        return "interrupted"
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"


def _short(value: Any) -> Any:
    """As plain objects, the text in them cut."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS else value[: MAX_TEXT_CHARACTERS - 1] + "…"
    if isinstance(value, Mapping):
        return {_short(name): _short(each) for name, each in value.items()}
    return msgspec.to_builtins(value)
