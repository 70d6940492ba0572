"""Is each value that a user declared of the right shape, and within its rule?

Pure. Walks a plain object beside the Struct that describes it, because one reading must find every problem
and msgspec stops at the first. The rules stand in one table, by the name of the field that they are for.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

API_VERSION = "scoregate.io/v1"
KIND = "InferenceEndpoint"

_LARGEST = 2**53
"""Whole numbers up to here survive JSON and arithmetic with floats."""

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]")
_ROUTE_PATH = re.compile(r"/[!-~]*")
_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_HOST_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*\.?")

_NOT_YET = {"workload", "mirrorTraffic"}
_LEAVES: dict[type[inspect.Type], tuple[type, str]] = {
    inspect.StrType: (str, "must be text"),
    inspect.LiteralType: (str, "must be text"),
    inspect.IntType: (int, "must be a whole number"),
    inspect.FloatType: (float, "must be a number"),
    inspect.BoolType: (bool, "must be true or false"),
}


def is_name(text: str) -> bool:
    """Whether it may name an endpoint or a deployment (docs: azureml-fe contract, 3-32 characters)."""
    return _NAME.fullmatch(text) is not None


def parse_address(address: str, default_port: int) -> tuple[str, int]:
    """Host (no brackets, in its shortest form) and port of `host`, `host:port`, `[v6]` or `[v6]:port`.

    Raises ValueError.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise ValueError(f"{address!r} is not host:port or [v6]:port")
    port = int(parts["port"]) if parts["port"] else default_port
    if not 1 <= port <= 65535:
        raise ValueError(f"{address!r} has port {port}, not 1 to 65535")
    return _parse_host(parts["host"]), port


def _parse_host(host: str) -> str:
    if host.startswith("["):
        return str(IPv6Address(host[1:-1]))
    host = host.lower()
    if re.search(r"(^|\.)[0-9]+\.?$", host):  # ends in a number: no DNS name does, so it means to be IPv4
        return str(IPv4Address(host))
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name")
    return host


class _Rule(NamedTuple):
    holds: Callable[[Any], bool]
    says: str


def _is_address(text: str) -> bool:
    try:
        parse_address(text, default_port=1)
    except ValueError:
        return False
    return True


def _has_no_nul(text: str) -> bool:
    return "\0" not in text


def _are_variable_names(names: dict[str, str]) -> bool:
    return all(name and "=" not in name and _has_no_nul(name) for name in names)


_NAMED = _Rule(is_name, "must be 3 to 32 letters, digits or hyphens, the first a letter, the last no hyphen")
_POSITIVE = _Rule(lambda number: 0 < number <= _LARGEST, "must be greater than 0 and at most 2^53")
_NOT_NEGATIVE = _Rule(lambda number: 0 <= number <= _LARGEST, "must be at least 0 and at most 2^53")
_PERCENT = _Rule(lambda percent: 0 <= percent <= 100, "must be 0 to 100")
_FOR_THE_SYSTEM = _Rule(_has_no_nul, "must not contain the character NUL")

_RULES: dict[str, _Rule] = {
    "apiVersion": _Rule(lambda version: version == API_VERSION, f"must be {API_VERSION}"),
    "kind": _Rule(lambda kind: kind == KIND, f"must be {KIND}"),
    "name": _NAMED,
    "mode": _Rule(
        lambda mode: mode in ("key", "none"),
        "must be key or none (jwt and token are not supported yet by this version)",
    ),
    "traffic{}": _PERCENT,
    "trafficPercentile": _PERCENT,
    "deployments": _Rule(lambda deployments: len(deployments) > 0, "must hold at least one deployment"),
    "command": _Rule(lambda command: len(command) > 0 and command[0] != "", "must name a program to run"),
    "command[]": _FOR_THE_SYSTEM,
    "env": _Rule(_are_variable_names, "must have names that are not empty and hold neither = nor NUL"),
    "env{}": _FOR_THE_SYSTEM,
    "workingDir": _FOR_THE_SYSTEM,
    "addresses[]": _Rule(_is_address, "must be host:port or [v6]:port, with a port of 1 to 65535"),
    "port": _Rule(lambda port: 1 <= port <= 65535, "must be 1 to 65535"),
    "path": _Rule(
        lambda path: _ROUTE_PATH.fullmatch(path) is not None,
        "must begin with / and hold only printable ASCII without spaces",
    ),
    "instanceCount": _NOT_NEGATIVE,
    "maxConcurrentRequestsPerInstance": _NOT_NEGATIVE,
    "maxQueueWaitMs": _NOT_NEGATIVE,
    "maxQueueLength": _NOT_NEGATIVE,
    "initialDelay": _NOT_NEGATIVE,
    "type": _Rule(
        lambda scale_type: scale_type in ("targetUtilization", "default"), "must be targetUtilization or default"
    ),
    "minInstances": _NOT_NEGATIVE,
    "targetUtilizationPercentage": _Rule(lambda percent: 1 <= percent <= 100, "must be 1 to 100"),
}
"""By field name; `name[]` is for each item of a list, `name{}` for each value of a mapping. A number
that is not here must be greater than 0."""


def complaint(value: object, rule: str) -> str:
    """`0, but it must be greater than 0`; a long value is cut."""
    return f"{reprlib.repr(value)}, but it {rule}"


def problems_of(struct: type[msgspec.Struct], value: object) -> list[str]:
    """All that is wrong with `value` as a `struct`, each `path.to[0].field: value, but it rule`."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return list(_struct_problems(kind, value, ""))


def _value_problems(kind: inspect.Type, value: object, path: str, field: str) -> Iterator[str]:
    """`field` finds the rule: the name in the declaration, with [] or {} for what is inside it."""
    if isinstance(kind, inspect.UnionType):  # of something and None; a null is the same as nothing given
        kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    if isinstance(kind, inspect.StructType):
        found = _struct_problems(kind, value, path)
    elif isinstance(kind, inspect.VarTupleType):
        found = _list_problems(kind.item_type, value, path, field)
    elif isinstance(kind, inspect.DictType):
        found = _mapping_problems(kind.value_type, value, path, field)
    else:
        found = _leaf_problems(kind, value, path)
    problems = list(found)
    yield from problems
    rule = _RULES.get(field, _POSITIVE if isinstance(kind, inspect.IntType | inspect.FloatType) else None)
    if rule is not None and not problems and not rule.holds(value):
        yield f"{path}: {complaint(value, rule.says)}"


def _struct_problems(kind: inspect.StructType, value: object, path: str) -> Iterator[str]:
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
            yield from _value_problems(field.type, value[name], f"{dot}{name}", name)
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
