"""Which endpoints does this file declare?

I/O: reads and watches one YAML file. It may come from anybody who can edit it, so its size and depth are bounded,
and what YAML lets mean two things (a key given twice) or grow without end (aliases) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from router.core.declare import DeclarationError, declared_endpoints
from router.core.model import Endpoint
from router.platforms import PlatformError

_LARGEST_FILE_BYTES = 16 * 1024 * 1024
_DEEPEST = 32
"""Objects in objects; a declaration has 7. The C composer has no limit of its own and overruns its stack."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML built without libyaml has only the slow one


class EndpointsFileError(PlatformError):
    """The file can't be used. The message is its path and then one line for each problem."""

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join([f"{path}: {problems[0]}", *problems[1:]]))
        self.problems = problems


def load_endpoints(path: Path) -> tuple[Endpoint, ...]:
    """The endpoints of a UTF-8 YAML file, one for each document; empty documents are passed over.

    Raises EndpointsFileError.
    """
    try:
        return declared_endpoints(_documents(_read(path)))
    except OSError as error:
        raise EndpointsFileError(path, (f"can't be read: {error.strerror}",)) from error
    except DeclarationError as error:
        raise EndpointsFileError(path, error.problems) from error
    except yaml.YAMLError as error:
        raise EndpointsFileError(path, (_where(error),)) from error
    except ValueError as error:  # UTF-8, or a YAML value that Python has no object for, as the 31st of June
        raise EndpointsFileError(path, (f"can't be read: {error}",)) from error


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES:
        raise DeclarationError([f"has more than {_LARGEST_FILE_BYTES} bytes, which is the limit"])
    return content.decode("utf-8-sig")


def _documents(text: str) -> list[object]:
    """Raises DeclarationError or what yaml raises."""
    if problems := list(_event_problems(text)):
        raise DeclarationError(problems)
    loader = _Loader(text)
    documents: list[object] = []
    problems = []
    while loader.check_node():
        node: Any = loader.get_node()
        problems += _duplicate_keys(node)
        documents.append(loader.construct_document(node))
    if problems:
        raise DeclarationError(problems)
    return [document for document in documents if document is not None]


def _event_problems(text: str) -> Iterator[str]:
    """Looks at the stream before anything is built of it; only the first that is too deep is told."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        anchor = getattr(event, "anchor", None)  # an alias has the name of its anchor here, too
        if anchor is not None:
            yield f"{_line(event)}: anchor or alias {anchor!r}, but every value must be written out"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            yield f"{_line(event)}: nested more than {_DEEPEST} deep, which is the limit"
            return


def _duplicate_keys(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, str] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no mapping of ours has such keys: building it will fail
            if key.value in lines:
                yield f"{_line(key)}: {key.value!r} given again, {lines[key.value]} has it already"
            lines.setdefault(key.value, _line(key))
            yield from _duplicate_keys(value)


def _line(marked: yaml.Event | yaml.Node) -> str:
    return f"line {marked.start_mark.line + 1}" if marked.start_mark else "no line"


def _where(error: yaml.YAMLError) -> str:
    """`line 3, column 7: what`; yaml's own text has the mark of a `unicode string` in it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, what = error.problem_mark, error.problem or "not YAML"
        return f"line {mark.line + 1}, column {mark.column + 1}: {what}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1}: {error.reason}"
    return str(error)


class WatchedFile:
    """Tells when a file was written, replaced, removed or came back. Also of a folder: when its list of files was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = self._state()
        self._unsettled = True

    def changed(self) -> bool:
        """Whether anything happened since the last call; the first time, since this watch began."""
        before, self._last = self._last, self._state()
        return self._last != before

    def settled(self) -> bool:
        """Whether it changed since this was last true, and has rested since the last call: it is not half written.

        True once at first: a file may have changed twice within the clock tick in which it was last read.
        """
        if self.changed():
            self._unsettled = True
            return False
        settled, self._unsettled = self._unsettled, False
        return settled

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
