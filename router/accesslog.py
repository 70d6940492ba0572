"""Who asked for what, and what became of it?

I/O: one JSON line for each request, to standard output or a file. A request only leaves a record in memory; a thread
makes lines of them and writes them. Never in a record: credentials, bodies, query strings.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from pathlib import Path

from msgspec import Struct
from msgspec.json import Encoder

_MAX_WAITING = 100_000
_EVERY_S = 0.2
_CLOSE_WITHIN_S = 5.0
_LINES_AT_ONCE = 200
"""Made without letting go of the interpreter: few enough not to be felt by a request."""


class Record(Struct, rename="camel", omit_defaults=True):
    """One request. Times in milliseconds, sizes in bytes of body."""

    time: float
    """Seconds since the epoch at its end."""
    request_id: str
    method: str
    path: str
    """Without the query, which may hold secrets."""
    status: int
    duration_ms: float
    client: str = ""
    endpoint: str = ""
    deployment: str = ""
    replica: str = ""
    consumer: str = ""
    """The name of the key; primary and secondary have theirs; `token` or `jwt` for a token."""
    attempts: int = 0
    queue_ms: float = 0.0
    overhead_ms: float = 0.0
    request_bytes: int = 0
    reply_bytes: int = 0
    client_request_id: str = ""
    trace: str = ""
    code: str = ""
    """Of the error, when the router itself replied."""
    error: str = ""


class AccessLog:
    """Open it, `append` records, `close` it: all that were appended are written then, as far as the disk lets us."""

    def __init__(self, where: str) -> None:
        """`where`: `-` for standard output, else a file to append to. Raises OSError."""
        self.dropped = 0
        self._waiting: deque[Record] = deque()
        self._out = sys.stdout.fileno() if where == "-" else _open(Path(where))
        self._closes = where != "-"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, name="access-log", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self.dropped += 1
        else:
            self._waiting.append(record)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(_CLOSE_WITHIN_S)
        if self._thread.is_alive():  # its reader takes nothing: the thread ends with the process
            self.dropped += len(self._waiting)
        elif self._closes:
            os.close(self._out)

    def _write_until_stopped(self) -> None:
        encoder = Encoder()
        while not self._stopping.wait(_EVERY_S):
            self._flush(encoder)
        self._flush(encoder)

    def _flush(self, encoder: Encoder) -> None:
        while waiting := self._waiting:
            lines = [waiting.popleft() for _ in range(min(len(waiting), _LINES_AT_ONCE))]
            data = memoryview(encoder.encode_lines(lines))
            try:
                while data:
                    data = data[os.write(self._out, data) :]
            except OSError:  # a reader that went away, a full disk: requests go on
                self.dropped += len(lines)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
