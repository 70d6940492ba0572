"""Rounds are interleaved, and a proxy that breaks down costs only its own figures."""

import os
from pathlib import Path

import pytest

from bench import wrk
from bench.measure import Cores, Course, Plan, choose_cores
from bench.processes import ProcessGroup, running
from bench.proxies import Proxy

PLAN = Plan(connections=(1, 64), rounds=2, seconds=5)
COUNTS = wrk.Counts(
    requests=100, duration_us=5_000_000, p50_us=10, p99_us=20, connect=0, read=0, write=0, timeout=0, status=3
)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Every load that was put on: url, connections, seconds. Port 2 breaks down at its second."""
    seen: list[tuple[str, int, int]] = []

    def load(url: str, authorization: str, *, connections: int, seconds: int, core: int) -> wrk.Counts:
        port = url.split("/")[2].removeprefix("127.0.0.1:")
        seen.append((port, connections, seconds))
        if port == "2" and sum(at == "2" for at, _, _ in seen) == 2:
            raise wrk.LoadError("connection refused")
        return COUNTS

    monkeypatch.setattr(wrk, "load", load)
    return seen


def _proxies(group: ProcessGroup, *ports: int) -> list[Proxy]:
    return [Proxy(f"p{port}", f"P{port}", group, port, "Bearer k") for port in ports]


def test_rounds_go_over_all_proxies_after_a_warm_up(loads: list[tuple[str, int, int]], tmp_path: Path) -> None:
    with running(["sleep", "60"], core=choose_cores().proxy, log=tmp_path / "log") as group:
        course = Course(_proxies(group, 1, 3), PLAN, Cores(0, 0))
        assert len(list(course.run())) == course.steps == 10
    warm_up = [("1", 64, 1), ("3", 64, 1)]
    one_round = [("1", 1, 5), ("3", 1, 5), ("1", 64, 5), ("3", 64, 5)]
    assert loads == warm_up + one_round + one_round
    assert [(sample.proxy, sample.round) for sample in course.samples if sample.connections == 64] == [
        ("p1", 1),
        ("p3", 1),
        ("p1", 2),
        ("p3", 2),
    ]
    assert {sample.failed for sample in course.samples} == {3}


def test_a_broken_proxy_is_left_alone_and_the_rest_goes_on(loads: list[tuple[str, int, int]], tmp_path: Path) -> None:
    words = ["sh", "-c", "echo out of memory; exec sleep 60"]
    with running(words, core=choose_cores().proxy, log=tmp_path / "log") as group:
        while not (tmp_path / "log").read_text():
            pass
        course = Course(_proxies(group, 1, 2), PLAN, Cores(0, 0))
        assert len(list(course.run())) == course.steps
    assert course.broken == {"p2": "connection refused\nIts output ends: out of memory"}
    assert [port for port, _, _ in loads].count("2") == 2
    assert [sample.proxy for sample in course.samples] == ["p1"] * 4


def test_cores_are_two_of_those_allowed_where_there_are_two() -> None:
    cores, allowed = choose_cores(), os.sched_getaffinity(0)
    assert {cores.proxy, cores.load} <= allowed
    assert (cores.proxy == cores.load) == (len(allowed) == 1)
