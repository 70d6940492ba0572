"""Which documents does this file hold?

I/O: reads one JSON or YAML file that came from elsewhere. Its size and depth are bounded, and what can be read in two
ways (a key given twice) or grows without end (aliases) is refused. No message repeats a value: it may be a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from router.platforms import PlatformError

_LARGEST_FILE_BYTES = 4 * 1024 * 1024
_DEEPEST = 32
_PYTHON = (".py", ".ipynb")

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML built without libyaml has only the slow one


class UnreadableError(PlatformError):
    """The file can't be read, and why."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class _BrokenError(ValueError):
    """Told by its text alone."""


def read_documents(path: Path) -> list[object]:
    """The documents of a UTF-8 file, without the empty ones; the items of a list at the top are documents, too.

    Raises UnreadableError.
    """
    if path.suffix in _PYTHON:
        raise UnreadableError(
            path,
            "is Python, and only JSON and YAML can be read: write the keyword arguments of deploy_configuration(...) "
            "as a mapping, or let Python print the object that runs: print(json.dumps(webservice.serialize()))",
        )
    try:
        documents = _documents(_text(path), is_json=path.suffix == ".json")
    except OSError as error:
        raise UnreadableError(path, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(path, f"is not UTF-8 text: byte {error.start + 1}") from None
    except _BrokenError as error:
        raise UnreadableError(path, str(error)) from None
    if not documents:
        raise UnreadableError(path, "is empty")
    return documents


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES:
        raise _BrokenError(f"has more than {_LARGEST_FILE_BYTES} bytes, which is the limit")
    return content.decode("utf-8-sig")


def _documents(text: str, is_json: bool) -> list[object]:
    if is_json or text.lstrip()[:1] in ("{", "["):
        try:
            found = [_json(text)]
        except _BrokenError:
            if is_json:
                raise
            found = _yaml(text)  # which writes mappings with braces, too
    else:
        found = _yaml(text)
    listed = [item for document in found for item in (document if isinstance(document, list) else [document])]
    return [document for document in listed if document is not None]


def _json(text: str) -> object:
    try:
        found: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _BrokenError(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _BrokenError(_TOO_DEEP) from None
    except _BrokenError:
        raise
    except ValueError:  # a number of thousands of digits
        raise _BrokenError("is not JSON that can be used: a number in it is too long") from None
    if _depth(found) > _DEEPEST:
        raise _BrokenError(_TOO_DEEP)
    return found


_TOO_DEEP = f"is nested more than {_DEEPEST} deep, which is the limit"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _BrokenError(f"{name!r} is given twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise _BrokenError(f"is not JSON: {name} is no number")


def _depth(value: object) -> int:
    """In steps, not calls, up to what is too deep."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
        depth += 1
    return depth


def _yaml(text: str) -> list[object]:
    try:
        _check_events(text)
        loader = _Loader(text)
        documents: list[object] = []
        while loader.check_node():
            node: Any = loader.get_node()
            for problem in _given_twice(node):
                raise _BrokenError(problem)
            documents.append(loader.construct_document(node))
        return documents
    except yaml.YAMLError as error:
        raise _BrokenError(_where(error)) from None
    except _BrokenError:
        raise
    except (ValueError, TypeError):  # a value that Python has no object for, as the 31st of June; a mapping as a key
        raise _BrokenError("is not YAML that can be used: a value in it has no meaning") from None


def _check_events(text: str) -> None:
    """Before anything is built: the C composer has no limit of its own and overruns its stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) is not None:  # an alias has the name of its anchor here, too
            raise _BrokenError(f"{_line(event)}: an anchor or alias, but every value must be written out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise _BrokenError(f"{_line(event)}: {_TOO_DEEP}")


def _given_twice(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _given_twice(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, str] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    yield f"{_line(key)}: {key.value!r} given again, {lines[key.value]} has it already"
                lines.setdefault(key.value, _line(key))
            yield from _given_twice(value)


def _line(marked: yaml.Event | yaml.Node) -> str:
    return f"line {marked.start_mark.line + 1}" if marked.start_mark else "no line"


def _where(error: yaml.YAMLError) -> str:
    """`line 3, column 7: what`; yaml's own text has a piece of the file in it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"is not YAML: line {mark.line + 1}, column {mark.column + 1}: {error.problem or 'not YAML'}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"is not YAML: character {error.position + 1}: {error.reason}"
    return "is not YAML"
