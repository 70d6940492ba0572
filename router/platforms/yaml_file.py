"""Which documents does this file of YAML hold?

I/O: reads one file. It may come from anybody, so its size and depth are bounded, and what YAML lets mean two things (a
key given twice) or grow without end (aliases) is refused. No message repeats a value, nor what stands where one was
meant (`!hunter2` is a tag): it may be a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from router.platforms import PlatformError

_LARGEST_FILE_BYTES = 16 * 1024 * 1024
DEEPEST = 32
"""Objects in objects; a declaration has 7."""
TOO_DEEP = f"nested more than {DEEPEST} deep, which is the limit"


class FileError(PlatformError):
    """The file can't be used. The message is its path and then one line for each problem."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__("\n".join([f"{path}: {problems[0]}", *problems[1:]]))


class BadText(ValueError):
    """What is wrong with a text, one line for each thing to mend, each with its place."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_text(path: Path) -> str:
    """Of UTF-8, with or without a byte order mark. Raises FileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise FileError(path, [f"can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise FileError(path, [f"is not UTF-8 text: byte {error.start + 1}"]) from None
    if len(content) > _LARGEST_FILE_BYTES:
        raise FileError(path, [f"has more than {_LARGEST_FILE_BYTES} bytes, which is the limit"])
    return text


def yaml_documents(text: str) -> list[object]:
    """As plain objects, the empty ones left out. Raises BadText."""
    try:
        if problems := list(_event_problems(text)):
            raise BadText(*problems)
        loader = _Loader(text)
        documents: list[object] = []
        while loader.check_node():
            node = loader.get_node()
            problems += _given_twice(node)
            documents.append(loader.construct_document(node))
    except yaml.YAMLError as error:
        raise BadText(_where(error)) from None
    if problems:
        raise BadText(*problems)
    return [document for document in documents if document is not None]


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML built without libyaml has only the slow one


class _Loader(_Safe):  # type: ignore[misc]  # either of two
    """What the library can't make of a value, it tells in as many kinds of errors, or with the value in its words."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ConstructorError as error:
            mark = error.problem_mark or node.start_mark
            raise ConstructorError(None, None, _without_value(error.problem or ""), mark) from None
        except (
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            ArithmeticError,
        ):  # the 31st of June, `!!bool maybe`
            raise ConstructorError(None, None, "a value that means nothing", node.start_mark) from None


def _event_problems(text: str) -> Iterator[str]:
    """Looks at the stream before anything is built of it, for the C composer has no limit and overruns its stack; only
    the first that is too deep is told."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) is not None:  # an alias has the name of its anchor here, too
            yield f"{_line(event)}: an anchor or alias, but every value must be written out"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            yield f"{_line(event)}: {TOO_DEEP}"
            return


def _given_twice(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _given_twice(item)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, str] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no mapping of ours has such keys: building it fails
            if key.value in lines:
                yield f"{_line(key)}: {key.value!r} given again, {lines[key.value]} has it already"
            lines.setdefault(key.value, _line(key))
            yield from _given_twice(value)


def _line(marked: yaml.Event | yaml.Node) -> str:
    return f"line {marked.start_mark.line + 1}" if marked.start_mark else "no line"


def _where(error: yaml.YAMLError) -> str:
    """yaml's own text has a piece of the file in it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {error.problem or 'it makes no sense'}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1}: not YAML: {error.reason}"
    return "not YAML"


def _without_value(problem: str) -> str:
    """`could not determine a constructor for the tag '!hunter2'` without the tag."""
    return problem.partition("'")[0].rstrip()
