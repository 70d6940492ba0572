"""Who asked for what, and what became of it?

I/O: one JSON line for each request, to standard output or a file. A request only leaves a record in memory; a thread
makes lines of them and writes them. Never in a record: credentials, bodies, query strings.

Several workers have one log, and each line stays whole. They take turns by a lock; and into a pipe goes no more at once
than it takes whole or not at all (PIPE_BUF), so that who is killed meanwhile leaves no half line before another's.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import PIPE_BUF

from msgspec import Struct
from msgspec.json import Encoder

from router.core.tally import Ledger

DROPPED_LINES = "dropped lines"
"""Name of their cell in the ledger."""
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

    def __init__(self, where: str, ledger: Ledger, lock: Path | None = None) -> None:
        """`where`: `-` for standard output, else a file to append to. `lock`: a file, where other processes write to
        the same. Raises OSError."""
        (self._dropped,) = ledger.open((DROPPED_LINES,), 1)
        self._waiting: deque[Record] = deque()
        self._out = sys.stdout.fileno() if where == "-" else _open(Path(where))
        self._closes = where != "-"
        self._lock = None if lock is None else _open(lock)
        self._is_pipe = stat.S_ISFIFO(os.fstat(self._out).st_mode)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, name="access-log", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._dropped[0] += 1
        else:
            self._waiting.append(record)

    @property
    def dropped(self) -> int:
        """Lines, ever."""
        return int(self._dropped[0])

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(_CLOSE_WITHIN_S)
        if self._thread.is_alive():  # its reader takes nothing: the thread ends with the process
            self._dropped[0] += len(self._waiting)
            return
        if self._lock is not None:
            os.close(self._lock)
        if self._closes:
            os.close(self._out)

    def _write_until_stopped(self) -> None:
        encoder = Encoder()
        while not self._stopping.wait(_EVERY_S):
            self._flush(encoder)
        self._flush(encoder)

    def _flush(self, encoder: Encoder) -> None:
        while waiting := self._waiting:
            lines = [waiting.popleft() for _ in range(min(len(waiting), _LINES_AT_ONCE))]
            try:
                with self._turn():
                    self._write(encoder.encode_lines(lines))
            except OSError:  # a reader that went away, a full disk: requests go on
                self._dropped[0] += len(lines)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """While no other worker writes."""
        if self._lock is None:
            yield
            return
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _write(self, lines: bytes) -> None:
        for piece in _whole_lines(lines) if self._is_pipe else (lines,):
            data = memoryview(piece)
            while data:
                data = data[os.write(self._out, data) :]


def _whole_lines(lines: bytes) -> Iterator[bytes]:
    """In pieces that a pipe takes whole or not at all; a longer line is alone in its piece."""
    begin = 0
    while begin < len(lines):
        end = lines.rfind(b"\n", begin, begin + PIPE_BUF) + 1 or lines.find(b"\n", begin) + 1
        yield lines[begin:end]
        begin = end


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
