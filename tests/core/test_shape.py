"""How what is wrong with a declared value is found, and reads."""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from router.core.declaration import Auth, DeclaredDeployment
from router.core.model import Probe, Process, RequestSettings, Route, ScaleSettings
from router.core.shape import complaint, problems_of


@pytest.mark.parametrize(
    ("kind", "field", "good", "bad"),
    [
        (RequestSettings, "requestTimeoutMs", [1, 2**53], [0, -1, 2**53 + 1, 1.5, "5", True]),
        (RequestSettings, "maxConcurrentRequestsPerInstance", [0, 1], [-1, 1.0]),
        (RequestSettings, "maxQueueWaitMs", [0, 500], [-1]),
        (RequestSettings, "maxQueueLength", [0, 1], [-1]),
        (RequestSettings, "maxColdStartWaitMs", [1, 60_000], [0, -1, 0.5]),
        (ScaleSettings, "type", ["targetUtilization", "default"], ["target_utilization", "", 1, True]),
        (ScaleSettings, "minInstances", [0, 1], [-1, 0.5]),
        (ScaleSettings, "maxInstances", [1, 1000], [0, -1, "10"]),
        (ScaleSettings, "targetUtilizationPercentage", [1, 100], [0, 101, 0.7, "70%"]),
        (ScaleSettings, "pollingInterval", [1, 60], [0, -1, 0.5, "1s"]),
        (ScaleSettings, "scaleDownWindow", [0.5, 600], [0, -1, float("nan"), float("inf")]),
        (ScaleSettings, "scaleDownStarts", [0.5, 6], [0, -1, float("nan"), float("inf")]),
        (Probe, "initialDelay", [0, 0.5], [-0.1, float("nan"), float("inf")]),
        (Probe, "period", [0.1, 10], [0, -1, float("nan"), float("inf"), "1s"]),
        (Probe, "timeout", [0.1], [0]),
        (Probe, "successThreshold", [1], [0, 1.5]),
        (Probe, "failureThreshold", [1], [0]),
        (Route, "path", ["/", "/a?b=~!"], ["", "a", "/ a", "/ä", "/\n", "/\x7f", 1]),
        (Route, "port", [1, 65535], [0, 65536, "80"]),
        (Process, "command", [["a"], ["a", ""]], [[], [""], "a b", ["a", 1], ["a\0"], {"a": 1}]),
        (Process, "env", [{}, {"A": ""}], [{"A": 1}, {"": "a"}, {"A=B": "a"}, {"A": "\0"}, {1: "a"}, ["A=1"]]),
        (Process, "workingDir", ["model"], ["\0", 1]),
        (Auth, "keysSecret", ["iris-keys", "a.b", "a" * 253], ["", "Iris", "-a", "a_b", "a" * 254, "a\n", 1]),
        (Auth, "createKeys", [True, False], ["true", 1]),
    ],
)
def test_values(kind: type[Struct], field: str, good: list[object], bad: list[object]) -> None:
    required: dict[str, object] = {"path": "/", "command": ["a"]}
    fields = {each.encode_name for each in structs.fields(kind)}
    rest = {name: value for name, value in required.items() if name in fields}
    for value in good:
        assert problems_of(kind, {**rest, field: value}) == []
    for value in bad:
        (problem,) = problems_of(kind, {**rest, field: value})
        assert problem.startswith(field)
        assert "but it must " in problem or "the name" in problem


def test_every_problem_is_found_at_once() -> None:
    given = {"period": 0, "timeout": "2", "sucessThreshold": 1, "colour": "red"}
    assert problems_of(Probe, given) == [
        "sucessThreshold: unknown field, did you mean successThreshold?",
        "colour: unknown field, known are initialDelay, period, timeout, successThreshold, failureThreshold",
        "period: 0, but it must be greater than 0 and at most 2^53",
        "timeout: '2', but it must be a number",
    ]


def test_what_is_required_is_asked_for() -> None:
    assert problems_of(Route, {"port": 80}) == ["path: missing, but it is required"]


def test_a_long_value_is_cut() -> None:
    assert len(complaint("x" * 1_000_000, "must be short")) < 100


@pytest.mark.parametrize(
    ("workload", "problem"),
    [
        ({"kind": "Deployment", "name": "iris-blue"}, ""),
        ({"selector": {"app": "iris"}}, ""),
        ({"selector": {}}, "workload.selector: {}, but it must hold at least one label: it would choose every Pod"),
        ({"kind": "DaemonSet", "name": "a"}, "workload.kind: 'DaemonSet', but it must be Deployment or StatefulSet"),
        ({"kind": "Deployment", "name": "Iris"}, "workload.name: 'Iris', but it must be the name of a Kubernetes obj"),
        ({"selector": {"app": 1}}, "workload.selector.app: 1, but it must be text"),
        ({"namespace": "a"}, "workload.namespace: unknown field, did you mean name?"),
    ],
)
def test_a_workload_has_rules_of_its_own(workload: dict[str, object], problem: str) -> None:
    found = problems_of(DeclaredDeployment, {"name": "blue", "workload": workload})
    assert len(found) == bool(problem)
    assert "".join(found).startswith(problem)
