"""Which values may be declared?

Pure. The rules of single values, as data: what a declaration is checked by (shape.py), and what the schema of the
custom resource is made of, are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, get_args

from msgspec import Struct, inspect

from router.core.model import Algorithm

API_VERSION = "scoregate.io/v1"
KIND = "InferenceEndpoint"

_LARGEST = 2**53
"""Whole numbers up to here survive JSON and arithmetic with floats."""

_NAME = r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]"
_OBJECT_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
"""Of a Kubernetes object: an RFC 1123 subdomain."""
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACE_RULE = "must be the name of a namespace: at most 63 lower-case letters and digits, and hyphens between them"
OBJECT_NAME_RULE = (
    "must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, at most 253 characters"
)
_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_HOST_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_HOST_LABEL}(\.{_HOST_LABEL})*\.?")


def is_name(text: str) -> bool:
    """Whether it may name an endpoint or a deployment (docs: azureml-fe contract, 3-32 characters)."""
    return re.fullmatch(_NAME, text) is not None


def is_namespace(text: str) -> bool:
    """Whether a namespace of Kubernetes may have this name: an RFC 1123 label."""
    return re.fullmatch(_LABEL, text) is not None


def is_object_name(text: str) -> bool:
    """Whether an object of Kubernetes may have this name."""
    return _OF_AN_OBJECT.holds(text)


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


class Rule(Struct, frozen=True):
    """What must hold for a value of the right type. `says` completes the sentence "7, but it ..."."""

    says: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    """Greater than this."""
    pattern: str | None = None
    """Of the whole text, in what regular expressions of Python and of ECMA 262 have in common."""
    most_characters: int | None = None
    choices: tuple[str, ...] = ()
    fewest: int = 0
    """Items of a list or a mapping."""
    most_items: int | None = None
    also: Callable[[Any], bool] | None = None
    """What can't be said as data."""

    def holds(self, value: Any) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.most_characters is None or len(value) <= self.most_characters)
            and (self.pattern is None or re.fullmatch(self.pattern, value) is not None)
            and (not self.choices or value in self.choices)
            and (not self.fewest or len(value) >= self.fewest)
            and (self.most_items is None or len(value) <= self.most_items)
            and (self.also is None or self.also(value))
        )


def _is_address(text: str) -> bool:
    try:
        parse_address(text, default_port=1)
    except ValueError:
        return False
    return True


def _has_no_nul(text: str) -> bool:
    return "\0" not in text


def _names_a_program(command: tuple[str, ...]) -> bool:
    return command[0] != ""


def _are_variable_names(names: dict[str, str]) -> bool:
    return all(name and "=" not in name and _has_no_nul(name) for name in names)


_POSITIVE = Rule("must be greater than 0 and at most 2^53", above=0, most=_LARGEST)
_YEAR_S = 366 * 86_400
_NOT_NEGATIVE = Rule("must be at least 0 and at most 2^53", least=0, most=_LARGEST)
_PERCENT = Rule("must be 0 to 100", least=0, most=100)
_FOR_THE_SYSTEM = Rule("must not contain the character NUL", also=_has_no_nul)
_OF_AN_OBJECT = Rule(OBJECT_NAME_RULE, pattern=_OBJECT_NAME, most_characters=253)

_URL = Rule(
    "must be a URL with https and no password, or with http on this very machine",
    pattern=r"(https://[-a-zA-Z0-9_.]+(:[0-9]{1,5})?|https://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)(/[!-~]*)?",
)
_WORD = Rule("must be printable ASCII without spaces", pattern=r"[!-~]+")
_TOKEN = Rule("must be a name as in HTTP: letters, digits and !#$%&'*+-.^_`|~", pattern=r"[-a-zA-Z0-9!#$%&'*+.^_`|~]+")

_RULES: dict[str, Rule] = {
    "apiVersion": Rule(f"must be {API_VERSION}", choices=(API_VERSION,)),
    "kind": Rule(f"must be {KIND}", choices=(KIND,)),
    "name": Rule("must be 3 to 32 letters, digits or hyphens, the first a letter, the last no hyphen", pattern=_NAME),
    "keysSecret": _OF_AN_OBJECT,
    "workload.kind": Rule("must be Deployment or StatefulSet", choices=("Deployment", "StatefulSet")),
    "workload.name": _OF_AN_OBJECT,
    "selector": Rule("must hold at least one label: it would choose every Pod", fewest=1),
    "mode": Rule("must be key, token, jwt or none", choices=("key", "token", "jwt", "none")),
    "alsoAccepts[]": Rule("must be key, token or jwt", choices=("key", "token", "jwt")),
    "issuer": _URL,
    "jwksUri": _URL,
    "audiences": Rule("must hold at least one audience", fewest=1),
    "audiences[]": _WORD,
    "requiredScopes[]": Rule(
        "must be a scope as in RFC 6749: printable ASCII without spaces, quotation marks and backslashes",
        pattern=r"[!#-\[\]-~]+",
    ),
    "requiredClaims{}": Rule("must hold at least one value", fewest=1),
    "algorithms": Rule("must hold at least one algorithm", fewest=1),
    "algorithms[]": Rule(f"must be one of {', '.join(get_args(Algorithm))}", choices=get_args(Algorithm)),
    "clockSkew": Rule("must be 0 to 600", least=0, most=600),
    "caBundle": Rule(
        "must be certificates in PEM, the first line -----BEGIN CERTIFICATE-----",
        pattern=r"\s*-----BEGIN CERTIFICATE-----[\s\S]*-----END CERTIFICATE-----\s*",
    ),
    "serverName": Rule(
        "must be the name in the replica's certificate", pattern=r"[-a-zA-Z0-9_.:]+", most_characters=253
    ),
    "allowOrigins": Rule("must hold at least one origin", fewest=1),
    "allowOrigins[]": Rule(
        "must be * or an origin as browsers send it, as in https://app.example.com",
        pattern=r"\*|null|[a-z][-a-z0-9+.]*://[^\s/]+",
    ),
    "allowMethods[]": _TOKEN,
    "allowHeaders[]": _TOKEN,
    "exposeHeaders[]": _TOKEN,
    "maxAge": Rule("must be 0 to 86400", least=0, most=86_400),
    "refreshAfter": Rule("must be 1 to 31622400: a year", least=1, most=_YEAR_S),
    "validPastRefresh": Rule("must be 0 to 31622400: a year", least=0, most=_YEAR_S),
    "traffic{}": _PERCENT,
    "trafficPercentile": _PERCENT,
    "deployments": Rule("must hold 1 to 100 deployments", fewest=1, most_items=100),
    "command": Rule("must name a program to run", fewest=1, also=_names_a_program),
    "command[]": _FOR_THE_SYSTEM,
    "env": Rule("must have names that are not empty and hold neither = nor NUL", also=_are_variable_names),
    "env{}": _FOR_THE_SYSTEM,
    "workingDir": _FOR_THE_SYSTEM,
    "addresses[]": Rule("must be host:port or [v6]:port, with a port of 1 to 65535", also=_is_address),
    "port": Rule("must be 1 to 65535", least=1, most=65535),
    "path": Rule("must begin with / and hold only printable ASCII without spaces", pattern=r"/[!-~]*"),
    "instanceCount": _NOT_NEGATIVE,
    "maxConcurrentRequestsPerInstance": _NOT_NEGATIVE,
    "maxQueueWaitMs": _NOT_NEGATIVE,
    "maxQueueLength": _NOT_NEGATIVE,
    "initialDelay": _NOT_NEGATIVE,
    "type": Rule("must be targetUtilization or default", choices=("targetUtilization", "default")),
    "minInstances": _NOT_NEGATIVE,
    "targetUtilizationPercentage": Rule("must be 1 to 100", least=1, most=100),
}
"""By field name; `name[]` is for each item of a list, `name{}` for each value of a mapping, and `parent.name` for the
field of just that parent. A number that is not here must be greater than 0."""


def qualified(name: str, parent: str) -> str:
    """What finds the rule of this field, in an object that is the field `parent` of another."""
    in_parent = f"{parent}.{name}"
    return in_parent if in_parent in _RULES else name


def rule_of(kind: inspect.Type, field: str) -> Rule | None:
    """`field`: the name in the declaration, qualified, with [] or {} for what is inside it."""
    return _RULES.get(field, _POSITIVE if isinstance(kind, inspect.IntType | inspect.FloatType) else None)
