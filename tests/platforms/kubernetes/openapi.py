"""What does an API server do with an object by its schema: which does it refuse, and what does it fill in?

Pure. The few words of OpenAPI that our definition uses; any other fails, so that a new one is seen. Unknown fields are
dropped by the API server, and so are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_CHECKED = {
    *("type", "required", "properties", "additionalProperties", "items", "minItems", "maxItems", "minProperties"),
    "maxLength",
    *("enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "nullable"),
}
_UNCHECKED = {"description", "default", "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}


def accepts(schema: Schema, value: Any) -> bool:
    assert schema.keys() <= _CHECKED | _UNCHECKED, schema.keys() - _CHECKED - _UNCHECKED
    if value is None:
        return bool(schema.get("nullable", False))
    if not _is_of_type(schema, value):
        return False
    if isinstance(value, dict):
        return (
            all(name in value for name in schema.get("required", ()))
            and len(value) >= schema.get("minProperties", 0)
            and all(accepts(*pair) for pair in _inside(schema, value))
        )
    if isinstance(value, list | tuple):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fits and all(accepts(schema["items"], item) for item in value)
    if isinstance(value, str):
        return (
            len(value) <= schema.get("maxLength", len(value))
            and value in schema.get("enum", [value])
            and re.search(_go(schema.get("pattern", "")), value) is not None
        )
    least, above = schema.get("minimum", value), schema.get("exclusiveMinimum", False)
    return (value > least if above else value >= least) and value <= schema.get("maximum", value)


def defaulted(schema: Schema, value: Any) -> Any:
    """With the defaults of what is not given, in objects that are."""
    if isinstance(value, dict):
        given = {name: each["default"] for name, each in schema.get("properties", {}).items() if "default" in each}
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", {})
        return {name: defaulted(known.get(name, more), each) for name, each in {**given, **value}.items()}
    if isinstance(value, list | tuple):
        return [defaulted(schema["items"], item) for item in value]
    return value


def leaves(schema: Schema, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where values can be given: into the first item of a list, under the name `blue` of a mapping."""
    if path:
        yield path
    for name, each in schema.get("properties", {}).items():
        yield from leaves(each, (*path, name))
    if "items" in schema:
        yield from leaves(schema["items"], (*path, 0))
    if "additionalProperties" in schema:
        yield from leaves(schema["additionalProperties"], (*path, "blue"))


def _is_of_type(schema: Schema, value: Any) -> bool:
    if isinstance(value, float) and value.is_integer() and schema["type"] == "integer":
        return True  # JSON has one kind of number
    is_bool = isinstance(value, bool)
    return isinstance(value, _TYPES[schema["type"]]) and is_bool == (schema["type"] == "boolean")


def _inside(schema: Schema, value: dict[str, Any]) -> Iterator[tuple[Schema, Any]]:
    known = schema.get("properties", {})
    for name, each in value.items():
        if name in known:
            yield known[name], each
        elif "additionalProperties" in schema:
            yield schema["additionalProperties"], each


def _go(pattern: str) -> str:
    """`$` is the very end in Go; in Python it is also before a last line break."""
    return pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern
