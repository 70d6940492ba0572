"""As whom does a program ask the API server, and what may it do there?"""

from __future__ import annotations

from typing import Any


def account_with(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ServiceAccount `autoscaler`, and what gives it these rights in its namespace."""
    named = {"metadata": {"name": "autoscaler"}}
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **named},
        {"apiVersion": f"{group}/v1", "kind": "Role", **named, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            **named,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "autoscaler"},
            "subjects": [{"kind": "ServiceAccount", "name": "autoscaler"}],
        },
    ]
