"""Which documents does this file hold?

I/O: reads one JSON or YAML file that came from elsewhere. JSON is held to the bounds of YAML (yaml_file.py): depth, and
no name twice in an object. No message repeats a value: it may be a key.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from router.platforms.yaml_file import DEEPEST, TOO_DEEP, BadText, FileError, read_text, yaml_documents

_PYTHON = (".py", ".ipynb")


def read_documents(path: Path) -> list[object]:
    """The documents of a UTF-8 file, without the empty ones; the items of a list at the top are documents, too.

    Raises FileError.
    """
    if path.suffix in _PYTHON:
        raise FileError(
            path,
            [
                "is Python, and only JSON and YAML can be read: write the keyword arguments of "
                "deploy_configuration(...) as a mapping, or let Python print the object that runs: "
                "print(json.dumps(webservice.serialize()))"
            ],
        )
    text = read_text(path)
    try:
        documents = _documents(text, is_json=path.suffix == ".json")
    except BadText as error:
        raise FileError(path, error.problems) from None
    if not documents:
        raise FileError(path, ["is empty"])
    return documents


def _documents(text: str, is_json: bool) -> list[object]:
    if is_json or text.lstrip()[:1] in ("{", "["):
        try:
            found = [_json(text)]
        except BadText:
            if is_json:
                raise
            found = yaml_documents(text)  # which writes mappings with braces, too
    else:
        found = yaml_documents(text)
    listed = [item for document in found for item in (document if isinstance(document, list) else [document])]
    return [document for document in listed if document is not None]


def _json(text: str) -> object:
    try:
        found: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadText(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise BadText(TOO_DEEP) from None
    except BadText:
        raise
    except ValueError:  # a number of thousands of digits
        raise BadText("is not JSON that can be used: a number in it is too long") from None
    if _depth(found) > DEEPEST:
        raise BadText(TOO_DEEP)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadText(f"{name!r} is given twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise BadText(f"is not JSON: {name} is no number")


def _depth(value: object) -> int:
    """In steps, not calls, up to what is too deep."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
        depth += 1
    return depth
