"""How is the administration described to programs?

Pure. An OpenAPI 3.1 document, made of the operations themselves and of the shapes that their bodies and replies are
read and written with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from router.administration.operation import Operation, Whole
from router.administration.shapes import MAX_UID_CHARACTERS, NAME_PATTERN

_COMPONENTS = "#/components/schemas/{name}"
_NAME = {"type": "string", "pattern": NAME_PATTERN}
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "endpoint": ("The endpoint's name.", _NAME),
    "deployment": ("The deployment's name.", _NAME),
    "key": ("primary, secondary, or the name of a key.", _NAME),
    "uid": ("The replica's uid, percent-encoded.", {"type": "string", "minLength": 1, "maxLength": MAX_UID_CHARACTERS}),
}
_MEANINGS = {
    200: "Done.",
    201: "Made.",
    400: "The query or the body is not as it must be.",
    401: "The key is missing, or is not the administrator's.",
    403: "Not over this connection, or the platform refuses it to this process.",
    404: "There is no such thing.",
    408: "The body took too long to come.",
    409: "It is not as it was taken to be, or can't be changed so: nothing was changed.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "It can't be so; the message says by which rule.",
    429: "Too many refused requests from this address.",
    500: "A fault of the router; its log says more.",
    503: "The platform, the vault or a signing key is out of reach; the router goes on.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def document(operations: Sequence[Operation], root: str, version: str) -> dict[str, Any]:
    """`root`: below which all that needs a key lies."""
    kinds = list(
        dict.fromkeys(kind for each in operations for kind in (*_replies(each), each.body) if kind is not None)
    )
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_COMPONENTS)
    by_kind = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = each.path if each.is_open else root + each.path
        paths.setdefault(_without_converters(path), {})[each.method.lower()] = _described(each, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Scoregate's administration",
            "version": version,
            "description": "On the internal port. Times are RFC 3339; those of tokens are seconds since the epoch.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"adminKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, by_kind: dict[str, dict[str, Any]]) -> dict[str, Any]:
    replies = [by_kind[str(kind)] for kind in _replies(operation)]
    good = _json(replies[0] if len(replies) == 1 else {"oneOf": replies})
    refused = _json({"$ref": _COMPONENTS.format(name="Error")})
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [] if operation.is_open else [{"adminKey": []}],
        "parameters": list(_parameters(operation)),
        "responses": {
            str(status): {"description": _MEANINGS[status], "content": good if status < 300 else refused}
            for status in sorted(_statuses(operation))
        },
    }
    if operation.body is not None:
        described["requestBody"] = {
            "content": _json(by_kind[str(operation.body)]),
            "required": _has_required(operation),
        }
    return described


def _statuses(operation: Operation) -> set[int]:
    statuses = {200, 400, 500, 503, *operation.also}
    if not operation.is_open:
        statuses |= {401, 403, 429}
    if "{" in operation.path:
        statuses.add(404)
    if operation.body is not None:
        statuses |= {408, 413, 415}
    return statuses


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)", operation.path):
        meaning, schema = _PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}
    for name, rule in operation.query.items():
        if isinstance(rule, Whole):
            shape = {"type": "integer", "minimum": rule.least, "maximum": rule.most, "default": rule.default}
        else:
            shape = {"type": "string", "enum": list(rule.words), "default": rule.words[0]}
        yield {"name": name, "in": "query", "required": False, "schema": shape}


def _replies(operation: Operation) -> tuple[Any, ...]:
    return operation.reply if isinstance(operation.reply, tuple) else (operation.reply,)


def _has_required(operation: Operation) -> bool:
    """A body whose fields may all be missing may be missing itself."""
    return operation.body is not None and any(field.required for field in msgspec.structs.fields(operation.body))


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _without_converters(path: str) -> str:
    return path.replace(":path}", "}")
