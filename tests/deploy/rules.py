"""What do the shipped rules and the shipped dashboard ask Prometheus, and how is promtool asked about them?

I/O: files of deploy/, and promtool as a process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "scoregate.json"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


class Rule(NamedTuple):
    """`name`: of a recording rule its metric, of an alert its own."""

    name: str
    expr: str
    is_alert: bool
    said: dict[str, Any]


class Query(NamedTuple):
    """One of a panel, its variables not filled in."""

    panel: str
    expr: str


def rules() -> list[Rule]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    return [Rule(rule.get("alert") or rule["record"], rule["expr"], "alert" in rule, rule) for rule in found]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def queries() -> list[Query]:
    return [
        Query(panel["title"], query["expr"]) for panel in dashboard()["panels"] for query in panel.get("targets", ())
    ]


def filled(expr: str, **values: str) -> str:
    """With the dashboard's variables as Grafana fills them in where `All` is chosen, or as given."""
    chosen = {variable["name"]: variable.get("allValue", "") for variable in dashboard()["templating"]["list"]}
    for name, value in ({"__rate_interval": "15s"} | chosen | values).items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, f"a variable that the dashboard has not: {expr}"
    return expr


def promtool(*words: str | Path, cwd: Path = PROMETHEUS) -> tuple[int, str]:
    """Exit code, and all that it printed."""
    ran = subprocess.run(["promtool", *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr
