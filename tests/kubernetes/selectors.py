"""Which objects does a label selector or a field selector mean?

Pure. The grammar is the API's: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kubernetes.refusals import bad_request

Matches = Callable[[Mapping[str, Any]], bool]

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<sign>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)"
    r"|(?P<word>\bin\b|\bnotin\b)\s*\((?P<values>[^()]*)\))?)\s*(?:,(?=\s*\S)|$)"
)


def label_selector(text: str) -> Matches:
    """Raises `Refusal` 400. The empty one matches all."""
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            raise bad_request(f"unable to parse requirement: found '{text[at : at + 1]}', expected: identifier")
        tests.append(_label_test(term))
        at = term.end()

    def matches(object: Mapping[str, Any]) -> bool:
        labels = object["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _label_test(term: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    if term["absent"]:
        absent = term["no"]
        return lambda labels: absent not in labels
    key, sign, word = term["key"], term["sign"], term["word"]
    if sign is None and word is None:
        return lambda labels: key in labels
    values = {term["value"]} if sign else {value.strip() for value in term["values"].split(",")}
    if sign == "!=" or word == "notin":  # also true of an object that has no such label
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values


def field_selector(text: str, fields: tuple[str, ...]) -> Matches:
    """`fields`: those that the kind can be asked by. Raises `Refusal` 400."""
    tests: list[tuple[str, bool, str]] = []
    for term in filter(None, text.split(",")):
        parts = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", term)
        if parts is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        field, sign, value = parts.groups()
        if field not in fields:
            raise bad_request(f"field label not supported: {field}")
        tests.append((field, sign != "!=", value))
    return lambda object: all((_field(object, field) == value) == wanted for field, wanted, value in tests)


def _field(object: Mapping[str, Any], path: str) -> str:
    value: Any = object
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A workload's `spec.selector` in one line, as its scale subresource tells it."""
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, values = each["key"], ",".join(sorted(each.get("values") or []))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append((key, words.get(each["operator"], f"!{key}")))
    return ",".join(text for _, text in sorted(terms))
