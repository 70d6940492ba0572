"""What was decided, on what grounds, and where is that written?

I/O: one file for each deployment, `<endpoint>.<deployment>.jsonl`, and one older file beside it, readable by their
owner only. A line is a record (records.py). A decision that says nothing new is not written again, but at least once
a minute. Those on the router's own size are in `router.jsonl`, each of them: they are few.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from autoscaler.observation import Decision, Observation
from autoscaler.records import Decided, Outcome, Record, Sized, SizeTerms, Terms
from autoscaler.self_observation import SelfScaling, SizeDecision, SizeSeen
from router.core.model import Deployment, ScaleSettings

MAX_FILE_BYTES = 8 * 2**20
MAX_LINE_BYTES = 2**20
SAY_AGAIN_S = 60.0
ROUTER = "router"
"""Stands for the router itself, where others are `endpoint/deployment`."""
_SUFFIX = ".jsonl"


class JournalError(Exception):
    """A journal that can't be used; the message names the file, the line and the rule."""


class BadLine(NamedTuple):
    complaint: str
    """File, line and rule."""


class _File:
    """The file of one deployment, open to append."""

    def __init__(self, path: Path) -> None:
        """A line that an earlier process did not finish is cut off. Raises OSError."""
        self._path = path
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.size_bytes = os.fstat(self._descriptor).st_size
        begin = max(0, self.size_bytes - MAX_LINE_BYTES)
        end = os.pread(self._descriptor, MAX_LINE_BYTES, begin)
        torn = len(end) - (end.rfind(b"\n") + 1)
        if torn:
            self.size_bytes -= torn
            os.ftruncate(self._descriptor, self.size_bytes)

    def is_there(self) -> bool:
        """Whether what is written can still be found: nobody has removed it."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def write(self, line: bytes) -> None:
        """Raises OSError."""
        written = os.write(self._descriptor, line)
        self.size_bytes += written
        if written < len(line):
            raise OSError(f"{self._path} can't be written: the disk is full")

    def turn_over(self) -> None:
        """Begin anew; what there is becomes the older file. Raises OSError."""
        os.replace(self._path, older(self._path))
        self.close()
        self._open()

    def close(self) -> None:
        os.close(self._descriptor)


class _Page:
    """What of one deployment is written, and what was written last."""

    def __init__(self, path: Path) -> None:
        self.file = _File(path)
        self.terms: Terms | SizeTerms | None = None
        self.last: Decided | None = None

    def has_other_terms(self, terms: Terms | SizeTerms) -> bool:
        return self.terms is None or replace(self.terms, time=terms.time) != terms

    def write(self, terms: Terms | SizeTerms, record: Decided | Sized) -> None:
        """Raises OSError."""
        line = msgspec.json.encode(record) + b"\n"
        changed = self.has_other_terms(terms)
        if self.file.size_bytes + len(line) > MAX_FILE_BYTES:
            self.file.turn_over()
        if changed or self.file.size_bytes == 0:
            self.file.write(msgspec.json.encode(terms) + b"\n")
            self.terms = terms
        self.file.write(line)


class Journal:
    """Below `folder`, which appears with the first decision."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pages: dict[str, _Page] = {}

    def append(
        self, deployment: Deployment, seen: Observation, decision: Decision, outcome: Outcome, fault: str
    ) -> None:
        """Raises OSError; the file is opened anew then, at the next decision."""
        now = round(time.time(), 3)  # noqa: TID251 - a log's time is the calendar's
        decided = Decided(time=now, seen=_rounded(seen), decision=decision, outcome=outcome, fault=fault)
        try:
            page = self._page(deployment.key)
            terms = _terms(deployment, now)
            if page.last is None or page.has_other_terms(terms) or not _says_the_same(page.last, decided):
                page.write(terms, decided)
                page.last = decided
        except OSError:
            self.forget(deployment.key)
            raise

    def append_size(
        self, settings: SelfScaling, seen: SizeSeen, decision: SizeDecision, outcome: Outcome, fault: str
    ) -> None:
        """Of the router itself. Raises OSError, as `append`."""
        now = round(time.time(), 3)  # noqa: TID251 - a log's time is the calendar's
        record = Sized(time=now, seen=seen, decision=decision, outcome=outcome, fault=fault)
        try:
            self._page(ROUTER).write(SizeTerms(time=now, settings=settings), record)
        except OSError:
            self.forget(ROUTER)
            raise

    def forget(self, key: str) -> None:
        """This deployment is gone; its file stays."""
        if (page := self._pages.pop(key, None)) is not None:
            with suppress(OSError):
                page.file.close()

    def close(self) -> None:
        for key in list(self._pages):
            self.forget(key)

    def _page(self, key: str) -> _Page:
        page = self._pages.get(key)
        if page is not None and not page.file.is_there():
            self.forget(key)
        if key not in self._pages:
            _make(self._folder)
            self._pages[key] = _Page(journal_file(self._folder, key))
        return self._pages[key]


def journals(state_dir: Path) -> Path:
    """The folder with all of them."""
    return state_dir / "decisions"


def journal_file(folder: Path, key: str) -> Path:
    return folder / f"{key.replace('/', '.')}{_SUFFIX}"


def journal_of(folder: Path, name: str) -> tuple[str, Path]:
    """Key and file of the deployment `blue` or `iris/blue`, or of the `router`.

    Raises JournalError, with the names that there are, unless exactly one is meant.
    """
    keys = sorted(path.name.removesuffix(_SUFFIX).replace(".", "/") for path in folder.glob(f"*{_SUFFIX}"))
    if not keys:
        raise JournalError(
            f"No decision is recorded in {folder}: `scoregate up FILE` records them for deployments with scaleSettings."
        )
    meant = [key for key in keys if name in (key, key.partition("/")[2])]
    if name in keys:
        meant = [name]
    if not meant:
        raise JournalError(f"No decision on {name} is recorded in {folder}; there are: {', '.join(keys)}.")
    if len(meant) > 1:
        raise JournalError(f"Several deployments are called {name}; say which: {', '.join(meant)}.")
    return meant[0], journal_file(folder, meant[0])


def older(path: Path) -> Path:
    """The file that was full before this one."""
    return path.with_name(f"{path.name}.1")


def read(path: Path) -> Iterator[Record | BadLine]:
    """Line by line. A last line without its end is being written, or never was: it is left out.

    Raises JournalError for a file that can't be read at all.
    """
    decoder = msgspec.json.Decoder(Record)
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if not line.endswith(b"\n"):
                    if len(line) < MAX_LINE_BYTES:
                        return
                    raise JournalError(f"{path}, line {number}: it must be at most {MAX_LINE_BYTES} bytes long")
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    yield BadLine(f"{path}, line {number}: {error}")
    except OSError as error:
        raise JournalError(f"{path} can't be read: {error.strerror}") from error


def _terms(deployment: Deployment, now: float) -> Terms:
    settings = deployment.scale or ScaleSettings()
    concurrency = deployment.request.max_concurrent_requests_per_instance
    return Terms(time=now, deployment=deployment.key, concurrency=concurrency, settings=settings)


def _rounded(seen: Observation) -> Observation:
    """To milliseconds: what is beyond makes lines long, and nothing clear."""
    return replace(
        seen,
        at_s=round(seen.at_s, 3),
        starting=tuple(round(since_s, 3) for since_s in seen.starting),
        held_seconds_total=round(seen.held_seconds_total, 3),
        start_s=None if seen.start_s is None else round(seen.start_s, 3),
        heard_s=None if seen.heard_s is None else round(seen.heard_s, 3),
    )


def _says_the_same(last: Decided, decided: Decided) -> bool:
    """Nothing but time has passed, and not much of it."""
    if not 0 <= decided.seen.at_s - last.seen.at_s < SAY_AGAIN_S:
        return False
    return _timeless(last) == _timeless(decided)


def _timeless(decided: Decided) -> Decided:
    seen = replace(decided.seen, at_s=0.0, heard_s=None, starting=(0.0,) * len(decided.seen.starting))
    return replace(decided, time=0.0, seen=seen)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
