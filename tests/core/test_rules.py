"""The rules of single values, and how what is wrong with them reads."""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from router.core.model import Probe, Process, RequestSettings, Route, ScaleSettings
from router.core.rules import complaint, is_name, parse_address, problems_of


@pytest.mark.parametrize("name", ["abc", "A-1", "a--b", "a" * 32, "iris2"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "1ab", "-ab", "ab-", "a_b", "a.b", "../etc", "abc\n", "äbc", "a/b"]
)
def test_names_that_are_none(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.5", ("10.0.0.5", 5001)),
        ("10.0.0.5:80", ("10.0.0.5", 80)),
        ("Model-1.default.svc:65535", ("model-1.default.svc", 65535)),
        ("localhost", ("localhost", 5001)),
        ("[::1]", ("::1", 5001)),
        ("[2001:DB8:0::1]:80", ("2001:db8::1", 80)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert parse_address(address, default_port=5001) == expected


@pytest.mark.parametrize(
    "address",
    [
        "", ":80", "host:", "host:0", "host:65536", "host:http", "host:٣", "::1", "::1:80", "[::1", "[10.0.0.5]:80",
        "[]:80", "[::g]", "1.2.3", "1.2.3.400", "1.2.3.4.", "a b:80", "a..b", "-a", "a-", "http://a:80", "a/b",
        "a:80\n", "a" * 64, "user@host",
    ],
)  # fmt: skip
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_address(address, default_port=5001)


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
