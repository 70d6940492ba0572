"""When did requests arrive, by a recorded trace?

Pure. Reads the lines of a CSV in the format of the Azure LLM inference traces (Azure Public Dataset; 2023, and 2024
with a time zone): `TIMESTAMP,ContextTokens,GeneratedTokens`, then rows as `2023-11-16 18:17:03.9799600,4808,10`.
Other columns may be there or not, in any order.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

MOMENT, TOKENS = "TIMESTAMP", "GeneratedTokens"


class TraceError(ValueError):
    """Says the file, the line and the rule."""


class Traced(NamedTuple):
    at_s: float
    """From the first request of the trace."""
    generated_tokens: int | None
    """None where the trace has no such column."""


def read_trace(lines: Iterable[str], name: str) -> list[Traced]:
    """All requests in the order of time, whatever the order of the rows. Raises TraceError; `name` is the file's."""
    rows = csv.reader(lines, strict=True)
    columns: list[str] = []
    found: list[tuple[datetime, int | None]] = []
    try:
        for row in rows:
            if not columns:
                columns = _columns(row)
            elif row:  # an empty line at the end is usual
                found.append(_request(row, columns, found[0][0] if found else None))
        if not found:
            raise TraceError("a trace has at least a header and one request")
    except (TraceError, csv.Error) as error:
        raise TraceError(f"{name}, line {max(1, rows.line_num)}: {error}") from None
    found.sort(key=lambda request: request[0])
    first = found[0][0]
    return [Traced((at - first).total_seconds(), tokens) for at, tokens in found]


def replay(trace: Sequence[Traced], speed: float = 1.0, limit_s: float = inf) -> list[float]:
    """Moments of the requests when it is played `speed` times as fast; those before `limit_s` of the playing."""
    moments = (request.at_s / speed for request in trace)
    return [moment for moment in moments if moment < limit_s]


def _columns(row: list[str]) -> list[str]:
    columns = [name.removeprefix("\ufeff").strip() for name in row]
    if MOMENT not in columns:
        raise TraceError(f"a trace begins with the names of its columns, one of them {MOMENT}: {','.join(row)!r}")
    return columns


def _request(row: list[str], columns: list[str], first: datetime | None) -> tuple[datetime, int | None]:
    if len(row) != len(columns):
        raise TraceError(f"a row has as many fields as the header, {len(columns)}: {','.join(row)!r}")
    fields = dict(zip(columns, row, strict=True))
    at = _moment(fields[MOMENT])
    if first is not None and (at.tzinfo is None) != (first.tzinfo is None):
        raise TraceError(f"{MOMENT} has a time zone in all rows or in none: {fields[MOMENT]!r}")
    return at, _tokens(fields[TOKENS]) if TOKENS in fields else None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise TraceError(f"{MOMENT} is a date and time such as 2023-11-16 18:17:03.9799600: {text!r}") from None


def _tokens(text: str) -> int:
    if not text.strip().isdecimal():
        raise TraceError(f"{TOKENS} is a whole number, not below 0: {text!r}")
    return int(text)
