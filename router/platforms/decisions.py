"""What did the autoscaler decide lately on this machine?

I/O: the ends of its journals, which are in `decisions/` below the state directory: a file for each deployment and one
older file beside it, whose lines are JSON objects (docs/operations.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from router.platforms import PlatformError

MOST = 1_000
"""Decisions told at once."""
MAX_READ_BYTES = 8 * 2**20
"""Of one file."""


def last_decisions(state_dir: Path, endpoint: str, deployment: str, last: int) -> list[Any]:
    """The newest last; none where none is recorded. A line that is none, or is not finished, is left out."""
    file = state_dir / "decisions" / f"{endpoint}.{deployment}.jsonl"
    wanted = max(0, min(last, MOST))
    found: list[Any] = []
    for path in (file, file.with_name(f"{file.name}.1")):
        for record in _newest_first(path):
            if len(found) == wanted:
                return found[::-1]
            found.append(record)
    return found[::-1]


def _newest_first(path: Path) -> Iterator[Any]:
    for line in reversed(_end_of(path).split(b"\n")[:-1]):
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(record, dict) and record.get("type") == "decision":
            yield record


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_READ_BYTES))
            return file.read(MAX_READ_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise PlatformError(f"{path} can't be read: {error.strerror}") from error
