"""What does the API server check of an InferenceEndpoint, and what does kubectl show of one?

Pure. The CustomResourceDefinition, made from the Structs that a declaration and a status are, and from the rules of
their values: `python -m router.platforms.kubernetes.schema` prints the one that deploy/ ships.

The API server refuses what breaks the rule of a single value. What must hold between values (the sum of traffic, kind
and name or a selector, minInstances up to maxInstances) is not in the schema: its own words for such rules name no
field that one could mend, and rules in CEL would be a second truth beside declaration.py, for API servers from 1.25
on. The condition Accepted tells them, all at once, in the words that `scoregate check` has.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from msgspec import NODEFAULT, Struct, inspect

from router.core.declaration import DeclaredDeployment, DeclaredScale, Metadata, Spec
from router.core.model import RequestSettings
from router.core.rules import API_VERSION, KIND, Rule, qualified, rule_of
from router.platforms.kubernetes.descriptions import description_of
from router.platforms.kubernetes.leading.status import EndpointStatus

Schema = dict[str, Any]

GROUP, _, VERSION = API_VERSION.partition("/")
PLURAL = "inferenceendpoints"

NOT_IN_A_CLUSTER: dict[type[Struct], frozenset[str]] = {
    DeclaredDeployment: frozenset(("process", "addresses", "instance_count"))
}
"""Fields that only one machine has."""
_ALSO_REQUIRED: dict[type[Struct], frozenset[str]] = {DeclaredDeployment: frozenset(("workload",))}
_DEFAULT_DEPENDS: dict[type[Struct], frozenset[str]] = {
    RequestSettings: frozenset(("request_timeout_ms",)),
    DeclaredScale: frozenset(("type",)),
}
"""Fields whose default depends on others: filled in here, it would look like a wish."""
_LIST_KEYS = {"deployments": "name", "conditions": "type"}
"""What is unique in the items of a list, so that two writers can each own some of them."""
_FORMATS = {"lastTransitionTime": "date-time"}

_LEAVES: dict[type[inspect.Type], Schema] = {
    inspect.StrType: {"type": "string"},
    inspect.IntType: {"type": "integer", "format": "int64"},
    inspect.FloatType: {"type": "number"},
    inspect.BoolType: {"type": "boolean"},
}

_HEADER = """\
# The custom resource InferenceEndpoint. Made by `make crd` from the router's own model; a test holds the two together.
"""


def definition() -> Schema:
    """The CustomResourceDefinition, as plain objects."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/name": "scoregate"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["ie", "iep"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": resource_schema()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                }
            ],
        },
    }


def resource_schema() -> Schema:
    """Of one InferenceEndpoint. What Kubernetes adds to `metadata` is its own affair."""
    name = _leaf(inspect.StrType(), rule_of(inspect.StrType(), "name"))
    return {
        "description": "A name that clients call, and the versions of a model behind it.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": _described(name, description_of(Metadata, "name"))}},
            "spec": {"description": "What is wanted.", **_object(Spec)},
            "status": {"description": "What is. Written by the autoscaler that leads.", **_reported(EndpointStatus)},
        },
    }


def _columns() -> list[Schema]:
    accepted = '.status.conditions[?(@.type=="Accepted")]'
    return [
        {"name": "URL", "type": "string", "jsonPath": ".status.urlPath"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.replicas"},
        {"name": "Utilization", "type": "string", "jsonPath": ".status.utilization"},
        {"name": "Accepted", "type": "string", "jsonPath": f"{accepted}.status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Message", "type": "string", "jsonPath": f"{accepted}.message", "priority": 1},
    ]


def _object(struct: type[Struct], parent: str = "", example: Struct | None = None) -> Schema:
    """`parent`: the field that it is, which qualifies the rules of its own. `example`: has the defaults that hold
    there, where they aren't the Struct's own."""
    properties: Schema = {}
    required: list[str] = []
    for field in _fields(struct):
        if field.name in NOT_IN_A_CLUSTER.get(struct, ()):
            continue
        default = field.default if example is None else getattr(example, field.name)
        schema = _value(field.type, qualified(field.encode_name, parent), default)
        if not field.required and _is_fixed(default) and field.name not in _DEFAULT_DEPENDS.get(struct, ()):
            schema["default"] = int(default) if isinstance(default, float) and default.is_integer() else default
        properties[field.encode_name] = _described(schema, description_of(struct, field.name))
        if field.required or field.name in _ALSO_REQUIRED.get(struct, ()):
            required.append(field.encode_name)
    return {"type": "object", **({"required": required} if required else {}), "properties": properties}


def _value(kind: inspect.Type, field: str, default: object = None) -> Schema:
    """`field` finds the rule, as in shape.py: qualified, with [] or {} for what is inside it."""
    kind = _without_none(kind)
    rule = rule_of(kind, field)
    if isinstance(kind, inspect.StructType):
        return _object(kind.cls, field, default if isinstance(default, Struct) else None)
    if isinstance(kind, inspect.VarTupleType):
        bounds = {"minItems": rule.fewest or None, "maxItems": rule.most_items} if rule else {}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"type": "array", **given, **_list_of(_value(kind.item_type, f"{field}[]"), field)}
    if isinstance(kind, inspect.DictType):
        fewest = {"minProperties": rule.fewest} if rule and rule.fewest else {}
        return {"type": "object", **fewest, "additionalProperties": _value(kind.value_type, f"{field}{{}}")}
    return _leaf(kind, rule)


def _leaf(kind: inspect.Type, rule: Rule | None) -> Schema:
    """A text that may only be one of some says which; any other type says its bounds, too."""
    choices = list(kind.values) if isinstance(kind, inspect.LiteralType) else []
    schema: Schema = {"type": "string"} if choices else dict(_LEAVES[type(kind)])
    if rule is None:
        return {**schema, "enum": choices} if choices else schema
    assert rule.also is None, f"the rule that it {rule.says} is no data: a schema can't say it"
    if choices := list(rule.choices) or choices:
        schema["enum"] = choices
    if rule.pattern is not None:
        schema |= {"pattern": f"^(?:{rule.pattern})$", "description": f"It {rule.says}."}
    if rule.most_characters is not None:
        schema["maxLength"] = rule.most_characters
    return schema | _bounds(kind, rule)


def _bounds(kind: inspect.Type, rule: Rule) -> Schema:
    bounds: Schema = {}
    if rule.least is not None:
        bounds["minimum"] = rule.least
    if rule.above is not None and isinstance(kind, inspect.IntType):
        bounds["minimum"] = int(rule.above) + 1
    elif rule.above is not None:
        bounds |= {"minimum": rule.above, "exclusiveMinimum": True}
    if rule.most is not None:
        bounds["maximum"] = rule.most
    return bounds


def _reported(struct: type[Struct]) -> Schema:
    """Of a status: no rules, no choices, nothing required, for it is ours, and what an older or newer autoscaler writes
    must be taken, too."""
    properties = {
        field.encode_name: _described(_reported_value(field), description_of(struct, field.name))
        for field in _fields(struct)
    }
    return {"type": "object", "properties": properties}


def _reported_value(field: inspect.Field) -> Schema:
    kind = _without_none(field.type)
    nullable = {"nullable": True} if kind is not field.type else {}
    name = field.encode_name
    if isinstance(kind, inspect.StructType):
        return {**_reported(kind.cls), **nullable}
    if isinstance(kind, inspect.ListType | inspect.VarTupleType):
        assert isinstance(kind.item_type, inspect.StructType)
        item = _reported(kind.item_type.cls)
        key = {"required": [_LIST_KEYS[name]]} if name in _LIST_KEYS else {}
        return {"type": "array", **_list_of({**item, **key}, name)}
    dated = {"format": _FORMATS[name]} if name in _FORMATS else {}
    text = isinstance(kind, inspect.LiteralType)
    return {**({"type": "string"} if text else _leaf(kind, None)), **dated, **nullable}


def _list_of(item: Schema, field: str) -> Schema:
    key = _LIST_KEYS.get(field)
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]} if key else {}
    return {**keyed, "items": item}


def _described(schema: Schema, words: str) -> Schema:
    """Its meaning, and then its rule."""
    rule = schema.get("description")
    return {"description": f"{words} {rule}" if rule else words, **{k: v for k, v in schema.items() if v is not rule}}


def _fields(struct: type[Struct]) -> tuple[inspect.Field, ...]:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return kind.fields


def _without_none(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.UnionType):
        return next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    return kind


def _is_fixed(default: Any) -> bool:
    return default is not NODEFAULT and isinstance(default, str | int | float)


def as_yaml() -> str:
    """The definition as it is shipped."""
    return _HEADER + yaml.safe_dump(definition(), sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(as_yaml())
