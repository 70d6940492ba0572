"""Which rules of the house can a machine check?

Pure. Each law takes one source file and yields its offences, `path:line: what`. A rule is bent with a reason beside
it: a comment `# house: <reason>` on the line that the offence is told for.
"""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 45
VAGUE_NAMES = frozenset(("utils", "util", "helpers", "helper", "common", "manager", "managers", "base"))
OUTSIDE_WORLD = frozenset(("asyncio", "socket", "ssl", "time", "random", "logging", "os", "threading"))
UNUSED_WORDS = (
    ("replica", "set"),
    ("service",),
    ("backend",),
    ("target",),
    ("manager",),
    ("handler",),
    ("controller",),
)

_BENT = re.compile(r"#.*\bhouse: \S")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_QUESTION = re.compile(r"[A-Z]([^.!?]|\.(?=\S))*\?( .*)?")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Offences = Iterator[str]


class Source(NamedTuple):
    """One Python file. `path`: from the project's root, as in `router/core/model.py`."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        gc.disable()  # what a collection runs may parse, too, and Python 3.11 takes that amiss (cpython#106905)
        try:
            return ast.parse(self.text)
        finally:
            gc.enable()

    @property
    def docstring(self) -> list[str]:
        return (ast.get_docstring(self.tree) or "").splitlines()

    @property
    def stem(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".py")

    def is_bent(self, line: int) -> bool:
        lines = self.text.splitlines()
        return line <= len(lines) and _BENT.search(lines[line - 1]) is not None

    def offence(self, line: int, what: str) -> Offences:
        if not self.is_bent(line):
            yield f"{self.path}:{line}: {what}"

    def definitions(self) -> Iterator[Definition]:
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                yield node


def files_are_short(source: Source) -> Offences:
    lines = len(source.text.splitlines())
    if lines > MAX_FILE_LINES:
        yield from source.offence(1, f"{lines} lines, more than {MAX_FILE_LINES}")


def functions_are_short(source: Source) -> Offences:
    for node in source.definitions():
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if not isinstance(node, ast.ClassDef) and lines > MAX_FUNCTION_LINES:
            yield from source.offence(node.lineno, f"{node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}")


def names_of_modules_say_something(source: Source) -> Offences:
    for part in source.path.removesuffix(".py").split("/"):
        if part in VAGUE_NAMES:
            yield from source.offence(1, f"a module or folder named {part}")


def names_use_the_words_of_the_field(source: Source) -> Offences:
    for node in source.definitions():
        words = tuple(word.lower() for word in _WORDS.findall(node.name))
        for unused in UNUSED_WORDS:
            spans = (words[at : at + len(unused)] for at in range(len(words)))
            if unused in spans:
                yield from source.offence(node.lineno, f"{node.name} uses the word {''.join(unused)}")


def pure_files_import_nothing_that_acts(source: Source) -> Offences:
    if not (is_pure(source) or source.path.startswith("router/core/")):
        return
    for node, module in imports(source):
        if module.partition(".")[0] in OUTSIDE_WORLD:
            yield from source.offence(node.lineno, f"a pure file imports {module}")


def private_names_stay_in_their_file(source: Source) -> Offences:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            private = [name.name for name in node.names if _is_private(name.name)]
            if private and _is_ours(node.module or "", node.level):
                yield from source.offence(node.lineno, f"imports {', '.join(private)} from {node.module}")
    for node, module in imports(source):
        if _is_ours(module, 0) and any(map(_is_private, module.split("."))):
            yield from source.offence(node.lineno, f"imports from {module}")


def docstrings_ask_and_say_what_they_touch(source: Source) -> Offences:
    docstring = source.docstring
    if not docstring:
        yield from source.offence(1, "no module docstring")
    elif not _QUESTION.fullmatch(docstring[0]):
        yield from source.offence(1, "line 1 of the module docstring is not the question that the file answers")
    elif source.stem not in ("__init__", "__main__") or len(docstring) > 1:
        second = docstring[2] if len(docstring) > 2 and not docstring[1] else ""
        if not second.startswith(("Pure.", "I/O: ", "I/O only")):
            yield from source.offence(1, "the module docstring does not say `Pure.` or `I/O: what` after its question")


def core_says_that_it_is_pure(source: Source) -> Offences:
    if source.path.startswith("router/core/") and source.stem != "__init__" and not is_pure(source):
        yield from source.offence(1, "a file of the core whose docstring does not say `Pure.`")


def is_pure(source: Source) -> bool:
    return len(source.docstring) > 2 and source.docstring[2].startswith("Pure.")


def imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Every module named in an import, wherever it stands in the file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_ours(module: str, level: int) -> bool:
    return level > 0 or module.partition(".")[0] in ("router", "autoscaler")


Law = Callable[[Source], Offences]
EVERYWHERE: tuple[Law, ...] = (
    files_are_short,
    functions_are_short,
    names_of_modules_say_something,
    names_use_the_words_of_the_field,
    pure_files_import_nothing_that_acts,
)
IN_THE_PACKAGES: tuple[Law, ...] = (
    private_names_stay_in_their_file,
    docstrings_ask_and_say_what_they_touch,
    core_says_that_it_is_pure,
)
