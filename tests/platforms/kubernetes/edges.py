"""Which values stand at the edges of what may be declared in a cluster?

Pure. For the schema's tests here, and for those in which a real API server judges.
"""

from __future__ import annotations

import copy
from typing import Any

from router.platforms.kubernetes.schema import resource_schema
from tests.platforms.kubernetes.openapi import Schema, leaves

EVERYTHING: dict[str, Any] = {
    "apiVersion": "scoregate.io/v1",
    "kind": "InferenceEndpoint",
    "metadata": {"name": "iris"},
    "spec": {
        "auth": {
            "mode": "key",
            "alsoAccepts": ["jwt"],
            "keysSecret": "iris-keys",
            "createKeys": True,
            "token": {"refreshAfter": 60, "validPastRefresh": 60},
            "jwt": {"issuer": "https://issuer.example", "audiences": ["iris"], "algorithms": ["ES256"]},
        },
        "cors": {"allowOrigins": ["https://app.example"], "maxAge": 60},
        "traffic": {"blue": 100},
        "maxPayloadBytes": 1,
        "forwardAuthorization": True,
        "deployments": [
            {
                "name": "blue",
                "workload": {"kind": "Deployment", "name": "iris-blue", "selector": {"blue": "iris"}},
                "port": 80,
                "scaleSettings": {"minInstances": 1, "scaleDownStarts": 0.5},
                "requestSettings": {"requestTimeoutMs": 5000},
                "scoringRoute": {"path": "/score", "port": 80},
                "livenessRoute": {"path": "/"},
                "readinessRoute": {"path": "/"},
                "livenessProbe": {"period": 0.5},
                "readinessProbe": {"period": 0.5},
                "idempotent": True,
                "tls": {"serverName": "iris.example"},
                "trafficPercentile": 1,
                "isDefault": True,
            }
        ],
    },
}
"""Each field is given. Of the right shape, if not right between values."""

SPEC: Schema = resource_schema()["properties"]["spec"]
PATHS = sorted(leaves(SPEC), key=str)
EDGES: tuple[Any, ...] = (
    *(-1, 0, 1, 100, 101, 65_535, 65_536, 2**53, 2**53 + 1, 2**63, 10**30),
    *(0.0, 1.0, 0.5, -0.5, 1e-300, 100.5, 2.0**52, 2.0**53 + 2, 1e300),
    *(
        "",
        "a",
        "ab",
        "abc",
        "Abc",
        "1ab",
        "ab-",
        "a.b",
        "a..b",
        "a_b",
        "iris\n",
        "a" * 32,
        "a" * 33,
        "a" * 253,
        "a" * 254,
    ),
    *("/", "/a b", "/~!", "a/", "/é", "/a\n", "5"),
    *(
        "key",
        "none",
        "jwt",
        "RS256",
        "HS256",
        "https://issuer.example/v2",
        "http://issuer.example",
        "http://localhost:80",
    ),
    *(
        "https://",
        "*",
        "null",
        "https://app.example/",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    ),
    *("Deployment", "StatefulSet", "DaemonSet", "targetUtilization", "default"),
    *(True, False, [], {}, [1], ["iris"]),
)


def with_value(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(EVERYTHING)
    place: Any = document["spec"]
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[path[-1]] = value
    return document


def as_stored(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is stored, and given back, as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
