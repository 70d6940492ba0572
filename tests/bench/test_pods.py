"""`python -m bench.pods` in small: each step is measured, and what is made up is like the real thing."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from bench import crowd, pods
from router.platforms.kubernetes.objects import EndpointObject, Pod, Workload


def test_a_small_run_prints_every_step_and_writes_every_figure(tmp_path: Path) -> None:
    words = ["--pods", "1200", "--workloads", "40", "--changes", "3", "--json", f"{tmp_path}/pods.json"]
    ended = CliRunner().invoke(pods.main, words)
    assert ended.exit_code == 0, ended.output
    for step in (*pods.LOAD_STEPS, *pods.CHANGE_STEPS, "first snapshot made", "1,200 Pods of 6", "Memory: "):
        assert step in ended.output
    figures = json.loads((tmp_path / "pods.json").read_text())
    assert figures["plan"] == {"pods": 1200, "workloads": 40, "changes": 3}
    assert list(figures["change"]) == [*pods.CHANGE_STEPS, pods.ALL_STEPS]
    for step in (*figures["load"].values(), *figures["change"].values()):
        assert 0 < step["p50_ms"] <= step["p99_ms"] <= step["max_ms"]
    assert figures["load_s"] > 0
    assert figures["mib"] > 10


def test_a_change_that_did_not_arrive_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods.Router, "change", lambda router, event: [0.0, 0.0, 0.0, *router.look()[1:]])
    ended = CliRunner().invoke(pods.main, ["--pods", "10", "--workloads", "2", "--changes", "1"])
    assert isinstance(ended.exception, RuntimeError)
    assert "10 replicas take requests where 9 should" in str(ended.exception)


@pytest.mark.parametrize("words", [["--pods", "0"], ["--pods", "100001"], ["--workloads", "0"], ["--changes", "x"]])
def test_it_stays_within_bounds(words: list[str]) -> None:
    assert CliRunner().invoke(pods.main, words).exit_code == 2


def test_what_is_made_up_is_as_large_as_the_real_thing_and_belongs_together() -> None:
    data = crowd.pod_json(7, workloads=3)
    assert 5_000 < len(data) < 8_000
    pod = msgspec.json.decode(data, type=Pod)
    assert pod.takes_requests
    assert not msgspec.json.decode(crowd.pod_json(7, workloads=3, ready=False), type=Pod).takes_requests
    workload = msgspec.json.decode(crowd.workload_json(7 % 3, replicas=4), type=Workload)
    assert workload.spec.selector.match_labels.items() <= pod.metadata.labels.items()
    endpoint = msgspec.json.decode(crowd.endpoint_json(7 % 3), type=EndpointObject)
    assert endpoint.spec["deployments"][0]["workload"] == {"kind": "Deployment", "name": workload.metadata.name}


def test_pages_hold_every_pod_once_at_an_address_of_its_own() -> None:
    items = [item for page in crowd.pages(1_100, workloads=7) for item in json.loads(page)["items"]]
    assert len({item["metadata"]["uid"] for item in items}) == 1_100
    assert len({item["status"]["podIP"] for item in items}) == 1_100
