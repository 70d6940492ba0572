"""What becomes of each field of a document that was written for another router?

Pure. A table says it for every field that is known: taken, left out with a reason, or of no account. No field goes
unmentioned: one that is in no table is told, too. Values are shown only where they are numbers or booleans, for a text
may be a key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_LONGEST = 60


class Take(NamedTuple):
    """The field goes on under this name."""

    name: str


class Leave(NamedTuple):
    """The field has no counterpart: why, and what to do instead."""

    why: str


class Pass(NamedTuple):
    """The field says nothing that would be lost."""


Fate = Take | Leave | Pass
Table = Mapping[str, Fate]
"""By path, `request_settings.max_queue_wait_ms`. A field that is a mapping is entered only if the table goes there."""


class Given(NamedTuple):
    """A value, and where it was said: the file and the path in it."""

    value: Any
    file: str
    path: str

    def complaint(self, rule: str) -> str:
        value = f"{shown(self.value)}, but it " if shown(self.value) else ""
        return f"{self.file}: {self.path}: {value}{rule}"


@dataclass(frozen=True)
class Findings:
    """What is to be told of everything that was read: warnings lose something, problems stop the import."""

    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def shown(value: object) -> str:
    """`true`, `7`, `0.5`; nothing for what may be a secret or is long."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:_LONGEST] if isinstance(value, int | float) else ""


def plain(name: object) -> str:
    """A name as a message may show it: one line, no control characters, not long."""
    text = str(name)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def sort(document: Mapping[Any, Any], table: Table, file: str, findings: Findings) -> dict[str, Given]:
    """What is taken of the document, by its new name. A null is the same as nothing given."""
    taken: dict[str, Given] = {}
    left: dict[str, list[str]] = {}
    for path, value in _leaves(document, table, ""):
        match table.get(path):
            case Take(name):
                if name in taken:
                    findings.problems.append(f"{file}: {path}: given beside {taken[name].path}, which means the same")
                taken[name] = Given(value, file, path)
            case Leave(why):
                if value not in (False, "", [], {}):  # where nothing is on, nothing is lost
                    left.setdefault(why, []).append(_with_value(path, value))
            case Pass():
                pass
            case None if _subpaths(table, path):
                findings.problems.append(Given(value, file, path).complaint("must be a mapping"))
            case None:
                findings.warnings.append(f"{file}: {plain(path)}: not carried over: unknown field{_hint(path, table)}")
    findings.warnings.extend(f"{file}: {', '.join(names)}: not carried over: {why}" for why, names in left.items())
    return taken


def _leaves(document: Mapping[Any, Any], table: Table, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        path = f"{prefix}{name}"
        if value is None:
            continue
        if path not in table and isinstance(value, dict) and _subpaths(table, path):
            yield from _leaves(value, table, f"{path}.")
        else:
            yield path, value


def _subpaths(table: Table, path: str) -> bool:
    return any(known.startswith(f"{path}.") for known in table)


def _with_value(path: str, value: object) -> str:
    return f"{path}: {shown(value)}" if shown(value) else path


def _hint(path: str, table: Table) -> str:
    close = difflib.get_close_matches(path[:100], list(table), n=1, cutoff=0.8)
    return f", did you mean {close[0]}?" if close else ""
