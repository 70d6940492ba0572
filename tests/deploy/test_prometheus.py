"""deploy/prometheus: rules that promtool takes, alerts that fire when they should, and a page for each of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.deploy.rules import PROMETHEUS, ROOT, RULES, Rule, needs_promtool, promtool, rules

ALERTS = [rule for rule in rules() if rule.is_alert]
TESTS = yaml.safe_load((PROMETHEUS / "tests.yaml").read_text())["tests"]

UTILIZATION = "deployment:scoregate_utilization:ratio"
OVERLOAD = "deployment:scoregate_overload:ratio_rate5m"
ERRORS = "deployment:scoregate_errors:ratio_rate5m"
QUEUED = "sum by (namespace, endpoint, deployment) (scoregate_queued) > 0"
MUTANTS = [
    (f"{OVERLOAD} > 0.05", f"{OVERLOAD} > 0.03"),
    (f"{OVERLOAD} > 0.05", f"{OVERLOAD} > 0.2"),
    (f"{OVERLOAD} > 0.05\n    for: 5m", f"{OVERLOAD} > 0.05\n    for: 1m"),
    (f"{ERRORS} > 0.05", f"{ERRORS} > 0.02"),
    (f"{ERRORS} > 0.05", f"{ERRORS} > 0.2"),
    ('code=~"5..", code!="503"', 'code=~"[45].."'),
    ('code=~"5..", code!="503"', 'code=~"5.."'),
    ('code=~"5..", code!="503"', 'code="502"'),
    ("or 0 * deployment:scoregate_requests:rate5m", ""),
    ("or 0 * endpoint:scoregate_requests:rate5m\n      ) / endpoint", ") / 2 * endpoint"),
    ('deployment_code:scoregate_requests:rate5m{code="503"} > 0', "deployment:scoregate_requests:rate5m > 0"),
    ('deployment_code:scoregate_requests:rate5m{code="503"} > 0\n        or ', ""),
    (f"or {QUEUED}", ""),
    ("max by (namespace, endpoint, deployment, state)", "min by (namespace, endpoint, deployment, state)"),
    (
        "sum by (namespace, endpoint, deployment) (scoregate_util",
        "max by (namespace, endpoint, deployment) (scoregate_util",
    ),
    (f"{UTILIZATION}[10m]) > 0.9", f"{UTILIZATION}[10m]) > 0.5"),
    (f"{UTILIZATION}[10m]) > 0.9", f"{UTILIZATION}[10m]) > 0.97"),
    (f"quantile_over_time(0.1, {UTILIZATION}[10m])", UTILIZATION),
    (f"quantile_over_time(0.1, {UTILIZATION}[10m])", f"max_over_time({UTILIZATION}[10m])"),
    ("unless on (namespace", "and on (namespace"),
    ("for: 10m\n", "for: 0m\n"),
    ("> 1.2 * max", "> 1.0 * max"),
    ("> 1.2 * max", "> 1.4 * max"),
    (
        "and on (namespace, endpoint, deployment) (\n        deployment_state",
        "or on (namespace, endpoint, deployment) (\n        deployment_state",
    ),
    ("p99_rate5m > 0.25", "p99_rate5m > 0.5"),
    ("p99_rate5m > 0.25", "p99_rate5m > 0.05"),
    (
        "histogram_quantile(0.99, deployment:scoregate_queue_wait",
        "histogram_quantile(0.9, deployment:scoregate_queue_wait",
    ),
    ("behind_seconds > 60", "behind_seconds > 600"),
    ("behind_seconds > 60", "behind_seconds > 30"),
    ("behind_seconds > 60\n    for: 1m", "behind_seconds > 60\n    for: 0m"),
    ('scoregate_instances{state="missing"} > 0', "scoregate_instances > 0"),
    ('scoregate_instances{state="missing"} > 0', 'scoregate_instances{state="missing"} > 2'),
    ('missing"} > 0\n    for: 2m', 'missing"} > 0\n    for: 0m'),
    ('up{job=~".*scoregate.*"} == 0', "up == 0"),
    ('up{job=~".*scoregate.*"} == 0\n    for: 2m', 'up{job=~".*scoregate.*"} == 0\n    for: 0m'),
    ('absent(up{job=~".*scoregate.*"} == 1)', 'absent(up{job=~".*scoregate.*"})'),
    ("increase(scoregate_access_log_dropped_total[10m]) > 0", "scoregate_access_log_dropped_total > 0"),
]
"""Changes of the rules, each of which at least one of tests.yaml must notice."""


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert code == 0, said


@needs_promtool
def test_the_rules_keep_their_own_tests() -> None:
    code, said = promtool("test", "rules", "tests.yaml")
    assert code == 0, said


@needs_promtool
@pytest.mark.parametrize(("good", "bad"), MUTANTS)
def test_a_wrong_rule_would_be_noticed(good: str, bad: str, tmp_path: Path) -> None:
    text = RULES.read_text()
    assert good in text
    (tmp_path / "rules.yaml").write_text(text.replace(good, bad))
    shutil.copy(PROMETHEUS / "tests.yaml", tmp_path)
    assert promtool("check", "rules", "rules.yaml", cwd=tmp_path)[0] == 0, "only a rule that works can be wrong"
    assert promtool("test", "rules", "tests.yaml", cwd=tmp_path)[0] == 1


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_every_alert_says_what_it_means_and_where_its_page_is(rule: Rule) -> None:
    assert rule.said["labels"]["severity"] in ("warning", "critical")
    assert set(rule.said["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = rule.said["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == rule.name.lower()
    assert rule.name in headings
    assert "$value" in rule.said["annotations"]["description"] or "absent" in rule.expr


@pytest.mark.parametrize("alert", [rule.name for rule in ALERTS])
def test_every_alert_is_seen_to_fire_and_to_keep_silent(alert: str) -> None:
    cases = [case for test in TESTS for case in test["alert_rule_test"] if case["alertname"] == alert]
    assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}


def test_no_page_is_of_an_alert_that_is_not_there() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(name for name in headings if name.startswith("Scoregate")) == sorted(rule.name for rule in ALERTS)
