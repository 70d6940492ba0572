"""Is what a user declared of the right shape, and each value within its rule?

Pure. Walks a plain object beside the Struct that describes it, because one reading must find every problem
and msgspec stops at the first. The rules are those of rules.py.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from router.core.rules import qualified, rule_of

_NOT_YET = {"mirrorTraffic"}
_LEAVES: dict[type[inspect.Type], tuple[type, str]] = {
    inspect.StrType: (str, "must be text"),
    inspect.LiteralType: (str, "must be text"),
    inspect.IntType: (int, "must be a whole number"),
    inspect.FloatType: (float, "must be a number"),
    inspect.BoolType: (bool, "must be true or false"),
}


def complaint(value: object, rule: str) -> str:
    """`0, but it must be greater than 0`; a long value is cut."""
    return f"{reprlib.repr(value)}, but it {rule}"


def problems_of(struct: type[msgspec.Struct], value: object) -> list[str]:
    """All that is wrong with `value` as a `struct`, each `path.to[0].field: value, but it rule`."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return list(_struct_problems(kind, value, "", ""))


def _value_problems(kind: inspect.Type, value: object, path: str, field: str) -> Iterator[str]:
    """`field` finds the rule: the name in the declaration, with [] or {} for what is inside it."""
    if isinstance(kind, inspect.UnionType):  # of something and None; a null is the same as nothing given
        kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        found = _struct_problems(kind, value, path, field)
    elif isinstance(kind, inspect.VarTupleType):
        found = _list_problems(kind.item_type, value, path, field)
    elif isinstance(kind, inspect.DictType):
        found = _mapping_problems(kind.value_type, value, path, field)
    else:
        found = _leaf_problems(kind, value, path)
    problems = list(found)
    yield from problems
    rule = rule_of(kind, field)
    if rule is not None and not problems and not rule.holds(value):
        yield f"{path}: {complaint(value, rule.says)}"


def _struct_problems(kind: inspect.StructType, value: object, path: str, parent: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {complaint(value, 'must be a mapping')}"
        return
    fields = {field.encode_name: field for field in kind.fields}
    dot = f"{path}." if path else ""
    for name in value:
        if name not in fields:
            yield f"{dot}{name}: {_unknown(str(name), list(fields))}"
    for name, field in fields.items():
        if name in value:
            yield from _value_problems(field.type, value[name], f"{dot}{name}", qualified(name, parent))
        elif field.required:
            yield f"{dot}{name}: missing, but it is required"


def _unknown(name: str, known: list[str]) -> str:
    if name in _NOT_YET:
        return "not supported yet by this version"
    close = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"unknown field, {hint}"


def _list_problems(item_kind: inspect.Type, value: object, path: str, field: str) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"{path}: {complaint(value, 'must be a list')}"
        return
    for index, item in enumerate(value):
        yield from _value_problems(item_kind, item, f"{path}[{index}]", f"{field}[]")


def _mapping_problems(value_kind: inspect.Type, value: object, path: str, field: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {complaint(value, 'must be a mapping')}"
        return
    for key, item in value.items():
        if not isinstance(key, str):
            yield f"{path}: the name {complaint(key, 'must be text; put it in quotes')}"
        else:
            yield from _value_problems(value_kind, item, f"{path}.{key}", f"{field}{{}}")


def _leaf_problems(kind: inspect.Type, value: object, path: str) -> Iterator[str]:
    python_type, rule = _LEAVES[type(kind)]
    try:
        msgspec.convert(value, python_type)
    except msgspec.ValidationError:
        yield f"{path}: {complaint(value, rule)}"
